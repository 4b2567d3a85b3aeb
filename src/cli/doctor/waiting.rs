//! What waits, and for whom.

use super::advice::Kind;
use super::{Finding, Mark};
use crate::config::Config;
use crate::domain::job::Lane;
use crate::store::{Backlog, Held, Page, Result, Store};

/// An undelivered event older than this is worth a warning, milliseconds.
const OLD_MS: i64 = 60 * 60 * 1000;
/// Due work that waits for longer than this means that no router works, milliseconds.
const LATE_MS: i64 = 60 * 1000;
/// Merchants that are looked at.
const MERCHANTS_MAX: usize = 10_000;
/// Merchants that are read at once.
const PAGE: u32 = 200;
/// Endpoints that are named.
const NAMED_MAX: usize = 5;

/// What is known of a router on the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Router {
    /// A process has the store.
    Runs,
    /// None, or perhaps one elsewhere.
    Unknown,
}

pub(super) async fn backlog(store: &dyn Store, config: &Config, router: Router) -> Finding {
    let (backlog, now) = match (store.backlog().await, store.now().await) {
        (Ok(backlog), Ok(now)) => (backlog, now),
        (Err(error), _) | (_, Err(error)) => {
            return Finding::new(
                Mark::Failure,
                "backlog",
                error.to_string(),
                Kind::of(config).advice(&error),
            );
        }
    };
    judged(&backlog, now, router)
}

/// What is late comes first, also when no delivery waits: payments wait for their provider's word in the same queue.
fn judged(backlog: &Backlog, now: i64, router: Router) -> Finding {
    let age = |at: Option<i64>| at.map(|at| now.saturating_sub(at).max(0));
    let (late, oldest) = (age(backlog.oldest_due).unwrap_or(0), age(backlog.oldest_delivery));
    let due =
        if late > 0 { format!("what is due waits for {}", shown(late)) } else { "none is late".to_owned() };
    let events = oldest.map_or_else(
        || "no event waits".to_owned(),
        |oldest| format!("the oldest undelivered event is {} old", shown(oldest)),
    );
    let found = format!("{} in the queue, {} under way, {due}; {events}", backlog.waiting, backlog.leased);
    if late > LATE_MS {
        let todo = match router {
            Router::Runs => "the router does not get to it; its log and GET /health/ready say why",
            Router::Unknown => "start a router (kassir serve)",
        };
        let advice = format!("due work has been waiting for {}: {todo}", shown(late));
        Finding::new(Mark::Warning, "backlog", found, advice)
    } else if oldest.is_some_and(|oldest| oldest > OLD_MS) {
        let advice = "its endpoint does not take it: GET …/deliveries?status=pending shows the attempts";
        Finding::new(Mark::Warning, "backlog", found, advice)
    } else {
        Finding::ok("backlog", found)
    }
}

/// Endpoints by how they stand.
#[derive(Default)]
struct Endpoints {
    all: usize,
    disabled: Vec<String>,
    held: Vec<String>,
}

pub(super) async fn endpoints(store: &dyn Store, config: &Config) -> Finding {
    let found = match count(store).await {
        Ok(found) => found,
        Err(error) => {
            return Finding::new(
                Mark::Failure,
                "endpoints",
                error.to_string(),
                Kind::of(config).advice(&error),
            );
        }
    };
    let Endpoints { all, disabled, held } = found;
    if disabled.is_empty() && held.is_empty() {
        return Finding::ok("endpoints", format!("{all}, all enabled, none is left alone"));
    }
    let words =
        format!("{all}; disabled: {}; left alone because they fail: {}", named(&disabled), named(&held));
    let advice = if held.is_empty() {
        "what is due to a disabled endpoint is held: enable it and replay, or delete it"
    } else {
        "those that fail are tried one delivery at a time; tell their owners"
    };
    Finding::new(Mark::Warning, "endpoints", words, advice)
}

