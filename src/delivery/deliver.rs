//! A claimed delivery: loaded, attempted, settled.

use tracing::Instrument as _;

use super::endpoint::{EndpointView, SourceError};
use super::judge::{Stop, Verdict};
use super::send::{ENDPOINT_TIMEOUT_MAX, attempt, number_of_next};
use super::settle::{ending_tally, settle, stopped, tallies, too_old, unloaded};
use super::trouble::pause;
use super::worker::{Leased, Worker};
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::event::Event;
use crate::domain::{Endpoint, Job, Trouble};
use crate::fail_point::{Point, pass};
use crate::limits::CONFLICT_RETRIES_MAX;
use crate::store::{Commit, Conflict, Holding, Settle, SettleEnd, StoreError};

impl Worker {
    pub(super) async fn deliver(&self, leased: &Leased, delivery: Delivery, event: &Event) {
        let view = match self.parts.endpoints.get(delivery.merchant, delivery.endpoint).await {
            Ok(Some(view)) => view,
            Ok(None) => return self.stop(leased, delivery, DeliveryStatus::Canceled).await,
            Err(error) => return self.not_loaded(leased, delivery, &error).await,
        };
        if !view.endpoint.enabled {
            return self.stop(leased, delivery, DeliveryStatus::Held).await;
        }
        if leased.probe.is_some() && self.is_too_old(&delivery) {
            self.end_unsent(leased, delivery.clone()).await;
            if view.endpoint.ordered {
                self.next_in_row(&delivery, self.store_now()).await;
            }
            return;
        }
        if view.endpoint.ordered && self.waits_its_turn(leased, &delivery).await {
            return;
        }
        if !self.may_try(leased, &view) {
            return self.release_one(leased).await;
        }
        let now = self.store_now();
        if self.lease(leased).1.saturating_sub(now) < longest_ms(&view, self) || self.may_be_lost(leased) {
            // This process stood still: somebody else may have the work, now or by the time an attempt ends.
            return self.release_one(leased).await;
        }
        pass(Point::BeforeSend);
        let span = span_of(&delivery);
        let trying = attempt(&self.parts.outbound, &view, &delivery, event, now);
        let verdict = trying.instrument(span.clone()).await;
        pass(Point::AfterResponse);
        span.in_scope(|| tell(&span, &verdict));
        self.measure(&delivery, event, &verdict);
        let hold = if self.is_elsewhere(leased, &view, &verdict).await {
            // Nor is a hold lifted: the new URL may have earned one of its own.
            None
        } else {
            self.after(leased, &delivery, &verdict)
        };
        match self.settle_attempt(leased, &delivery, &verdict, hold).await {
            Ok(DeliveryStatus::Pending) => {}
            Ok(_) if view.endpoint.ordered => self.next_in_row(&delivery, self.store_now()).await,
            Ok(_) => {}
            Err(error) => self.note_lost(leased, &error),
        }
        if verdict.stop == Some(Stop::Endpoint) {
            self.report_gone(&view.endpoint, &delivery, &verdict).await;
        }
    }

    /// Queues what an endpoint asked for that wants no more: once, whoever else heard it. Should that fail, the next
    /// attempt hears it again.
    async fn report_gone(&self, endpoint: &Endpoint, delivery: &Delivery, verdict: &Verdict) {
        let answer = match verdict.status {
            Some(410) => "410 Gone",
            _ => "with the header webhook-delivery: disable",
        };
        // Which delivery: so that no two of them have the same words.
        let how = format!("it answered {} {answer}", delivery.id);
        let trouble = Trouble::Gone { endpoint_at: endpoint.updated_at, at: verdict.at, how };
        let job = Job::about(endpoint.merchant, endpoint.id, trouble, verdict.at);
        let commit = Commit { jobs: vec![(job, 0)], ..Commit::of(endpoint.merchant) };
        match self.parts.store.commit(commit).await {
            Ok(_) => self.wake(),
            Err(error) => {
                let _ = self.note_error("commit", &error);
            }
        }
    }

