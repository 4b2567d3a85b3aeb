//! Between a claimed delivery and its attempt stands its endpoint's gate; what came of the attempt moves it.

use super::breaker::{Change, Heard};
use super::endpoint::EndpointView;
use super::judge::Verdict;
use super::lanes::Own;
use super::outbound::Url;
use super::schedule::seed;
use super::worker::{Leased, Worker};
use crate::domain::delivery::Delivery;
use crate::store::Holding;

/// When an endpoint that is left alone is tried again whose last try failed, but not by its fault, milliseconds.
const EXCUSED_AGAIN_MS: i64 = 5_000;

impl Worker {
    /// Whether the attempt is within its endpoint's limits, as they are set up now.
    pub(super) fn may_try(&self, leased: &Leased, view: &EndpointView) -> bool {
        let own = Own {
            max_in_flight: view.endpoint.max_in_flight,
            rate_per_s: view.endpoint.rate_per_s,
            url: view.endpoint.url.clone(),
            host: Url::parse(&view.endpoint.url).ok().and_then(|url| url.host_str().map(str::to_owned)),
        };
        match self.lanes.learn(leased.lane, leased.fence.work, &own, self.store_now()) {
            Ok(()) => true,
            Err(refusal) => {
                metrics::counter!("kassir_work_refused_total", "reason" => refusal.word()).increment(1);
                false
            }
        }
    }

    /// Whether the endpoint was given another URL while the attempt was under way: what the old one did says nothing
    /// of the new one then. Only looked at where it matters; as late as what is known of endpoints here.
    pub(super) async fn is_elsewhere(
        &self,
        leased: &Leased,
        tried: &EndpointView,
        verdict: &Verdict,
    ) -> bool {
        if verdict.success && leased.probe.is_none() {
            return false;
        }
        let endpoint = &tried.endpoint;
        match self.parts.endpoints.get(endpoint.merchant, endpoint.id).await {
            Ok(view) => view.is_some_and(|view| view.endpoint.url != endpoint.url),
            Err(_) => false,
        }
    }

    /// What becomes of the hold on the lane after an attempt.
    pub(super) fn after(&self, leased: &Leased, delivery: &Delivery, verdict: &Verdict) -> Option<Holding> {
        if verdict.excused {
            // Nothing was learned of the endpoint: what was held stays so for a moment, as it was.
            let until = self.store_now().saturating_add(EXCUSED_AGAIN_MS);
            return leased.probe.map(|step| Holding::Until { until, step });
        }
        let asks = matches!(verdict.status, Some(429 | 503)) || verdict.not_before.is_some();
        let heard = Heard {
            success: verdict.success,
            slow_down: asks && !verdict.success,
            reached: verdict.reached,
            wish: verdict.not_before,
            probe: leased.probe,
            now: self.store_now(),
            cut_off: false,
            spread: seed(delivery.id, delivery.attempts),
        };
        let judged = self.lanes.hear(leased.lane, &heard);
        if let Some(change) = judged.change {
            tell(delivery, verdict, change, heard.now);
        }
        judged.hold
    }
}

/// One line for each change of an endpoint, not for each attempt.
fn tell(delivery: &Delivery, verdict: &Verdict, change: Change, now: i64) {
    let (endpoint, merchant) = (delivery.endpoint, delivery.merchant);
    match change {
        Change::Opened { until, slow_down } => {
            let to = if slow_down { "slowed" } else { "open" };
            metrics::counter!("kassir_endpoint_breaker_changes_total", "to" => to).increment(1);
            let seconds = until.saturating_sub(now) as f64 / 1000.0;
            let error = verdict.error.as_deref().unwrap_or_default();
            tracing::warn!(%endpoint, %merchant, error, seconds, "an endpoint is left alone for a while: {to}");
        }
        Change::Closed => {
            metrics::counter!("kassir_endpoint_breaker_changes_total", "to" => "closed").increment(1);
            tracing::info!(%endpoint, %merchant, "an endpoint works again");
        }
    }
}
