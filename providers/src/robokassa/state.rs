//! OpStateExt: the state of an operation, as XML.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use super::result::{is_sum, reference};
use super::shop;
use crate::account::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, State, Sum};
use crate::money::Money;
use crate::operation::{Failure, Fault, Retry, Target};

/// Largest answer that is read, bytes.
const XML_LEN_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 8;
const ROOT: &str = "OperationStateResponse";

/// An answer of OpStateExt.
pub(super) struct Answered {
    root: Value,
}

impl Answered {
    /// Reads the XML: names without their namespace, in any order; no DOCTYPE, no entities of its own.
    pub(super) fn read(body: &[u8]) -> Result<Answered, Failure> {
        if body.len() > XML_LEN_MAX {
            return Err(Failure::later(format!("OpStateExt's answer is longer than {XML_LEN_MAX} bytes")));
        }
        let root = std::str::from_utf8(body).ok().and_then(tree);
        root.map(|root| Answered { root })
            .ok_or_else(|| Failure::later("OpStateExt's answer is not the XML that is documented"))
    }

    fn text(&self, path: [&str; 2]) -> Option<&str> {
        let [outer, inner] = path;
        self.root.get(outer)?.get(inner)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// The answer as JSON, for the record.
    pub(super) fn payload(&self) -> Box<serde_json::value::RawValue> {
        crate::json::raw(&self.root)
    }

    pub(super) fn operation_key(&self) -> Option<String> {
        self.text(["Info", "OpKey"]).map(ToOwned::to_owned)
    }

    /// Whether the operation was found; it is made only when the payer confirms the method, so "not found" says
    /// nothing but that nobody has paid.
    pub(super) fn found(&self) -> Result<bool, Failure> {
        let words = self.text(["Result", "Description"]).unwrap_or("no description");
        let merchant = |why: String| Failure::never(Fault::Merchant, why);
        match self.text(["Result", "Code"]).unwrap_or_default() {
            "0" => Ok(true),
            "3" => Ok(false),
            "1" => Err(merchant(format!(
                "Robokassa says the signature is wrong: check password #2 and the hash algorithm ({words})"
            ))
            .code("1")),
            "2" => Err(merchant(format!("Robokassa does not know the shop, or it is not active ({words})"))
                .code("2")),
            "4" => Err(merchant(
                "Robokassa has two operations with this number: a person has to look".to_owned(),
            )
            .code("4")),
            code => Err(Failure {
                why: format!("OpStateExt failed with code {code} ({words})"),
                code: Some(code.to_owned()),
                fault: Fault::Provider,
                retry: Retry::Later(None),
            }),
        }
    }

    /// What the answer says about the payment.
    ///
    /// # Errors
    /// [`Failure`] for wrong credentials and errors of the provider.
    pub(super) fn fact(&self, target: &Target, account: &Account) -> Result<Fact, Failure> {
        let invoice = target.order_number();
        if !self.found()? {
            return Ok(payment(&invoice, State::Pending));
        }
        let code = self.text(["State", "Code"]).unwrap_or_default();
        let note = |why: String| {
            Fact::Note(Note { what: format!("state.{code}"), why, payment: reference(&invoice) })
        };
        // The state table of OpStateExt.
        let state = match code {
            "5" | "50" | "80" => State::Pending,
            "10" | "60" => State::Canceled,
            "20" => State::WaitingForCapture,
            "100" => State::Succeeded,
            other => return Ok(note(format!("unknown state {other:?}"))),
        };
        if state == State::Canceled && target.state == State::Succeeded {
            return Ok(note(
                "the payment succeeded, but Robokassa shows it as cancelled: a person has to look".to_owned(),
            ));
        }
        let Fact::Payment(fact) = payment(&invoice, state) else { return Ok(note("no payment".to_owned())) };
        Ok(Fact::Payment(PaymentFact {
            amount: self.amount(state, account)?,
            // What the payer paid: the price, or more with the commission; after a capture of a part, less.
            amount_check: match target.state {
                State::WaitingForCapture if state == State::Succeeded => AmountCheck::AtMostIfHeld,
                _ => AmountCheck::AtLeast,
            },
            reason: reason(code).map(ToOwned::to_owned),
            method: self.root.get("Info").and_then(|info| {
                let method = info.get("PaymentMethod")?.get("Code")?.as_str()?.trim();
                (!method.is_empty()).then(|| method.to_owned())
            }),
            operation_key: self.operation_key(),
            ..fact
        }))
    }

    /// `IncSum`, what the payer paid; `OutSum` is what the shop gets, perhaps less the commission.
    fn amount(&self, state: State, account: &Account) -> Result<Option<Sum>, Failure> {
        if !matches!(state, State::WaitingForCapture | State::Succeeded) {
            return Ok(None);
        }
        let Some(text) = self.text(["Info", "IncSum"]) else { return Ok(None) };
        let sum = is_sum(text).then(|| Money::parse(text, shop::currency(account)).ok()).flatten();
        let unreadable =
            || Failure::never(Fault::Provider, format!("OpStateExt's IncSum {text:?} is no amount"));
        sum.map(|money| Some(Sum::Money(money))).ok_or_else(unreadable)
    }
}

/// Why a payment was canceled, by the state's code.
fn reason(code: &str) -> Option<&'static str> {
    match code {
        "10" => Some("10: cancelled, or its time is over; no money was received"),
        "60" => Some("60: crediting was refused, the money went back to the payer"),
        _ => None,
    }
}

