//! Which router a command talks to, with which token.

use std::path::Path;

use clap::Args;
use kassir_providers::Secret;
use serde_json::Value;

use super::Failed;
use crate::app::{admin_token_file, known_admin_token};
use crate::client::Client;
use crate::config::Config;

/// Which router, and with which token.
#[derive(Args)]
pub(super) struct Router {
    /// The router; without it the configuration's address.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// API token; without it the admin token of the configuration.
    #[arg(long, value_name = "TOKEN", env = "KASSIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Router {
    /// A client of it.
    pub(super) fn client(&self, config: &Config) -> Result<Client, Failed> {
        let token = match &self.token {
            Some(token) => Secret::new(token.clone()),
            None => {
                let known = known_admin_token(config)?;
                known.map(|known| known.token).ok_or_else(|| no_token(config))?
            }
        };
        let url = self.url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
        Ok(Client::new(&url, token)?)
    }

    /// The merchant that was named, or the only one that the token sees.
    pub(super) async fn merchant(&self, client: &Client, named: Option<&str>) -> Result<String, Failed> {
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        let seen = client.get("/merchants?limit=20").await?;
        let seen = seen.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let text = |merchant: &Value, name: &str| {
            merchant.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
        };
        match seen {
            [one] => Ok(text(one, "id")),
            [] => Err(Failed::Work("the token sees no merchant; make one first".to_owned())),
            several => {
                let names = several.iter().map(|it| format!("\n  {} {}", text(it, "id"), text(it, "name")));
                let names: String = names.collect();
                Err(Failed::Usage(format!("which merchant? Add --merchant ID:{names}")))
            }
        }
    }
}

/// What to do where a command does not find what the router has.
pub(super) const AS_THE_ROUTER: &str = "run this with what the router is run with: its --config FILE, its KASSIR__… \
                                        variables, and, where a path does not begin with /, its working folder";

/// Where a file is looked for, from the root on.
pub(super) fn whole(path: &Path) -> String {
    std::path::absolute(path).as_deref().unwrap_or(path).display().to_string()
}

/// That there is no admin token, and where one was looked for.
pub(super) fn no_admin_token(config: &Config) -> String {
    format!("admin_token is not set, and {} is not there", whole(&admin_token_file(config)))
}

fn no_token(config: &Config) -> Failed {
    Failed::Usage(format!(
        "no API token: give --token or set KASSIR_TOKEN. Without one the configuration's admin token is used, but {}; \
         for the router's own, {AS_THE_ROUTER}",
        no_admin_token(config)
    ))
}
