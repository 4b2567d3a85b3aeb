//! What Redis's answers mean: each known one in exact words, and whether to try again or to connect anew.

use redis::{ErrorKind, RedisError};

use crate::store::StoreError;

/// A failed call.
#[derive(Debug)]
pub(super) struct Failure {
    /// What it means to the caller.
    pub error: StoreError,
    /// Whether the connection itself failed: the outcome is unknown, and the same request may be sent again.
    pub connection: bool,
    /// Whether the next call needs a new connection: after a failover the old one leads to a replica.
    pub reconnect: bool,
    /// Whether the server does not know the script.
    pub no_script: bool,
}

impl Failure {
    /// What was written may or may not stay: the same request may be sent again.
    pub(super) fn unknown(error: StoreError) -> Failure {
        Failure { error, connection: true, reconnect: false, no_script: false }
    }
}

/// Codes of answers that mean "not now", with what to do about them.
const NOT_NOW: &[(&str, &str, bool)] = &[
    (
        "OOM",
        "Redis is out of memory (OOM): raise maxmemory or remove old records; nothing was written",
        false,
    ),
    (
        "READONLY",
        "this Redis is a read-only replica (READONLY), perhaps after a failover: looking for the master again",
        true,
    ),
    ("LOADING", "Redis is loading its data (LOADING): it answers when it is done", true),
    ("MISCONF", "Redis can't write to its disk (MISCONF): see its log, free or repair the disk", false),
    ("BUSY", "Redis is busy with a long script (BUSY)", false),
    ("CLUSTERDOWN", "the Redis cluster is down (CLUSTERDOWN): some of its slots have no master", true),
    ("TRYAGAIN", "the Redis cluster is moving these keys (TRYAGAIN)", false),
    ("MASTERDOWN", "this Redis replica has lost its master (MASTERDOWN)", true),
    ("NOREPLICAS", "too few replicas of Redis are connected (NOREPLICAS): see min-replicas-to-write", false),
    ("NOAUTH", "Redis wants a password (NOAUTH): put it into store.url", true),
    ("WRONGPASS", "Redis refuses the user or the password (WRONGPASS): see store.url", true),
    ("NOPERM", "Redis does not permit this user what Kassir needs (NOPERM): see docs/redis-keys.md", false),
    (
        "MOVED",
        "another node of the Redis cluster has these keys (MOVED): write store.url as redis+cluster://…; if it is, the \
         cluster's nodes do not agree yet",
        false,
    ),
];

/// How a script says that a key of its slot is on its way to another node.
const NOT_LOCAL: &str = "non local key";
/// Words for a database whose mark is gone.
pub(super) const EMPTIED: &str = "the Redis database was emptied: the mark that Kassir set in it is gone, and with it what was accepted \
     before (FLUSHALL, a restart without its data, a failover to an empty replica). If the data comes back, work goes \
     on by itself; to begin with an empty store, restart Kassir";
/// Words for a database that has another mark.
pub(super) const REPLACED: &str = "the Redis database was emptied and set up anew, or replaced by another one, while this router was \
     running: restart Kassir to work with what is there now";

/// Reads an error.
pub(super) fn read(error: &RedisError, script: &str) -> Failure {
    let code = code_of(error);
    let detail = error.detail().unwrap_or_default();
    let answer = |error: StoreError, reconnect: bool| Failure {
        error,
        connection: false,
        reconnect,
        no_script: false,
    };
    if code == "EMPTIED" {
        let words = if detail.contains("other") { REPLACED } else { EMPTIED };
        return answer(StoreError::Unusable(words.to_owned()), false);
    }
    if let Some((_, words, reconnect)) = NOT_NOW.iter().find(|(known, ..)| *known == code) {
        return answer(StoreError::Unavailable((*words).to_owned()), *reconnect);
    }
    if code == "NOSCRIPT" {
        let error = StoreError::Unavailable("Redis forgot a script twice in a row (NOSCRIPT)".to_owned());
        return Failure { error, connection: false, reconnect: false, no_script: true };
    }
    if !code.is_empty() {
        return answer(StoreError::Unavailable(format!("Redis answered {script}: {}", brief(error))), false);
    }
    if error.kind() == ErrorKind::MasterNameNotFoundBySentinel || brief(error).contains("FoundBySentinel") {
        let words = "the sentinels name no Redis master that can be reached: a failover may be under way, or the name in \
                     store.url is not what they call it";
        return answer(StoreError::Unavailable(words.to_owned()), true);
    }
    let connection =
        matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound)
            || error.is_io_error()
            || error.is_connection_dropped();
    let error = StoreError::Unavailable(format!("Redis can't be reached: {}", brief(error)));
    Failure { error, connection, reconnect: true, no_script: false }
}

/// The answer's code, if it is an answer of the server. Before version 7 an error inside a script comes as
/// `ERR Error running script …: -OOM …`; an answer to the login or to a connection's first words comes as the words of
/// a connection error.
fn code_of(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "WRONGPASS".to_owned();
    }
    let detail = error.detail().unwrap_or_default();
    let Some(code) = error.code() else {
        let words =
            |known: &&str| detail.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *known);
        let known = NOT_NOW.iter().map(|(known, ..)| *known).find(words);
        let login = detail.contains("AuthenticationFailed").then_some("WRONGPASS");
        return known.or(login).unwrap_or_default().to_owned();
    };
    if code != "ERR" {
        return code.to_owned();
    }
    if detail.contains(NOT_LOCAL) {
        return "TRYAGAIN".to_owned();
    }
    NOT_NOW
        .iter()
        .map(|(known, ..)| *known)
        .find(|known| detail.contains(&format!("-{known} ")))
        .unwrap_or(code)
        .to_owned()
}

/// Longest words of Redis that are passed on, characters.
const BRIEF_MAX: usize = 200;

fn brief(error: &RedisError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(BRIEF_MAX).collect()
}
