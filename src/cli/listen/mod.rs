//! `kassir listen`: events of a running router, sent on to an address on this machine as a delivery would be, signed
//! with a local secret. Nothing has to be reachable from outside, and nothing is set up at the router.
//!
//! An event is done with when the local address took it (or, with `--skip-failures`, when it was tried once); the
//! place is kept in a file, so that the next run goes on there: each event at least once.

mod forward;
mod place;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::forward::Forwarder;
use self::place::Place;
use super::router::Router;
use super::serve::Stop;
use super::{Failed, print};
use crate::client::{Client, ClientError};
use crate::clock::{Clock as _, Stopwatch, SystemClock};
use crate::config::Config;
use crate::domain::config::Success;
use crate::domain::ids::{EventId, IntegrationId, MerchantId};
use crate::manage::replays::pick::lowest;
use crate::manage::time;

/// Events of one request.
const PAGE: u32 = 20;
/// How long the router may wait for a new event, seconds.
const WAIT_S: u32 = 5;
/// How often the last minute is read once more: events that were made at the same moment may show out of order.
const ONCE_MORE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, ValueEnum)]
enum SuccessWord {
    /// 200 and nothing else, as for deliveries by default.
    #[value(name = "200")]
    Exactly200,
    /// 200 to 299.
    #[value(name = "2xx")]
    Any2xx,
}

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Where to: http:// on this machine, or https:// anywhere.
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Whose events; not needed when the token sees one merchant only.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// Begin after this event instead of where the last run stopped.
    #[arg(long, value_name = "EVENT", conflicts_with = "since")]
    from: Option<EventId>,
    /// Begin at this time, such as 2026-11-21T00:00:00Z, instead of where the last run stopped.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// What counts as taken.
    #[arg(long, value_enum, default_value = "200")]
    success: SuccessWord,
    /// Go on with the next event although one was not taken.
    #[arg(long)]
    skip_failures: bool,
    /// Where the place is kept; without it kassir-listen-MERCHANT-….json in this folder, another for each target.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// One JSON object per attempt.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    router: Router,
}

/// An event of the stream.
#[derive(Deserialize)]
struct Streamed {
    id: EventId,
    payment_id: u32,
    integration_id: IntegrationId,
    state: String,
    proof: String,
    test: bool,
    created_at: String,
    body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Streamed>,
    next_after: Option<EventId>,
    more: bool,
}

struct Listener {
    client: Client,
    path: String,
    forwarder: Forwarder,
    place: Place,
    taken: u64,
}

pub(super) async fn run(arguments: Arguments, config: Config) -> Result<(), Failed> {
    let client = arguments.router.client(&config)?;
    let merchant = arguments.router.merchant(&client, arguments.merchant.as_deref()).await?;
    let file = arguments.state.clone();
    let file = file.unwrap_or_else(|| place::file_for(&merchant, &arguments.forward_to));
    let mut place = Place::open(file, &merchant)?;
    let path = format!("/merchants/{merchant}/events");
    begin(&arguments, &client, &path, &mut place).await?;
    let success = match arguments.success {
        SuccessWord::Exactly200 => Success::Exactly200,
        SuccessWord::Any2xx => Success::Any2xx,
    };
    let merchant: MerchantId = merchant.parse().map_err(|error| Failed::Usage(format!("{error}")))?;
    let forwarder = Forwarder::new(&arguments, merchant, &place.secret, success)?;
    if !arguments.json {
        print::note(&format!("forwarding to {}", arguments.forward_to));
        print::note(&format!("signed with    {}   (the same in the next run)", place.secret));
        print::note(&format!("place kept in  {}   Ctrl-C ends", place.file().display()));
    }
    let mut stop = Stop::new()?;
    let mut listener = Listener { client, path, forwarder, place, taken: 0 };
    let ended = tokio::select! {
        ended = listener.listen() => ended,
        _ = stop.wait() => Ok(()),
    };
    listener.place.save()?;
    if !arguments.json {
        print::note(&format!("{} events were taken", listener.taken));
    }
    ended
}

/// Where the first request begins.
async fn begin(arguments: &Arguments, client: &Client, path: &str, place: &mut Place) -> Result<(), Failed> {
    if let Some(from) = arguments.from {
        place.begin(Some(from));
    } else if let Some(since) = &arguments.since {
        let since = time::parse(since).map_err(|why| Failed::Usage(format!("--since {why}")))?;
        place.begin(Some(EventId(lowest(since))));
    } else if place.is_new() {
        // Only what happens from now on.
        let newest = client.get(&format!("{path}?limit=1")).await?;
        let newest = newest.pointer("/data/0/id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        place.begin(newest);
    }
    place.save()
}

impl Listener {
    async fn listen(&mut self) -> Result<(), Failed> {
        let mut newest = self.place.settled();
        let mut watch = Stopwatch::start();
        let mut told = false;
        loop {
            match self.page(newest, WAIT_S).await {
                Ok(page) => {
                    told = false;
                    newest = page.next_after.or(newest);
                    self.forward(page.data).await?;
                }
                Err(error) => {
                    let Some(pause) = error.pause() else { return Err(error.into()) };
                    if !std::mem::replace(&mut told, true) {
                        print::note(&format!("{error}; trying again"));
                    }
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            if watch.elapsed() >= ONCE_MORE {
                self.once_more(newest).await?;
                watch = Stopwatch::start();
            }
        }
    }

    /// Reads the last minute once more, up to the newest event that is known.
    async fn once_more(&mut self, newest: Option<EventId>) -> Result<(), Failed> {
        let mut after = self.place.settled();
        while after < newest {
            let Ok(page) = self.page(after, 0).await else { return Ok(()) };
            let next = page.next_after.or(newest);
            let more = page.more;
            self.forward(page.data).await?;
            if !more {
                break;
            }
            after = next;
        }
        self.place.settle(newest);
        self.place.save()
    }

    async fn page(&self, after: Option<EventId>, wait_s: u32) -> Result<Page, ClientError> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.client.read(&format!("{}/stream?limit={PAGE}&wait_s={wait_s}{after}", self.path)).await
    }

    async fn forward(&mut self, events: Vec<Streamed>) -> Result<(), Failed> {
        for event in events {
            if self.place.knows(event.id) {
                continue;
            }
            if self.forwarder.forward(&event).await? {
                self.taken = self.taken.saturating_add(1);
            }
            self.place.done(event.id);
            self.place.save()?;
        }
        Ok(())
    }
}

/// What is printed of an attempt.
fn line(json: bool, event: &Streamed, attempt: u32, verdict: &crate::delivery::judge::Verdict) -> String {
    if json {
        return json!({
            "event_id": event.id, "payment_id": event.payment_id, "state": event.state, "attempt": attempt,
            "taken": verdict.success, "status": verdict.status, "duration_ms": verdict.duration_ms,
            "error": verdict.error,
        })
        .to_string();
    }
    let answer = match (&verdict.error, verdict.status) {
        (Some(error), _) => error.clone(),
        (None, status) => status.unwrap_or_default().to_string(),
    };
    let at = time::show(SystemClock.now());
    let Streamed { id, payment_id, state, .. } = event;
    format!("{at}  {id}  payment {payment_id} {state}  → {answer}  ({} ms)", verdict.duration_ms)
}
