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
    let context = context.clone();
    let fingerprint = Hash::Sha256.hex(&[context.route.as_bytes(), b"\n", &body.0].concat());
    to_the_end(async move {
        match context.caller_key() {
            Some(caller) => keyed(&context, &caller, &fingerprint, work).await,
            None => work.await,
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

async fn keyed(
    context: &Context,
    CallerKey { scope, key }: &CallerKey,
    fingerprint: &str,
    work: impl Future<Output = Result<Reply>>,
) -> Result<Reply> {
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("Idempotency-Key must be 1 to {KEY_MAX} printable characters without spaces.");
        return Err(Problem::malformed(detail));
    }
    let store = context.store();
    match store.idempotency_begin(scope, key, fingerprint, HOLD_MS).await? {
        Idempotency::Fresh => {}
        Idempotency::Running => return Err(running()),
        Idempotency::Mismatch => return Err(mismatch()),
        Idempotency::BrokenOff { note } => return Err(broken_off(&note).into()),
        Idempotency::Done { status, body } => {
            let body = context.manage().vault.open(&owner(scope, key), &Sealed(body))?;
            return Ok(Reply { status, body: body.expose().to_owned(), replayed: true });
        }
    }
    let done = work.await;
    let answer = match &done {
        Ok(reply) => Some((reply.status, context.manage().vault.seal(&owner(scope, key), &reply.body)?.0)),
        // It may have been done: under this key it is not tried again.
        Err(problem) if problem.is_for_good() => {
            Some((problem.status, context.manage().vault.seal(&owner(scope, key), &problem.text())?.0))
        }
        // What else failed was not done, and may be tried again under the same key.
        Err(_) => None,
    };
    if let Err(error) = store.idempotency_finish(scope, key, answer).await {
        tracing::warn!(%error, "the answer to an idempotency key could not be kept");
    }
    done
}

fn owner(scope: &str, key: &str) -> String {
    format!("idempotency/{scope}/{key}")
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
