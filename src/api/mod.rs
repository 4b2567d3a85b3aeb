//! The REST API: one file per resource, handlers that only read a request, ask `manage` or the store, and show the
//! result. Every route is one line of [`routes`]; the OpenAPI document describes each of them, and a test compares
//! the two.

mod audit;
pub mod auth;
mod context;
mod deliveries;
mod endpoints;
mod events;
mod explain;
mod health;
mod idempotency;
mod integrations;
mod merchants;
mod notifications;
pub mod openapi;
mod params;
mod payments;
pub mod problem;
mod providers;
mod replays;
mod reply;
pub mod schema;
mod state;
mod stats;
mod stream;
mod tokens;
mod transfer;
mod tries;

use actix_web::{HttpRequest, HttpResponse, Route, web};
use utoipa_swagger_ui::SwaggerUi;

pub use problem::Problem;
pub use state::{ApiState, RenderMetrics, TryOut, TryRefusal, TryResult};

use crate::limits;

/// A path and what it takes, by method.
pub struct Routes {
    /// With `{m}` for the merchant and `{id}` for a record of it.
    pub path: &'static str,
    /// Methods and their handlers.
    pub methods: Vec<(&'static str, Route)>,
    /// Largest body, bytes.
    pub body_max: usize,
}

impl Routes {
    fn taking(self, body_max: usize) -> Routes {
        Routes { body_max, ..self }
    }
}

fn at<const N: usize>(path: &'static str, methods: [(&'static str, Route); N]) -> Routes {
    Routes { path, methods: methods.into(), body_max: limits::API_BODY_MAX }
}

/// Every route.
#[must_use]
#[rustfmt::skip] // one a line
pub fn routes() -> Vec<Routes> {
    let get = || web::get();
    let post = || web::post();
    let patch = || web::patch();
    let delete = || web::delete();
    vec![
        at("/health/live", [("GET", get().to(health::live))]),
        at("/health/ready", [("GET", get().to(health::ready))]),
        at("/metrics", [("GET", get().to(health::metrics))]),
        at("/api/v1/providers", [("GET", get().to(providers::list))]),
        at("/api/v1/audit", [("GET", get().to(audit::list))]),
        at("/api/v1/audit/export", [("GET", get().to(audit::export))]),
        at("/api/v1/tokens", [("GET", get().to(tokens::list)), ("POST", post().to(tokens::create))]),
        at("/api/v1/tokens/{id}", [("DELETE", delete().to(tokens::delete))]),
        at("/api/v1/merchants", [("GET", get().to(merchants::list)), ("POST", post().to(merchants::create))]),
        at("/api/v1/merchants/{m}", [("GET", get().to(merchants::show)), ("PATCH", patch().to(merchants::update)), ("DELETE", delete().to(merchants::delete))]),
        at("/api/v1/merchants/{m}/export", [("GET", get().to(transfer::export_merchant))]),
        at("/api/v1/import", [("POST", post().to(transfer::import_merchant))]).taking(limits::IMPORT_BODY_MAX),
        at("/api/v1/merchants/{m}/stats", [("GET", get().to(stats::show))]),
        at("/api/v1/merchants/{m}/integrations", [("GET", get().to(integrations::list)), ("POST", post().to(integrations::create))]),
        at("/api/v1/merchants/{m}/integrations/{id}", [("GET", get().to(integrations::show)), ("PATCH", patch().to(integrations::update)), ("DELETE", delete().to(integrations::delete))]),
        at("/api/v1/merchants/{m}/integrations/{id}/try", [("POST", post().to(tries::try_request))]),
        at("/api/v1/merchants/{m}/integrations/{id}/explain", [("POST", post().to(explain::saved))]),
        at("/api/v1/merchants/{m}/generic/explain", [("POST", post().to(explain::draft))]),
        at("/api/v1/merchants/{m}/integrations/{id}/rotate-token", [("POST", post().to(integrations::rotate_token))]),
        at("/api/v1/merchants/{m}/endpoints", [("GET", get().to(endpoints::list)), ("POST", post().to(endpoints::create))]),
        at("/api/v1/merchants/{m}/endpoints/{id}", [("GET", get().to(endpoints::show)), ("PATCH", patch().to(endpoints::update)), ("DELETE", delete().to(endpoints::delete))]),
        at("/api/v1/merchants/{m}/endpoints/{id}/rotate-secret", [("POST", post().to(endpoints::rotate_secret))]),
        at("/api/v1/merchants/{m}/endpoints/{id}/test", [("POST", post().to(endpoints::test))]),
        at("/api/v1/merchants/{m}/payments", [("GET", get().to(payments::list)), ("POST", post().to(payments::create))]),
        at("/api/v1/merchants/{m}/payments/{id}", [("GET", get().to(payments::show))]),
        at("/api/v1/merchants/{m}/payments/{id}/capture", [("POST", post().to(payments::capture))]),
        at("/api/v1/merchants/{m}/payments/{id}/cancel", [("POST", post().to(payments::cancel))]),
        at("/api/v1/merchants/{m}/payments/{id}/refund", [("POST", post().to(payments::refund))]),
        at("/api/v1/merchants/{m}/events", [("GET", get().to(events::list))]),
        at("/api/v1/merchants/{m}/events/stream", [("GET", get().to(stream::stream))]),
        at("/api/v1/merchants/{m}/events/{id}", [("GET", get().to(events::show))]),
        at("/api/v1/merchants/{m}/deliveries", [("GET", get().to(deliveries::list))]),
        at("/api/v1/merchants/{m}/deliveries/{id}", [("GET", get().to(deliveries::show))]),
        at("/api/v1/merchants/{m}/deliveries/{id}/replay", [("POST", post().to(deliveries::replay))]),
        at("/api/v1/merchants/{m}/replays", [("GET", get().to(replays::list)), ("POST", post().to(replays::create))]),
        at("/api/v1/merchants/{m}/replays/{id}", [("GET", get().to(replays::show))]),
        at("/api/v1/merchants/{m}/replays/{id}/cancel", [("POST", post().to(replays::cancel))]),
        at("/api/v1/merchants/{m}/notifications", [("GET", get().to(notifications::list))]),
        at("/api/v1/merchants/{m}/notifications/{id}", [("GET", get().to(notifications::show))]),
    ]
}

/// Puts the API, its documentation, health and metrics into an application.
pub fn configure(config: &mut web::ServiceConfig, state: ApiState) {
    config.app_data(web::Data::new(state));
    let docs = <openapi::Document as utoipa::OpenApi>::openapi();
    config.service(web::redirect("/api/docs", "/api/docs/"));
    config.service(SwaggerUi::new("/api/docs/{_:.*}").url("/api/openapi.json", docs));
    for Routes { path, methods, body_max } in routes() {
        let allowed = methods.iter().map(|(method, _)| *method).collect::<Vec<_>>().join(", ");
        let mut resource = web::resource(path).app_data(web::PayloadConfig::new(body_max));
        resource = resource.app_data(context::BodyMax(body_max));
        for (_, route) in methods {
            resource = resource.route(route);
        }
        let refuse = move |request: HttpRequest| {
            let problem = Problem::method_not_allowed(request.method().as_str(), &allowed);
            async move { Err::<HttpResponse, Problem>(problem) }
        };
        config.service(resource.default_service(web::to(refuse)));
    }
    config.service(web::scope("/api").default_service(web::to(no_route)));
}

/// Answers whatever has no route.
///
/// # Errors
/// Always: 404.
pub async fn no_route(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::no_route(request.path()))
}
