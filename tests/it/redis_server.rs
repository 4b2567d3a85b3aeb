//! Redis servers that tests start themselves: one that several tests share, and a cluster of three. Each keeps its data
//! in a folder of its own with the settings that Kassir asks for, and ends with the last test that uses it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;

const HOW_TO_INSTALL: &str = "redis-server is needed for these tests and was not found: install it \
    (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis; Fedora: dnf install valkey-compat-redis)";
/// What Kassir asks for.
pub const DURABLE: &[(&str, &str)] =
    &[("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction"), ("save", "")];
/// Ports tried until one is free: another process may take one between its choice and the start.
const PORTS_TRIED: usize = 20;
/// Polls of a cluster until its nodes agree.
const POLLS_MAX: usize = 1_500;
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// A server.
pub struct Server {
    pub port: u16,
    folder: TempDir,
    settings: Vec<(String, String)>,
    /// Environment: where locales are, and which one it has.
    locale: Vec<(&'static str, String)>,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts one on a free port.
    pub fn start(settings: &[(&str, &str)]) -> Server {
        Server::start_with(Vec::new(), settings)
    }

    /// Starts one in a locale that stands in a folder.
    pub fn start_in(folder: &std::path::Path, locale: &str, settings: &[(&str, &str)]) -> Server {
        let folder = folder.display().to_string();
        Server::start_with(vec![("LOCPATH", folder), ("LC_ALL", locale.to_owned())], settings)
    }

    fn start_with(locale: Vec<(&'static str, String)>, settings: &[(&str, &str)]) -> Server {
        let settings: Vec<_> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for _ in 0..PORTS_TRIED {
            let folder = tempfile::tempdir().unwrap();
            let (settings, locale) = (settings.clone(), locale.clone());
            let server = Server { port: free_port(), folder, settings, locale, child: Mutex::default() };
            if server.run() {
                return server;
            }
        }
        panic!("redis-server did not start on any of {PORTS_TRIED} ports");
    }

    /// Starts the process and waits for its word that it accepts connections; false when it ended instead.
    fn run(&self) -> bool {
        let mut command = Command::new("redis-server");
        command.arg("--port").arg(self.port.to_string()).args(["--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.folder.path()).args(["--daemonize", "no", "--loglevel", "notice"]);
        for (name, value) in &self.settings {
            command.arg(format!("--{name}")).arg(value);
        }
        command.envs(self.locale.iter().cloned());
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{HOW_TO_INSTALL} ({error})"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.any(|line| line.contains("Ready to accept connections"));
        // The rest of its log must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        if !ready {
            child.wait().unwrap();
            return false;
        }
        *self.child.lock().unwrap() = Some(child);
        true
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// One command of an operator.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[impl redis::ToRedisArgs]) -> T {
        run(&self.url(), words)
    }

    /// The same with a login, `user:password`.
    pub fn command_as<T: redis::FromRedisValue>(&self, login: &str, words: &[&str]) -> T {
        run(&self.url().replace("redis://", &format!("redis://{login}@")), words)
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        let child = self.child.lock().unwrap();
        let pid = child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// A section of `INFO`; empty when it does not answer.
    pub fn info(&self, section: &str) -> String {
        let Ok(client) = redis::Client::open(self.url()) else { return String::new() };
        let Ok(mut connection) = client.get_connection() else { return String::new() };
        redis::cmd("INFO").arg(section).query(&mut connection).unwrap_or_default()
    }

    /// Ends it as if its machine stopped: kill -9.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port with the same data.
    pub fn resume(&self) {
        assert!(self.run(), "redis-server did not start again");
    }

    /// Ends it orderly and starts it again.
    pub fn restart(&self) {
        let child = self.child.lock().unwrap().take();
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        // It answers a shutdown by closing the connection.
        let _: redis::RedisResult<()> = redis::cmd("SHUTDOWN").query(&mut connection);
        child.unwrap().wait().unwrap();
        self.resume();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now, with room above it for a cluster's own port.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < u16::MAX - 10_000 {
            return port;
        }
    }
}

/// The server that tests share: each has a prefix of its own.
pub fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start(DURABLE));
        *shared = Arc::downgrade(&server);
        server
    })
}

/// A cluster of three masters.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts the nodes, gives each its slots, and waits until all of them agree.
    pub async fn start() -> Cluster {
        Cluster::start_with("5000").await
    }

    /// The same with the time in milliseconds after which a node counts as gone.
    pub async fn start_with(node_timeout: &str) -> Cluster {
        let settings = cluster_settings(node_timeout);
        let nodes: Vec<Server> = (0..3).map(|_| Server::start(&settings)).collect();
        let first = nodes[0].port.to_string();
        for (node, (number, from, to)) in
            nodes.iter().zip([("1", "0", "5460"), ("2", "5461", "10922"), ("3", "10923", "16383")])
        {
            node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", number]);
            node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
            node.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &first]);
        }
        let cluster = Cluster { nodes };
        cluster.until("the nodes agree", |cluster| cluster.nodes.iter().all(agrees)).await;
        cluster
    }

    /// Adds a replica of a node, and waits until it has all of its data.
    pub async fn add_replica(&mut self, of: usize, node_timeout: &str) {
        let replica = Server::start(&cluster_settings(node_timeout));
        replica.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &self.nodes[0].port.to_string()]);
        let id: String = self.nodes[of].command(&["CLUSTER", "MYID"]);
        self.nodes.push(replica);
        let knows = |cluster: &Cluster| {
            cluster.nodes.iter().all(|node| {
                let nodes: String = node.command(&["CLUSTER", "NODES"]);
                nodes.lines().count() == cluster.nodes.len() && !nodes.contains("handshake")
            })
        };
        self.until("the replica is known", knows).await;
        self.nodes[self.nodes.len() - 1].command::<()>(&["CLUSTER", "REPLICATE", &id]);
        self.until("the replica is in step", |cluster| {
            cluster.nodes[of].info("replication").contains("state=online")
        })
        .await;
    }

    /// Waits until the cluster is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Cluster) -> bool) {
        for _ in 0..POLLS_MAX {
            if wanted(self) {
                return;
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        panic!("not in time: {what}");
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Keys of each node.
    pub fn keys(&self) -> Vec<Vec<Vec<u8>>> {
        self.nodes.iter().map(|node| node.command(&["KEYS", "*"])).collect()
    }
}

fn cluster_settings(node_timeout: &str) -> Vec<(&str, &str)> {
    let own = [
        ("cluster-enabled", "yes"),
        ("cluster-config-file", "nodes.conf"),
        ("cluster-node-timeout", node_timeout),
    ];
    DURABLE.iter().copied().chain(own).collect()
}

fn agrees(node: &Server) -> bool {
    let info: String = node.command(&["CLUSTER", "INFO"]);
    ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"].iter().all(|word| info.contains(word))
}

/// The cluster that tests share.
pub async fn shared_cluster() -> Arc<Cluster> {
    static SHARED: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::start().await);
    *shared = Arc::downgrade(&cluster);
    cluster
}

fn run<T: redis::FromRedisValue>(url: &str, words: &[impl redis::ToRedisArgs]) -> T {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut cmd = redis::Cmd::new();
    for word in words {
        cmd.arg(word);
    }
    cmd.query(&mut connection).unwrap()
}
