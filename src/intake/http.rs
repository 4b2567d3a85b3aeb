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

/// Mounts `/webhooks/{provider}/{token}[/{kind}]`.
pub fn configure(service: &mut web::ServiceConfig, state: InboundState) {
    let resource = |path: &str| {
        web::resource(path)
            .app_data(web::Data::new(state.clone()))
            .route(web::get().to(receive))
            .route(web::post().to(receive))
            .default_service(web::to(|| async {
                HttpResponse::MethodNotAllowed()
                    .insert_header((header::ALLOW, "GET, POST"))
                    .body("GET or POST only")
            }))
    };
    service.service(resource("/webhooks/{provider}/{token}"));
    service.service(resource("/webhooks/{provider}/{token}/{kind}"));
}

async fn receive(state: web::Data<InboundState>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let body = match read(&http, payload, state.read_timeout).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let path = http.match_info();
    let (slug, token) = (path.get("provider").unwrap_or(""), path.get("token").unwrap_or(""));
    let kind = path.get("kind");
    if token.len() > TOKEN_LEN_MAX || kind.is_some_and(|kind| kind.len() > KIND_LEN_MAX) {
        return not_found();
    }
    let request = Request {
        method: if http.method() == HttpMethod::GET { Method::Get } else { Method::Post },
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
