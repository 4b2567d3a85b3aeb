//! Reading the configuration: defaults, file, environment, checks.

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::{KEYS, Kind, nearest};
use super::{Config, env};
use crate::delivery::outbound::Proxy;

/// What is wrong with the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(super) fn new(text: impl Into<String>) -> ConfigError {
        ConfigError(text.into())
    }

    pub(super) fn unknown(place: &str, path: &str) -> ConfigError {
        let hint = nearest(path).map_or_else(
            || "; config.example.toml lists every key".to_owned(),
            |near| format!("; did you mean {near}?"),
        );
        ConfigError(format!("{place}: unknown key {path}{hint}"))
    }
}

/// Highest rate of a bulk replay, deliveries per second.
const REPLAY_PER_S_MAX: u32 = 10_000;

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "kassir.toml";

/// Reads defaults, the file (`file`, else `./kassir.toml` if there is one) and the environment.
///
/// # Errors
/// [`ConfigError`] that names the place, the key and, for an unknown one, the nearest known one.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    let text = match file {
        Some(path) => Some((path, read(path)?)),
        None => {
            let path = Path::new(DEFAULT_FILE);
            if path.exists() { Some((path, read(path)?)) } else { None }
        }
    };
    let place = text.as_ref().map(|(path, _)| path.display().to_string());
    from_parts(
        text.as_ref().map(|(_, text)| text.as_str()),
        place.as_deref().unwrap_or("file"),
        &env::variables()?,
    )
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("can't read {}: {error}", path.display())))
}

/// The same from text and variables: what `load` does, without a file system or environment.
///
/// # Errors
/// As [`load`].
pub fn from_parts(
    text: Option<&str>,
    place: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut table = defaults()?;
    if let Some(text) = text {
        let given: toml::Table = text.parse().map_err(|error| ConfigError(format!("{place}: {error}")))?;
        check_known(&given, "", place)?;
        merge(&mut table, given);
    }
    env::apply(&mut table, variables)?;
    let config = Config::deserialize_from(table).map_err(|error| ConfigError(format!("{place}: {error}")))?;
    check(&config)?;
    Ok(config)
}

impl Config {
    fn deserialize_from(table: toml::Table) -> Result<Config, String> {
        // Section by section, so that an error names its key.
        for key in KEYS {
            let Some(value) = get(&table, key.path) else { continue };
            let fits = match key.kind {
                Kind::Text | Kind::Secret => value.is_str(),
                Kind::Switch => value.is_bool(),
                Kind::Number => value.is_integer() || value.is_float(),
                Kind::List => value.as_array().is_some_and(|items| items.iter().all(toml::Value::is_str)),
            };
            if !fits {
                return Err(format!(
                    "{}: has the wrong type; expected something like {}",
                    key.path, key.default
                ));
            }
        }
        let values = values(&table);
        let config: Config =
            table.try_into().map_err(|error: toml::de::Error| error.to_string().trim().replace('\n', " "))?;
        Ok(Config { values, ..config })
    }
}

fn values(table: &toml::Table) -> serde_json::Map<String, serde_json::Value> {
    let value =
        |key: &super::keys::Key| get(table, key.path).and_then(|value| serde_json::to_value(value).ok());
    KEYS.iter().filter_map(|key| Some((key.path.to_owned(), value(key)?))).collect()
}

fn get<'a>(table: &'a toml::Table, path: &str) -> Option<&'a toml::Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => table.get(section)?.as_table().and_then(|inner| get(inner, rest)),
    }
}

fn defaults() -> Result<toml::Table, ConfigError> {
    super::keys::example().parse().map_err(|error| ConfigError(format!("the defaults: {error}")))
}

