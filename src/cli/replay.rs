//! `kassir replay`: a bulk replay with preview, progress and cancel.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kassir_providers::Secret;
use serde_json::{Map, Value, json};

use super::{Failed, print};
use crate::app::admin_token;
use crate::client::Client;
use crate::config::Config;

/// How often progress is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Whose deliveries.
    #[arg(long, value_name = "ID")]
    merchant: String,
    /// Only deliveries with this status: failed, held, delivered, canceled, pending.
    #[arg(long)]
    status: Option<String>,
    /// Only deliveries to this endpoint.
    #[arg(long, value_name = "ID")]
    endpoint: Option<String>,
    /// Only events in this state; may be repeated.
    #[arg(long)]
    state: Vec<String>,
    /// Only events of this provider; may be repeated.
    #[arg(long)]
    provider: Vec<String>,
    /// Only deliveries made at or after this time, such as 2026-11-21T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only deliveries made before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Send to this endpoint instead of the original one.
    #[arg(long, value_name = "ID")]
    to_endpoint: Option<String>,
    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// The router; without it the configuration's address.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// API token; without it the admin token of the configuration.
    #[arg(long, value_name = "TOKEN", env = "KASSIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let token = match &arguments.token {
        Some(token) => Secret::new(token.clone()),
        None => admin_token(&config)?.token,
    };
    let url = arguments.url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let client = Client::new(&url, token).map_err(work)?;
    let path = format!("/merchants/{}/replays", arguments.merchant);
    let preview = client.post(&path, &request(&arguments, true)).await.map_err(work)?;
    let matched = count(&preview, "matched");
    if arguments.dry_run || matched == 0 {
        return show(&arguments, &preview, &format!("{matched} deliveries match; nothing was sent"));
    }
    if !arguments.yes && !confirmed(matched)? {
        return Err(Failed::Work(
            "not confirmed; nothing was sent (use --yes to send without being asked)".to_owned(),
        ));
    }
    let started = client.post(&path, &request(&arguments, false)).await.map_err(work)?;
    let id = started.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
    let ended = follow(&client, &format!("{path}/{id}"), matched).await?;
    let words = format!(
        "{id} {}: {} of {matched} sent for again, {} could not be",
        ended.get("status").and_then(Value::as_str).unwrap_or(""),
        count(&ended, "sent"),
        count(&ended, "failed")
    );
    show(&arguments, &ended, &words)
}

fn work(error: crate::client::ClientError) -> Failed {
    Failed::Work(error.to_string())
}

fn request(arguments: &Arguments, dry_run: bool) -> Value {
    let mut filter = Map::new();
    let mut put = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            filter.insert(name.to_owned(), json!(value));
        }
    };
    put("status", &arguments.status);
    put("endpoint_id", &arguments.endpoint);
    put("from", &arguments.from);
    put("to", &arguments.to);
    for (name, list) in [("states", &arguments.state), ("providers", &arguments.provider)] {
        if !list.is_empty() {
            filter.insert(name.to_owned(), json!(list));
        }
    }
    let mut body = json!({ "filter": filter, "dry_run": dry_run });
    if let Value::Object(body) = &mut body {
        for (name, value) in [("to_endpoint_id", &arguments.to_endpoint), ("reason", &arguments.reason)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
    }
    body
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn confirmed(matched: u64) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut out = std::io::stderr();
    write!(out, "{matched} deliveries match. Send them again? [y/N] ")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes" | "д" | "да" | "т" | "так"))
}

/// Shows the progress until the replay has ended; Ctrl-C cancels it.
async fn follow(client: &Client, path: &str, matched: u64) -> Result<Value, Failed> {
    let bar = ProgressBar::new(matched);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    loop {
        let replay = client.get(path).await.map_err(work)?;
        bar.set_position(count(&replay, "sent").saturating_add(count(&replay, "failed")));
        if replay.get("status").and_then(Value::as_str) != Some("running") {
            bar.finish_and_clear();
            return Ok(replay);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                print::note("canceling");
                client.post(&format!("{path}/cancel"), &json!({})).await.map_err(work)?;
            }
        }
    }
}

fn show(arguments: &Arguments, value: &Value, words: &str) -> Result<(), Failed> {
    print::line(if arguments.json { value.to_string() } else { words.to_owned() });
    Ok(())
}
