//! The real binary, started as a user starts it.

use std::process::Stdio;
use std::time::Duration;

use kassir::client::Client;
use kassir::clock::Stopwatch;
use kassir_providers::Secret;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The admin token of these routers.
pub const ADMIN: &str = "process-admin-token-0123456789";

/// Longest wait for a router's readiness to change, and the pause between two looks.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// What the kernel counts processor time in.
const TICKS_PER_S: u64 = 100;

/// How to start a router.
#[derive(Clone)]
pub struct Plan {
    pub folder: std::path::PathBuf,
    pub store: String,
    pub port: u16,
    pub more: Vec<(String, String)>,
    /// Where its log goes; else to the test's own standard error.
    pub log: Option<std::path::PathBuf>,
    /// What a shell does before it becomes the router, such as `ulimit -n 256`.
    pub before: Option<String>,
}

impl Plan {
    /// On an embedded store in this folder, at a port that is free now.
    pub fn sqlite(folder: &std::path::Path) -> Plan {
        let store = format!("sqlite:{}", folder.join("kassir.db").display());
        Plan {
            folder: folder.to_owned(),
            store,
            port: free_port(),
            more: Vec::new(),
            log: None,
            before: None,
        }
    }

    /// On another store.
    pub fn on(folder: &std::path::Path, store: &str) -> Plan {
        Plan { store: store.to_owned(), ..Plan::sqlite(folder) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url(), Secret::new(ADMIN)).unwrap()
    }

    /// The same with one more variable in its environment.
    pub fn with(&self, name: &str, value: &str) -> Plan {
        let mut plan = self.clone();
        plan.more.push((name.to_owned(), value.to_owned()));
        plan
    }

    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_kassir");
        let mut command = match &self.before {
            None => Command::new(binary),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        command
            .arg("serve")
            .current_dir(&self.folder)
            .env("KASSIR__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("KASSIR__STORE__URL", &self.store)
            .env("KASSIR__SECRETS__MASTER_KEY_FILE", self.folder.join("master.key"))
            .env("KASSIR__ADMIN_TOKEN", ADMIN)
            .env("KASSIR__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8")
            .env("KASSIR__OUTBOUND__ALLOW_HTTP", "true")
            .env("KASSIR__LOG__LEVEL", "warn")
            .envs(self.more.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .stderr(self.log.as_ref().map_or_else(Stdio::inherit, |log| {
                std::fs::File::options().create(true).append(true).open(log).unwrap().into()
            }))
            .kill_on_drop(true);
        command
    }

    /// Starts it and waits until it ends by itself.
    pub async fn run_to_its_end(&self) -> std::process::ExitStatus {
        let mut child = self.command().stdout(Stdio::null()).spawn().unwrap();
        child.wait().await.unwrap()
    }

    /// Starts it and waits until it says that it listens.
    pub async fn start(&self) -> Process {
        let mut child = self.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            match lines.next_line().await.unwrap() {
                Some(line) if line.starts_with("listening") => break,
                Some(line) => said.push(line),
                None => panic!("the router ended before it listened: {said:?}"),
            }
        }
        // Keeps the pipe open, so that the router can go on printing.
        let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Process { child, said, _rest: rest }
    }
}

/// A running router.
pub struct Process {
    child: Child,
    /// What it printed before it listened.
    pub said: Vec<String>,
    _rest: tokio::task::JoinHandle<()>,
}

impl Process {
    /// Kills it with SIGKILL: no goodbye.
    pub async fn kill_9(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Processor time that it has used, in user and kernel mode.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().unwrap())).unwrap();
        // The second field is its name, in brackets, in which there may be spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1_000 / TICKS_PER_S)
    }

    /// Sends it a signal by its name.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let signal = format!("-{name}");
        assert!(Command::new("kill").args([&signal, &pid]).status().await.unwrap().success());
    }

    /// Asks it to stop with SIGTERM; gives its exit code.
    pub async fn terminate(self) -> Option<i32> {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits until it ended; gives its exit code.
    pub async fn ended(mut self) -> Option<i32> {
        self.child.wait().await.unwrap().code()
    }

    /// Memory that it occupies now, MiB.
    pub fn memory_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
    }
}

/// Whether the router says that it can keep notifications.
pub async fn ready(plan: &Plan) -> bool {
    let mut connection = crate::raw::Raw::to(&format!("{}/", plan.url())).await;
    connection.send(b"GET /health/ready HTTP/1.1\r\nhost: router\r\n\r\n").await;
    connection.answer().await.expect("an answer").0 == 200
}

/// Waits until it says so, or does not any more.
pub async fn until_ready(plan: &Plan, wanted: bool) {
    let waited = Stopwatch::start();
    while ready(plan).await != wanted {
        assert!(waited.elapsed() < PATIENCE, "whether it is ready does not become {wanted}");
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
