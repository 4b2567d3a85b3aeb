//! What a payment with two notifications, two delivered events and one endpoint takes in the store.

use std::sync::Arc;

use anyhow::Context as _;
use kassir_providers::State;

use super::figures::SizeFigures;
use super::load::drive;
use super::record::Sample;
use super::site::{Shop, shop};
use super::{Stage, as_f64};
use crate::domain::delivery::{Attempt, Delivery, DeliveryStatus};
use crate::domain::event::EventState;
use crate::store::{Claimed, Commit, Material, PaymentWrite, Settle, SettleEnd, Store, Tally};

/// Payments that are stored before anything is measured: scripts, pages and tables that are there once.
const WARM_UP: usize = 200;
/// Payments under way at once.
const AT_ONCE: usize = 128;
/// Shops among which they are spread.
const SHOPS: usize = 16;
const LEASE_MS: u64 = 60_000;

pub(super) async fn measure(stage: &Stage<'_>) -> anyhow::Result<SizeFigures> {
    let Stage { plan, progress, .. } = stage;
    let site = stage.site()?;
    progress.begin("size: setting up", 0);
    let child = site.start().await?;
    let mut shops = Vec::new();
    for _ in 0..SHOPS {
        shops.push(shop(&child.client()?, Some("http://127.0.0.1:49151/events")).await?);
    }
    child.stop().await?;
    let store = site.open().await?;
    let used = async || -> anyhow::Result<f64> {
        match &site.redis {
            Some(redis) => redis.used_memory().await,
            None => Ok(as_f64(usize::try_from(store.size().await?.bytes)?)),
        }
    };
    progress.begin("size: payments with two events, both delivered", plan.stored);
    many(stage, &store, &shops, 0..WARM_UP).await?;
    let before = used().await?;
    many(stage, &store, &shops, WARM_UP..WARM_UP.saturating_add(plan.stored)).await?;
    let bytes_per_payment = (used().await? - before) / as_f64(plan.stored.max(1));
    store.close().await;
    site.clear().await?;
    Ok(SizeFigures { payments: plan.stored, bytes_per_payment })
}

async fn many(
    stage: &Stage<'_>,
    store: &Arc<dyn Store>,
    shops: &[Shop],
    orders: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    drive(orders.len(), AT_ONCE, |index| {
        let order = orders.start.saturating_add(index);
        async move {
            let stored = paid(store, shops, order).await;
            stage.progress.advance(1);
            stored.inspect_err(|error| tracing::error!(%error, "a payment was not stored")).is_ok()
        }
    })
    .await
    .map(drop)
}

/// Held, captured, and both events delivered.
async fn paid(store: &Arc<dyn Store>, shops: &[Shop], order: usize) -> anyhow::Result<()> {
    let shop = shops.get(order % shops.len().max(1)).context("no shop")?;
    let sample = Sample::new(shop, shop.endpoint.context("no endpoint")?, order);
    let lease = Some(("bench".to_owned(), LEASE_MS));
    let held = Commit { lease: lease.clone(), ..sample.first(State::WaitingForCapture, |_| ()) };
    let committed = store.commit(held).await?;
    let (number, version) = committed.payment.context("no payment")?;
    deliver(store, shop, committed.leased.first().context("no lease")?).await?;
    let payment = Box::new(crate::domain::Payment { number, version, ..sample.payment(State::Succeeded) });
    let captured = Commit {
        payment: Some(PaymentWrite::Update { payment, links: Vec::new() }),
        lease,
        ..sample.step(number, EventState::Succeeded, |_| ())
    };
    let committed = store.commit(captured).await?;
    deliver(store, shop, committed.leased.first().context("no lease")?).await
}

async fn deliver(store: &Arc<dyn Store>, shop: &Shop, claimed: &Claimed) -> anyhow::Result<()> {
    let Material::Delivery { delivery, .. } = &claimed.material else { anyhow::bail!("no delivery") };
    let delivery = Delivery {
        status: DeliveryStatus::Delivered,
        attempts: 1,
        round: 1,
        next_attempt_at: None,
        last_status: Some(200),
        ..(**delivery).clone()
    };
    let attempt = Attempt {
        number: 1,
        at: delivery.created_at,
        duration_ms: 84,
        status: Some(200),
        error: None,
        response_excerpt: Some("ok".to_owned()),
        remote_ip: Some("203.0.113.7".to_owned()),
        replay: false,
        excused: false,
        sent_again: false,
    };
    let tally = Tally { key: format!("delivery.delivered.{}", delivery.endpoint), by: 1 };
    let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt) };
    let (fence, merchant) = (claimed.fence, shop.merchant);
    Ok(store.settle(Settle { fence, merchant, end, hold: None, tallies: vec![tally] }).await?)
}
