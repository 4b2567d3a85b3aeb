//! Every metric, once: its name, type, labels and what it means. The scrape's `HELP` lines and `docs/metrics.md` come
//! from this table, and tests hold it against a real scrape.

use std::fmt::Write as _;

use metrics::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how many seconds.
    Histogram,
}

impl Kind {
    /// The word of the Prometheus text format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The values that a label may have.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These; each is there from the start, with 0.
    Given(&'static [&'static str]),
    /// What is said here; each is there from its first use.
    Open(&'static str),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [(&'static str, Values)],
    /// What it means.
    pub about: &'static str,
}

/// A heading of the page and what stands below it.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [Metric],
}

const fn counter(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    about: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, about }
}

const fn gauge(name: &'static str, labels: &'static [(&'static str, Values)], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, about }
}

const fn seconds(
    name: &'static str,
    labels: &'static [(&'static str, Values)],
    about: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, about }
}

const PROVIDER: (&str, Values) = ("provider", Values::Open("a provider's slug"));
const VERB: (&str, Values) = ("verb", Values::Open("what was asked of the store (Redis: its script)"));

const ATTEMPT_OUTCOMES: &[&str] = &[
    "success",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "forbidden",
    "request",
    "proxy",
    "dns",
    "connect",
    "tls",
    "connect_timeout",
    "answer_timeout",
    "closed",
    "protocol",
    "body_timeout",
    "body",
    "none",
];

