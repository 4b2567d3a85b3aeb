//! `Idempotency-Key`: a creation that is sent twice happens once, and gets the same answer twice. So does one of which
//! nobody knows whether it was done. Answers may hold a new secret, so they are kept sealed.

use std::future::Future;

use kassir_providers::digest::Hash;

use super::context::{Body, Context};
use super::problem::{Problem, Result};
use super::reply::Reply;
use crate::domain::Sealed;
use crate::payments::{CallerKey, broken_off};
use crate::store::Idempotency;

/// Longest key, characters.
const KEY_MAX: usize = 255;
/// How long a request may take before its key is free again, milliseconds.
const HOLD_MS: u64 = 120_000;

/// Does a creation, once per key. It goes on to its end even when the caller hangs up, so that nothing stays half
/// done.
///
/// # Errors
/// 400 for a malformed key, 409 while the first request is under way, 422 for a key that was used for another
/// request, and what the creation itself says.
pub async fn once<Done>(context: &Context, body: &Body, work: Done) -> Result<Reply>
where
    Done: Future<Output = Result<Reply>> + Send + 'static,
{
    once_held(context, body, |_| work).await
}

/// The same for what moves money, which leaves a note under the key before it does.
///
/// # Errors
/// As there.
pub async fn once_held<Work, Done>(context: &Context, body: &Body, work: Work) -> Result<Reply>
where
    Work: FnOnce(Option<CallerKey>) -> Done + Send + 'static,
    Done: Future<Output = Result<Reply>> + Send + 'static,
{
    let context = context.clone();
    let fingerprint = Hash::Sha256.hex(&[context.route.as_bytes(), b"\n", &body.0].concat());
    to_the_end(async move {
        match context.idempotency_key.clone() {
            Some(key) => keyed(&context, key, &fingerprint, work).await,
            None => work(None).await,
        }
    })
    .await
}

/// Does a change to its end even when the caller hangs up: between its steps something would stay half done.
///
/// # Errors
/// What the change itself says.
pub async fn to_the_end(work: impl Future<Output = Result<Reply>> + Send + 'static) -> Result<Reply> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler of the API ended early");
        Err(Problem::internal("The request was broken off; look up what became of it before trying again."))
    })
}

async fn keyed<Done: Future<Output = Result<Reply>>>(
    context: &Context,
    key: String,
    fingerprint: &str,
    work: impl FnOnce(Option<CallerKey>) -> Done,
) -> Result<Reply> {
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("Idempotency-Key must be 1 to {KEY_MAX} printable characters without spaces.");
        return Err(Problem::malformed(detail));
    }
    let (store, scope) = (context.store(), context.caller.scope());
    let owner = format!("idempotency/{scope}/{key}");
    let hold = match store.idempotency_begin(&scope, &key, fingerprint, HOLD_MS).await? {
        Idempotency::Fresh(hold) => hold,
        Idempotency::Running => return Err(running()),
        Idempotency::Mismatch => return Err(mismatch()),
        Idempotency::BrokenOff { note } => return Err(broken_off(&note).into()),
        Idempotency::Done { status, body } => {
            let body = context.manage().vault.open(&owner, &Sealed(body))?;
            return Ok(Reply { status, body: body.expose().to_owned(), replayed: true });
        }
    };
    let done = work(Some(CallerKey { scope: scope.clone(), key: key.clone(), hold })).await;
    let answer = match &done {
        Ok(reply) => Some((reply.status, context.manage().vault.seal(&owner, &reply.body)?.0)),
        // It may have been done: under this key it is not tried again.
        Err(problem) if problem.is_for_good() => {
            Some((problem.status, context.manage().vault.seal(&owner, &problem.text())?.0))
        }
        // What else failed was not done, and may be tried again under the same key.
        Err(_) => None,
    };
    if let Err(error) = store.idempotency_finish(&scope, &key, hold, answer).await {
        tracing::warn!(%error, "the answer to an idempotency key could not be kept");
    }
    done
}

fn running() -> Problem {
    let detail = "The first request with this Idempotency-Key is still under way. Ask again in a moment.";
    Problem::new(409, "idempotency-running", "The first request is still under way", detail)
        .header(actix_web::http::header::RETRY_AFTER, "1")
}

fn mismatch() -> Problem {
    let detail =
        "This Idempotency-Key was used for another request (another path, query or body). Take a new key.";
    Problem::new(422, "idempotency-mismatch", "The key belongs to another request", detail)
}
