//! The environment's part of the configuration: `KASSIR__SECTION__KEY`, and `…_FILE` for values kept in files.

use std::collections::BTreeMap;

use super::keys::{KEYS, Key, Kind};
use super::load::ConfigError;

const PREFIX: &str = "KASSIR__";

/// The variables that start with our prefix.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(super) fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
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
