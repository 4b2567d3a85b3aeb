//! The inbound URL on actix-web.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method as HttpMethod, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use kassir_providers::{Method, Request};

use super::{Intake, Response};
use crate::clock::SharedClock;
use crate::fail_point::{Point, pass, pass_later};
use crate::limits::INBOUND_BODY_MAX;

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
    let body = match read(&http, payload, state.read_timeout).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let request = Request {
        method,
        kind: kind.map(ToOwned::to_owned),
        query: http.query_string().to_owned(),
        headers: headers(&http),
        body: body.to_vec(),
        peer: sender(&http, &state.trusted_proxies),
        received_at: state.clock.now(),
    };
    pass(Point::Read);
    let response = state.intake.receive(slug, token, request).await;
    pass(Point::BeforeAnswer);
    pass_later(Point::AfterAnswer);
    match response {
        Response::NotFound => not_found(),
        Response::Unavailable => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "10"))
            .body("try again later"),
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

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("there is no such address; copy it anew from the integration")
}

/// Reads a body; bounded in size and time. Whoever exceeds that loses the connection too.
async fn read(
    http: &HttpRequest,
    payload: web::Payload,
    within: Duration,
) -> Result<web::Bytes, HttpResponse> {
    let too_large = || {
        HttpResponse::PayloadTooLarge()
            .force_close()
            .body(format!("the body is larger than {INBOUND_BODY_MAX} bytes"))
    };
    let told = http.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if told.is_some_and(|told: u64| told > INBOUND_BODY_MAX as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(within, payload.to_bytes_limited(INBOUND_BODY_MAX)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(HttpResponse::BadRequest().force_close().body("the body could not be read")),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(HttpResponse::RequestTimeout().force_close().body("the body did not come in time")),
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
