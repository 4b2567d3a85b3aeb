//! What the server's settings make of "accepted": refused, warned of, or promised, in exact words.

use std::collections::HashMap;

use redis::Value;

use super::replicas::Wait;
use crate::store::{Result, StoreError};

/// The oldest version that has what the scripts use.
const VERSION_MIN: (u32, u32) = (6, 2);

/// A server's settings, as far as it tells them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Which server, in a cluster.
    pub node: String,
    /// `redis_version` of `INFO`.
    pub version: String,
    /// `appendonly`, `yes` or `no`.
    pub appendonly: Option<String>,
    /// `always`, `everysec` or `no`.
    pub appendfsync: Option<String>,
    /// `noeviction` or another.
    pub policy: Option<String>,
    /// `connected_slaves` of `INFO`.
    pub replicas: u64,
}

/// What was found about all servers.
#[derive(Debug, Default, Clone)]
pub(super) struct Verdict {
    /// Reasons not to start.
    pub refusals: Vec<String>,
    /// What weakens the promise.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads `INFO` and the answers of `CONFIG GET` (`None`: forbidden).
    pub(super) fn read(node: &str, info: &str, config: Option<HashMap<String, String>>) -> Settings {
        let told: HashMap<&str, &str> =
            info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let aof = told.get("aof_enabled").map(|on| if *on == "1" { "yes" } else { "no" }.to_owned());
        let config = config.unwrap_or_default();
        let said = |name: &str| config.get(name).cloned();
        Settings {
            node: node.to_owned(),
            version: told.get("redis_version").copied().unwrap_or_default().to_owned(),
            appendonly: said("appendonly").or(aof),
            appendfsync: said("appendfsync"),
            policy: said("maxmemory-policy")
                .or(told.get("maxmemory_policy").map(|policy| (*policy).to_owned())),
            replicas: told.get("connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0),
        }
    }

    /// The server's name in a sentence.
    pub(super) fn called(&self) -> String {
        if self.node.is_empty() { "this Redis".to_owned() } else { format!("Redis node {}", self.node) }
    }

    /// The first two numbers of the version.
    pub(super) fn version_numbers(&self) -> (u32, u32) {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// Judges them.
    pub(super) fn judge(&self, verdict: &mut Verdict) {
        let node = self.called();
        match self.appendonly.as_deref() {
            Some("yes") => self.judge_fsync(&node, verdict),
            Some(_) => verdict.refusals.push(format!(
                "{node} does not keep what it accepts: appendonly is off, so a restart loses everything since its last \
                 snapshot; set \"appendonly yes\" and \"appendfsync always\""
            )),
            None => verdict.warnings.push(unknown(&node, "appendonly")),
        }
        match self.policy.as_deref() {
            Some("noeviction") => {}
            Some(policy) => verdict.refusals.push(format!(
                "{node} may throw away what it accepted: maxmemory-policy is {policy}; set \"maxmemory-policy noeviction\""
            )),
            None => verdict.warnings.push(unknown(&node, "maxmemory-policy")),
        }
    }

    fn judge_fsync(&self, node: &str, verdict: &mut Verdict) {
        match self.appendfsync.as_deref() {
            Some("always") => {}
            Some("everysec") => verdict.warnings.push(format!(
                "{node} writes to its disk once a second (appendfsync is everysec): when its machine loses power, what was \
                 accepted in the last second, two at the worst, is lost; set \"appendfsync always\" to lose nothing"
            )),
            Some(_) => verdict.refusals.push(format!(
                "{node} leaves writing to its disk to the operating system (appendfsync is no): when its machine loses \
                 power, what was accepted in the last half minute or more is lost; set \"appendfsync always\""
            )),
            None => verdict.warnings.push(unknown(node, "appendfsync")),
        }
    }

    /// Whether the version is new enough.
    pub(super) fn check_version(&self) -> Result<()> {
        if self.version_numbers() < VERSION_MIN {
            let (major, minor) = VERSION_MIN;
            let has = if self.version.is_empty() { "of an unknown version" } else { &self.version };
            return Err(StoreError::Unusable(format!(
                "Redis is {has}; Kassir needs {major}.{minor} or newer"
            )));
        }
        Ok(())
    }
}

fn unknown(node: &str, setting: &str) -> String {
    format!(
        "{node} does not tell its {setting} (CONFIG is forbidden, as managed services do): make sure that it is \
         appendonly yes, appendfsync always, maxmemory-policy noeviction"
    )
}

/// What "accepted" means.
pub(super) fn promise(all: &[Settings], failover: bool, replicas: Option<&Wait>) -> String {
    let always = all
        .iter()
        .all(|s| s.appendfsync.as_deref() == Some("always") && s.appendonly.as_deref() == Some("yes"));
    let kept = if always {
        "accepted means: on the disk of the Redis server"
    } else {
        "accepted means: held by the Redis server, see the warnings for when it reaches its disk"
    };
    let replicas = match replicas {
        Some(wait) => wait.promise(),
        None if failover => {
            "; replication is asynchronous, so a failover may lose the last moments before it (store.min_replicas = 1 \
             waits for a replica each time)"
                .to_owned()
        }
        None => String::new(),
    };
    format!("{kept}{replicas}")
}

/// Reads the answer of `CONFIG GET`: a flat list or a map of names and values.
pub(super) fn pairs(value: Value) -> HashMap<String, String> {
    redis::from_redis_value::<HashMap<String, String>>(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(info: &str, config: Option<&[(&str, &str)]>) -> Verdict {
        let config = config.map(|all| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let mut verdict = Verdict::default();
        Settings::read("", info, config).judge(&mut verdict);
        verdict
    }

    #[test]
    fn what_does_not_keep_is_refused_and_what_weakens_is_said() {
        let good = [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];
        let verdict = judged("redis_version:7.0.15\r\naof_enabled:1\r\n", Some(&good));
        assert!(verdict.refusals.is_empty() && verdict.warnings.is_empty(), "{verdict:?}");

        let off = judged("", Some(&[("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")]));
        assert!(off.refusals[0].contains("appendonly is off"), "{off:?}");
        assert!(off.refusals[1].contains("maxmemory-policy is allkeys-lru"), "{off:?}");

        let lazy = judged("", Some(&[("appendonly", "yes"), ("appendfsync", "everysec"), good[2]]));
        assert!(lazy.refusals.is_empty() && lazy.warnings[0].contains("the last second, two at the worst"));
        let never = judged("", Some(&[("appendonly", "yes"), ("appendfsync", "no"), good[2]]));
        assert!(never.refusals[0].contains("appendfsync is no"));
    }

    #[test]
    fn where_config_is_forbidden_info_still_tells() {
        let managed = judged("aof_enabled:0\r\nmaxmemory_policy:volatile-lru\r\n", None);
        assert_eq!(managed.refusals.len(), 2, "{managed:?}");
        let silent = judged("", None);
        assert!(silent.refusals.is_empty() && silent.warnings[0].contains("CONFIG is forbidden"));
    }

    #[test]
    fn old_versions_are_refused() {
        for (version, fits) in
            [("6.2.0", true), ("7.0.15", true), ("10.1", true), ("6.0.16", false), ("5", false), ("", false)]
        {
            let settings = Settings { version: version.to_owned(), ..Settings::default() };
            assert_eq!(settings.check_version().is_ok(), fits, "{version}");
        }
    }
}
