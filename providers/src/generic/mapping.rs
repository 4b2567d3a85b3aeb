//! What a proved request says about a payment.

use serde_json::Value;
use serde_json::value::RawValue;

use super::amount::{Amount, CurrencyRule};
use super::envelope::{Envelope, Failed};
use super::pointer::{Pointer, Root};
use super::reader::{Node, Read};
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
}

const MEMBERS: [&str; 8] =
    ["provider_id", "order_id", "amount", "refund_amount", "currency", "payload", "mask", "dedupe"];
/// Members that the integration's settings have for every provider.
const ELSEWHERE: [(&str, &str); 3] = [
    ("contact", "set contact_from in the integration's settings"),
    ("order", "set order_from in the integration's settings"),
    ("created_at", "an event's time is the time of its receipt"),
];

impl<'a> Map<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<Map<'a>> {
        for (name, advice) in ELSEWHERE {
            if let Some(node) = node.open()?.get(name) {
                return Err(node.problem(format!("is not a member: {advice}")));
            }
        }
        let object = node.object(&MEMBERS)?;
        let provider_id = object.need("provider_id")?;
        let pointers = Pointer::list(provider_id)?;
        if pointers.is_empty() {
            return Err(provider_id.problem("must not be empty"));
        }
        let payload =
            object.or("payload", Pointer { root: Root::Body, rest: "", text: "/body" }, |node| {
                let pointer = Pointer::read(node)?;
                match pointer.root {
                    Root::Body | Root::Query | Root::X => Ok(pointer),
                    _ => Err(node.problem("must begin with /body, /query or /x")),
                }
            })?;
        Ok(Map {
            provider_id: pointers,
            order_id: object.or("order_id", Vec::new(), Pointer::list)?,
            amount: object.maybe("amount", Amount::read)?,
            refund_amount: object.maybe("refund_amount", Amount::read)?,
            currency: object.maybe("currency", CurrencyRule::read)?,
            payload,
            mask: object.or("mask", Vec::new(), Pointer::list)?,
            dedupe: object.or("dedupe", Vec::new(), Pointer::list)?,
        })
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
