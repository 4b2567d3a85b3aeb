//! The router under test: this very binary, as `serve`, in a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use kassir_providers::Secret;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child as Process, Command};

use crate::client::Client;
use crate::secrets::new_token;

/// Ticks per second of `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS_PER_S: u64 = 100;
/// Place of `utime` and `stime` in `/proc/PID/stat` after the command's closing parenthesis.
const TIMES: std::ops::Range<usize> = 11..13;

pub(super) struct Child {
    process: Process,
    url: String,
    token: Secret,
    /// What it says of its store.
    pub store: String,
}

impl Child {
    pub(super) async fn start(folder: &Path, store: Option<&str>) -> anyhow::Result<Child> {
        let token = new_token("kas_")?;
        let embedded = format!("sqlite:{}", folder.join("kassir.db").display());
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        command
            .arg("serve")
            .current_dir(folder)
            .env("KASSIR__LISTEN", "127.0.0.1:0")
            .env("KASSIR__STORE__URL", store.unwrap_or(&embedded))
            .env("KASSIR__STORE__KEY_PREFIX", format!("bench-{}", uuid::Uuid::new_v4().simple()))
            .env("KASSIR__SECRETS__MASTER_KEY_FILE", folder.join("master.key"))
            .env("KASSIR__ADMIN_TOKEN", token.expose())
            .env("KASSIR__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8")
            .env("KASSIR__OUTBOUND__ALLOW_HTTP", "true")
            .env("KASSIR__LOG__LEVEL", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().context("can't start the router")?;
        let out = process.stdout.take().context("the router has no output")?;
        let mut lines = BufReader::new(out).lines();
        let mut store = String::new();
        let url = loop {
            let line = lines.next_line().await?.context("the router ended before it listened")?;
            if let Some(rest) = line.strip_prefix("store") {
                rest.trim().clone_into(&mut store);
            }
            if let Some(rest) = line.strip_prefix("listening") {
                break rest.split_whitespace().next().unwrap_or("").to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Child { process, url, token, store })
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, self.token.clone())?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let pid = self.process.id().context("the router has ended")?;
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).context("this needs Linux: /proc is not there")
    }

    /// Memory that it holds.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
        Ok(kib.saturating_mul(1024))
    }

    /// Processor time that it has used.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        let (_, fields) = stat.rsplit_once(')').context("a strange /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let times = fields.get(TIMES).context("a strange /proc/PID/stat")?;
        let ticks = times.iter().filter_map(|text| text.parse::<u64>().ok()).sum::<u64>();
        Ok(Duration::from_millis(ticks.saturating_mul(1000) / TICKS_PER_S))
    }

    /// Kills it: what it kept is thrown away anyhow.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("the router did not end")
    }
}
