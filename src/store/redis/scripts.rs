//! The Lua scripts, one for each verb: each file in `lua/` says what it does, takes and returns.

use std::sync::LazyLock;

use crate::store::measure::Meter;

/// A script with the common head before it.
pub(super) struct Script {
    /// Name of its file, for messages.
    pub name: &'static str,
    /// All of it.
    pub code: String,
    /// SHA-1, hex: what Redis knows it by.
    pub sha: String,
    /// Whether a repeated request must get the first answer.
    pub writes: bool,
    /// Counts its calls.
    pub meter: Meter,
}

impl Script {
    /// Whether what it writes must be on replicas, where those are asked for, before it counts. Leases need not be: a
    /// lost one is made again.
    pub(super) fn kept(&self) -> bool {
        match self.name {
            "claim" | "release" => false,
            "ready" | "token_put" | "token_move" => true,
            _ => self.writes,
        }
    }

    fn of(name: &'static str, body: &str, writes: bool) -> Script {
        let code = format!("{}{body}", include_str!("lua/prelude.lua"));
        let sha = ::redis::Script::new(&code).get_hash().to_owned();
        Script { name, code, sha, writes, meter: Meter::new(name) }
    }
}

macro_rules! scripts {
    ($($writes:literal: $($name:ident $file:literal),+;)+) => {
        $($(
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::of($file, include_str!(concat!("lua/", $file, ".lua")), $writes));
        )+)+

        /// Every script.
        #[cfg(test)]
        pub(super) fn all() -> Vec<&'static Script> {
            vec![$($(&$name),+),+]
        }
    };
}

scripts! {
    false:
        NOW "now", READY "ready", ALIVE "alive", BACKLOG "backlog", HOLDS "holds",
        CONFIG_READ "config_read", MERCHANT_LIST "merchant_list", MERCHANT_IDS "merchant_ids",
        TOKEN_PUT "token_put", TOKEN_MOVE "token_move", TOKEN_GET "token_get", API_TOKEN_GET "api_token_get",
        LOOK_UP "look_up", RECORD_GET "record_get", RECORD_LIST "record_list", HASH_LIST "hash_list",
        FIELD_GET "field_get", HASH_ALL "hash_all", PAYMENT_GET "payment_get", PAYMENT_ALL "payment_all", PAYMENT_LIST "payment_list",
        TALLY_READ "tally_read", SWEEP_NOTES "sweep_notes", SWEEP_EVENT "sweep_event",
        SWEEP_PAYMENT "sweep_payment", SWEEP_REPLAYS "sweep_replays", SWEEP_TALLIES "sweep_tallies", SWEEP_IDEM "sweep_idem",
        SWEEP_GONE "sweep_gone", MEND "mend";
    true:
        CONFIG_CHANGE "config_change", API_TOKEN_PUT "api_token_put", API_TOKEN_DEL "api_token_del",
        COMMIT "commit", CLAIM "claim", SETTLE "settle", RELEASE "release", HOLD "hold", DELIVERY_UPDATE "delivery_update",
        REPLAY_PUT "replay_put", AUDIT_APPEND "audit_append", HEALTH "health", IDEM_BEGIN "idem_begin", IDEM_NOTE "idem_note", IDEM_FINISH "idem_finish";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that says it takes part in repetition really does, and all keys are made from the one base.
    #[test]
    fn scripts_keep_the_rules() {
        for script in all() {
            let body = script.code.split("-- Returns").nth(1).unwrap();
            assert!(body.contains('\n'), "{} says what it returns", script.name);
            let body = script.code.strip_prefix(include_str!("lua/prelude.lua")).unwrap();
            assert_eq!(body.contains("first_answer()"), script.writes, "{}", script.name);
            assert_eq!(body.contains("remember("), script.writes, "{}", script.name);
            assert!(!body.contains("KEYS["), "{} makes keys with key()", script.name);
        }
    }
}
