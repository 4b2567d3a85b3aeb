//! Health and metrics.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::state::ApiState;

/// A probe's answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

fn ok() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Health { status: "ok" })
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "live", security(()),
    responses((status = 200, body = Health)))]
pub async fn live() -> HttpResponse {
    ok()
}

/// Whether a notification could be kept now: makes a durable write. 503 when it could not.
///
/// # Errors
/// 503.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "ready", security(()),
    responses((status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn ready(state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    match state.manage.store.ready().await {
        Ok(()) => Ok(ok()),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let detail = "A notification could not be kept now: the store can't write. Providers are told to come again.";
            Err(Problem::new(503, "not-ready", "Not ready", detail)
                .header(actix_web::http::header::RETRY_AFTER, super::problem::RETRY_AFTER_S.to_string()))
        }
    }
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body((state.metrics)())
}
