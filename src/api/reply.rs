//! Answers that succeed.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ContentType, HeaderName};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use super::params::cursor;
use super::problem::MEDIA_TYPE;
use crate::store::Listed;

/// Says that an answer was given before to the same `Idempotency-Key`.
pub const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON; empty for 204.
    pub body: String,
    /// Whether it was given before.
    pub replayed: bool,
}

impl Reply {
    /// An answer with this status.
    pub fn json(status: u16, view: &impl Serialize) -> Reply {
        Reply { status, body: serde_json::to_string(view).unwrap_or_default(), replayed: false }
    }

    /// 200.
    pub fn ok(view: &impl Serialize) -> Reply {
        Reply::json(200, view)
    }

    /// 204.
    #[must_use]
    pub fn nothing() -> Reply {
        Reply { status: 204, body: String::new(), replayed: false }
    }

    /// A page of a list.
    pub fn list<Row, View: Serialize>(listed: Listed<Row>, view: impl FnMut(Row) -> View) -> Reply {
        Reply::ok(&List {
            data: listed.rows.into_iter().map(view).collect(),
            next_cursor: listed.next.as_deref().map(cursor),
        })
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        if self.replayed {
            response.insert_header((REPLAYED_HEADER, "true"));
        }
        if self.body.is_empty() {
            return response.finish();
        }
        // An answer that was kept may be a problem.
        if status.is_success() {
            response.insert_header(ContentType::json());
        } else {
            response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        }
        response.body(self.body)
    }
}

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The rows.
    pub data: Vec<T>,
    /// `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}
