//! Errors of the API: `application/problem+json` (RFC 9457). A problem says what is wrong, where, whose fault it is,
//! and what to do.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::{InputError, ManageError};
use crate::quiet::LogGate;
use crate::registry::RegistryError;
use crate::secrets::SecretError;
use crate::store::{Conflict, StoreError};

/// What `Retry-After` says when the store is away, seconds.
pub const RETRY_AFTER_S: u32 = 5;
/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
const TYPE_PREFIX: &str = "urn:kassir:problem:";

/// A problem: what an answer that is no success holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem: `urn:kassir:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for each problem of a kind.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// For invalid input: everything that is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<InputError>,
    /// Further headers.
    #[serde(skip)]
    headers: Vec<(HeaderName, String)>,
    /// Whether a repetition gets this again instead of trying once more.
    #[serde(skip)]
    is_final: bool,
}

/// What a handler gives.
pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// A problem of some kind.
    #[must_use]
    pub fn new(status: u16, kind: &str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("{TYPE_PREFIX}{kind}"),
            title,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            is_final: false,
        }
    }

    /// 401.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Problem {
        Problem::new(401, "unauthorized", "No valid token", detail)
            .header(WWW_AUTHENTICATE, "Bearer realm=\"kassir\"")
    }

    /// 403.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(403, "forbidden", "The token's role does not allow this", detail)
    }

    /// 404 of a record: also where it is another merchant's, so that nothing leaks.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Problem {
        let id: String = id.chars().take(60).collect();
        Problem::new(404, "not-found", "There is no such record", format!("There is no {what} {id:?}."))
    }

    /// 404 of a path.
    #[must_use]
    pub fn no_route(path: &str) -> Problem {
        let path: String = path.chars().take(200).collect();
        let detail = format!("There is nothing at {path}. The routes are listed in /api/openapi.json.");
        Problem::new(404, "no-such-route", "There is no such route", detail)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed(method: &str, allowed: &str) -> Problem {
        let detail = format!("{method} is not possible here; possible are {allowed}.");
        Problem::new(405, "method-not-allowed", "The route does not take this method", detail)
            .header(ALLOW, allowed)
    }

    /// 400: a body that is no JSON object, or a broken query string.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(400, "malformed", "The request can't be read", detail)
    }

    /// 422 (400 for a query): everything that is wrong with an input.
    #[must_use]
    pub fn invalid(status: u16, errors: Vec<InputError>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}.", one.pointer, one.detail.trim_end_matches('.')),
            several => format!("{} things are wrong with the request; see errors.", several.len()),
        };
        let mut problem = Problem::new(status, "invalid", "The request is not valid", detail);
        problem.errors = errors;
        problem
    }

    /// 422 with one error.
    #[must_use]
    pub fn invalid_at(pointer: &str, detail: impl Into<String>) -> Problem {
        Problem::invalid(422, vec![InputError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// 409.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(409, "conflict", "The record's present state does not allow this", detail)
    }

    /// 500: our fault.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(500, "internal", "Kassir failed", detail)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer to its `Idempotency-Key` for good: it may have been done, so that it must not be tried again.
    #[must_use]
    pub fn for_good(mut self) -> Problem {
        self.is_final = true;
        self
    }

    /// Whether a repetition with the same `Idempotency-Key` gets this again.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.is_final
    }

    /// As it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.as_str()));
        }
        response.body(self.text())
    }
}

/// Lines about a store that fails.
static LOG: LogGate = LogGate::new();

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Unavailable(why) => {
                if let Some(left_out) = LOG.open() {
                    tracing::warn!(%why, left_out, "the store is not available to the API");
                }
                let detail = "The store can't be reached or can't write now; nothing was changed. It is not your \
                              request's fault: try again.";
                Problem::new(503, "store-unavailable", "The store is not available", detail)
                    .header(RETRY_AFTER, RETRY_AFTER_S.to_string())
            }
            StoreError::Conflict(Conflict::Leaving) => Problem::conflict(
                "A merchant with this id was deleted, and its records are still being removed, which takes minutes. \
                 Try again later."
                    .to_owned(),
            ),
            StoreError::Conflict(conflict) => Problem::conflict(format!(
                "Somebody else was faster: {conflict}. Load it again, then try again."
            )),
            StoreError::NotFound(what) => {
                Problem::new(404, "not-found", "There is no such record", format!("There is no such {what}."))
            }
            StoreError::Limit(why) => Problem::new(422, "limit", "A limit of the store is reached", why),
            why @ (StoreError::Corrupt(_) | StoreError::Unusable(_) | StoreError::Taken { .. }) => {
                if let Some(left_out) = LOG.open() {
                    tracing::error!(%why, left_out, "the store failed under the API");
                }
                Problem::internal("The store failed; the log says why. The operator has to look at it.")
            }
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Problem {
        match error {
            RegistryError::Store(error) => error.into(),
            RegistryError::Credential { .. } => {
                tracing::error!(%error, "a stored credential does not open");
                Problem::internal(format!("{error}. The operator has to restore the master key."))
            }
        }
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Problem {
        tracing::error!(%error, "a secret could not be sealed or opened");
        Problem::internal(format!("{error}. The operator has to look at it."))
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Problem {
        match error {
            ManageError::Invalid(errors) => Problem::invalid(422, errors),
            ManageError::NotFound { what, id } => Problem::not_found(what, &id),
            ManageError::NotNow(detail) => Problem::conflict(detail),
            ManageError::Limit(detail) => Problem::new(422, "limit", "A limit is reached", detail),
            ManageError::Store(error) => error.into(),
            ManageError::Registry(error) => error.into(),
            ManageError::Secret(error) => error.into(),
        }
    }
}