    /// Settles an attempt; when a person changed the delivery meanwhile, on what it is now. Gives where it stands.
    async fn settle_attempt(
        &self,
        leased: &Leased,
        claimed: &Delivery,
        verdict: &Verdict,
        hold: Option<Holding>,
    ) -> Result<DeliveryStatus, StoreError> {
        let mut current = claimed.clone();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let settled = settle(claimed, current, verdict, self.store_now(), &self.parts.config.schedule);
            let (tallies, status) = (tallies(&settled), settled.delivery.status);
            let end =
                SettleEnd::Delivery { delivery: Box::new(settled.delivery), attempt: Some(settled.attempt) };
            let write = Settle { fence: leased.fence, merchant: leased.merchant, end, hold, tallies };
            pass(Point::BeforeSettle);
            let written = self.write(leased, write).await;
            pass(Point::AfterSettle);
            match written {
                Err(StoreError::Conflict(Conflict::Delivery)) => {}
                other => {
                    if other.is_ok() && status == DeliveryStatus::Failed {
                        count_ended(status);
                    }
                    return other.map(|()| status);
                }
            }
            current = self.reload(leased, claimed).await?;
        }
        Err(StoreError::Conflict(Conflict::Delivery))
    }

    async fn reload(&self, leased: &Leased, claimed: &Delivery) -> Result<Delivery, StoreError> {
        loop {
            match self.parts.store.delivery(claimed.merchant, claimed.id).await {
                Ok(Some(delivery)) => return Ok(delivery),
                Ok(None) => return Err(StoreError::NotFound("delivery")),
                Err(error @ StoreError::Unavailable(_)) if self.store_now() < self.lease(leased).1 => {
                    tokio::time::sleep(self.note_error("delivery", &error)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether its time was over while its endpoint was left alone. What a person asks for has its time anew.
    fn is_too_old(&self, delivery: &Delivery) -> bool {
        let max_age = i64::try_from(self.parts.config.schedule.max_age.as_millis()).unwrap_or(i64::MAX);
        delivery.replay.is_none() && self.store_now() >= delivery.round_started_at.saturating_add(max_age)
    }

    /// Ends a delivery without another attempt; the next of its lane is tried at once.
    async fn end_unsent(&self, leased: &Leased, delivery: Delivery) {
        let next = leased.probe.map(|step| Holding::Until { until: self.store_now(), step });
        let end = |delivery, now| too_old(delivery, now);
        self.settle_without(leased, delivery, next, end).await;
    }

    /// Takes a delivery that can't be attempted out of the queue. Nothing is sent, so nothing needs to be held back.
    async fn stop(&self, leased: &Leased, delivery: Delivery, status: DeliveryStatus) {
        let lift = leased.probe.map(|_| Holding::Lift);
        self.settle_without(leased, delivery, lift, |delivery, now| stopped(delivery, status, now)).await;
    }

    /// What becomes of a delivery whose endpoint can't be loaded. One that only waits for the store keeps its place; one
    /// that waits for a person is put off, shown why, and ends with its time.
    async fn not_loaded(&self, leased: &Leased, delivery: Delivery, error: &SourceError) {
        if let Some(left_out) = self.log.open() {
            tracing::error!(endpoint = %delivery.endpoint, %error, left_out, "not sent; trying again");
        }
        if matches!(error, SourceError::Away(_)) {
            return self.give_back(leased).await;
        }
        // Where the lane is tried one at a time, the next of it may be tried instead.
        let next = leased.probe.map(|step| Holding::Until { until: self.store_now(), step });
        let (why, schedule) = (error.to_string(), &self.parts.config.schedule);
        self.settle_without(leased, delivery, next, |delivery, now| unloaded(delivery, &why, now, schedule))
            .await;
    }

    /// Settles without an attempt; when a person changed the delivery meanwhile, on what it is now.
    async fn settle_without(
        &self,
        leased: &Leased,
        delivery: Delivery,
        hold: Option<Holding>,
        end: impl Fn(Delivery, i64) -> Delivery,
    ) {
        let mut current = delivery.clone();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let is_ours = current.status == DeliveryStatus::Pending;
            let stopped = end(current, self.store_now());
            let status = stopped.status;
            let write = Settle {
                fence: leased.fence,
                merchant: leased.merchant,
                tallies: ending_tally(&stopped).into_iter().collect(),
                end: SettleEnd::Delivery { delivery: Box::new(stopped), attempt: None },
                hold,
            };
            let error = match self.write(leased, write).await {
                Ok(()) if is_ours && status != DeliveryStatus::Pending => return count_ended(status),
                Ok(()) => return,
                Err(error) => error,
            };
            if !matches!(error, StoreError::Conflict(Conflict::Delivery)) {
                return self.note_lost(leased, &error);
            }
            current = match self.reload(leased, &delivery).await {
                Ok(current) => current,
                Err(error) => return self.note_lost(leased, &error),
            };
        }
    }

    /// Gives work back that the store keeps from being done, after a pause that keeps its place: no hot loop.
    pub(super) async fn give_back(&self, leased: &Leased) {
        const ERRORS: u32 = 5;
        tokio::time::sleep(pause(ERRORS)).await;
        self.release_one(leased).await;
    }

    fn measure(&self, delivery: &Delivery, event: &Event, verdict: &Verdict) {
        metrics::counter!("kassir_delivery_attempts_total", "outcome" => verdict.word).increment(1);
        metrics::histogram!("kassir_delivery_attempt_seconds")
            .record(f64::from(verdict.duration_ms) / 1000.0);
        if verdict.sent_again {
            metrics::counter!("kassir_delivery_sent_again_total").increment(1);
        }
        let since = |at: i64| at.saturating_sub(event.created_at).max(0) as f64 / 1000.0;
        if delivery.attempts == 0 && delivery.replay.is_none() {
            metrics::histogram!("kassir_event_to_first_attempt_seconds").record(since(verdict.at));
        }
        if verdict.success && delivery.replay.is_none() {
            let ended = verdict.at.saturating_add(i64::from(verdict.duration_ms));
            metrics::histogram!("kassir_event_to_success_seconds").record(since(ended));
        }
    }
}

/// Counts a delivery that ended without having been taken.
fn count_ended(status: DeliveryStatus) {
    metrics::counter!("kassir_deliveries_ended_total", "status" => status.word()).increment(1);
}

/// An attempt in logs and traces: ids and outcomes only.
fn span_of(delivery: &Delivery) -> tracing::Span {
    tracing::info_span!(
        "delivery",
        otel.kind = "client",
        merchant = %delivery.merchant,
        event = %delivery.event,
        delivery = %delivery.id,
        endpoint = %delivery.endpoint,
        attempt = number_of_next(delivery),
        outcome = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

fn tell(span: &tracing::Span, verdict: &Verdict) {
    span.record("outcome", verdict.word);
    span.record("otel.status_code", if verdict.success { "OK" } else { "ERROR" });
    tracing::debug!(outcome = verdict.word, took_ms = verdict.duration_ms, "attempted");
}

/// How much of a lease an attempt may need, milliseconds.
fn longest_ms(view: &EndpointView, worker: &Worker) -> i64 {
    let own = view.endpoint.timeout_s.map(|seconds| std::time::Duration::from_secs(u64::from(seconds)));
    let longest = own.map_or(worker.parts.outbound.timeout(), |own| own.min(ENDPOINT_TIMEOUT_MAX));
    i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)
}
