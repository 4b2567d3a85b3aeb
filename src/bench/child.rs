//! The router under test: this very binary, as `serve`, in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use kassir_providers::Secret;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child as Process, Command};

use super::calls::StoreCalls;
use crate::client::Client;
use crate::clock::Stopwatch;
use crate::delivery::outbound::{Outbound, OutboundRequest, Outcome};

/// Ticks per second of `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS_PER_S: u64 = 100;
/// Place of `utime` and `stime` in `/proc/PID/stat` after the command's closing parenthesis.
const TIMES: std::ops::Range<usize> = 11..13;

/// Longest wait for a router that starts, and the pause between two questions whether it is ready.
const READY_MAX: Duration = Duration::from_secs(120);
const READY_PAUSE: Duration = Duration::from_millis(10);
/// Largest answer of `/metrics`.
const METRICS_MAX: usize = 4 * 1024 * 1024;

pub(super) struct Child {
    process: Process,
    url: String,
    token: Secret,
    since: Stopwatch,
    /// What it says of its store.
    pub store: String,
}

impl Child {
    pub(super) async fn start(
        folder: &Path,
        environment: &BTreeMap<String, String>,
        token: &Secret,
    ) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe().context("can't find this program")?);
        // What is set for the operator's own router must not lead this one into that one's store: a variable that is
        // not given here would count, `KASSIR__STORE__URL_FILE` even before the URL that is given.
        for name in crate::config::inherited() {
            command.env_remove(name);
        }
        command.arg("serve").current_dir(folder).envs(environment).stdout(Stdio::piped()).kill_on_drop(true);
        let since = Stopwatch::start();
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
        Ok(Child { process, url, token: token.clone(), since, store })
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, self.token.clone())?)
    }

    /// The whole of an inbound URL.
    pub(super) fn inbound(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Time since its process was started.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits until it says that it is ready; how long that took since its process was started.
    pub(super) async fn ready(&self, wire: &Outbound) -> anyhow::Result<Duration> {
        let mut pause = tokio::time::interval(READY_PAUSE);
        while self.age() < READY_MAX {
            pause.tick().await;
            if get(wire, &format!("{}/health/ready", self.url)).await.status == Some(200) {
                return Ok(self.age());
            }
        }
        anyhow::bail!("the router is not ready after {} s", READY_MAX.as_secs())
    }

    /// Round trips to its store so far, by verb.
    pub(super) async fn store_calls(&self, wire: &Outbound) -> anyhow::Result<StoreCalls> {
        let outcome = get(wire, &format!("{}/metrics", self.url)).await;
        anyhow::ensure!(outcome.status == Some(200), "the router gives no metrics");
        Ok(StoreCalls::read(&String::from_utf8_lossy(&outcome.body)))
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

async fn get(wire: &Outbound, url: &str) -> Outcome {
    let request = OutboundRequest {
        method: kassir_providers::Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        response_max: METRICS_MAX,
    };
    wire.send(request).await
}