async fn count(store: &dyn Store) -> Result<Endpoints> {
    let (mut found, mut page) = (Endpoints::default(), Page { limit: PAGE, before: None });
    let mut seen = 0;
    loop {
        let listed = store.merchants(&page).await?;
        seen += listed.rows.len();
        for merchant in listed.rows {
            let Some(config) = store.config(merchant.id).await? else { continue };
            found.all += config.endpoints.len();
            let disabled = config.endpoints.iter().filter(|endpoint| !endpoint.enabled);
            found.disabled.extend(disabled.map(|endpoint| endpoint.id.to_string()));
            let lanes: Vec<Lane> =
                config.endpoints.iter().map(|endpoint| Lane::Endpoint(endpoint.id)).collect();
            if !lanes.is_empty() {
                let now = store.now().await?;
                let held = store.holds(merchant.id, &lanes).await?;
                let ids = config.endpoints.iter().map(|endpoint| endpoint.id);
                let held = ids.filter_map(|id| Some((id, held.get(&Lane::Endpoint(id))?)));
                found.held.extend(held.map(|(id, held)| format!("{id} ({})", left_alone(held, now))));
            }
        }
        match listed.next {
            Some(next) if seen < MERCHANTS_MAX => page.before = Some(next),
            _ => return Ok(found),
        }
    }
}

/// How it stands with an endpoint that is left alone.
fn left_alone(held: &Held, now: i64) -> String {
    let next = if held.is_tried(now) {
        "one is tried now".to_owned()
    } else if now < held.until {
        format!("one is tried in {}", shown(held.until - now))
    } else {
        "the next one that is due is tried".to_owned()
    };
    format!("for {}: {} wait, {next}", shown(now.saturating_sub(held.since).max(0)), held.waiting)
}

fn named(ids: &[String]) -> String {
    let first = ids.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match ids.len() {
        0 => "none".to_owned(),
        len if len > NAMED_MAX => format!("{len} ({first}, …)"),
        len => format!("{len} ({first})"),
    }
}

/// A span in its largest whole unit.
fn shown(ms: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min")];
    let unit = UNITS.into_iter().find(|(unit, _)| ms >= *unit);
    unit.map_or_else(|| format!("{} s", ms / 1000), |(unit, name)| format!("{} {name}", ms / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_told_also_when_no_event_waits() {
        let now = 2 * OLD_MS;
        let found = |backlog: Backlog| {
            let finding = judged(&backlog, now, Router::Runs);
            (finding.mark == Mark::Ok, finding.found)
        };
        let jobs = Backlog { waiting: 3, ..Backlog::default() };
        assert_eq!(
            found(jobs),
            (true, "3 in the queue, 0 under way, none is late; no event waits".to_owned())
        );
        let (ok, words) = found(Backlog { oldest_due: Some(now - LATE_MS - 1), ..jobs });
        assert!(!ok && words.contains("what is due waits for 1 min; no event waits"), "{words}");
        let (ok, words) = found(Backlog { oldest_delivery: Some(0), ..jobs });
        assert!(!ok && words.ends_with("the oldest undelivered event is 2 h old"), "{words}");
    }

    #[test]
    fn words() {
        assert_eq!([59_999, 60_000, 7_200_000, 7_776_000_000].map(shown), ["59 s", "1 min", "2 h", "90 d"]);
        let held = Held { until: 65_000, step: 1, since: 0, tried_until: None, waiting: 7 };
        assert_eq!(left_alone(&held, 60_000), "for 1 min: 7 wait, one is tried in 5 s");
        assert_eq!(left_alone(&held, 65_000), "for 1 min: 7 wait, the next one that is due is tried");
        let tried = Held { tried_until: Some(65_000), ..held };
        assert_eq!(left_alone(&tried, 60_000), "for 1 min: 7 wait, one is tried now");
        let ids: Vec<String> = (0..7).map(|n| format!("ep_{n}")).collect();
        assert_eq!(named(&ids), "7 (ep_0, ep_1, ep_2, ep_3, ep_4, …)");
        assert_eq!((named(&ids[..1]), named(&[])), ("1 (ep_0)".to_owned(), "none".to_owned()));
    }
}
