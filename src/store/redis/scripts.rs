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
        let code = whole(body);
        let sha = ::redis::Script::new(&code).get_hash().to_owned();
        Script { name, code, sha, writes, meter: Meter::new(name) }
    }
}

/// The script behind those parts of the common head that it needs: Redis makes each of a script's functions anew in
/// every call, used or not.
fn whole(body: &str) -> String {
    let (head, body) = (bare(include_str!("lua/prelude.lua")), bare(body));
    let mut needed = vec![body.as_str()];
    // A function is named by the script, or by one that comes later in the head and is needed itself.
    for part in parts(&head).into_iter().rev() {
        if part.function.is_none_or(|name| needed.iter().any(|text| mentions(text, name))) {
            needed.push(part.text);
        }
    }
    needed.reverse();
    needed.concat()
}

/// Without comments.
fn bare(lua: &str) -> String {
    lua.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("--")).collect()
}

/// A function of the head, or a line outside of all functions.
struct Part<'a> {
    function: Option<&'a str>,
    text: &'a str,
}

fn parts(mut lua: &str) -> Vec<Part<'_>> {
    const END: &str = "\nend\n";
    let mut parts = Vec::new();
    while !lua.is_empty() {
        let rest = lua.strip_prefix("local function ");
        let function = rest.and_then(|rest| rest.split_once('(')).map(|(name, _)| name);
        let length = match function {
            Some(_) => lua.find(END).map(|at| at + END.len()),
            None => lua.find('\n').map(|at| at + 1),
        };
        let (text, left) = lua.split_at(length.unwrap_or(lua.len()));
        parts.push(Part { function, text });
        lua = left;
    }
    parts
}

/// Whether a text has this name as a word.
fn mentions(text: &str, name: &str) -> bool {
    let in_word = |found: Option<char>| found.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        !in_word(before.chars().next_back()) && !in_word(rest.chars().nth(name.chars().count()))
    })
}

macro_rules! scripts {
    ($($writes:literal: $($name:ident $file:literal),+;)+) => {
        $($(
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::of($file, include_str!(concat!("lua/", $file, ".lua")), $writes));
        )+)+

        /// Every script, and its file.
        #[cfg(test)]
        fn all() -> Vec<(&'static Script, &'static str)> {
            vec![$($((&*$name, include_str!(concat!("lua/", $file, ".lua")))),+),+]
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
        for (script, body) in all() {
            let says = body.split("-- Returns").nth(1).unwrap();
            assert!(says.contains('\n'), "{} says what it returns", script.name);
            assert_eq!(body.contains("first_answer()"), script.writes, "{}", script.name);
            assert_eq!(body.contains("remember("), script.writes, "{}", script.name);
            assert!(!body.contains("KEYS["), "{} makes keys with key()", script.name);
        }
    }

    #[test]
    fn a_script_has_the_functions_that_it_needs_and_no_others() {
        let head = bare(include_str!("lua/prelude.lua"));
        let names: Vec<&str> = parts(&head).iter().filter_map(|part| part.function).collect();
        assert!(names.len() > 30, "{names:?}");
        for (script, body) in all() {
            assert!(script.code.ends_with(&bare(body)));
            for name in &names {
                let made = format!("local function {name}(");
                let is_named = mentions(&script.code.replace(&made, ""), name);
                assert_eq!(script.code.contains(&made), is_named, "{} {name}", script.name);
            }
        }
        assert!(!SETTLE.code.contains("index_add") && COMMIT.code.contains("index_add"));
    }
}
