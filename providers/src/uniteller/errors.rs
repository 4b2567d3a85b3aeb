//! Uniteller's error codes, in words, with whose fault and whether to try again.

use super::xml::{Answer, Row};
use crate::http::Reply;
use crate::operation::{Failure, Fault, Retry};

/// Whether repeating a call may do the thing twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Reads,
    /// It moves money.
    Writes,
}

/// `results` refuses more than one request in so many milliseconds.
pub(super) const CALL_GAP_MS: u32 = 5000;

/// What an error code of `unblock`, `confirm`, `recurrent` or of the fiscal calls means. The codes of the fiscal calls
/// (50 and above) say that the cash register failed.
pub(super) fn of_code(code: &str, words: &str) -> Failure {
    let words: String = words.chars().take(300).collect();
    let never = |fault, why: String| Failure::never(fault, why);
    let failure = match code {
        "1" => never(Fault::Merchant, format!("Uniteller refused login or password: {words}")),
        "2" => {
            never(Fault::Merchant, format!("Uniteller refused the signature: check the password ({words})"))
        }
        "3" | "5" | "10" => never(Fault::Us, format!("Uniteller refused a parameter: {words}")),
        "4" => never(Fault::Caller, format!("Uniteller has no such paid order: {words}")),
        "15" => look_up(format!("Uniteller says that the operation failed: {words}")),
        "16" => never(Fault::Caller, format!("the order was canceled before: {words}")),
        "17" => never(Fault::Caller, format!("the acquirer does not allow to give this money back: {words}")),
        "18" => never(Fault::Caller, format!("this order can't be captured: {words}")),
        "19" => never(Fault::Caller, format!("it is too late to capture this order: {words}")),
        "22" => never(
            Fault::Merchant,
            format!("recurrent payments are not switched on: ask Uniteller's staff ({words})"),
        ),
        "23" | "26" => never(Fault::Caller, format!("the first payment can't be charged again: {words}")),
        "24" => look_up(format!("an order of this number exists already: {words}")),
        "25" => never(Fault::Caller, format!("no such point of sale, customer or card: {words}")),
        "27" => never(Fault::Caller, format!("the card is blocked for good; never charge it again: {words}")),
        "28" => look_up(format!("the bank's answer is not known; do not charge again: {words}")),
        "35" => never(Fault::Caller, format!("the acquirer gives back whole payments only: {words}")),
        "50" | "51" | "53" | "54" => look_up(format!("the cash register failed: {words}")),
        _ => never(Fault::Caller, format!("Uniteller refused: {words}")),
    };
    failure.code(code)
}

/// `Response_Code` of a card attempt that did not work, in words.
pub(super) fn of_response(code: &str) -> &'static str {
    match code {
        "AS100" => "declined",
        "AS101" => "wrong card number",
        "AS102" => "not enough money",
        "AS104" => "the card has expired",
        "AS105" => "over the limit of the card",
        "AS107" => "wrong data",
        "AS108" => "suspicion of fraud",
        "AS109" => "too many operations",
        "AS110" => "no such subscription",
        "AS111" => "over the limit of the sum (SBP)",
        "AS112" => "over the limit of the count (SBP)",
        "AS113" => "category forbidden",
        "AS114" => "account blocked",
        "AS115" => "account closed",
        "AS116" => "forbidden by law",
        "AS200" => "repeat the authorisation",
        "AS998" => "system error: ask Uniteller",
        _ => "not authorised",
    }
}

/// The error that an answer's text carries: `ERROR: …`, in whatever format was asked for.
pub(super) fn of_text(reply: &Reply) -> Option<Failure> {
    let text =
        String::from_utf8_lossy(reply.body.get(..400.min(reply.body.len())).unwrap_or(&[])).into_owned();
    let words = text.trim_start_matches('\u{feff}').trim().strip_prefix("ERROR:")?.trim();
    if words.to_ascii_lowercase().contains("authentication") {
        let why = format!("Uniteller refused shop_id, login or password: {words}");
        return Some(Failure::never(Fault::Merchant, why));
    }
    Some(Failure::never(Fault::Caller, format!("Uniteller refused: {words}")))
}

/// The error in an XML answer: `firstcode` and `secondcode`, or `Result`/`ErrorCode` of the fiscal calls.
pub(super) fn of_answer(answer: &Answer) -> Option<Failure> {
    let beside = &answer.beside;
    let code = beside
        .get("firstcode")
        .or_else(|| beside.get("errorcode"))
        .or_else(|| beside.get("result"))
        .filter(|code| *code != "0")?;
    let words = beside.get("secondcode").or_else(|| beside.get("errormessage")).unwrap_or("");
    Some(of_code(code, words))
}

/// The error in a row: the attempt was declined.
pub(super) fn of_row(row: &Row) -> Option<Failure> {
    let code = row.get("response_code").filter(|code| *code != "AS000")?;
    Some(Failure::never(Fault::Caller, declined(row, code)).code(code))
}

/// A declined attempt in words. `F01` in any of its texts: the series is to be begun anew.
pub(super) fn declined(row: &Row, code: &str) -> String {
    let words = row.get("message").or_else(|| row.get("recommendation")).unwrap_or("");
    let stop = row.0.iter().any(|(_, value)| value.trim() == "F01");
    let stop = if stop { "; F01: stop charging and let the payer pay anew" } else { "" };
    format!("{code}: {} {words}{stop}", of_response(code)).trim().to_owned()
}

/// An answer that can't be read.
pub(super) fn unclear(reply: &Reply, effect: Effect) -> Failure {
    let words = format!("Uniteller's answer (status {}) can't be read", reply.status);
    match effect {
        Effect::Reads if reply.status == 429 => Failure {
            retry: Retry::Later(Some(u64::from(CALL_GAP_MS))),
            ..Failure::later("Uniteller was asked too often")
        },
        Effect::Reads => {
            Failure { retry: Retry::Later(Some(u64::from(CALL_GAP_MS))), ..Failure::later(words) }
        }
        Effect::Writes => look_up(format!("{words}; whether it was done is not known")),
    }
}

fn look_up(why: String) -> Failure {
    Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp }
}
