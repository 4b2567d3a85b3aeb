//! One attempt: the request of a delivery, sent and judged.

use std::time::Duration;

use kassir_providers::Method;

use super::custom_header::check_name;
use super::endpoint::EndpointView;
use super::judge::{Verdict, judge};
use super::outbound::{Failure, FailureKind, Outbound, OutboundRequest, Outcome};
use super::signature::{self, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::limits;

/// Longest deadline that an endpoint may set for its attempts.
pub const ENDPOINT_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Name and version, as subscribers see them.
pub const USER_AGENT: &str = concat!("Kassir/", env!("CARGO_PKG_VERSION"));

/// The request of a delivery's next attempt. The body that is signed and the body that is sent are one buffer.
///
/// # Errors
/// A [`Failure`] when the endpoint has no live signing key: nothing goes out unsigned.
pub fn request(
    view: &EndpointView,
    delivery: &Delivery,
    event: &Event,
    now: i64,
) -> Result<OutboundRequest, Failure> {
    let body = event.body().into_bytes();
    let id = event.id.to_string();
    let timestamp = now.div_euclid(1000);
    let signatures = signature::header(view.keys_at(now), &id, timestamp, &body);
    if signatures.is_empty() {
        return Err(Failure::new(FailureKind::Request, "the endpoint has no signing secret"));
    }
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
        ("accept-encoding", "identity".to_owned()),
        (ID_HEADER, id),
        (TIMESTAMP_HEADER, timestamp.to_string()),
        (SIGNATURE_HEADER, signatures),
        ("kassir-attempt", number_of_next(delivery).to_string()),
        ("kassir-delivery", delivery.id.to_string()),
        ("kassir-proof", event.proven.word().to_owned()),
    ];
    if delivery.replay.is_some() {
        headers.push(("kassir-replay", "true".to_owned()));
    }
    if event.test {
        headers.push(("kassir-test", "true".to_owned()));
    }
    let own = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    let custom = view.headers.iter().filter(|(name, _)| check_name(name).is_ok());
    let custom = custom.map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let timeout = view.endpoint.timeout_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
    Ok(OutboundRequest {
        method: Method::Post,
        url: view.endpoint.url.clone(),
        headers: own.chain(custom).collect(),
        body,
        timeout: timeout.map(|timeout| timeout.min(ENDPOINT_TIMEOUT_MAX)),
        response_max: limits::RESPONSE_READ_MAX,
    })
}

/// Makes a delivery's next attempt. `now`: Unix milliseconds.
pub async fn attempt(
    outbound: &Outbound,
    view: &EndpointView,
    delivery: &Delivery,
    event: &Event,
    now: i64,
) -> Verdict {
    let outcome = match request(view, delivery, event, now) {
        Ok(request) => outbound.deliver(request, view.identity.as_ref()).await,
        Err(failure) => Outcome { failure: Some(failure), ..Outcome::default() },
    };
    judge(&outcome, view.endpoint.success, now)
}

/// The number of the next attempt: 1, 2, …
#[must_use]
pub fn number_of_next(delivery: &Delivery) -> u32 {
    delivery.attempts.saturating_add(1)
}