/// Every metric, in the order of the page.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Is money waiting?",
        metrics: &[
            gauge(
                "kassir_queue_oldest_undelivered_seconds",
                &[],
                "Age of the oldest delivery that is neither delivered nor given up; 0 when there is none. A replay counts with the age of its delivery. In Redis: of the deliveries that are looked at, the first and last ones of 500 lanes per partition.",
            ),
            gauge(
                "kassir_queue_oldest_due_seconds",
                &[],
                "How long the oldest due work has been due; what waits for its next attempt is not due, nor what waits for an endpoint that is left alone, until the end of that.",
            ),
            gauge("kassir_queue_waiting", &[], "Deliveries and jobs in the queue, those under way included."),
            gauge("kassir_queue_leased", &[], "Deliveries and jobs that some router has in hand."),
            gauge(
                "kassir_endpoint_breaker",
                &[("state", Values::Given(&["open"]))],
                "Endpoints that are left alone because they failed or asked for it: for a while, and after it as long as something waits for them that is tried one at a time. In Redis: of those whose while is over the last 500 per partition are looked at.",
            ),
            counter(
                "kassir_deliveries_ended_total",
                &[("status", Values::Given(&["failed", "held", "canceled"]))],
                "Deliveries that ended without having been taken: failed (given up: only a replay sends them again), held (the endpoint is disabled, from the event's making or since), canceled (the endpoint was deleted). What people cancel themselves is not counted.",
            ),
            counter(
                "kassir_confirmations_given_up_total",
                &[("why", Values::Given(&["late", "denied", "gone"]))],
                "Notifications that will take no effect, because the provider's API did not confirm them: not within intake.confirm_max_age, or it says that there is nothing to confirm; gone: the merchant or integration was deleted.",
            ),
            gauge("kassir_endpoints_failing", &[], "Endpoints whose last attempt failed."),
            gauge(
                "kassir_queue_measured_timestamp_seconds",
                &[],
                "When this router last measured the gauges above, Unix seconds by its own clock: every 10 s. While the store fails it stands still, and they keep their last values; 0: not yet since its start.",
            ),
        ],
    },
    Section {
        title: "Inbound",
        metrics: &[
            counter(
                "kassir_notifications_total",
                &[
                    PROVIDER,
                    (
                        "outcome",
                        Values::Open(
                            "accepted, duplicate, ignored, unproven, mismatch, rejected; busy (could not be kept: the provider comes again); unknown_address (provider is then \"none\")",
                        ),
                    ),
                ],
                "Requests of providers, by what came of them.",
            ),
            counter(
                "kassir_notifications_refused_total",
                &[
                    PROVIDER,
                    (
                        "reason",
                        Values::Open(
                            "malformed, missing_proof, wrong_proof, foreign_source, wrong_account, unsupported",
                        ),
                    ),
                ],
                "Refused requests, by reason.",
            ),
            seconds(
                "kassir_notification_answer_seconds",
                &[PROVIDER],
                "From a notification's last byte to the answer, the durable write included.",
            ),
            counter(
                "kassir_intake_busy_total",
                &[],
                "Notifications that could not be kept; the provider was told to come again.",
            ),
            counter(
                "kassir_intake_flood_total",
                &[(
                    "kind",
                    Values::Given(&["refused", "observed", "unlogged", "unproven", "bodies", "at_once"]),
                )],
                "Notifications beyond a budget. Answered as ever, and only not kept in the inbound log: refused and observed ones, and unlogged, unproven ones that say nothing of a payment or count without a proof (confirm: never). Told to come again: unproven, the other unproven ones; bodies, large ones that found no room beside all others that were being received; at_once, those that came while 1,024 others were being worked on.",
            ),
        ],
    },
    Section {
        title: "Delivery",
        metrics: &[
            counter(
                "kassir_delivery_attempts_total",
                &[("outcome", Values::Given(ATTEMPT_OUTCOMES))],
                "Attempts: success, the class of the status that is no success to the endpoint, or what kept an answer from coming.",
            ),
            counter(
                "kassir_delivery_sent_again_total",
                &[],
                "Attempts that were sent a second time, on a fresh connection: the one that had been kept open died before a byte of the answer came.",
            ),
            seconds(
                "kassir_delivery_attempt_seconds",
                &[],
                "Time of an attempt, the answer's body included.",
            ),
            seconds(
                "kassir_event_to_first_attempt_seconds",
                &[],
                "From an event's making to its first attempt, replays left out.",
            ),
            seconds(
                "kassir_event_to_success_seconds",
                &[],
                "From an event's making to its delivery, replays left out.",
            ),
            gauge("kassir_work_in_flight", &[], "Attempts and jobs under way in this router."),
            seconds("kassir_work_lateness_seconds", &[], "From the time that work was due to its begin."),
            counter(
                "kassir_work_refused_total",
                &[("reason", Values::Given(&["full", "suspects", "asks", "lane", "host", "rate"]))],
                "Due work that had to wait for a place: of the router, of endpoints in doubt, of questions to providers, of the endpoint, of its host, or of its rate.",
            ),
            counter(
                "kassir_work_leased_again_total",
                &[],
                "Work that this router was given again while it had it under way: all of it after a jump of the store's clock; now and then what was just ending. It is not begun twice.",
            ),
            counter(
                "kassir_endpoint_breaker_changes_total",
                &[("to", Values::Given(&["open", "slowed", "closed"]))],
                "Endpoints that were left alone, were left alone because they asked for it, or work again.",
            ),
            counter(
                "kassir_endpoints_disabled_total",
                &[("why", Values::Given(&["gone", "failing"]))],
                "Endpoints that were disabled because they failed for too long or want no more.",
            ),
            counter(
                "kassir_alerts_total",
                &[
                    ("to", Values::Given(&["operator", "merchant"])),
                    ("outcome", Values::Given(&["success", "failure"])),
                ],
                "Notices of failing and disabled endpoints that were sent.",
            ),
            counter(
                "kassir_forward_proxy_failures_total",
                &[],
                "Attempts that the forward proxy (outbound.proxy) kept from going out; they are not the endpoints' fault.",
            ),
            counter(
                "kassir_worker_results_lost_total",
                &[],
                "Results of attempts and jobs that could not be written; the work may be done again.",
            ),
            counter(
                "kassir_worker_store_errors_total",
                &[(
                    "verb",
                    Values::Given(&[
                        "claim",
                        "settle",
                        "release",
                        "alive",
                        "delivery",
                        "deliveries",
                        "update_delivery",
                        "commit",
                    ]),
                )],
                "Calls of the store that failed in the worker, each try counted.",
            ),
        ],
    },
    Section {
        title: "Providers' APIs",
        metrics: &[
            counter(
                "kassir_provider_calls_total",
                &[
                    PROVIDER,
                    ("outcome", Values::Open("answered (2xx), refused (3xx, 4xx), failed (5xx), no_reply")),
                ],
                "Requests to providers' APIs.",
            ),
            seconds("kassir_provider_call_seconds", &[PROVIDER], "Time of a request to a provider's API."),
        ],
    },
    Section {
        title: "Store",
        metrics: &[
            counter(
                "kassir_store_calls_total",
                &[
                    VERB,
                    (
                        "outcome",
                        Values::Open(
                            "ok, refused (a conflict, a limit, not there), failed (could not read or write)",
                        ),
                    ),
                ],
                "Round trips to the store: a transaction of SQLite, a call of a script in Redis.",
            ),
            seconds(
                "kassir_store_call_seconds",
                &[VERB],
                "Time of a round trip, waiting for its turn included.",
            ),
            counter(
                "kassir_store_replica_waits_failed_total",
                &[],
                "Writes that too few replicas of Redis confirmed in time.",
            ),
            counter(
                "kassir_queue_mended_total",
                &[],
                "Entries of the queue that were missing in Redis, as if removed by hand, and were put back.",
            ),
            counter(
                "kassir_swept_records_total",
                &[],
                "Records that were removed because they were older than retention says.",
            ),
        ],
    },
    Section {
        title: "Process",
        metrics: &[
            counter(
                "kassir_telemetry_exports_failed_total",
                &[],
                "Batches of spans that the collector (telemetry.otlp_endpoint) did not take; they are dropped.",
            ),
            gauge("kassir_build_info", &[("version", Values::Open("the version"))], "1."),
            gauge("kassir_uptime_seconds", &[], "How long this router has been running."),
            gauge("process_resident_memory_bytes", &[], "Resident memory (Linux)."),
            gauge("process_open_fds", &[], "Open files and sockets (Linux)."),
            gauge("process_max_fds", &[], "How many files and sockets may be open (Linux)."),
        ],
    },
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics)
}

