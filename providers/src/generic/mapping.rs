//! What a proved request says about a payment.

use serde_json::Value;
use serde_json::value::RawValue;

use super::amount::{Amount, CurrencyRule};
use super::envelope::{Envelope, Failed};
use super::pointer::{Pointer, Root};
use super::reader::{Node, Read, Wrong};
use super::sources::{self, Rules};
use super::states::Verdict;
use crate::digest::Hash;
use crate::{AmountCheck, Fact, Money, Note, PaymentFact, PaymentRef, RefundFact, State, Sum, json};

/// Longest id of a payment, characters.
const ID_LEN_MAX: usize = 128;
/// What a masked value becomes.
const MASK: &str = "***";

/// `map`.
#[derive(Debug)]
pub(super) struct Map<'a> {
    pub(super) provider_id: Vec<Pointer<'a>>,
    pub(super) order_id: Vec<Pointer<'a>>,
    pub(super) amount: Option<Amount<'a>>,
    pub(super) refund_amount: Option<Amount<'a>>,
    pub(super) currency: Option<CurrencyRule<'a>>,
    pub(super) payload: Pointer<'a>,
    mask: Vec<Pointer<'a>>,
    dedupe: Vec<Pointer<'a>>,
    pub(super) contact: Option<Rules>,
    pub(super) order: Option<Rules>,
}

const MEMBERS: [&str; 10] = [
    "provider_id",
    "order_id",
    "amount",
    "refund_amount",
    "currency",
    "payload",
    "mask",
    "dedupe",
    "contact",
    "order",
];

impl<'a> Map<'a> {
    /// `map` of the document.
    pub(super) fn read(node: Node<'a, '_>) -> Read<Map<'a>> {
        let object = node.open()?;
        let mut wrong = Wrong::default();
        if let Some(node) = object.get("created_at") {
            wrong
                .take::<()>(Err(node.problem("is not a member: an event's time is the time of its receipt")));
        } else {
            wrong.take(object.only(&MEMBERS));
        }
        let provider_id = wrong.take(object.need("provider_id").and_then(|node| {
            let pointers = Pointer::list(node)?;
            if pointers.is_empty() { Err(node.problem("must not be empty")) } else { Ok(pointers) }
        }));
        let order_id = wrong.take(object.or("order_id", Vec::new(), Pointer::list));
        let amount = wrong.take(object.maybe("amount", Amount::read));
        let refund_amount = wrong.take(object.maybe("refund_amount", Amount::read));
        let currency = wrong.take(object.maybe("currency", CurrencyRule::read));
        let whole = Pointer { root: Root::Body, rest: "", text: "/body" };
        let payload = wrong.take(object.or("payload", whole, |node| {
            let pointer = Pointer::read(node)?;
            match pointer.root {
                Root::Body | Root::Query | Root::X => Ok(pointer),
                _ => Err(node.problem("must begin with /body, /query or /x")),
            }
        }));
        let mask = wrong.take(object.or("mask", Vec::new(), Pointer::list));
        let dedupe = wrong.take(object.or("dedupe", Vec::new(), Pointer::list));
        let base = payload.unwrap_or(whole);
        let contact = wrong.take(object.maybe("contact", |node| sources::contact(node, base)));
        let order = wrong.take(object.maybe("order", |node| sources::order(node, base)));
        let map = (|| {
            Some(Map {
                provider_id: provider_id?,
                order_id: order_id?,
                amount: amount?,
                refund_amount: refund_amount?,
                currency: currency?,
                payload: payload?,
                mask: mask?,
                dedupe: dedupe?,
                contact: contact?,
                order: order?,
            })
        })();
        // Where a part is missing, there is a problem that tells why.
        wrong.unless(map)?.ok_or_else(|| node.problem("can't be read"))
    }

    /// The ids and amounts of a request.
    pub(super) fn values(&self, envelope: &Envelope<'_>) -> Result<Values, Failed> {
        let id = |pointers: &[Pointer<'_>], what: &str| match envelope.first(pointers)? {
            Some(text) if text.chars().count() > ID_LEN_MAX || text.chars().any(char::is_control) => {
                Err(Failed::unfit(format!(
                    "{what} is longer than {ID_LEN_MAX} characters or has control characters"
                )))
            }
            found => Ok(found.map(std::borrow::Cow::into_owned)),
        };
        let provider_id = id(&self.provider_id, "provider_id")?;
        let provider_id = provider_id.ok_or_else(|| Failed::unfit("there is no provider_id"))?;
        let reference = id(&self.order_id, "order_id")?;
        let money = |rule: &Amount<'_>| match &self.currency {
            None => Err(Failed::unfit("there is no currency")),
            Some(currency) => rule.money(envelope, currency.currency(envelope)?),
        };
        let amount = match &self.amount {
            None => None,
            Some(rule) => Some(money(rule)?.ok_or_else(|| Failed::unfit("there is no amount"))?),
        };
        let refund_amount = self.refund_amount.as_ref().map(money).transpose()?.flatten();
        Ok(Values { provider_id, reference, amount, refund_amount })
    }

    /// What is the same on redelivery.
    pub(super) fn dedupe(
        &self,
        envelope: &Envelope<'_>,
        values: &Values,
        verdict: Verdict,
    ) -> Result<String, Failed> {
        if self.dedupe.is_empty() {
            let amount = values.amount.map_or_else(|| "-".to_owned(), |money| money.minor.to_string());
            return Ok(format!("{}:{}:{amount}", values.provider_id, verdict.word()));
        }
        let mut texts = Vec::new();
        for pointer in &self.dedupe {
            texts.push(Value::String(envelope.scalar(*pointer)?.unwrap_or_default().into_owned()));
        }
        let text = Value::Array(texts).to_string();
        Ok(if text.len() > ID_LEN_MAX { Hash::Sha256.hex(text.as_bytes()) } else { text })
    }

    /// The notification for the record and the event.
    pub(super) fn payload(&self, envelope: &Envelope<'_>, is_json: bool) -> Result<Box<RawValue>, Failed> {
        let whole_body = self.payload.root == Root::Body && self.payload.rest.is_empty();
        if is_json
            && whole_body
            && self.mask.is_empty()
            && let Some(raw) = json::raw_body(&envelope.request().body)
        {
            return Ok(raw);
        }
        let Some(value) = envelope.value(self.payload)? else {
            return Ok(json::raw(&Value::Object(serde_json::Map::new())));
        };
        let mut value = value.into_owned();
        for pointer in &self.mask {
            if let Some(inside) = pointer.text.strip_prefix(self.payload.text)
                && let Some(found) = value.pointer_mut(inside)
            {
                *found = Value::String(MASK.to_owned());
            }
        }
        Ok(json::raw(&value))
    }
}

