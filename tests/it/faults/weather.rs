//! A bad network between a router and its Redis.

use std::time::Duration;

use super::network::{Network, Weather};
use super::sending::{Stream, open_shop};
use super::size;
use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};

/// After the weather has cleared, notifications are accepted within this.
const GOES_ON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_loses_nothing_and_does_nothing_twice() {
    let bad = [
        Weather::Latency(Duration::from_secs(2)),
        Weather::Bandwidth(1_000),
        Weather::Sliced(3),
        Weather::CutWithin(700),
        Weather::CutBeforeAnswer,
        Weather::Silent,
    ];
    let seconds = u64::try_from(size(3, 20)).unwrap();
    let server = Server::start(DURABLE);
    let network = Network::before(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { log: Some(folder.path().join("log")), ..Plan::on(folder.path(), &network.url()) };
    let (receiver, router, shop) = open_shop(&plan).await;
    let stream = Stream::start(&shop, 1, 8);
    stream.more(20).await;
    let mut slowest = Duration::ZERO;
    for weather in bad {
        let before = stream.count();
        network.weather.send_replace(weather);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let meanwhile = stream.count() - before;
        network.weather.send_replace(Weather::Fine);
        let goes_on = stream.more(8).await;
        println!("{weather:?}: {meanwhile} accepted meanwhile, goes on after {goes_on:?}");
        assert!(goes_on <= GOES_ON, "{weather:?}: {goes_on:?}");
        slowest = slowest.max(goes_on);
    }
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    super::sentinel::drained(&server.url()).await;
    assert_eq!(router.terminate().await, Some(0));
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    let slowest = format!("{:.1}", slowest.as_secs_f64());
    counts.print("redis_bad_network", &[("kinds", &bad.len()), ("slowest_recovery_s", &slowest)]);
    assert_eq!(counts.lost, 0);
    // Only what was in hand when a result could not be written.
    assert!(counts.duplicated <= 64, "{counts:?}");
}
