//! The router that has the store: whether it could keep a notification now.

use std::time::Duration;

use super::super::health::{Asked, Said, ask};
use super::{Finding, Mark};
use crate::client::problem_words;
use crate::config::Config;

/// Longest wait for its answer: a durable write that takes longer is as bad as none.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the router at the configured address. `holder`: the process that has the store.
pub(super) async fn asked(config: &Config, holder: &str) -> Finding {
    match ask(config, Some(TIMEOUT)).await {
        Ok(asked) => judged(&asked, holder),
        Err(error) => Finding::new(Mark::Failure, "router", error.to_string(), ""),
    }
}

fn judged(asked: &Asked, holder: &str) -> Finding {
    let Asked { url, said } = asked;
    let has = format!("another process ({holder}) has the store, and what follows is read beside it");
    let (found, advice) = match said {
        Said::Ready { ms } => return Finding::ok("router", format!("{has}; {url} says: ready, in {ms} ms")),
        Said::NotReady { status, body } => (
            format!("{has}; {url} answers {status}: {}", problem_words(body)),
            "notifications are not kept now: the findings about the store and its disk, and the router's log, say why",
        ),
        Said::Nothing { why } => (
            format!("{has}; no router answers at {url}: {why}"),
            "is it a router that hangs or has just begun (its log), one with another `listen`, or another command of \
             kassir?",
        ),
    };
    Finding::new(Mark::Failure, "router", found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_judged_by_what_it_says() {
        let judged =
            |said| judged(&Asked { url: "http://127.0.0.1:1/health/ready".to_owned(), said }, "pid 7");
        let ready = judged(Said::Ready { ms: 3 });
        assert!(
            ready.mark == Mark::Ok && ready.found.contains("pid 7") && ready.found.contains("ready, in 3 ms")
        );
        let body = br#"{"title":"Not ready","detail":"A notification could not be kept now"}"#.to_vec();
        let red = judged(Said::NotReady { status: 503, body });
        assert!(red.mark == Mark::Failure, "{}", red.found);
        assert!(red.found.contains("answers 503: A notification could not be kept now"), "{}", red.found);
        let silent = judged(Said::Nothing { why: "Connection refused".to_owned() });
        assert!(
            silent.mark == Mark::Failure && silent.found.contains("no router answers"),
            "{}",
            silent.found
        );
    }
}
