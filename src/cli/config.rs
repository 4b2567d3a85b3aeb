//! `kassir config check` and `kassir config show`.

use clap::Subcommand;

use super::{Failed, print};
use crate::config::Config;
use crate::config::keys::{KEYS, Kind};

/// What to do with the configuration.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Validate it: exit code 2 and the reason when it is wrong.
    Check,
    /// Show the effective values, secrets hidden.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &ConfigCommand, config: &Config) -> Result<(), Failed> {
    match command {
        ConfigCommand::Check => {
            print::line("the configuration is valid");
            Ok(())
        }
        ConfigCommand::Show { json: true } => {
            let shown: serde_json::Map<String, serde_json::Value> =
                values(config).into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
            let text =
                serde_json::to_string_pretty(&shown).map_err(|error| Failed::Work(error.to_string()))?;
            print::line(text);
            Ok(())
        }
        ConfigCommand::Show { json: false } => {
            for (path, value) in values(config) {
                print::line(format!("{path} = {value}"));
            }
            Ok(())
        }
    }
}

/// Every key with its effective value; secrets are hidden, passwords in URLs masked.
fn values(config: &Config) -> Vec<(&'static str, serde_json::Value)> {
    let effective = config.effective();
    KEYS.iter()
        .map(|key| {
            let value = effective.get(key.path).cloned().unwrap_or(serde_json::Value::Null);
            let value = match (key.kind, value) {
                (Kind::Secret, serde_json::Value::String(text)) => hidden(key.path, &text).into(),
                (_, value) => value,
            };
            (key.path, value)
        })
        .collect()
}

fn hidden(path: &str, text: &str) -> String {
    if path == "store.url" { mask_password(text) } else { "(hidden)".to_owned() }
}

/// `redis://user:password@host` becomes `redis://user:***@host`.
pub(crate) fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((login, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = login.split_once(':').map_or("", |(user, _)| user);
    format!("{scheme}://{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(mask_password("redis://:geheim@h:6379/0"), "redis://:***@h:6379/0");
        assert_eq!(mask_password("redis://u:p@ss@h"), "redis://u:***@h");
        assert_eq!(mask_password("redis://h:6379"), "redis://h:6379");
        assert_eq!(mask_password("sqlite:./a.db"), "sqlite:./a.db");
    }
}
