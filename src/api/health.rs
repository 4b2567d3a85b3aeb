//! Health and metrics.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, RETRY_AFTER_S};
use super::state::ApiState;
use crate::keeping::Fault;
use crate::quiet::LogGate;

/// Anybody may ask as often as he likes.
static LOG: LogGate = LogGate::new();

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

/// Whether a notification could be kept now: makes a durable write, and looks at what became of the last notification
/// here. 503 when that write fails, or when the last notification of the last 30 seconds could not be kept through a
/// fault of the router or its store.
///
/// # Errors
/// 503.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "ready", security(()),
    responses((status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub async fn ready(state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    if let Err(error) = state.manage.store.ready().await {
        if let Some(left_out) = LOG.open() {
            tracing::warn!(%error, left_out, "not ready");
        }
        return Err(not_ready("A notification could not be kept now: the store can't write."));
    }
    match state.keeping.fault(state.manage.clock.now()) {
        None => Ok(ok()),
        Some(fault) => {
            if let Some(left_out) = LOG.open() {
                tracing::warn!(?fault, left_out, "not ready: the last notification could not be kept");
            }
            Err(not_ready(words(fault)))
        }
    }
}

const fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Store => {
            "The last notification could not be kept: the store failed on it or took too long, though it can write \
             otherwise. The log says why."
        }
        Fault::Secret => {
            "The last notification could not be kept: a stored credential does not open under this master key. The \
             log says whose."
        }
    }
}

fn not_ready(why: &str) -> Problem {
    let detail = format!("{why} Providers are told to come again.");
    Problem::new(503, "not-ready", "Not ready", detail).header(RETRY_AFTER, RETRY_AFTER_S.to_string())
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body((state.metrics)())
}
