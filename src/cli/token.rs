//! `kassir token create`.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::router::{AS_THE_ROUTER, no_admin_token, whole};
use super::{Failed, print};
use crate::app::{known_admin_token, missing_store, open_store};
use crate::client::{Client, ClientError};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::domain::ids::MerchantId;
use crate::domain::people::Role;
use crate::manage::{Actor, Members, tokens};
use crate::store::StoreError;

/// What to do with API tokens.
#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once.
    Create(Arguments),
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleWord {
    /// Everything.
    Admin,
    /// Everything of one merchant.
    Merchant,
    /// Reads and replays.
    Support,
}

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// What the token may do.
    #[arg(long)]
    role: RoleWord,
    /// Whose: needed for the role merchant, possible for support.
    #[arg(long, value_name = "ID")]
    merchant: Option<MerchantId>,
    /// Name for people.
    #[arg(long, default_value = "")]
    name: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: TokenCommand, config: Config) -> Result<(), Failed> {
    let TokenCommand::Create(arguments) = command;
    let role = match arguments.role {
        RoleWord::Admin => Role::Admin,
        RoleWord::Merchant => Role::Merchant,
        RoleWord::Support => Role::Support,
    };
    if role == Role::Merchant && arguments.merchant.is_none() {
        return Err(Failed::Usage("--role merchant needs --merchant ID".to_owned()));
    }
    if role == Role::Admin && arguments.merchant.is_some() {
        return Err(Failed::Usage("--role admin is for all merchants: leave --merchant out".to_owned()));
    }
    let made = match through_router(&config, role, &arguments).await {
        Err(ClientError::Unreachable { url, why }) => {
            let asked = format!("no router could be asked at {url}: {why}");
            through_store(&config, role, &arguments, &asked).await?
        }
        Err(error @ ClientError::Unanswered { .. }) => return Err(perhaps_made(&error)),
        other => other.map_err(|error| Failed::Work(error.to_string()))?,
    };
    if arguments.json {
        print::line(made.to_string());
    } else {
        let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        print::line(text("token"));
        print::note(&format!("{} was made; it is shown this once only", text("id")));
    }
    Ok(())
}

/// A second token, past a router that may have made the first, is one that nobody knows of.
fn perhaps_made(error: &ClientError) -> Failed {
    Failed::Work(format!(
        "{error}\nThe token may have been made all the same: look at the list of tokens first (GET /api/v1/tokens), and \
         delete one there that nobody has seen"
    ))
}

/// The router that has the store open makes it.
async fn through_router(config: &Config, role: Role, arguments: &Arguments) -> Result<Value, ClientError> {
    let url = format!("http://{}", config.listen);
    let admin = known_admin_token(config).map_err(|error| ClientError::Strange(format!("{error:#}")))?;
    let Some(admin) = admin else {
        return Err(ClientError::Unreachable {
            url,
            why: format!("there is no admin token to ask it with ({})", no_admin_token(config)),
        });
    };
    let client = Client::new(&url, admin.token)?;
    client.post("/tokens", &body(role, arguments)).await
}

fn body(role: Role, arguments: &Arguments) -> Value {
    json!({ "role": role, "merchant_id": arguments.merchant, "name": arguments.name })
}

/// No router runs: the store is ours. One that is not there is not made: the router that people mean has its own
/// elsewhere, and would not know the token. `asked`: what came of asking the router.
async fn through_store(
    config: &Config,
    role: Role,
    arguments: &Arguments,
    asked: &str,
) -> Result<Value, Failed> {
    if let Some(path) = missing_store(config) {
        return Err(Failed::Usage(format!(
            "{asked}. And there is no store at {}: nothing was made. Is there a router already, {AS_THE_ROUTER}; \
             otherwise `kassir serve` makes the store",
            whole(path)
        )));
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let store = open_store(config, &clock).await.map_err(|error| not_opened(error, asked))?;
    let description = store.describe();
    print::note(&format!("{asked}; the token is made in its store, {} itself", description.place));
    let body = Members::parse(body(role, arguments).to_string().as_bytes()).map_err(Failed::Work)?;
    let actor = Actor { id: "cli".to_owned(), name: String::new() };
    let made = tokens::create(store.as_ref(), clock.as_ref(), &actor, body).await;
    store.close().await;
    let (secret, token) = made.map_err(|error| Failed::Work(error.to_string()))?;
    Ok(json!({ "id": token.id, "token": secret.expose() }))
}

/// A store that another process has is that of the router that could not be asked.
fn not_opened(error: StoreError, asked: &str) -> Failed {
    match error {
        StoreError::Taken { holder, place } => Failed::Usage(format!(
            "{asked}. And another process ({holder}) has the store {place}: if it is the router, {AS_THE_ROUTER}"
        )),
        error => Failed::Work(error.to_string()),
    }
}
