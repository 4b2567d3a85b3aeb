//! `kassir replay`: a bulk replay with preview, progress and cancel.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::router::Router;
use super::{Failed, print};
use crate::client::{Client, ClientError};
use crate::config::Config;

/// How often progress is asked for.
const EVERY: Duration = Duration::from_millis(250);
/// How long a router that is away is asked again to cancel a replay.
const CANCELING_MAX: Duration = Duration::from_secs(60);

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Whose deliveries; not needed when the token sees one merchant only.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
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
    /// Only events of this integration; may be repeated.
    #[arg(long, value_name = "ID")]
    integration: Vec<String>,
    /// Only events of this payment; may be repeated.
    #[arg(long, value_name = "NUMBER")]
    payment: Vec<u32>,
    /// Only what has this text: a payment's number, an id, or part of the last error.
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Only deliveries of events at or after this time, such as 2026-11-21T00:00:00Z.
    #[arg(long, value_name = "TIME", alias = "since")]
    from: Option<String>,
    /// Only deliveries of events before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only deliveries without any attempt so far.
    #[arg(long)]
    never_attempted: bool,
    /// Events that the endpoint wants and never got, because it was made later.
    #[arg(long)]
    missing: bool,
    /// Send to this endpoint instead of the original one.
    #[arg(long, value_name = "ID")]
    to_endpoint: Option<String>,
    /// Most deliveries per second.
    #[arg(long, value_name = "NUMBER")]
    per_s: Option<u32>,
    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; also when the same replay is under way, or what was delivered is sent again.
    #[arg(long, short)]
    yes: bool,
    /// Follow a replay that was begun before.
    #[arg(long, value_name = "REPLAY", conflicts_with_all = ["dry_run", "cancel"])]
    follow: Option<String>,
    /// Stop a replay.
    #[arg(long, value_name = "REPLAY", conflicts_with = "dry_run")]
    cancel: Option<String>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    router: Router,
}

pub(super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let client = arguments.router.client(&config)?;
    let merchant = arguments.router.merchant(&client, arguments.merchant.as_deref()).await?;
    let path = format!("/merchants/{merchant}/replays");
    if let Some(id) = &arguments.cancel {
        let canceled = client.post(&format!("{path}/{id}/cancel"), &json!({})).await?;
        return show(&arguments, &canceled, &summary(&canceled));
    }
    if let Some(id) = &arguments.follow {
        let ended = follow(&client, &format!("{path}/{id}"), arguments.json).await?;
        return show(&arguments, &ended, &summary(&ended));
    }
    let preview = client.post(&path, &request(&arguments, true)).await?;
    let matched = count(&preview, "matched");
    if arguments.dry_run || matched == 0 {
        if !arguments.json {
            table(&preview);
        }
        return show(&arguments, &preview, &format!("{matched} deliveries match; nothing was sent"));
    }
    if !arguments.yes {
        table(&preview);
        if !confirmed(&preview)? {
            return Err(Failed::Work(
                "not confirmed; nothing was sent (use --yes to send without being asked)".to_owned(),
            ));
        }
    }
    let started = client.post(&path, &request(&arguments, false)).await?;
    let id = started.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
    if !arguments.json {
        print::note(&format!("{id} is under way; Ctrl-C stops it, kassir replay --follow {id} looks again"));
    }
    let ended = follow(&client, &format!("{path}/{id}"), arguments.json).await?;
    show(&arguments, &ended, &summary(&ended))
}

fn request(arguments: &Arguments, dry_run: bool) -> Value {
    let mut filter = Map::new();
    let texts = [
        ("status", &arguments.status),
        ("endpoint_id", &arguments.endpoint),
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("q", &arguments.q),
    ];
    filter.extend(
        texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))),
    );
    let lists = [
        ("states", json!(arguments.state)),
        ("providers", json!(arguments.provider)),
        ("integration_ids", json!(arguments.integration)),
        ("payment_ids", json!(arguments.payment)),
    ];
    let given = lists.into_iter().filter(|(_, list)| *list != json!([]));
    filter.extend(given.map(|(name, list)| (name.to_owned(), list)));
    for (name, on) in [("never_attempted", arguments.never_attempted), ("missing", arguments.missing)] {
        if on {
            filter.insert(name.to_owned(), json!(true));
        }
    }
    let mut body = Map::from_iter([
        ("filter".to_owned(), Value::Object(filter)),
        ("dry_run".to_owned(), json!(dry_run)),
    ]);
    if arguments.yes {
        body.insert("confirm".to_owned(), json!(true));
    }
    let more = [
        ("to_endpoint_id", json!(arguments.to_endpoint)),
        ("reason", json!(arguments.reason)),
        ("per_s", json!(arguments.per_s)),
    ];
    body.extend(
        more.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)),
    );
    Value::Object(body)
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn summary(replay: &Value) -> String {
    let text = |name: &str| replay.get(name).and_then(Value::as_str).unwrap_or("");
    let mut words = format!(
        "{} {}: {} of {} sent for again",
        text("id"),
        text("status"),
        count(replay, "sent"),
        count(replay, "matched")
    );
    for (why, count) in replay.get("not_sent").and_then(Value::as_object).into_iter().flatten() {
        words.push_str(&format!(", {count} {}", why.replace('_', " ")));
    }
    words
}

