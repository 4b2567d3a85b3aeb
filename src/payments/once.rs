//! That what moves money is done once: by which key it is known to the provider, and what is said when nobody knows
//! whether it was done.

use kassir_providers::{Failure, Fault, Money, Retry};

use super::PaymentError;
use crate::domain::payment::Payment;
use crate::store::{Conflict, Hold, StoreError};

/// The caller's `Idempotency-Key`. It is told of money that is about to move: should this process die meanwhile, a
/// repetition does not move it again.
#[derive(Clone, Debug)]
pub struct CallerKey {
    /// Whose.
    pub scope: String,
    /// The key.
    pub key: String,
    /// That it is ours: without that nothing is sent.
    pub hold: Hold,
}

/// An operation of a caller without a key: the same request again, before anything changed, is the same operation at
/// the provider.
pub(super) fn unkeyed(what: &str, payment: &Payment, amount: Option<Money>) -> String {
    let suffix = amount.map_or(0, |amount| amount.minor);
    format!("{what}-{suffix}-{}", payment.refunds.len())
}

/// An operation of a caller with a key: the same under it whatever became known meanwhile, and another under another.
pub(super) fn keyed(what: &str, CallerKey { scope, key, .. }: &CallerKey) -> String {
    format!("{what}-by-{scope}/{key}")
}

/// Nothing was left under the caller's key, and so nothing was sent.
pub(super) fn unsent(error: &StoreError) -> Failure {
    if let StoreError::Conflict(Conflict::Hold) = error {
        let why = "this request stood still for so long that its Idempotency-Key was free for another one, and the \
                   provider was not asked: look what became of the payment, or ask again with the same key";
        return Failure::never(Fault::Caller, why);
    }
    let why = format!("the provider was not asked: {error}");
    Failure { why, code: None, fault: Fault::Us, retry: Retry::Later(None) }
}

/// The provider has done it, and we could not write it down: nobody may take that for "nothing was changed".
pub(super) fn unwritten(error: &PaymentError, number: u32) -> PaymentError {
    unknown(format!("the provider's answer could not be written down: {error}"), Some(number))
}

/// Money may have moved under a caller's key whose request never came to an end; `note`: what was left under the key.
#[must_use]
pub fn broken_off(note: &str) -> PaymentError {
    unknown("the router ended while the provider was being asked".to_owned(), note.parse().ok())
}

fn unknown(why: String, number: Option<u32>) -> PaymentError {
    let failure = Failure { why, code: None, fault: Fault::Us, retry: Retry::LookUp };
    PaymentError::Provider(failure, number)
}
