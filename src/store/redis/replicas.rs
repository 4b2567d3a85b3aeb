//! `store.min_replicas`: a write counts as kept only when so many replicas have it.
//!
//! Redis replicates after it has answered. `WAIT` (from 7.2 on `WAITAOF`, which waits for the replicas' disks too), sent
//! right behind a write on the same connection, says how many replicas have it; it never fails by itself, so the counts
//! are compared here. Too few mean an unknown outcome: the write is there and may stay. It is sent again (and done once,
//! like any repeated request), and in the end the caller hears that it is not kept.
//!
//! <https://redis.io/docs/latest/commands/wait/>, <https://redis.io/docs/latest/commands/waitaof/>

use std::time::Duration;

use redis::{Cmd, Value};

use super::settings::Settings;
use crate::store::StoreError;

/// Longest wait for replicas at once, and the part of the store's deadline that it may be.
const WAIT_MAX: Duration = Duration::from_secs(1);
const PART_OF_TIMEOUT: u32 = 4;
/// The first version with `WAITAOF`.
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// How many replicas to wait for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    count: u8,
    /// Whether every server knows `WAITAOF` and keeps an append-only file.
    disks: bool,
    timeout: Duration,
}

impl Wait {
    /// For these servers; `None` when no replica is asked for.
    pub(super) fn new(count: u8, servers: &[Settings], timeout: Duration) -> Option<Wait> {
        let disks = servers.iter().all(|server| {
            server.version_numbers() >= WAITAOF_SINCE && server.appendonly.as_deref() == Some("yes")
        });
        let timeout = WAIT_MAX.min(timeout / PART_OF_TIMEOUT);
        (count > 0).then_some(Wait { count, disks, timeout })
    }

    /// The command that waits.
    pub(super) fn command(&self) -> Cmd {
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut cmd = redis::cmd(if self.disks { "WAITAOF" } else { "WAIT" });
        if self.disks {
            cmd.arg(1);
        }
        cmd.arg(self.count).arg(timeout_ms);
        cmd
    }

    /// What its answer means.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too few replicas (or not the server itself) have it.
    pub(super) fn judge(&self, answer: &Value) -> Result<(), StoreError> {
        let (local, got) = match answer {
            Value::Int(got) => (1, *got),
            Value::Array(counts) => match counts.as_slice() {
                [Value::Int(local), Value::Int(got)] => (*local, *got),
                _ => (0, 0),
            },
            _ => (0, 0),
        };
        if local >= 1 && got >= i64::from(self.count) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{got} of the {} replicas that store.min_replicas asks for have confirmed the write within {} ms: it does \
             not count as kept",
            self.count,
            self.timeout.as_millis()
        )))
    }

    /// What it adds to the promise.
    pub(super) fn promise(&self) -> String {
        let (count, at) = (self.count, if self.disks { "on the disk of" } else { "received by" });
        format!(
            ", and {at} at least {count} of its replicas before the provider hears of it (store.min_replicas = {count}): a \
             failover loses it only when every replica that has it is lost too, when one is promoted that had fallen \
             behind, or when a replica that is not asked for is promoted while the old primary stands still and goes on"
        )
    }

    /// What is wrong with a server that has so few replicas: with none at all, and nobody who would promote one, the
    /// setting is a mistake.
    pub(super) fn refusal(&self, server: &Settings, failover: bool) -> Option<String> {
        (!failover && server.replicas == 0).then(|| {
            format!(
                "store.min_replicas = {}, but this Redis has no replica, and store.url names neither Sentinel nor a \
                 Cluster: nothing could ever be accepted; remove store.min_replicas, or give Redis replicas",
                self.count
            )
        })
    }

    /// What weakens the setting on a server.
    pub(super) fn warnings(&self, server: &Settings, failover: bool) -> Vec<String> {
        let (node, count, has) = (server.called(), self.count, server.replicas);
        let mut warnings = Vec::new();
        if has < u64::from(count) {
            warnings.push(format!(
                "{node} has {has} replicas now, and store.min_replicas asks for {count}: until there are more, no \
                 notification is accepted"
            ));
        } else if has == u64::from(count) {
            warnings.push(format!(
                "{node} has exactly the {count} replicas that store.min_replicas asks for: when one is away, no \
                 notification is accepted; one replica more lets work go on"
            ));
        }
        if !failover {
            warnings.push(
                "store.min_replicas is set, but store.url names neither Sentinel nor a Cluster: when this Redis is \
                 gone, somebody must promote a replica and change store.url by hand"
                    .to_owned(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str) -> Settings {
        Settings {
            version: version.to_owned(),
            appendonly: Some("yes".to_owned()),
            replicas: 1,
            ..Settings::default()
        }
    }

    fn words(cmd: &Cmd) -> String {
        String::from_utf8_lossy(&cmd.get_packed_command())
            .split("\r\n")
            .skip(2)
            .step_by(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_command_is_what_the_server_knows() {
        let timeout = Duration::from_secs(2);
        assert_eq!(Wait::new(0, &[server("7.0.15")], timeout), None);
        let wait = Wait::new(2, &[server("7.0.15"), server("7.4.0")], timeout).unwrap();
        assert_eq!(words(&wait.command()), "WAIT 2 500");
        let wait = Wait::new(1, &[server("7.2.4")], Duration::from_secs(60)).unwrap();
        assert_eq!(words(&wait.command()), "WAITAOF 1 1 1000");
        let lazy = Settings { appendonly: Some("no".to_owned()), ..server("8.0.0") };
        assert_eq!(words(&Wait::new(1, &[lazy], timeout).unwrap().command()), "WAIT 1 500");
    }

    #[test]
    fn counts_are_compared() {
        let timeout = Duration::from_secs(2);
        let wait = Wait::new(2, &[server("7.0.15")], timeout).unwrap();
        for (answer, kept) in
            [(Value::Int(2), true), (Value::Int(3), true), (Value::Int(1), false), (Value::Nil, false)]
        {
            assert_eq!(wait.judge(&answer).is_ok(), kept, "{answer:?}");
        }
        let disks = Wait::new(1, &[server("7.2.0")], timeout).unwrap();
        for (local, replicas, kept) in [(1, 1, true), (0, 1, false), (1, 0, false)] {
            let answer = Value::Array(vec![Value::Int(local), Value::Int(replicas)]);
            assert_eq!(disks.judge(&answer).is_ok(), kept, "{answer:?}");
        }
        assert!(disks.judge(&Value::Array(vec![])).is_err());
    }

    #[test]
    fn what_can_not_work_is_said() {
        let wait = Wait::new(1, &[server("7.0.15")], Duration::from_secs(2)).unwrap();
        let bare = Settings { replicas: 0, ..server("7.0.15") };
        assert!(wait.refusal(&bare, false).unwrap().contains("nothing could ever be accepted"));
        assert_eq!(wait.refusal(&bare, true), None);
        assert!(wait.warnings(&bare, true)[0].contains("has 0 replicas now"));
        assert!(wait.warnings(&server("7"), true)[0].contains("exactly the 1 replicas"));
        assert!(wait.warnings(&Settings { replicas: 2, ..server("7") }, false)[0].contains("by hand"));
    }
}
