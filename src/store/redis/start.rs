//! Opening the store: the server's settings, the marks of the partitions, the schema's version.
//!
//! The mark: `meta` of each partition holds the epoch (a random id that all partitions share), the schema's version and
//! the number of partitions. Partition 0's says `done` when all others were set. From then on, a mark that is missing
//! means lost data, never a new store: all missing at a start is an empty Redis, and begins a new epoch; some missing is
//! refused until an operator asks for it ([`Options::reinitialise`](super::Options)).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use redis::{Cmd, Value};
use uuid::Uuid;

use super::failure;
use super::keys::{self, PARTITIONS};
use super::link::{Link, Via};
use super::replicas::Wait;
use super::settings::{Settings, Verdict, pairs, promise};
use super::{Options, RedisStore, place, sweep};
use crate::store::{Description, Result, StoreError};

/// Version of the schema that this version writes: one more than there are migrations.
const SCHEMA: u64 = 1 + MIGRATIONS.len() as u64;
/// Steps from each version of the schema to the next, the first being from 1 to 2: Lua, run once for each partition
/// with KEYS[1] = its `meta` and ARGV[1] = the prefix of its keys, in one atomic step with the new version number.
const MIGRATIONS: &[&str] = &[];
/// Puts a migration between the check of the version and its change.
const MIGRATION_HEAD: &str =
    "if tonumber(redis.call('HGET', KEYS[1], 'schema')) ~= tonumber(ARGV[2]) then return 0 end\n";
const MIGRATION_END: &str = "\nredis.call('HSET', KEYS[1], 'schema', ARGV[2] + 1) return 1";

type Mark = HashMap<String, String>;

impl RedisStore {
    /// Opens the store at a URL: `redis://`, `rediss://`, `redis+sentinel://[user:pass@]h1:p1,h2:p2/master[/db]` or
    /// `redis+cluster://h1,h2`, the last two also with `rediss`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] when the URL makes no sense, the server is too old or does not keep what it accepts, or
    /// the data is a newer version's or has lost a part; [`StoreError::Unavailable`] when there is no answer.
    pub async fn open(url: &str, options: Options) -> Result<RedisStore> {
        let prefix = options.prefix.trim_end_matches(':').to_owned();
        keys::check_prefix(&prefix)?;
        let address = place::parse(url)?;
        let failover = !matches!(address.place, place::Place::One(_));
        let link = Arc::new(Link::new(address, options.timeout)?);
        let starter = Starter { link: &link, prefix: &prefix };

        let settings = starter.settings().await?;
        let replicas = Wait::new(options.min_replicas, &settings, options.timeout);
        let mut verdict = Verdict::default();
        for server in &settings {
            server.check_version()?;
            server.judge(&mut verdict);
            if let Some(wait) = &replicas {
                verdict.refusals.extend(wait.refusal(server, failover));
                verdict.warnings.extend(wait.warnings(server, failover));
            }
        }
        if !verdict.refusals.is_empty() && !options.allow_unsafe {
            let words = verdict.refusals.join("; ");
            return Err(StoreError::Unusable(format!(
                "{words} (or set store.allow_unsafe = true to start all the same)"
            )));
        }
        verdict.warnings.splice(0..0, verdict.refusals.drain(..));

        let epoch = starter.epoch(options.reinitialise).await?;
        starter.migrate(SCHEMA, MIGRATIONS).await?;
        let description = Description {
            kind: "redis",
            place: link.shown().to_owned(),
            promise: promise(&settings, failover, replicas.as_ref()),
            warnings: verdict.warnings,
        };
        Ok(RedisStore {
            link,
            prefix,
            epoch,
            timeout: options.timeout,
            replicas,
            time: options.time,
            description,
            turn: AtomicUsize::new(0),
            heads: super::heads::Heads::default(),
            unsure: super::unsure::Unsure::default(),
            claimed: std::sync::Mutex::default(),
            sweeping: sweep::Places::default(),
        })
    }
}

struct Starter<'a> {
    link: &'a Arc<Link>,
    prefix: &'a str,
}

