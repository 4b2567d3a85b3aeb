//! The Redis server under a measurement, asked as an operator asks it. Only a single server is asked.

use std::time::Duration;

use anyhow::Context as _;

/// Keys that are removed with one command.
const REMOVED_AT_ONCE: usize = 1_000;

pub(super) struct RedisServer {
    client: redis::Client,
}

impl RedisServer {
    /// The server at a URL; `None` for what is no single Redis.
    pub(super) fn at(url: &str) -> Option<RedisServer> {
        crate::tls::install();
        redis::Client::open(url).ok().map(|client| RedisServer { client })
    }

    async fn info(&self, section: &str, name: &str) -> anyhow::Result<f64> {
        let mut conn = self.client.get_multiplexed_async_connection().await?;
        let text: String = redis::cmd("INFO").arg(section).query_async(&mut conn).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("INFO has no {name}"))
    }

    /// Processor time that it has used.
    pub(super) async fn cpu(&self) -> anyhow::Result<Duration> {
        let (user, sys) = (self.info("cpu", "used_cpu_user").await?, self.info("cpu", "used_cpu_sys").await?);
        Ok(Duration::from_secs_f64(user + sys))
    }

    /// Memory that it has given out, bytes.
    pub(super) async fn used_memory(&self) -> anyhow::Result<f64> {
        self.info("memory", "used_memory").await
    }

    /// Removes every key that begins with this.
    pub(super) async fn clear(&self, prefix: &str) -> anyhow::Result<()> {
        let mut conn = self.client.get_multiplexed_async_connection().await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(REMOVED_AT_ONCE);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut conn).await?;
            if !keys.is_empty() {
                redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut conn).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
