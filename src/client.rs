//! A client of the REST API, for the commands that talk to a running router.

use std::time::Duration;

use kassir_providers::{Method, Secret};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::{Clock as _, SystemClock};
use crate::delivery::judge;
use crate::delivery::outbound::{Outbound, OutboundConfig, OutboundRequest, Outcome};

/// Longest wait for an answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read, bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Answers of a router, or of a gateway before it, that can't just now.
const AWAY_STATUSES: [u16; 4] = [429, 502, 503, 504];
/// Pause while the router is away and does not say for how long.
const AWAY: Duration = Duration::from_secs(2);
/// Shortest pause that a `Retry-After` makes.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause that a `Retry-After` makes.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What went wrong, in words for the person who gave the command.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no router answers at {url}: {why}. Start one with `kassir serve`, or name another with --url")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// It was asked, and did not answer: what was asked for may have been done.
    #[error("the router at {url} did not answer: {why}")]
    Unanswered {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// The router refused.
    #[error("{status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem's words.
        detail: String,
        /// What is wrong in the input: pointers and words.
        errors: Vec<(String, String)>,
        /// How long it asks to wait (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// It is no router.
    #[error("{0}")]
    Strange(String),
}

impl ClientError {
    /// How long to wait before asking again, where that is right: nobody answers, or the router or a gateway before it
    /// says that it can't just now, as while the router is restarted.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        match self {
            ClientError::Unreachable { .. } | ClientError::Unanswered { .. } => Some(AWAY),
            ClientError::Refused { status, retry_after, .. } if AWAY_STATUSES.contains(status) => {
                Some(retry_after.unwrap_or(AWAY).clamp(PAUSE_MIN, PAUSE_MAX))
            }
            _ => None,
        }
    }
}

/// A client of one router with one token.
pub struct Client {
    outbound: Outbound,
    url: String,
    token: Secret,
}

/// A client for addresses of a person's own choice: no network is forbidden, plain http is fine.
///
/// # Errors
/// When no HTTP client can be made on this machine.
pub fn unguarded() -> Result<Outbound, ClientError> {
    let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    let config = OutboundConfig {
        allow_networks: everywhere,
        allow_http: true,
        timeout: TIMEOUT,
        ..OutboundConfig::default()
    };
    Outbound::build(&config).map_err(|error| ClientError::Strange(error.to_string()))
}

impl Client {
    /// A client of the router at `url` (`http://127.0.0.1:8080`).
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(url: &str, token: Secret) -> Result<Client, ClientError> {
        Ok(Client { outbound: unguarded()?, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// GETs a path below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(Method::Get, path, None).await
    }

    /// GETs a path below `/api/v1` and reads its answer, members kept to the byte where `T` asks for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let outcome = self.outbound.send(self.request(Method::Get, path, None)).await;
        if outcome.status != Some(200) {
            self.answer(&outcome)?;
        }
        self.complete(&outcome)?;
        serde_json::from_slice(&outcome.body)
            .map_err(|error| ClientError::Strange(format!("{}{path}: {error}", self.url)))
    }

    /// POSTs JSON to a path below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::Post, path, Some(body)).await
    }

    /// PATCHes JSON to a path below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::Patch, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        self.answer(&self.outbound.send(self.request(method, path, body)).await)
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> OutboundRequest {
        OutboundRequest {
            method,
            url: format!("{}/api/v1{path}", self.url),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {}", self.token.expose())),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
            timeout: None,
            response_max: ANSWER_MAX,
        }
    }

    fn answer(&self, outcome: &Outcome) -> Result<Value, ClientError> {
        let Some(status) = outcome.status else { return Err(self.no_answer(outcome)) };
        if (200..300).contains(&status) {
            return self.content(outcome);
        }
        let value: Option<Value> = serde_json::from_slice(&outcome.body).ok();
        let errors = errors(value.as_ref());
        let detail = problem(value.as_ref(), &errors);
        Err(ClientError::Refused { status, detail, errors, retry_after: retry_after(outcome) })
    }
}

impl Client {
    fn no_answer(&self, outcome: &Outcome) -> ClientError {
        let (url, failure) = (self.url.clone(), outcome.failure.as_ref());
        let why = failure.map_or_else(String::new, ToString::to_string);
        let may_have_arrived =
            outcome.sent_again || failure.is_none_or(|failure| failure.kind.may_have_arrived());
        if may_have_arrived {
            ClientError::Unanswered { url, why }
        } else {
            ClientError::Unreachable { url, why }
        }
    }

    /// What a success says; an empty one says nothing.
    fn content(&self, outcome: &Outcome) -> Result<Value, ClientError> {
        self.complete(outcome)?;
        if outcome.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&outcome.body).map_err(|error| self.unread(&format!("is no JSON ({error})")))
    }

    /// Half an answer must not pass for one.
    fn complete(&self, outcome: &Outcome) -> Result<(), ClientError> {
        match &outcome.failure {
            Some(failure) => Err(self.unread(&format!("broke off ({failure})"))),
            None if outcome.truncated => Err(self.unread(&format!("is longer than {ANSWER_MAX} bytes"))),
            None => Ok(()),
        }
    }

    fn unread(&self, what: &str) -> ClientError {
        let url = &self.url;
        ClientError::Strange(format!(
            "the answer of {url} can't be used: it {what}. A change that was asked for may have been made"
        ))
    }
}

fn retry_after(outcome: &Outcome) -> Option<Duration> {
    let now = SystemClock.now();
    let wait = judge::retry_after(outcome, now)?.saturating_sub(now);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

/// The words of an answer that should be a problem.
pub(crate) fn problem_words(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    problem(value.as_ref(), &errors(value.as_ref()))
}

/// The words of a problem (RFC 9457), with those of its single errors.
fn problem(value: Option<&Value>, errors: &[(String, String)]) -> String {
    let Some(value) = value else { return "no words were given".to_owned() };
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let detail = if text("detail").is_empty() { text("title") } else { text("detail") };
    let errors = errors.iter().map(|(pointer, detail)| format!("\n  {pointer}: {detail}"));
    format!("{detail}{}", errors.collect::<String>())
}

fn errors(value: Option<&Value>) -> Vec<(String, String)> {
    let errors = value.and_then(|value| value.get("errors")?.as_array()).into_iter().flatten();
    let part = |error: &Value, name: &str| error.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    errors.map(|error| (part(error, "pointer"), part(error, "detail"))).collect()
}
