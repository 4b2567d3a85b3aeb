//! What a handler gets of a request: who asks, the path's parts, the query, the body.

use std::str::FromStr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::auth::{Caller, Need};
use super::params::Params;
use super::problem::{Problem, Result};
use super::state::ApiState;
use crate::limits;
use crate::manage::{Manager, Members};
use crate::registry::MerchantView;
use crate::store::Store;

/// A request by somebody who is known.
#[derive(Clone)]
pub struct Context {
    /// What handlers need.
    pub state: ApiState,
    /// Who asks.
    pub caller: Caller,
    /// Method, path and query, for idempotency keys.
    pub route: String,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    query: String,
    parts: Vec<(String, String)>,
}

impl Context {
    /// The manager.
    #[must_use]
    pub fn manage(&self) -> &Manager {
        &self.state.manage
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.state.manage.store.as_ref()
    }

    /// A part of the path.
    #[must_use]
    pub fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The part `{id}` of the path.
    ///
    /// # Errors
    /// 404 when it is no such id.
    pub fn id<T: FromStr>(&self, what: &str) -> Result<T> {
        self.part("id").parse().map_err(|_| Problem::not_found(what, self.part("id")))
    }

    /// The merchant of the path, entered.
    ///
    /// # Errors
    /// 404, 403.
    pub async fn merchant(&self, need: Need) -> Result<Arc<MerchantView>> {
        self.caller.enter(&self.state, self.part("m"), need).await
    }

    /// The query's parameters.
    ///
    /// # Errors
    /// 400.
    pub fn params(&self) -> Result<Params> {
        Params::parse(&self.query)
    }

    /// There must be no query.
    ///
    /// # Errors
    /// 400 with the unknown parameters.
    pub fn no_params(&self) -> Result<()> {
        self.params()?.finish()
    }
}

impl FromRequest for Context {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Context>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request
                .app_data::<web::Data<ApiState>>()
                .map(|state| ApiState::clone(state))
                .ok_or_else(|| Problem::internal("The API is not set up."))?;
            let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or(""));
            let caller = Caller::identify(&state, header(AUTHORIZATION.as_str())).await?;
            let parts = request.match_info().iter();
            Ok(Context {
                state,
                caller,
                route: route(&request),
                idempotency_key: header("idempotency-key").map(str::to_owned),
                query: request.query_string().to_owned(),
                parts: parts.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            })
        })
    }
}

/// Method and path, and the query if there is one: `?dry_run=true` is another request than none.
fn route(request: &HttpRequest) -> String {
    let mark = if request.query_string().is_empty() { "" } else { "?" };
    format!("{} {}{mark}{}", request.method(), request.path(), request.query_string())
}

/// Largest body of a route, bytes.
pub struct BodyMax(pub usize);

/// The body of a request, whole.
#[derive(Clone)]
pub struct Body(pub web::Bytes);

impl Body {
    /// Its members.
    ///
    /// # Errors
    /// 400.
    pub fn members(&self) -> Result<Members> {
        Members::parse(&self.0).map_err(Problem::malformed)
    }
}

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Body>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let media_type =
            request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("").to_owned());
        let most = request.app_data::<BodyMax>().map_or(limits::API_BODY_MAX, |most| most.0);
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| unread(&error, most))?;
            match media_type {
                Some(found) if !bytes.is_empty() && !is_json(&found) => Err(wrong_media_type(&found)),
                _ => Ok(Body(bytes)),
            }
        })
    }
}

fn is_json(media_type: &str) -> bool {
    let word = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    word == "application/json" || (word.starts_with("application/") && word.ends_with("+json"))
}

fn wrong_media_type(found: &str) -> Problem {
    let found: String = found.chars().take(100).collect();
    let detail = format!("The body must be sent with Content-Type: application/json, not {found:?}.");
    Problem::new(415, "unsupported-media-type", "The body is not JSON", detail)
}

fn unread(error: &actix_web::Error, max: usize) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Problem::new(
            413,
            "too-large",
            "The body is too large",
            format!("It may have at most {max} bytes."),
        ),
        _ => Problem::malformed("The body did not arrive whole."),
    }
}
