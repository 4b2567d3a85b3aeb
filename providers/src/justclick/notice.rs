//! Notifications: nested forms, one for each event of an order.

use serde_json::Value;

use super::about;
use crate::digest::{Hash, same_hex};
use crate::nested::{self, Style};
use crate::outcome::RejectKind;
use crate::{
    Account, AmountCheck, Answer, Fact, Money, Note, Outcome, PaymentFact, PaymentRef, Proof, Received,
    RefundFact, Reject, Request, State, Sum, json,
};

/// Largest body, bytes.
const BODY_LEN_MAX: usize = 256 * 1024;
/// Digits of an order's number at the most.
const ID_LEN_MAX: usize = 18;

/// What a notification tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Created,
    Paid,
    Prepayment,
    Canceled,
    Moneyback,
    Unknown,
}

impl Event {
    /// The first sign that fits decides; the URL's marker does not count, the body does.
    fn of(form: &Value) -> Event {
        match text(form, "status") {
            "moneyback" => Event::Moneyback,
            "cancel_order" => Event::Canceled,
            "new_order" | "new order" => Event::Created,
            _ if !text(form, "paid").is_empty() => Event::Paid,
            _ if !text(form, "prepayment_sum").is_empty() => Event::Prepayment,
            _ => Event::Unknown,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Event::Created => "created",
            Event::Paid => "paid",
            Event::Prepayment => "prepayment",
            Event::Canceled => "canceled",
            Event::Moneyback => "moneyback",
            Event::Unknown => "unknown",
        }
    }

    /// What may stand in the third place of the hash: the help pages contradict each other. Every one needs the key.
    fn thirds(self, form: &Value) -> Vec<&str> {
        let (paid, created) = (form.get("paid").and_then(Value::as_str), text(form, "created"));
        match self {
            Event::Paid => paid.into_iter().collect(),
            Event::Created | Event::Canceled => {
                [Some(created), paid, Some("")].into_iter().flatten().collect()
            }
            Event::Prepayment | Event::Moneyback | Event::Unknown => {
                [paid, Some(""), Some(created)].into_iter().flatten().collect()
            }
        }
    }
}

/// A field's text; empty when it is missing or nested.
fn text<'f>(form: &'f Value, name: &str) -> &'f str {
    form.get(name).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    let form = nested::parse(&request.body, Style::default())
        .map_err(|error| Reject::malformed(error.to_string()))?;
    let id = text(&form, "id");
    let event = Event::of(&form);
    prove(&form, id, event, account)?;
    let is_number = (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Reject::malformed("id is no order number"));
    }
    let facts = facts(&form, id, event, account)?;
    let part = match event {
        Event::Paid => text(&form, "paid"),
        Event::Prepayment => text(&form, "prepayment_sum"),
        _ => text(&form, "created"),
    };
    let why = "neither the amount nor the kind of event is signed; getOrderDetails tells";
    Ok(Received {
        facts,
        proof: Proof::Unproven(why.to_owned()),
        payload: json::raw(&form),
        dedupe: format!("{id}:{}:{part}", event.word()),
        warnings: Vec::new(),
    })
}

fn prove(form: &Value, id: &str, event: Event, account: &Account) -> Result<(), Reject> {
    let key = account
        .secret("api_key")
        .ok_or_else(|| Reject::new(RejectKind::WrongProof, "the credential api_key is not set"))?;
    let hash = text(form, "hash");
    if hash.is_empty() {
        return Err(Reject::new(RejectKind::MissingProof, "there is no hash"));
    }
    let email = text(form, "email");
    let thirds = event.thirds(form);
    let fits = |id: &str, email: &str, third: &str, key: &str| {
        same_hex(hash, &Hash::Md5.digest(format!("{id}{email}{third}{key}").as_bytes()))
    };
    if thirds.iter().any(|third| fits(id, email, third, key.expose())) {
        return Ok(());
    }
    let reject = Reject::new(RejectKind::WrongProof, "the hash does not fit");
    let lower = email.to_lowercase();
    let plus = email.replace(' ', "+");
    let blank = email.replace('+', " ");
    let created = text(form, "created");
    let tries = [
        (email, created, account.text("login"), "matches with the login in place of the API key"),
        (email, created, key.expose(), "matches over created: it was signed for another kind of event"),
        (
            &lower,
            thirds.first().copied().unwrap_or(""),
            key.expose(),
            "matches with the e-mail in small letters: something rewrote it",
        ),
        (
            &plus,
            thirds.first().copied().unwrap_or(""),
            key.expose(),
            "matches with + in the e-mail: the body was decoded twice",
        ),
        (
            &blank,
            thirds.first().copied().unwrap_or(""),
            key.expose(),
            "matches with a blank in the e-mail: its + was encoded twice",
        ),
        (
            email,
            thirds.first().copied().unwrap_or(""),
            account.text("login"),
            "matches with the login in place of the API key",
        ),
    ];
    let found =
        tries.into_iter().find(|(email, third, key, _)| !key.is_empty() && fits(id, email, third, key));
    Err(reject.diagnosed(found.map(|(.., what)| what.to_owned())))
}