/// What a replay would send.
fn table(preview: &Value) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (status, count) in preview.get("by_status").and_then(Value::as_object).into_iter().flatten() {
        table.add_row([status.as_str(), &count.to_string()]);
    }
    let exact = preview.get("matched_is_exact").and_then(Value::as_bool).unwrap_or(true);
    let least = if exact { "" } else { "at least " };
    table.add_row(["together".to_owned(), format!("{least}{}", count(preview, "matched"))]);
    table.add_row(["per second".to_owned(), format!("at most {}", count(preview, "per_s"))]);
    print::note(&table.to_string());
}

fn confirmed(preview: &Value) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let delivered = preview.get("by_status").map_or(0, |by| count(by, "delivered"));
    let warning = match delivered {
        0 => String::new(),
        some => format!("{some} of them were delivered already: their endpoints get them a second time. "),
    };
    let mut out = std::io::stderr();
    write!(out, "{warning}Send {} deliveries again? [y/N] ", count(preview, "matched"))?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes" | "д" | "да" | "т" | "так"))
}

/// Shows the progress until the replay has ended; Ctrl-C cancels it.
async fn follow(client: &Client, path: &str, quiet: bool) -> Result<Value, Failed> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    let mut told = false;
    loop {
        let pause = match client.get(path).await {
            Ok(replay) => {
                told = false;
                bar.set_length(count(&replay, "matched"));
                bar.set_position(["sent", "failed", "skipped"].iter().map(|name| count(&replay, name)).sum());
                if replay.get("status").and_then(Value::as_str) != Some("running") {
                    bar.finish_and_clear();
                    return Ok(replay);
                }
                EVERY
            }
            // The replay goes on there, or as soon as the router is back.
            Err(error) => {
                let Some(pause) = error.pause() else { return Err(error.into()) };
                if !std::mem::replace(&mut told, true) {
                    bar.suspend(|| print::note(&format!("{error}; trying again")));
                }
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                print::note("canceling");
                cancel(client, path).await?;
            }
        }
    }
}

/// Cancels a replay, also when the router comes back only in a while. A second Ctrl-C ends the waiting.
async fn cancel(client: &Client, path: &str) -> Result<(), Failed> {
    tokio::select! {
        canceled = tokio::time::timeout(CANCELING_MAX, canceled(client, path)) => match canceled {
            Ok(canceled) => Ok(canceled?),
            Err(_) => Err(goes_on(path)),
        },
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(goes_on(path))
        }
    }
}

async fn canceled(client: &Client, path: &str) -> Result<(), ClientError> {
    let mut told = false;
    loop {
        let error = match client.post(&format!("{path}/cancel"), &json!({})).await {
            Ok(_) => return Ok(()),
            // It is over, perhaps by the wish before this one, which nobody answered: how it ended is read.
            Err(ClientError::Refused { status: 409, .. }) => return Ok(()),
            Err(error) => error,
        };
        let Some(pause) = error.pause() else { return Err(error) };
        if !std::mem::replace(&mut told, true) {
            print::note(&format!("{error}; trying again to cancel"));
        }
        tokio::time::sleep(pause).await;
    }
}

fn goes_on(path: &str) -> Failed {
    let (merchant, id) = path.trim_start_matches("/merchants/").split_once("/replays/").unwrap_or(("", path));
    Failed::Work(format!(
        "the router did not say that it canceled the replay, which may go on; cancel it once the router is back: \
         kassir replay --merchant {merchant} --cancel {id}"
    ))
}

fn show(arguments: &Arguments, value: &Value, words: &str) -> Result<(), Failed> {
    print::line(if arguments.json { value.to_string() } else { words.to_owned() });
    Ok(())
}