/// A state of a payment, without anything else.
pub(super) fn payment(invoice: &str, state: State) -> Fact {
    Fact::Payment(PaymentFact {
        payment: reference(invoice),
        state,
        amount: None,
        amount_check: AmountCheck::AtLeast,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

/// The root element's content: elements as members (of repeated ones the first), text as strings.
fn tree(xml: &str) -> Option<Value> {
    let mut reader = Reader::from_str(xml);
    let mut open: Vec<(String, Map<String, Value>, String)> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() >= DEPTH_MAX || root.is_some() {
                    return None;
                }
                let name = start.local_name().as_ref().to_owned();
                open.push((name, Map::new(), String::new()));
            }
            Event::Empty(start) => {
                let name = start.local_name().as_ref().to_owned();
                open.last_mut()?.1.entry(name).or_insert(Value::String(String::new()));
            }
            Event::End(_) => {
                let (name, members, text) = open.pop()?;
                let value = if members.is_empty() { Value::String(text) } else { Value::Object(members) };
                match open.last_mut() {
                    Some((_, parent, _)) => {
                        parent.entry(name).or_insert(value);
                    }
                    None if name == ROOT => root = Some(value),
                    None => return None,
                }
            }
            Event::Text(text) => {
                let text = text.into_inner();
                match open.last_mut() {
                    Some((_, _, own)) => own.push_str(&text),
                    None if text.trim_matches(['\u{feff}', ' ', '\r', '\n', '\t']).is_empty() => {}
                    None => return None,
                }
            }
            Event::CData(text) => open.last_mut()?.2.push_str(&text.into_inner()),
            Event::GeneralRef(reference) => {
                let letter = match reference.resolve_char_ref().ok()? {
                    Some(letter) => letter.to_string(),
                    None => {
                        let name = reference.into_inner();
                        quick_xml::escape::resolve_predefined_entity(&name)?.to_owned()
                    }
                };
                open.last_mut()?.2.push_str(&letter);
            }
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return if open.is_empty() { root } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_namespace_and_escapes() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?><a:OperationStateResponse xmlns:a="x"><a:Result><a:Code>0</a:Code><a:Description>a &amp; b &#1046;<![CDATA[<c>]]></a:Description></a:Result><a:Info/></a:OperationStateResponse>"#;
        let answered = Answered::read(xml.as_bytes()).unwrap();
        assert_eq!(answered.text(["Result", "Description"]), Some("a & b Ж<c>"));
    }

    #[test]
    fn what_could_harm_is_refused() {
        let deep = format!("<OperationStateResponse>{}", "<a>".repeat(100));
        for xml in [
            "",
            "<Other/>",
            "<OperationStateResponse>",
            "<OperationStateResponse><a></b></OperationStateResponse>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><OperationStateResponse><a>&a;</a></OperationStateResponse>",
            "<OperationStateResponse><a>&a;</a></OperationStateResponse>",
            "<OperationStateResponse></OperationStateResponse><OperationStateResponse></OperationStateResponse>",
            &deep,
            &format!("<OperationStateResponse>{}</OperationStateResponse>", " ".repeat(XML_LEN_MAX)),
        ] {
            assert!(Answered::read(xml.as_bytes()).is_err(), "{xml:.80}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[<>/a-c&;!\\[\\]\"= -]{0,80}") {
            let _ = tree(&text);
            let _ = tree(&format!("<{ROOT}>{text}</{ROOT}>"));
        }
    }
}
