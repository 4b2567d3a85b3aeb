//! A transaction, the same in notifications and answers, and the state table.

use serde_json::Value;

use super::amount::{self, AmountError};
use crate::date::iso_8601;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::json;
use crate::money::Money;

/// Longest uid, bytes.
const UID_LEN_MAX: usize = 64;
/// Longest order number that is read, bytes.
const TRACKING_LEN_MAX: usize = 255;
/// Longest message of the provider that is shown, characters.
const MESSAGE_LEN_MAX: usize = 200;

/// Whether a text can stand in a path.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=UID_LEN_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// A member that is a uid.
pub(super) fn uid(object: &Value, name: &str) -> Option<String> {
    json::member(object, name).filter(|uid| is_plain(uid))
}

pub(super) fn word<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A word of the provider's, cut to a length that can be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(60).collect()
}

/// The merchant's order number.
pub(super) fn tracking_id(object: &Value) -> Option<String> {
    json::member(object, "tracking_id").filter(|text| text.len() <= TRACKING_LEN_MAX)
}

pub(super) fn is_test(object: &Value) -> bool {
    object.get("test") == Some(&Value::Bool(true))
}

/// What a transaction does to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is the payment, in this state.
    State(State),
    /// Its parent was captured.
    Captured,
    /// Its parent was released.
    Voided,
    /// Money of its parent went back.
    Refunded,
    /// The payer's bank took money of its parent back.
    ChargedBack,
    /// Nothing, or nothing that we know.
    Nothing,
}

/// The state table: `type`, then `status`.
pub(super) fn meaning(kind: &str, status: &str) -> Meaning {
    match (kind, status) {
        ("payment" | "charge", "successful") => Meaning::State(State::Succeeded),
        ("payment" | "charge", "failed" | "expired" | "deleted" | "error") => Meaning::State(State::Canceled),
        (
            "payment" | "charge",
            "incomplete" | "pending" | "initial" | "processing" | "start" | "auto_created" | "permanent",
        ) => Meaning::State(State::Pending),
        ("authorization", "successful") => Meaning::State(State::WaitingForCapture),
        ("authorization", "failed" | "expired" | "error") => Meaning::State(State::Canceled),
        ("authorization", "incomplete" | "pending") => Meaning::State(State::Pending),
        ("capture", "successful") => Meaning::Captured,
        ("void", "successful") => Meaning::Voided,
        ("refund", "successful") => Meaning::Refunded,
        ("chargeback", "failed" | "error") => Meaning::Nothing,
        ("chargeback", _) => Meaning::ChargedBack,
        _ => Meaning::Nothing,
    }
}

/// The meaning of a transaction.
pub(super) fn meaning_of(transaction: &Value) -> Meaning {
    meaning(word(transaction, "type"), word(transaction, "status"))
}

/// Whether it is of an alternative method (ERIP, mobile money), which another service of bePaid keeps.
pub(super) fn is_alternative(transaction: &Value) -> bool {
    transaction.get("method_type").is_some_and(Value::is_string)
        || word(transaction, "payment_method_type") == "erip"
}

/// What a later operation must know of a payment besides its uid; kept as its operation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The pay page's token: there may be no transaction yet.
    Token(String),
    /// The payment is kept by the service of alternative methods.
    Alternative,
    /// A hold was captured: refunds name the capture's uid.
    Capture {
        /// The capture's uid.
        uid: String,
        /// Whether it is kept by the service of alternative methods.
        alternative: bool,
    },
}