fn check_known(given: &toml::Table, prefix: &str, place: &str) -> Result<(), ConfigError> {
    for (name, value) in given {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let is_section = KEYS.iter().any(|key| key.path.starts_with(&format!("{path}.")));
        match value {
            toml::Value::Table(inner) if is_section => check_known(inner, &path, place)?,
            _ if KEYS.iter().any(|key| key.path == path) => {}
            _ => return Err(ConfigError::unknown(place, &path)),
        }
    }
    Ok(())
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(given)) => merge(inner, given),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let delivery = &config.delivery;
    let wrong = |text: &str| Err(ConfigError(text.to_owned()));
    if !(1.0..=100.0).contains(&delivery.multiplier) {
        return wrong("delivery.multiplier must be between 1 and 100");
    }
    if !(0.0..=0.9).contains(&delivery.jitter) {
        return wrong("delivery.jitter must be between 0 and 0.9");
    }
    if delivery.first_interval.ms() < 10 {
        return wrong("delivery.first_interval must be at least 10ms");
    }
    if delivery.max_interval < delivery.first_interval {
        return wrong("delivery.max_interval must not be shorter than delivery.first_interval");
    }
    if delivery.max_age < delivery.first_interval {
        return wrong("delivery.max_age must not be shorter than delivery.first_interval");
    }
    if !(1..=REPLAY_PER_S_MAX).contains(&delivery.replay_per_s) {
        return wrong("delivery.replay_per_s must be between 1 and 10000");
    }
    if delivery.max_in_flight == 0 || delivery.max_in_flight_per_host == 0 || delivery.concurrency == 0 {
        return wrong(
            "delivery.max_in_flight, delivery.max_in_flight_per_host and delivery.concurrency must be at least 1",
        );
    }
    if !(0.0..=1.0).contains(&config.telemetry.sample_ratio) {
        return wrong("telemetry.sample_ratio must be between 0 and 1");
    }
    if config.outbound.timeout.ms() < 100 || config.outbound.timeout.ms() > 120_000 {
        return wrong("outbound.timeout must be between 100ms and 120s");
    }
    if config.outbound.connect_timeout > config.outbound.timeout {
        return wrong("outbound.connect_timeout must not be longer than outbound.timeout");
    }
    if let Some(url) = &config.outbound.proxy {
        Proxy::parse(url, &config.outbound.no_proxy).map_err(|error| ConfigError(error.to_string()))?;
    }
    let url = config.store.url.expose();
    let schemes = [
        "sqlite:",
        "redis://",
        "rediss://",
        "redis+sentinel://",
        "rediss+sentinel://",
        "redis+cluster://",
        "rediss+cluster://",
    ];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return wrong(
            "store.url must start with sqlite:, redis://, rediss://, redis+sentinel:// or redis+cluster://",
        );
    }
    if config.store.min_replicas > 0 && url.starts_with("sqlite:") {
        return wrong(
            "store.min_replicas is about replicas of Redis: the embedded store has none; remove it, or set store.url to Redis",
        );
    }
    super::check::check(config).map_err(ConfigError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Config, ConfigError> {
        from_parts(Some(text), "kassir.toml", &BTreeMap::new())
    }

    fn env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        from_parts(Some("listen = \"127.0.0.1:1\""), "kassir.toml", &variables)
    }

    #[test]
    fn defaults_hold() {
        let config = with("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.public_url(), "http://127.0.0.1:8080");
        assert_eq!(config.delivery.max_age.ms(), 86_400_000);
        assert!(config.admin_token.is_none());
    }

    #[test]
    fn the_environment_comes_last() {
        let config = env(&[
            ("KASSIR__LISTEN", "127.0.0.1:2"),
            ("KASSIR__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8, ::1/128"),
            ("KASSIR__OUTBOUND__ALLOW_HTTP", "true"),
            ("KASSIR__DELIVERY__MULTIPLIER", "3"),
        ])
        .unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.outbound.allow_networks.len(), 2);
        assert!(config.outbound.allow_http);
        assert!((config.delivery.multiplier - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_value_in_a_file_counts_where_both_are_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("listen");
        std::fs::write(&file, "127.0.0.1:3\n").unwrap();
        let both = [("KASSIR__LISTEN", "127.0.0.1:2"), ("KASSIR__LISTEN_FILE", file.to_str().unwrap())];
        assert_eq!(env(&both).unwrap().listen.port(), 3);
    }

    #[test]
    fn errors_name_the_place_and_the_nearest_key() {
        let error =
            |result: Result<Config, ConfigError>| result.err().map(|error| error.0).unwrap_or_default();
        assert_eq!(error(with("lisen = 1")), "kassir.toml: unknown key lisen; did you mean listen?");
        assert!(error(with("[delivery]\nmax_agee = \"1h\"")).contains("did you mean delivery.max_age?"));
        assert!(error(with("listen = 5")).contains("listen: has the wrong type"));
        assert!(error(with("[delivery]\nmax_age = \"soon\"")).contains("\"soon\" is no duration"));
        assert!(error(with("listen = ")).contains("kassir.toml"));
        assert!(error(with("admin_token = \"short\"")).contains("at least 8"));
        let proxied = |url: &str| error(with(&format!("[outbound]\nproxy = {url:?}")));
        assert_eq!(proxied("http://ann:secret@proxy.example:3128"), "");
        assert!(
            proxied("https://ann:secret@proxy.example").starts_with("outbound.proxy must start with http://")
        );
        assert!(!proxied("http://ann:secret@proxy.example/x").contains("secret"));
        assert!(error(env(&[("KASSIR__LISTNE", "x")])).contains("did you mean listen?"));
        assert!(error(env(&[("KASSIR__OUTBOUND__ALLOW_HTTP", "yes")])).contains("expected true or false"));
        assert!(error(with("[store]\nurl = \"postgres://x\"")).contains("store.url must start with"));
        assert!(error(with("[store]\nmin_replicas = 1")).contains("the embedded store has none"));
    }

    #[test]
    fn what_serve_would_not_start_with_is_not_valid() {
        let wrong = |text: &str| with(text).err().map(|error| error.0).unwrap_or_default();
        let url = "[alerts]\nurl = \"https://ops.example.com\"";
        assert_eq!(wrong(url), "alerts.url needs an alerts.secret that signs");
        let malformed = wrong(&format!("{url}\nsecret = \"whsec_geheim\""));
        assert!(malformed.starts_with("alerts.secret: ") && !malformed.contains("geheim"), "{malformed}");
        assert_eq!(wrong(&format!("{url}\nsecret = \"whsec_{}\"", "AAAA".repeat(8))), "");
        assert!(wrong("[log]\nlevel = \"info,kassir=loud\"").starts_with("log.level: "));
        let collector = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"";
        assert_eq!(wrong(collector), "");
        let headers = wrong(&format!("{collector}\notlp_headers = \"geheim\""));
        assert!(headers.starts_with("telemetry.otlp_headers: ") && !headers.contains("geheim"), "{headers}");
    }

    #[test]
    fn spans_that_nothing_can_work_with_are_refused() {
        let wrong = |path: &str, span: &str| {
            let (section, key) = path.split_once('.').unwrap();
            with(&format!("[{section}]\n{key} = {span:?}")).err().map(|error| error.0).unwrap_or_default()
        };
        for key in
            ["store.timeout", "intake.read_timeout", "intake.answer_timeout", "outbound.connect_timeout"]
        {
            assert_eq!(wrong(key, "0s"), format!("{key} must be at least 100ms"));
            assert_eq!(wrong(key, "100ms"), "");
        }
        for key in KEYS.iter().map(|key| key.path).filter(|key| key.starts_with("retention.")) {
            assert_eq!(wrong(key, "0d"), format!("{key} must be at least 1s"));
            assert_eq!(wrong(key, "1s"), "");
        }
        assert_eq!(wrong("store.timeout", "5s"), "");
        assert_eq!(wrong("store.timeout", "5001ms"), "store.timeout must be at most 5s");
        // These are a way to say off.
        assert_eq!(wrong("delivery.disable_after", "0"), "");
        assert_eq!(wrong("delivery.drain", "0s"), "");
    }
}
