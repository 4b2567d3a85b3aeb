//! `kassir bench`.

use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failed, print};
use crate::bench::{Figures, Plan, run as measure};

/// Steps that the bench announces.
const STEPS: u64 = 5;

/// Arguments.
#[derive(Args)]
pub(super) struct Arguments {
    /// Measure on this store (a scratch Redis, for example) instead of a throw-away embedded one.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
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
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failed> {
    if arguments.count == 0 || arguments.senders == 0 || arguments.rate == 0 {
        return Err(Failed::Usage("--count, --senders and --rate must be at least 1".to_owned()));
    }
    let plan = Plan {
        store: arguments.store,
        count: arguments.count,
        senders: arguments.senders,
        rate: arguments.rate,
        latency_for: Duration::from_secs(arguments.seconds),
    };
    let bar = ProgressBar::new(STEPS);
    let style = ProgressStyle::with_template("{bar:20} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    let figures = measure(&plan, &|step| {
        bar.inc(1);
        bar.set_message(step.to_owned());
    })
    .await;
    bar.finish_and_clear();
    let figures = figures?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| Failed::Work(error.to_string()))?;
        print::line(text);
    } else {
        print::line(table(&figures, &plan));
    }
    Ok(())
}

fn table(figures: &Figures, plan: &Plan) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["measured", "figure", "of the floor"]);
    let part = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let rows = [
        ("store".to_owned(), figures.store.clone(), String::new()),
        (
            "floor: bare handler, one durable write".to_owned(),
            format!("{:.0}/s", figures.floor_per_s),
            part(1.0),
        ),
        (
            "floor end to end: the same, then one request to the subscriber".to_owned(),
            format!("{:.0}/s", figures.floor_end_to_end_per_s),
            part(1.0),
        ),
        ("intake".to_owned(), format!("{:.0}/s", figures.intake_per_s), part(figures.intake_ratio)),
        (
            "end to end".to_owned(),
            format!("{:.0}/s", figures.end_to_end_per_s),
            part(figures.end_to_end_ratio),
        ),
        ("processor time per event".to_owned(), format!("{:.2} ms", figures.cpu_ms_per_event), String::new()),
        (
            format!("acceptance to arrival at {}/s", figures.latency_rate),
            format!("p50 {:.1} ms, p99 {:.1} ms", figures.latency_p50_ms, figures.latency_p99_ms),
            String::new(),
        ),
        (
            format!("resident at rest, after {} events", plan.count.saturating_mul(2)),
            format!("{:.1} MB, {:.1} MB", figures.resident_mb, figures.resident_after_mb),
            String::new(),
        ),
    ];
    for (what, figure, ratio) in rows {
        table.add_row([what, figure, ratio]);
    }
    table.to_string()
}