impl Key {
    pub(super) fn text(&self) -> String {
        match self {
            Key::Token(token) => format!("token:{token}"),
            Key::Alternative => "beyag".to_owned(),
            Key::Capture { uid, alternative: false } => format!("capture:{uid}"),
            Key::Capture { uid, alternative: true } => format!("beyag-capture:{uid}"),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Key> {
        if text == "beyag" {
            return Some(Key::Alternative);
        }
        let (kind, id) = text.split_once(':').filter(|(_, id)| is_plain(id))?;
        match kind {
            "token" => Some(Key::Token(id.to_owned())),
            "capture" => Some(Key::Capture { uid: id.to_owned(), alternative: false }),
            "beyag-capture" => Some(Key::Capture { uid: id.to_owned(), alternative: true }),
            _ => None,
        }
    }

    pub(super) fn is_alternative(&self) -> bool {
        matches!(self, Key::Alternative | Key::Capture { alternative: true, .. })
    }
}

/// What a transaction says. Unknown types and states, and amounts that can't be kept exactly, are notes.
///
/// # Errors
/// Says in words what the transaction lacks.
pub(super) fn fact(transaction: &Value) -> Result<Fact, String> {
    let (kind, status) = (word(transaction, "type"), word(transaction, "status"));
    let id = uid(transaction, "uid").ok_or("the transaction has no uid")?;
    let parent = uid(transaction, "parent_uid");
    let own = PaymentRef { provider_id: Some(id.clone()), reference: tracking_id(transaction) };
    let note = |why: String, payment: PaymentRef| {
        Ok(Fact::Note(Note { what: format!("{}.{}", short(kind), short(status)), why, payment }))
    };
    let meaning = meaning(kind, status);
    if meaning == Meaning::Nothing {
        let why = nothing(kind, status).to_owned();
        return note(why, PaymentRef { provider_id: parent.or(own.provider_id), ..own });
    }
    let amount = match amount::read(transaction) {
        Ok(amount) => amount,
        Err(AmountError::Malformed(why)) => return Err(why),
        Err(AmountError::Unfit(why)) => return note(format!("the amount is refused: {why}"), own),
    };
    if let Meaning::State(state) = meaning {
        return Ok(Fact::Payment(payment(transaction, own, state, amount)));
    }
    let parent = parent.ok_or("the transaction names no parent_uid")?;
    let of_parent = PaymentRef { provider_id: Some(parent), ..own };
    let alternative = is_alternative(transaction);
    Ok(match meaning {
        Meaning::Captured => Fact::Payment(PaymentFact {
            amount_check: AmountCheck::AtMostIfHeld,
            operation_key: Some(Key::Capture { uid: id, alternative }.text()),
            ..payment(transaction, of_parent, State::Succeeded, amount)
        }),
        // A smaller void only lowers the hold: its amount is not the registered one, so it has no effect.
        Meaning::Voided => Fact::Payment(PaymentFact {
            reason: Some("voided".to_owned()),
            operation_key: None,
            ..payment(transaction, of_parent, State::Canceled, amount)
        }),
        _ => Fact::Refund(RefundFact {
            id,
            payment: of_parent,
            amount: Some(Sum::Money(amount)),
            cumulative: false,
            test: is_test(transaction),
            if_unpaid: None,
        }),
    })
}

fn payment(transaction: &Value, payment: PaymentRef, state: State, amount: Money) -> PaymentFact {
    let moment = |name: &str| json::member(transaction, name).and_then(|text| iso_8601(&text));
    PaymentFact {
        payment,
        state,
        amount: Some(Sum::Money(amount)),
        amount_check: AmountCheck::Equal,
        reason: (state == State::Canceled).then(|| words(transaction)),
        test: is_test(transaction),
        method: json::member(transaction, "payment_method_type")
            .or_else(|| json::member(transaction, "method_type"))
            .map(|method| short(&method)),
        saved_method: saved_method(transaction),
        operation_key: is_alternative(transaction).then(|| Key::Alternative.text()),
        expires_at: (state == State::Pending).then(|| moment("expired_at")).flatten(),
    }
}

/// Why a transaction has no effect.
fn nothing(kind: &str, status: &str) -> &'static str {
    match (kind, status) {
        ("capture" | "void" | "refund", "failed" | "error" | "expired") => "it failed: nothing has changed",
        ("capture" | "void" | "refund", "pending" | "incomplete" | "initial" | "processing") => {
            "it is under way: nothing has changed yet"
        }
        ("chargeback", _) => "a chargeback that failed",
        ("credit" | "payout" | "p2p" | "checkup" | "fraud_advice" | "recipient_tokenization", _) => {
            "not a payment to the shop"
        }
        ("tokenization", _) => "a card was saved, nothing was paid",
        _ => "a type or status that is not known here",
    }
}

/// Code and message of a transaction.
pub(super) fn words(transaction: &Value) -> String {
    let status = word(transaction, "status");
    let [code, message] = ["code", "message"].map(|name| json::member(transaction, name).unwrap_or_default());
    let text: String = format!("{code} {message}")
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MESSAGE_LEN_MAX)
        .collect();
    if text.is_empty() { short(status) } else { text }
}

/// `token` of a card that may be charged again; of another method with the name of its section before it.
fn saved_method(transaction: &Value) -> Option<String> {
    let section = match word(transaction, "payment_method_type") {
        "" => "credit_card",
        section => section,
    };
    let token = transaction.get(section).and_then(|section| json::member(section, "token"))?;
    if !is_token(&token) {
        return None;
    }
    Some(if section == "credit_card" { token } else { format!("{}:{token}", short(section)) })
}

/// Whether a text can be a saved method's token: hex digits or a UUID.
pub(super) fn is_token(token: &str) -> bool {
    /// Longest token, bytes.
    const TOKEN_LEN_MAX: usize = 128;
    (1..=TOKEN_LEN_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
