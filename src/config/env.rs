//! The environment's part of the configuration: `KASSIR__SECTION__KEY`, and `…_FILE` for values kept in files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::keys::{KEYS, Key, Kind};
use super::load::ConfigError;

const PREFIX: &str = "KASSIR__";

/// What every variable that means us begins with; those of the configuration begin with [`PREFIX`].
const OURS: &str = "KASSIR_";

/// The variables that start with our prefix.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(super) fn variables() -> Result<BTreeMap<String, String>, ConfigError> {
    texts(std::env::vars_os())
}

/// Of these the ones that start with our prefix. What is no text is an error, not a value that was not given: a
/// router must not open another store because its URL was written in another encoding. The value is not told, it may
/// be a secret.
fn texts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let ours = variables.filter(|(name, _)| begins(name, PREFIX));
    ours.map(|(name, value)| match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Ok(name), Err(_)) => {
            Err(ConfigError::new(format!("environment variable {name}: its value is no UTF-8 text")))
        }
        (Err(name), _) => Err(ConfigError::new(format!(
            "environment variable {}: its name is no UTF-8 text",
            name.to_string_lossy()
        ))),
    })
    .collect()
}

/// The names of all variables that mean us: what a router that is started with a configuration of its own must not
/// inherit.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn inherited() -> Vec<OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| begins(name, OURS)).collect()
}

fn begins(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

/// At which point this process is to end itself, in a build for tests.
#[cfg(feature = "fail-points")]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn fail_point() -> Option<String> {
    std::env::var("KASSIR_FAIL_POINT").ok()
}

/// Puts the variables over a table.
pub(super) fn apply(
    table: &mut toml::Table,
    variables: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let path = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace("__", ".");
        let (key, text) = match find(&path) {
            Some(key) => (key, value.clone()),
            None => match path.strip_suffix("_file").and_then(find) {
                Some(key) => (key, read_file(name, value)?),
                None => return Err(ConfigError::unknown(&format!("environment variable {name}"), &path)),
            },
        };
        let parsed = parse(key, &text).ok_or_else(|| {
            ConfigError::new(format!("environment variable {name}: expected {}", expected(key.kind)))
        })?;
        put(table, key.path, parsed);
    }
    Ok(())
}

fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

fn read_file(name: &str, path: &str) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::new(format!("environment variable {name}: can't read {path}: {error}"))
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn parse(key: &Key, text: &str) -> Option<toml::Value> {
    match key.kind {
        Kind::Text | Kind::Secret => Some(toml::Value::String(text.to_owned())),
        Kind::Switch => text.parse().ok().map(toml::Value::Boolean),
        Kind::Number => {
            let integer = text.parse().ok().map(toml::Value::Integer);
            integer.or_else(|| text.parse().ok().map(toml::Value::Float))
        }
        Kind::List => {
            let text = text.trim().trim_start_matches('[').trim_end_matches(']');
            let items =
                text.split(',').map(|item| item.trim().trim_matches('"')).filter(|item| !item.is_empty());
            Some(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()))
        }
    }
}

const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Secret => "a text",
        Kind::Switch => "true or false",
        Kind::Number => "a number",
        Kind::List => "a list with commas",
    }
}

fn put(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn of(name: &[u8], value: &[u8]) -> Result<BTreeMap<String, String>, String> {
        let other = (OsString::from_vec(vec![0xff]), OsString::from_vec(vec![0xfe]));
        let named = (OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec()));
        texts([other, named].into_iter()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_that_is_no_text_is_an_error() {
        assert_eq!(of(b"PATH", b"\xff"), Ok(BTreeMap::new()));
        assert_eq!(of(b"KASSIR__LISTEN", b"x").unwrap().len(), 1);
        let error = of(b"KASSIR__STORE__URL", b"redis://:geheim@h\xe9").unwrap_err();
        assert_eq!(error, "environment variable KASSIR__STORE__URL: its value is no UTF-8 text");
        let error = of(b"KASSIR__STORE__\xff", b"geheim").unwrap_err();
        assert!(error.starts_with("environment variable KASSIR__STORE__") && !error.contains("geheim"));
    }
}
