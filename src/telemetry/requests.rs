//! An id for each request that comes in: the caller's own `x-request-id` if it is a sane one, else one that is made.
//! It is in every log line of the request and in the answer's header. No path, query or header is logged: they may
//! hold tokens; the route's pattern is.

use std::borrow::Cow;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tracing::Instrument as _;

use crate::clock::Stopwatch;
use crate::intake::http::pattern;

/// The header.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over, characters.
const ID_LEN_MAX: usize = 64;

/// Gives the request its id, and a span of the log that has it.
///
/// # Errors
/// What the handler gives.
pub async fn identify<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let (id, watch) = (id_of(request.headers()), Stopwatch::start());
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        request = id.to_str().unwrap_or_default(),
        method = request.method().as_str(),
        route = route(&request).as_ref(),
        status = tracing::field::Empty,
    );
    let mut response = next.call(request).instrument(span.clone()).await?;
    let status = response.status().as_u16();
    span.record("status", status);
    span.in_scope(|| tracing::debug!(status, took_ms = watch.elapsed_ms(), "answered"));
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// The pattern of a request's path. Looking it up costs a match of each pattern there is: the hot path does without.
fn route(request: &ServiceRequest) -> Cow<'static, str> {
    match pattern(request.path()) {
        Some(inbound) => Cow::Borrowed(inbound),
        None => request.match_pattern().map_or(Cow::Borrowed("none"), Cow::Owned),
    }
}

fn id_of(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|given| is_sane(given.as_bytes()));
    given.cloned().unwrap_or_else(|| {
        let made = format!("req_{}", uuid::Uuid::new_v4().simple());
        HeaderValue::from_str(&made).unwrap_or_else(|_| HeaderValue::from_static("none"))
    })
}

/// Letters, digits, and what ids of other programs are joined with: nothing that could forge a log line.
fn is_sane(id: &[u8]) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken_over() {
        for id in ["a", "0af7651916cd43dd8448eb211c80319c", "req-1.2:3_4"] {
            assert!(is_sane(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\"b", "ключ", "a\u{1b}[0m", &"x".repeat(65)] {
            assert!(!is_sane(id.as_bytes()), "{id}");
        }
    }
}
