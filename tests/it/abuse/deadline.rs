//! A slow store and the provider's patience: a positive answer only for what is kept, and in time in any case.

use std::sync::Arc;

use kassir::clock::Stopwatch;
use kassir_providers::State;
use serde_json::json;

use crate::delivery::flaky::{Fate, Flaky, Verb};
use crate::robokassa::CREDENTIALS;
use crate::world::fixture::notice;
use crate::world::{World, config};

/// Providers wait 10 s and more; these tests are not that patient.
const WITHIN: &str = "300ms";

/// A write hangs: the provider hears "later" in time and comes again; whether the write happened all the same does not
/// matter, there is one event.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_is_answered_with_later_in_time() {
    for fate in [Fate::HangBefore, Fate::HangAfter] {
        let bench = crate::sqlite::fresh().await;
        let flaky = Flaky::around(Arc::clone(&bench.store));
        let config = config(&[("KASSIR__INTAKE__ANSWER_TIMEOUT", WITHIN)]);
        let world = World::over(flaky.clone(), Arc::clone(&bench.clock), config).await;
        let shop = world.shop("robokassa", &CREDENTIALS, json!({})).await;
        let paid = notice(&shop, State::Succeeded, 10_000, "77");
        flaky.decide(move |verb| if verb == Verb::Commit { fate } else { Fate::Well });
        let watch = Stopwatch::start();
        let answer = world.notify(&shop, &paid).await;
        let took = watch.elapsed_ms();
        assert!(answer.status >= 500 && !answer.body.starts_with("OK"), "{answer:?}");
        assert!((300..3_000).contains(&took), "{took} ms");
        flaky.decide(|_| Fate::Well);
        assert_eq!(world.notify(&shop, &paid).await.body, "OK77");
        assert_eq!(world.states().await, ["succeeded"]);
    }
}