/// What the map found.
pub(super) struct Values {
    pub(super) provider_id: String,
    pub(super) reference: Option<String>,
    pub(super) amount: Option<Money>,
    pub(super) refund_amount: Option<Money>,
}

impl Values {
    pub(super) fn payment(&self) -> PaymentRef {
        PaymentRef { provider_id: Some(self.provider_id.clone()), reference: self.reference.clone() }
    }

    /// The fact that a verdict makes of them.
    pub(super) fn fact(&self, verdict: Verdict, id: &str, test: bool) -> Result<Fact, Failed> {
        let refund = |amount: Option<Money>| {
            let amount = amount.map(Sum::Money);
            Fact::Refund(RefundFact {
                id: id.to_owned(),
                payment: self.payment(),
                amount,
                cumulative: false,
                test,
                if_unpaid: None,
            })
        };
        Ok(match verdict {
            Verdict::Is(state) => Fact::Payment(self.state(state, test)),
            Verdict::Refunded => refund(None),
            Verdict::PartiallyRefunded => {
                let amount = self.refund_amount;
                refund(Some(amount.ok_or_else(|| Failed::unfit("there is no refund_amount"))?))
            }
            Verdict::Ignore => Fact::Note(Note {
                what: "ignored".to_owned(),
                why: "the rules of the document make no state of it".to_owned(),
                payment: self.payment(),
            }),
            Verdict::Reject => return Err(Failed::unfit("no rule of the document knows this state")),
        })
    }

    pub(super) fn state(&self, state: State, test: bool) -> PaymentFact {
        PaymentFact {
            payment: self.payment(),
            state,
            amount: self.amount.map(Sum::Money),
            amount_check: AmountCheck::Equal,
            reason: None,
            test,
            method: None,
            saved_method: None,
            operation_key: None,
            expires_at: None,
        }
    }
}
