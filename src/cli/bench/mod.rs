//! `kassir bench`.

mod table;

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::serve::Stop;
use super::{Failed, print};
use crate::bench::{Part, Plan, Progress, run as measure};

/// Scheduled retries and stored payments, unless said otherwise: what is done within a minute, and what `--full` does.
const MANY: usize = 100_000;
const MANY_FULL: usize = 1_000_000;
/// Events that wait for the endpoint that hangs.
const WAITING: usize = 1_000;
/// How often the bar moves while nothing is counted.
const TICK: Duration = Duration::from_millis(200);

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// What to measure; without a name what is done within about a minute: all but size, growth and endpoints.
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Part>,
    /// Everything, with a million scheduled retries and stored payments. Takes long.
    #[arg(long)]
    full: bool,
    /// Measure on this store (a scratch Redis, for example) instead of a throw-away embedded one.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The subscriber speaks TLS.
    #[arg(long)]
    tls: bool,
    /// Notifications of each throughput measurement.
    #[arg(long, default_value_t = 20_000)]
    count: usize,
    /// Senders at once.
    #[arg(long, default_value_t = 64)]
    senders: usize,
    /// Rate of the latency measurement, per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long the latency is measured, seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Events that wait for the endpoint that hangs.
    #[arg(long, default_value_t = WAITING)]
    waiting: usize,
    /// Scheduled retries of the backlog [default: 100000, with --full 1000000].
    #[arg(long)]
    scheduled: Option<usize>,
    /// Stored payments of size, and of growth's last step [default: 100000, with --full 1000000].
    #[arg(long)]
    stored: Option<usize>,
    /// Endpoints of the last step.
    #[arg(long, default_value_t = 10_000)]
    endpoints: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn plan(self) -> Result<Plan, Failed> {
        let many = if self.full { MANY_FULL } else { MANY };
        let (scheduled, stored) = (self.scheduled.unwrap_or(many), self.stored.unwrap_or(many));
        let counts = [self.count, self.senders, self.waiting, scheduled, stored, self.endpoints];
        if counts.contains(&0) || self.rate == 0 || self.seconds == 0 {
            return Err(Failed::Usage("every number must be at least 1".to_owned()));
        }
        let parts = match (self.full, self.parts.is_empty()) {
            (true, _) => Part::ALL.to_vec(),
            (false, true) => Part::QUICK.to_vec(),
            (false, false) => self.parts,
        };
        Ok(Plan {
            parts,
            store: self.store,
            tls: self.tls,
            count: self.count,
            senders: self.senders,
            rate: self.rate,
            latency_for: Duration::from_secs(self.seconds),
            waiting: self.waiting,
            scheduled,
            stored,
            endpoints: self.endpoints,
        })
    }
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let json = arguments.json;
    let plan = arguments.plan()?;
    let bar = Bar(ProgressBar::new(0));
    bar.0.enable_steady_tick(TICK);
    let mut stop = Stop::new()?;
    let figures = measure(&plan, &bar, stop.wait()).await;
    bar.0.finish_and_clear();
    let figures = figures?;
    if json {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| Failed::Work(error.to_string()))?;
        print::line(text);
    } else {
        print::line(table::of(&figures));
    }
    Ok(())
}

/// A bar on standard error, of one step at a time.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&self, what: &str, parts: usize) {
        let form = if parts == 0 {
            "{spinner} {elapsed_precise} {msg}"
        } else {
            "{bar:20} {elapsed_precise} {human_pos}/{human_len} {msg}, {eta} left"
        };
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.0.set_style(style);
        self.0.set_length(u64::try_from(parts).unwrap_or(u64::MAX));
        self.0.reset();
        self.0.set_message(what.to_owned());
    }

    fn advance(&self, parts: usize) {
        self.0.inc(u64::try_from(parts).unwrap_or(0));
    }
}
