//! One event on its way to the local address: the same request as a delivery's.

use std::time::Duration;

use super::{Arguments, Streamed, line};
use crate::cli::{Failed, print};
use crate::client::unguarded;
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::outbound::Outbound;
use crate::delivery::send::attempt;
use crate::delivery::signature::SigningKey;
use crate::delivery::{EndpointView, LiveKey};
use crate::domain::config::{Signing, Success};
use crate::domain::event::{EventState, Proven};
use crate::domain::ids::{DeliveryId, EndpointId, MerchantId};
use crate::domain::{Delivery, Endpoint, Event};
use crate::manage::time;

/// First pause after an attempt that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Sends events on.
pub(super) struct Forwarder {
    outbound: Outbound,
    view: EndpointView,
    merchant: MerchantId,
    skip_failures: bool,
    json: bool,
}

impl Forwarder {
    pub(super) fn new(
        arguments: &Arguments,
        merchant: MerchantId,
        secret: &str,
        success: Success,
    ) -> Result<Forwarder, Failed> {
        let outbound = unguarded()?;
        let wrong = |why: String| Failed::Usage(format!("--forward-to {}: {why}", arguments.forward_to));
        let url = outbound.check_url(&arguments.forward_to).map_err(|error| wrong(error.to_string()))?;
        let host = url.host_str().unwrap_or("").trim_matches(['[', ']']);
        let loopback = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if url.scheme() == "http" && !loopback {
            return Err(wrong(
                "http:// only on this machine (localhost, 127.0.0.1); use https://".to_owned(),
            ));
        }
        let key = SigningKey::parse(secret).map_err(|error| Failed::Usage(error.to_string()))?;
        let endpoint = Endpoint {
            id: EndpointId(uuid::Uuid::nil()),
            merchant,
            url: arguments.forward_to.clone(),
            description: String::new(),
            states: EventState::ALL.to_vec(),
            providers: Vec::new(),
            integrations: Vec::new(),
            headers: std::collections::BTreeMap::new(),
            success,
            timeout_s: None,
            rate_per_s: None,
            max_in_flight: None,
            ordered: false,
            enabled: true,
            disabled_reason: None,
            secrets: Vec::new(),
            signing: Signing::default(),
            basic_auth: None,
            client_certificate: None,
            created_at: 0,
            updated_at: 0,
        };
        let keys = vec![LiveKey { key, expires_at: None }];
        let view = EndpointView { endpoint, keys, headers: Vec::new(), identity: None };
        let (skip_failures, json) = (arguments.skip_failures, arguments.json);
        Ok(Forwarder { outbound, view, merchant, skip_failures, json })
    }

    /// Sends an event until it is taken, or once with `--skip-failures`; whether it was taken.
    pub(super) async fn forward(&self, streamed: &Streamed) -> Result<bool, Failed> {
        let event = self.event(streamed)?;
        let mut delivery = delivery(&event);
        let mut pause = FIRST_PAUSE;
        loop {
            let now = SystemClock.now();
            let verdict = attempt(&self.outbound, &self.view, &delivery, &event, now).await;
            delivery.attempts = delivery.attempts.saturating_add(1);
            print::line(line(self.json, streamed, delivery.attempts, &verdict));
            if verdict.success || self.skip_failures {
                return Ok(verdict.success);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The event as the router has it; its body to the byte.
    fn event(&self, streamed: &Streamed) -> Result<Event, Failed> {
        let strange = |what: &str| Failed::Work(format!("{}: {what}; is the router newer?", streamed.id));
        let tail = streamed.body.get().strip_prefix(&format!("{{\"id\":{}", streamed.payment_id));
        let proven = [Proven::Signed, Proven::Sourced, Proven::Confirmed];
        let proven = proven.into_iter().find(|proven| proven.word() == streamed.proof);
        Ok(Event {
            id: streamed.id,
            merchant: self.merchant,
            integration: streamed.integration_id,
            payment: streamed.payment_id,
            state: EventState::from_word(&streamed.state).ok_or_else(|| strange("an unknown state"))?,
            proven: proven.ok_or_else(|| strange("an unknown proof"))?,
            test: streamed.test,
            notification: None,
            created_at: time::parse(&streamed.created_at).map_err(|_| strange("an unreadable time"))?,
            tail: tail.ok_or_else(|| strange("an unreadable body"))?.to_owned(),
        })
    }
}

/// A delivery of its own, known to nobody else.
fn delivery(event: &Event) -> Delivery {
    Delivery::of(event, EndpointId(uuid::Uuid::nil()), DeliveryId(event.id.0), "")
}