impl Starter<'_> {
    async fn send(&self, cmd: &Cmd) -> Result<Value> {
        // Not by the pool, whose connections wait for half a second only: a slow Redis must not prevent a start.
        self.link
            .send(Via::Shared(0), cmd)
            .await
            .map_err(|(_, error)| failure::read(&error, "at the start").error)
    }

    async fn settings(&self) -> Result<Vec<Settings>> {
        let infos = self.link.on_each_master(redis::cmd("INFO")).await;
        let infos = infos.map_err(|error| failure::read(&error, "INFO").error)?;
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg("*append*");
        let mut policy = redis::cmd("CONFIG");
        policy.arg("GET").arg("maxmemory-policy");
        // Forbidden where the service is managed: then INFO alone must do.
        let mut config: HashMap<String, Mark> = HashMap::new();
        for cmd in [get, policy] {
            for (node, value) in self.link.on_each_master(cmd).await.unwrap_or_default() {
                config.entry(node).or_default().extend(pairs(value));
            }
        }
        let mut settings = Vec::new();
        for (node, info) in infos {
            let info: String = redis::from_redis_value(info).unwrap_or_default();
            settings.push(Settings::read(&node, &info, config.remove(&node)));
        }
        Ok(settings)
    }

    fn meta(&self, partition: u8) -> String {
        format!("{}meta", keys::base(self.prefix, partition))
    }

    async fn marks(&self) -> Result<Vec<Mark>> {
        let mut marks = Vec::new();
        for partition in 0..PARTITIONS {
            let mut cmd = redis::cmd("HGETALL");
            cmd.arg(self.meta(partition));
            marks.push(pairs(self.send(&cmd).await?));
        }
        Ok(marks)
    }

    /// The epoch, set anew where there is none.
    async fn epoch(&self, reinitialise: bool) -> Result<String> {
        let marks = self.marks().await?;
        let known = |name: &str| marks.iter().find_map(|mark| mark.get(name).cloned());
        let done = marks.first().is_some_and(|mark| mark.contains_key("done"));
        let lost: Vec<String> = (0..PARTITIONS)
            .zip(&marks)
            .filter(|(_, mark)| !mark.contains_key("epoch"))
            .map(|(partition, _)| format!("k{partition:02}"))
            .collect();
        let first_set = marks.first().is_some_and(|mark| mark.contains_key("epoch"));
        let none_set = lost.len() == marks.len();
        if !lost.is_empty() && !none_set && (done || !first_set) && !reinitialise {
            return Err(StoreError::Unusable(format!(
                "a part of the Redis database was emptied: the marks of the partitions {} are gone, and with them what was \
                 accepted there. Bring the data back; or, if it is gone for good, start once with \
                 store.reinitialise = true",
                lost.join(", ")
            )));
        }
        check(&marks, known("schema").as_deref())?;
        if lost.is_empty() && done {
            return known("epoch").ok_or_else(|| keys::damaged("the mark"));
        }
        self.set_marks(known("epoch").unwrap_or_else(|| Uuid::new_v4().simple().to_string())).await
    }

    /// Sets what is not set. Of two routers that start at once, the one that reaches partition 0 first decides.
    async fn set_marks(&self, wish: String) -> Result<String> {
        let set = |partition: u8, field: &'static str, value: String| {
            let mut cmd = redis::cmd("HSETNX");
            cmd.arg(self.meta(partition)).arg(field).arg(value);
            async move { self.send(&cmd).await }
        };
        set(0, "epoch", wish).await?;
        let mut get = redis::cmd("HGET");
        get.arg(self.meta(0)).arg("epoch");
        let epoch: String =
            redis::from_redis_value(self.send(&get).await?).map_err(|_| keys::damaged("the mark"))?;
        for partition in 0..PARTITIONS {
            set(partition, "schema", SCHEMA.to_string()).await?;
            set(partition, "partitions", PARTITIONS.to_string()).await?;
            set(partition, "epoch", epoch.clone()).await?;
        }
        set(0, "done", "1".to_owned()).await?;
        Ok(epoch)
    }

    /// Brings each partition to the version of the schema, step by step; a partition that a crash left behind is
    /// brought on at the next start.
    async fn migrate(&self, schema: u64, steps: &[&str]) -> Result<()> {
        for partition in 0..PARTITIONS {
            let mut get = redis::cmd("HGET");
            get.arg(self.meta(partition)).arg("schema");
            let has: u64 =
                redis::from_redis_value(self.send(&get).await?).map_err(|_| keys::damaged("the schema"))?;
            for version in has..schema {
                let index = usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX);
                let step = steps.get(index).ok_or_else(|| keys::damaged("the schema"))?;
                let mut eval = redis::cmd("EVAL");
                eval.arg(format!("{MIGRATION_HEAD}{step}{MIGRATION_END}")).arg(1).arg(self.meta(partition));
                eval.arg(keys::base(self.prefix, partition)).arg(version);
                self.send(&eval).await?;
            }
        }
        Ok(())
    }
}

/// Checks that the marks agree, and that this version can read the data.
fn check(marks: &[Mark], schema: Option<&str>) -> Result<()> {
    let newest = marks.iter().filter_map(|mark| mark.get("schema")?.parse::<u64>().ok()).max();
    if newest.is_some_and(|newest| newest > SCHEMA) {
        return Err(StoreError::Unusable(format!(
            "the Redis database was written by a newer version of Kassir (schema {}, this one knows {SCHEMA})",
            schema.unwrap_or("unknown")
        )));
    }
    let mut epochs: Vec<&String> = marks.iter().filter_map(|mark| mark.get("epoch")).collect();
    epochs.dedup();
    if epochs.len() > 1 {
        return Err(StoreError::Unusable(
            "the partitions of the Redis database are of different epochs: parts of it come from different databases"
                .to_owned(),
        ));
    }
    match marks.iter().filter_map(|mark| mark.get("partitions")).find(|has| **has != PARTITIONS.to_string()) {
        Some(has) => Err(StoreError::Unusable(format!(
            "the Redis database has {has} partitions, this version of Kassir works with {PARTITIONS}"
        ))),
        None => Ok(()),
    }
}