fn facts(form: &Value, id: &str, event: Event, account: &Account) -> Result<Vec<Fact>, Reject> {
    let tag = text(form, "tag");
    let payment =
        PaymentRef { provider_id: Some(id.to_owned()), reference: (!tag.is_empty()).then(|| tag.to_owned()) };
    let note =
        |what: &str, why: String| Fact::Note(Note { what: what.to_owned(), why, payment: payment.clone() });
    let state = |state| {
        let amount = amount(form, account)?;
        Ok::<_, Reject>(Fact::Payment(PaymentFact {
            payment: payment.clone(),
            state,
            amount: amount.map(Sum::Money),
            amount_check: AmountCheck::Equal,
            reason: None,
            test: false,
            method: Some(text(form, "payway").to_owned()).filter(|way| !way.is_empty()),
            saved_method: None,
            operation_key: None,
            expires_at: None,
        }))
    };
    Ok(match event {
        Event::Created => vec![state(State::Pending)?],
        Event::Paid => vec![state(State::Succeeded)?],
        Event::Canceled => vec![state(State::Canceled)?],
        Event::Prepayment => {
            let part = money("prepayment_sum", text(form, "prepayment_sum"), account)?;
            let why = format!("{part} of the order was paid; it waits for the rest");
            vec![state(State::Pending)?, note("prepayment", why)]
        }
        Event::Moneyback => vec![refund(payment)],
        Event::Unknown => {
            vec![note("unknown", "an event of JustClick that is not known here".to_owned())]
        }
    })
}

/// All of the money went back: there are no partial refunds.
pub(super) fn refund(payment: PaymentRef) -> Fact {
    let id = format!("{}:moneyback", payment.provider_id.as_deref().unwrap_or(""));
    Fact::Refund(RefundFact { id, payment, amount: None, cumulative: false, test: false, if_unpaid: None })
}

/// The order's value: the sum of its items; the last payment only where there are none.
fn amount(form: &Value, account: &Account) -> Result<Option<Money>, Reject> {
    let items: Vec<&Value> = match form.get("items") {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Object(map)) => map.values().collect(),
        _ => Vec::new(),
    };
    let mut sum: Option<Money> = None;
    for item in items {
        let own = money("the sum of an item", text(item, "sum"), account)?;
        let minor = sum.map_or(Some(own.minor), |sum| sum.minor.checked_add(own.minor));
        let minor = minor.ok_or_else(|| Reject::malformed("the items sum up to more than fits"))?;
        sum = Some(Money { minor, ..own });
    }
    match text(form, "last_payment_sum") {
        "" => Ok(sum),
        last if sum.is_none() => money("last_payment_sum", last, account).map(Some),
        _ => Ok(sum),
    }
}

fn money(what: &str, text: &str, account: &Account) -> Result<Money, Reject> {
    let currency = about::currency(account)
        .ok_or_else(|| Reject::new(RejectKind::Unsupported, "the setting currency is no currency code"))?;
    Money::parse(text, currency).map_err(|error| Reject::malformed(format!("{what}: {error}")))
}

/// Nothing is documented about answers; 200 is what every receiver gives.
pub(super) fn answer(outcome: &Outcome<'_>) -> Answer {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
            Answer::text(200, "OK")
        }
        Outcome::Busy => Answer::text(500, "come again"),
        Outcome::Rejected(reject) => match reject.kind {
            RejectKind::Malformed | RejectKind::Unsupported => Answer::text(400, "refused"),
            RejectKind::MissingProof
            | RejectKind::WrongProof
            | RejectKind::ForeignSource
            | RejectKind::WrongAccount => Answer::text(403, "refused"),
        },
    }
}
