//! The inbound URL on actix-web.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{ConnectionType, Method as HttpMethod, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use ipnet::IpNet;
use kassir_providers::{Method, Request};

use super::bodies::{Bodies, Body, NoRoom};
use super::{Intake, Response};
use crate::clock::SharedClock;
use crate::fail_point::{Point, pass, pass_later};
use crate::limits::{INBOUND_BODY_MAX, INBOUND_BODY_UNCOUNTED};
use crate::quiet::LogGate;

/// Longest token of an inbound URL, characters.
const TOKEN_LEN_MAX: usize = 128;
/// Longest kind of an inbound URL, characters.
const KIND_LEN_MAX: usize = 32;

/// What the handler needs.
#[derive(Clone)]
pub struct InboundState {
    /// Receives.
    pub intake: Arc<Intake>,
    /// The clock.
    pub clock: SharedClock,
    /// Longest time in which a request's body must have come.
    pub read_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Arc<Vec<IpNet>>,
    /// Room for bodies.
    pub bodies: Arc<Bodies>,
}

/// What inbound URLs' paths begin with.
const PREFIX: &str = "/webhooks";

/// Mounts `/webhooks/{provider}/{token}[/{kind}]`.
pub fn configure(service: &mut web::ServiceConfig, state: InboundState) {
    // The path is taken apart by hand: the framework would match it by a regular expression, which takes as long as
    // reading the whole notification.
    service.service(web::scope(PREFIX).app_data(web::Data::new(state)).default_service(web::to(receive)));
}

/// The pattern of a path, if it is that of an inbound URL.
#[must_use]
pub fn pattern(path: &str) -> Option<&'static str> {
    parts(path.strip_prefix(PREFIX)?).map(|(_, _, kind)| match kind {
        None => "/webhooks/{provider}/{token}",
        Some(_) => "/webhooks/{provider}/{token}/{kind}",
    })
}

/// Provider, token and kind of a path behind [`PREFIX`].
fn parts(path: &str) -> Option<(&str, &str, Option<&str>)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let (slug, token, kind) = (parts.next()?, parts.next()?, parts.next());
    let sane = !slug.is_empty()
        && (1..=TOKEN_LEN_MAX).contains(&token.len())
        && kind.is_none_or(|kind| (1..=KIND_LEN_MAX).contains(&kind.len()))
        && parts.next().is_none();
    sane.then_some((slug, token, kind))
}

async fn receive(state: web::Data<InboundState>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some((slug, token, kind)) = parts(http.match_info().unprocessed()) else { return not_found() };
    let method = match *http.method() {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        _ => return no_method(),
    };
    // Who knows no address does not take up the room of those who do. A small body is mostly here already.
    if may_be_large(&http)
        && let Some(refusal) = state.intake.knock(token).await
    {
        return hang_up(answer(refusal));
    }
    let mut body = match read(&http, payload, &state).await {
        Ok(body) => body,
        Err(refusal) => return hang_up(refusal),
    };
    let request = Request {
        method,
        kind: kind.map(ToOwned::to_owned),
        query: http.query_string().to_owned(),
        headers: headers(&http),
        body: body.bytes(),
        peer: sender(&http, &state.trusted_proxies),
        received_at: state.clock.now(),
    };
    pass(Point::Read);
    let response = state.intake.receive(slug, token, request).await;
    pass(Point::BeforeAnswer);
    pass_later(Point::AfterAnswer);
    answer(response)
}

fn answer(response: Response) -> HttpResponse {
    match response {
        Response::NotFound => not_found(),
        Response::Unavailable => later(),
        Response::Answer(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = HttpResponse::build(status);
            if !answer.body.is_empty() {
                response.insert_header((header::CONTENT_TYPE, answer.content_type));
            }
            for (name, value) in answer.headers {
                response.insert_header((name, value));
            }
            response.body(answer.body)
        }
    }
}

fn headers(http: &HttpRequest) -> Vec<(String, String)> {
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    http.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn sender(http: &HttpRequest, trusted: &[IpNet]) -> Option<std::net::IpAddr> {
    let lines: Vec<&str> =
        http.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    super::peer::sender(http.peer_addr().map(|at| at.ip()), &lines, trusted)
}

fn no_method() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, POST")).body("GET or POST only")
}

fn later() -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "10")).body("try again later")
}

/// An answer before the body was read to its end: the connection can't be used again.
fn hang_up(mut answer: HttpResponse) -> HttpResponse {
    answer.head_mut().set_connection_type(ConnectionType::Close);
    answer
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("there is no such address; copy it anew from the integration")
}

/// The length of the body, as far as it is told.
fn told_length(http: &HttpRequest) -> Option<u64> {
    http.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// Whether the body may be larger than what does not count.
fn may_be_large(http: &HttpRequest) -> bool {
    let is_told = told_length(http).is_some_and(|told| told > INBOUND_BODY_UNCOUNTED as u64);
    is_told || http.headers().contains_key(header::TRANSFER_ENCODING)
}

/// Reads a body; bounded in size and time, and by the room that there is for all. Whoever exceeds that loses the
/// connection too.
async fn read(
    http: &HttpRequest,
    mut payload: web::Payload,
    state: &InboundState,
) -> Result<Body, HttpResponse> {
    let told = told_length(http);
    if told.is_some_and(|told| told > INBOUND_BODY_MAX as u64) {
        return Err(refusal(NoRoom::TooLarge));
    }
    let told = told.and_then(|told| usize::try_from(told).ok());
    let mut body = Body::new(Arc::clone(&state.bodies), told);
    let all = async {
        while let Some(part) = payload.next().await {
            let part = part.map_err(|_| HttpResponse::BadRequest().body("the body could not be read"))?;
            body.add(&part).map_err(refusal)?;
        }
        Ok(())
    };
    match tokio::time::timeout(state.read_timeout, all).await {
        Ok(read) => read.map(|()| body),
        Err(_) => Err(HttpResponse::RequestTimeout().body("the body did not come in time")),
    }
}

/// Lines about bodies that found no room.
static LOG: LogGate = LogGate::new();

fn refusal(why: NoRoom) -> HttpResponse {
    match why {
        NoRoom::TooLarge => {
            HttpResponse::PayloadTooLarge().body(format!("the body is larger than {INBOUND_BODY_MAX} bytes"))
        }
        NoRoom::Later => {
            metrics::counter!("kassir_intake_flood_total", "kind" => "bodies").increment(1);
            if let Some(left_out) = LOG.open() {
                tracing::warn!(
                    left_out,
                    "too many large bodies come at once; senders are told to come again"
                );
            }
            later()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        assert_eq!(pattern("/webhooks/liqpay/in_1"), Some("/webhooks/{provider}/{token}"));
        assert_eq!(pattern("/webhooks/liqpay/in_1/pay"), Some("/webhooks/{provider}/{token}/{kind}"));
        assert_eq!((pattern("/webhooksx/liqpay/in_1"), pattern("/health/live")), (None, None));
        assert_eq!(parts("/liqpay/in_1"), Some(("liqpay", "in_1", None)));
        assert_eq!(parts("/cloudpayments/in_1/pay"), Some(("cloudpayments", "in_1", Some("pay"))));
        let long = format!("/liqpay/{}", "x".repeat(TOKEN_LEN_MAX + 1));
        for path in
            ["", "/", "/liqpay", "/liqpay/", "//in_1", "/a/b/", "/a/b/c/", "/a/b/c/d", "liqpay/in_1", &long]
        {
            assert_eq!(parts(path), None, "{path}");
        }
    }
}
