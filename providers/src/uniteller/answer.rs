//! Answers: status 200 is all that counts for a notification; a state question gets one word.

use super::receive::is_state_question;
use crate::fact::State;
use crate::http::Request;
use crate::outcome::{Answer, Outcome, Refusal, RejectKind};

pub(super) fn answer(request: &Request, outcome: &Outcome<'_>) -> Answer {
    match outcome {
        Outcome::Rejected(reject) => rejected(reject.kind),
        Outcome::Busy => Answer::text(503, "TRY AGAIN"),
        Outcome::Told(state) => Answer::text(200, word(*state)),
        _ if is_state_question(request) => Answer::text(200, "NEW"),
        Outcome::Accepted | Outcome::Duplicate => Answer::text(200, "OK"),
        Outcome::Refused(Refusal::UnknownPayment | Refusal::UnknownAccount) => {
            Answer::text(404, "UNKNOWN ORDER")
        }
        Outcome::Refused(_) => Answer::text(409, "NOT ACCEPTED"),
    }
}

/// The word for an order's state. `CANCELLED` is never said: it makes Uniteller give the money back by itself, and a
/// state alone does not tell that the merchant wanted that (it may have expired, or a late payment came). Who cancels
/// through us makes Uniteller release the money by an operation of its own. `NEW` only makes Uniteller repeat its
/// notification and write to the merchant.
fn word(state: State) -> &'static str {
    match state {
        State::Succeeded | State::WaitingForCapture => "PAID",
        State::Pending | State::Canceled => "NEW",
    }
}

fn rejected(kind: RejectKind) -> Answer {
    match kind {
        RejectKind::Malformed => Answer::text(400, "MALFORMED"),
        RejectKind::MissingProof | RejectKind::WrongProof => Answer::text(403, "WRONG SIGNATURE"),
        RejectKind::ForeignSource => Answer::text(403, "FOREIGN ADDRESS"),
        RejectKind::WrongAccount => Answer::text(403, "OTHER POINT OF SALE"),
        RejectKind::Unsupported => Answer::text(400, "NOT SUPPORTED"),
    }
}