/// Describes every metric, and lets those whose labels are known begin with 0, so that rates are right from the start.
pub(super) fn register() {
    for metric in all() {
        let unit = if metric.name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, unit, metric.about),
            Kind::Gauge => metrics::describe_gauge!(metric.name, unit, metric.about),
            Kind::Histogram => metrics::describe_histogram!(metric.name, unit, metric.about),
        }
        for labels in known(metric.labels) {
            match metric.kind {
                Kind::Counter => metrics::counter!(metric.name, &labels).absolute(0),
                Kind::Gauge => metrics::gauge!(metric.name, &labels).set(0.0),
                Kind::Histogram => drop(metrics::histogram!(metric.name, &labels)),
            }
        }
    }
    metrics::gauge!("kassir_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The sets of labels that are known from the start; none when a label has open values.
fn known(labels: &[(&'static str, Values)]) -> Vec<Vec<(&'static str, &'static str)>> {
    match labels {
        [] => vec![Vec::new()],
        [(name, Values::Given(values)), rest @ ..] => {
            let rest = known(rest);
            let with = |value: &&'static str| {
                let first = (*name, *value);
                rest.iter().map(move |rest| std::iter::once(first).chain(rest.iter().copied()).collect())
            };
            values.iter().flat_map(with).collect()
        }
        [(_, Values::Open(_)), ..] => Vec::new(),
    }
}

/// `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Metrics\n\n`GET /metrics` gives them in the Prometheus text format. Histograms are in seconds. Each router tells of itself, \
         counters are to be added up (`sum`). The gauges below \"Is money waiting?\" are about the store, so that with \
         several routers any one's value (`max`) is right; how old it is each router tells of its own.\n\
         Alert rules, a dashboard and an example of a scrape configuration are in `ops/`. This page comes from \
         `src/telemetry/catalog.rs`: `UPDATE_GOLDEN=1 cargo test --lib metrics_page` renews it.\n",
    );
    for section in SECTIONS {
        let _ = write!(
            out,
            "\n## {}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
            section.title
        );
        for metric in section.metrics {
            let labels = metric.labels.iter().map(|(name, values)| match values {
                Values::Given(values) => format!("`{name}`: {}", values.join(", ")),
                Values::Open(about) => format!("`{name}`: {about}"),
            });
            let labels = labels.collect::<Vec<_>>().join("; ");
            let _ =
                writeln!(out, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind.word(), metric.about);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run with UPDATE_GOLDEN=1 to renew it");
    }

    #[test]
    fn names_follow_the_rules() {
        for metric in all() {
            let name = metric.name;
            assert!(name.starts_with("kassir_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(metric.about.ends_with('.'), "{name}");
            assert_eq!(all().filter(|other| other.name == name).count(), 1, "{name}");
        }
    }
}
