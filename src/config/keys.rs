//! Every configuration key, once: its default, its type and what it means.

use crate::nearest::distance;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; also paths, URLs, addresses and durations such as `15s`.
    Text,
    /// true or false.
    Switch,
    /// A number.
    Number,
    /// A list of texts.
    List,
    /// Text that is never shown.
    Secret,
}

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Default as TOML; empty when it has none.
    pub default: &'static str,
    /// What the commented line of the example shows when there is no default.
    pub example: &'static str,
    /// What it means, one line of the example file each.
    pub about: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { path, kind, default, example: "", about }
}

const fn unset(path: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Key {
    Key { path, kind, default: "", example, about }
}

/// Every key, in the order of the example file.
pub const KEYS: &[Key] = &[
    key(
        "listen",
        Kind::Text,
        r#""127.0.0.1:8080""#,
        "Address and port of inbound notifications and the API.",
    ),
    unset(
        "public_url",
        Kind::Text,
        r#""https://pay.example.com""#,
        "Prefix of the inbound URLs shown to merchants; without it http://{listen}.",
    ),
    unset(
        "admin_token",
        Kind::Secret,
        r#""…""#,
        "Token for the API; take 20 random characters or more. Without it the first start makes one and says where it is.\nBetter set by the environment: KASSIR__ADMIN_TOKEN, or KASSIR__ADMIN_TOKEN_FILE.",
    ),
    key(
        "trusted_proxies",
        Kind::List,
        "[]",
        "Networks of the proxies before Kassir, such as [\"10.0.0.0/8\"]: only their X-Forwarded-For counts.",
    ),
    key("workers", Kind::Number, "0", "HTTP worker threads; 0 means one per core."),
    key(
        "store.url",
        Kind::Secret,
        r#""sqlite:./kassir-data/kassir.db""#,
        "sqlite:PATH, redis://HOST:PORT/DB, rediss://…, redis+sentinel://HOST:PORT,HOST:PORT/MASTER,\nor redis+cluster://HOST:PORT,HOST:PORT.",
    ),
    key("store.key_prefix", Kind::Text, r#""kassir""#, "What every Redis key starts with."),
    key("store.timeout", Kind::Text, r#""5s""#, "Longest time for one call of the store, at most 5s."),
    key(
        "store.allow_unsafe",
        Kind::Switch,
        "false",
        "Start although the Redis server's settings may lose what was accepted (AOF off, evicting policy).",
    ),
    key(
        "store.min_replicas",
        Kind::Number,
        "0",
        "Replicas of Redis (or of a Cluster's node) that must have a write before it counts as kept; 0 does not wait for\nany. With 1, the death of a primary loses nothing that was accepted; with too few replicas, nothing is accepted.",
    ),
    key(
        "store.reinitialise",
        Kind::Switch,
        "false",
        "Go on with an emptied Redis: what it held is lost. For one start, after its data is known to be gone for good.",
    ),
    key(
        "secrets.master_key_file",
        Kind::Text,
        r#""./kassir-data/master.key""#,
        "The key under which credentials are kept; made at the first start. Keep a copy: without it they are lost.",
    ),
    key(
        "intake.refused_kept_per_minute",
        Kind::Number,
        "120",
        "Refused notifications per integration and minute that are kept in the inbound log; more are only counted.",
    ),
    key(
        "intake.confirm_max_age",
        Kind::Text,
        r#""24h""#,
        "How long the provider's API is asked again about a notification that it does not confirm.",
    ),
    key(
        "intake.read_timeout",
        Kind::Text,
        r#""15s""#,
        "Longest time in which a sender must have sent a request's head, and then its body.",
    ),
    key(
        "intake.answer_timeout",
        Kind::Text,
        r#""8s""#,
        "Longest time for keeping a notification; then the provider is told to come again. Providers wait 10 s and more.",
    ),
    key(
        "outbound.allow_networks",
        Kind::List,
        "[]",
        "Networks (CIDR) that subscribers and api_base may be in although they are private or loopback.",
    ),
    key("outbound.allow_http", Kind::Switch, "false", "Allow http:// endpoints. For tests only."),
    unset(
        "outbound.ca_file",
        Kind::Text,
        r#""/etc/kassir/ca.pem""#,
        "File with further CA certificates to trust, PEM.",
    ),
    key(
        "outbound.timeout",
        Kind::Text,
        r#""15s""#,
        "Longest time of a whole attempt, the answer's body included.",
    ),
    key("outbound.connect_timeout", Kind::Text, r#""5s""#, "Longest time for connecting, TLS included."),
    unset(
        "outbound.proxy",
        Kind::Secret,
        r#""http://user:password@proxy.example.com:3128""#,
        "Forward proxy that all https to subscribers and providers goes through (CONNECT). Names are still looked up and\njudged here; the proxy is told addresses. Its own faults do not count against endpoints.",
    ),
    key(
        "outbound.no_proxy",
        Kind::List,
        "[]",
        "Hosts that are reached without it: names, with all names below them, addresses and networks (CIDR).",
    ),
    key(
        "delivery.max_age",
        Kind::Text,
        r#""24h""#,
        "Age of an event at which an undelivered one has failed.",
    ),
    key("delivery.first_interval", Kind::Text, r#""5s""#, "Interval after the first attempt."),
    key("delivery.multiplier", Kind::Number, "2.5", "Each interval is so many times the one before."),
    key("delivery.max_interval", Kind::Text, r#""4h""#, "Longest interval."),
    key(
        "delivery.jitter",
        Kind::Number,
        "0.2",
        "Random part of an interval: 0.2 means 20 % less to 20 % more.",
    ),
    key(
        "delivery.max_in_flight",
        Kind::Number,
        "16",
        "Attempts under way at once per endpoint and router, unless the endpoint says otherwise.",
    ),
    key(
        "delivery.max_in_flight_per_host",
        Kind::Number,
        "64",
        "Attempts under way at once per host and router: endpoints of one host share them.",
    ),
    key(
        "delivery.concurrency",
        Kind::Number,
        "256",
        "Attempts under way at once per router; endpoints that are not known to work get at most half of them.",
    ),
    key(
        "delivery.replay_per_s",
        Kind::Number,
        "100",
        "Deliveries per second that one bulk replay sends for at the most. New events go first anyway.",
    ),
    key(
        "delivery.drain",
        Kind::Text,
        r#""20s""#,
        "How long a stop waits for attempts under way; the rest is given back.",
    ),
    key(
        "delivery.disable_after",
        Kind::Text,
        r#""24h""#,
        "An endpoint that only failed for so long is turned off, and its events are held; its owner is warned at half and\nat nine tenths of it. off: never.",
    ),
    unset(
        "alerts.url",
        Kind::Text,
        r#""https://ops.example.com/kassir""#,
        "Where notices about endpoints that fail or were turned off are posted, whosever they are. A merchant may have\nits own alert_url besides.",
    ),
    unset(
        "alerts.secret",
        Kind::Secret,
        r#""whsec_…""#,
        "Signs those notices (Standard Webhooks): whsec_ and the base64 of 24 to 64 random bytes.",
    ),
    key("retention.notifications", Kind::Text, r#""90d""#, "How long the inbound log is kept."),
    key("retention.refused", Kind::Text, r#""14d""#, "How long refused and repeated notifications are kept."),
    key(
        "retention.events",
        Kind::Text,
        r#""90d""#,
        "How long events are kept, with their deliveries and attempts, and bulk replays.",
    ),
    key(
        "retention.payments",
        Kind::Text,
        r#""400d""#,
        "How long payments are kept, also those that nobody paid.",
    ),
    key("retention.tallies", Kind::Text, r#""400d""#, "How long the hourly statistics are kept."),
    key(
        "retention.idempotency",
        Kind::Text,
        r#""24h""#,
        "How long an Idempotency-Key of the API is remembered.",
    ),
    key("log.format", Kind::Text, r#""text""#, "text or json."),
    key(
        "log.level",
        Kind::Text,
        r#""info""#,
        "error, warn, info, debug, trace, or directives: info,kassir::delivery=debug.",
    ),
    unset(
        "telemetry.otlp_endpoint",
        Kind::Text,
        r#""http://127.0.0.1:4318""#,
        "OpenTelemetry collector that gets spans, by OTLP over HTTP (/v1/traces is appended); without it none are made.",
    ),
    unset(
        "telemetry.otlp_headers",
        Kind::Secret,
        r#""authorization=Bearer …""#,
        "Headers for the collector: name=value, several with commas between them.",
    ),
    key("telemetry.service_name", Kind::Text, r#""kassir""#, "Name of this service in spans."),
    key(
        "telemetry.sample_ratio",
        Kind::Number,
        "1.0",
        "Part of the traces that is sent: 0.1 means every tenth.",
    ),
];

/// The key nearest to an unknown one, if one is near.
#[must_use]
pub fn nearest(unknown: &str) -> Option<&'static str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or("").to_owned();
    KEYS.iter()
        .map(|key| {
            let whole = distance(unknown, key.path);
            let name = if last(unknown).len() > 3 {
                distance(&last(unknown), &last(key.path)).saturating_add(1)
            } else {
                whole
            };
            (whole.min(name), key.path)
        })
        .min()
        .filter(|(distance, _)| *distance <= 4.max(unknown.len() / 3))
        .map(|(_, path)| path)
}

/// The example file: every key with its default and what it means.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# Kassir's configuration: every key with its default.\n#\n# Precedence: defaults < this file (--config FILE, else ./kassir.toml) < environment.\n# In the environment a key is KASSIR__SECTION__KEY: KASSIR__STORE__URL=redis://…; with _FILE at the end the value is\n# read from a file, which counts where both are set. Durations: 500ms, 15s, 5m, 4h, 90d.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (in_section, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if in_section != section {
            section = in_section;
            out.push_str(&format!("\n[{section}]\n"));
        } else {
            out.push('\n');
        }
        for line in key.about.lines() {
            out.push_str(&format!("# {line}\n"));
        }
        if key.default.is_empty() {
            out.push_str(&format!("#{name} = {}\n", key.example));
        } else {
            out.push_str(&format!("{name} = {}\n", key.default));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_what_was_meant() {
        assert_eq!(nearest("listne"), Some("listen"));
        assert_eq!(nearest("delivery.max_agee"), Some("delivery.max_age"));
        assert_eq!(nearest("outbound.max_age"), Some("delivery.max_age"));
        assert_eq!(nearest("zzzzzzzzzzzzzzzzzzzzzz"), None);
    }

    #[test]
    fn the_example_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, example()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), example(), "run with UPDATE_GOLDEN=1 to renew it");
    }
}
