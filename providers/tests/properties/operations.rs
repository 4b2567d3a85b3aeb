//! Outgoing operations, step by step.

use kassir_providers::Step;
use kassir_providers::operation::{Retry, Wish};

use crate::support::operation::one_of_each;
use crate::support::vector::step_text;
use crate::support::{Failures, Fixture, fixtures, providers, vectors};

#[test]
fn operations_make_exactly_these_calls_and_end_like_this() {
    let mut failures = Failures::of("calls and result are exactly as written");
    for vector in vectors() {
        failures.check(&vector.place, !vector.source.is_empty(), || "no source".to_owned());
        let (found, _) = vector.run();
        for difference in found {
            failures.add(&vector.place, difference);
        }
    }
    failures.finish();
}

#[test]
fn a_cut_off_reply_is_never_believed() {
    let mut failures = Failures::of("a JSON reply that was cut off ends nothing well");
    for vector in vectors() {
        let Some(body) = vector.last_json_reply() else { continue };
        if matches!(vector.operation.wish, Wish::Probe | Wish::CancelSubscription { .. }) {
            continue;
        }
        // No beginning of a JSON object is one; a few of them show that nothing else is believed.
        for len in (0..body.len()).filter(|len| len % 16 == 0 || body.len() - len <= 4) {
            let Some(step) = vector.with_last_reply_cut(len) else { continue };
            failures.check(&vector.place, !matches!(step, Step::Done(_)), || {
                format!("after {len} of {} bytes: {}", body.len(), step_text(&step))
            });
        }
    }
    failures.finish();
}

#[test]
fn operations_follow_the_declaration() {
    let mut failures = Failures::of("begin() refuses what the declaration does not have");
    let fixtures = fixtures();
    for (slug, provider) in providers() {
        let about = provider.about();
        let can = about.capabilities;
        let Some(fixture) = fixtures.iter().find(|fixture| fixture.slug == slug && Fixture::is_good(fixture))
        else {
            continue;
        };
        let currency = if about.currencies.contains(&"RUB") {
            "RUB"
        } else {
            about.currencies.first().unwrap_or(&"RUB")
        };
        for (wish, operation) in one_of_each(currency) {
            let declared = match &operation.wish {
                Wish::Create(_) => can.create,
                Wish::Status(_) => can.status,
                Wish::Capture { .. } => can.capture,
                Wish::Cancel(_) => can.cancel,
                Wish::Refund { .. } => can.refund,
                Wish::Charge { .. } => can.charge,
                Wish::CancelSubscription { .. } => can.cancel_subscription,
                Wish::Period { .. } => about.limits.period_days > 0,
                Wish::RefundStatus { .. } | Wish::Subscriptions { .. } | Wish::Probe => true,
            };
            let Some(step) = failures.calm(slug, || provider.begin(&operation, &fixture.account)) else {
                continue;
            };
            let refused = matches!(&step, Step::Failed(failure) if failure.retry == Retry::Never);
            failures.check(slug, declared || refused, || {
                format!("{wish} is not declared, yet {}", step_text(&step))
            });
        }
    }
    failures.finish();
}
