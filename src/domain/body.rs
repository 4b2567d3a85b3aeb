//! The event's body: the format that WatBot, LEADTEX and CleverApp subscribers parse, to the byte the same in every
//! attempt. See <https://help.watbot.ru/platezhi-v-botakh>.

use kassir_providers::Money;
use kassir_providers::operation::{Contact, OrderLine};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::apply::Happened;
use super::payment::Payment;

#[derive(Serialize)]
struct Tail<'a> {
    provider: &'a str,
    provider_id: Option<&'a str>,
    currency: &'a str,
    amount: i64,
    state: &'a str,
    created_at: i64,
    payload: Option<&'a RawValue>,
    order: Vec<Line<'a>>,
    contact: Option<Person<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<RefundOut<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    description: &'a str,
    amount: Box<RawValue>,
}

#[derive(Serialize)]
struct Person<'a> {
    id: &'a Value,
    name: &'a str,
    messenger: &'a str,
    phone: Option<String>,
}

#[derive(Serialize)]
struct RefundOut<'a> {
    id: &'a str,
    amount: i64,
}

/// The body after `{"id":<number>`: what is fixed when an event is made.
///
/// `provider` is the event's word for the provider; `payload` the provider's body as JSON, `None` for what we made
/// ourselves; `at` the time of the event, Unix milliseconds.
#[must_use]
pub fn tail(
    payment: &Payment,
    provider: &str,
    happened: &Happened,
    payload: Option<&RawValue>,
    at: i64,
) -> String {
    let tail = Tail {
        provider,
        provider_id: payment.provider_id.as_deref(),
        currency: happened.amount.currency.code(),
        amount: happened.amount.minor,
        state: happened.state.word(),
        created_at: at.div_euclid(1000),
        payload,
        order: payment.order.iter().map(line).collect(),
        contact: payment.contact.as_ref().map(person),
        refund: happened.refund.as_ref().map(|refund| RefundOut { id: &refund.id, amount: refund.amount }),
    };
    let object = serde_json::to_string(&tail).unwrap_or_default();
    // `{"provider":…}` becomes `,"provider":…}`.
    format!(",{}", object.strip_prefix('{').unwrap_or(&object))
}

fn line(line: &OrderLine) -> Line<'_> {
    Line {
        name: &line.name,
        description: line.description.as_deref().unwrap_or(""),
        amount: major(line.amount),
    }
}

/// Major units as a JSON number: 900, 900.5.
fn major(money: Money) -> Box<RawValue> {
    RawValue::from_string(money.shortest()).unwrap_or_default()
}

fn person(contact: &Contact) -> Person<'_> {
    let digits = |phone: &String| phone.chars().filter(char::is_ascii_digit).collect::<String>();
    Person {
        id: &contact.id,
        name: contact.name.as_deref().unwrap_or(""),
        messenger: contact.messenger.as_deref().unwrap_or(""),
        phone: contact.phone.as_ref().map(digits).filter(|phone| !phone.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use kassir_providers::{Currency, State};

    use super::super::event::EventState;
    use super::super::payment::{Origin, Refund};
    use super::*;

    /// The two examples that the platform publishes, as the page prints them (its typesetting blanks removed).
    const PENDING: &str = r#"{"id":1,"provider":"yandex_kassa","provider_id":"22d6d597-000f-5000-9000-145f6df21d6f","currency":"RUB","amount":90000,"state":"pending","created_at":1554717083,"payload":null,"order":[{"name":"Название товара","description":"Описание товара","amount":900}],"contact":{"id":1,"name":"Дмитрий","messenger":"whatsapp","phone":"79999999999"}}"#;
    const WAITING: &str = r#"{"id":1,"provider":"yandex_kassa","provider_id":"22d6d597-000f-5000-9000-145f6df21d6f","currency":"RUB","amount":90000,"state":"waiting_for_capture","created_at":1554717099,"payload":{"type":"notification","event":"payment.waiting_for_capture","object":{"id":"22d6d597-000f-5000-9000-145f6df21d6f","status":"waiting_for_capture","paid":true,"amount":{"value":"900.00","currency":"RUB"},"metadata":[],"created_at":"2019-04-08T09:51:35.762Z"}},"order":[{"name":"Название товара","description":"Описание товара","amount":900}],"contact":{"id":1,"name":"Дмитрий","messenger":"whatsapp","phone":"79999999999"}}"#;

    fn payment() -> Payment {
        serde_json::from_value(serde_json::json!({
            "number": 1, "version": 1, "provider": "yookassa", "origin": "api", "state": "pending",
            "merchant": "mer_00000000000000000000000001", "integration": "int_00000000000000000000000001",
            "amount": {"minor": 90000, "currency": "RUB"},
            "provider_id": "22d6d597-000f-5000-9000-145f6df21d6f", "reference": null,
            "order": [{"name": "Название товара", "description": "Описание товара",
                       "amount": {"minor": 90000, "currency": "RUB"}}],
            "contact": {"id": 1, "name": "Дмитрий", "messenger": "whatsapp", "phone": "+7 999 999-99-99"},
            "created_at": 1_554_717_083_123_i64, "updated_at": 0
        }))
        .unwrap()
    }

    fn body(state: EventState, payload: Option<&RawValue>, at: i64, refund: Option<Refund>) -> String {
        let happened = Happened { state, amount: Money::new(90_000, Currency::RUB), refund };
        format!("{{\"id\":1{}", tail(&payment(), "yandex_kassa", &happened, payload, at))
    }

    #[test]
    fn the_platforms_two_examples_field_by_field() {
        assert_eq!(body(EventState::Pending, None, 1_554_717_083_999, None), PENDING);
        let example: serde_json::Map<String, Value> = serde_json::from_str(WAITING).unwrap();
        let payload = RawValue::from_string(example["payload"].to_string()).unwrap();
        let ours = body(EventState::WaitingForCapture, Some(&payload), 1_554_717_099_000, None);
        assert_eq!(ours, WAITING);
        let ours: serde_json::Map<String, Value> = serde_json::from_str(&ours).unwrap();
        for (name, value) in &example {
            assert_eq!(ours.get(name), Some(value), "{name}");
        }
        assert_eq!(ours.len(), example.len());
    }

    #[test]
    fn a_refund_has_one_member_more() {
        let refund = Refund { id: "r1".to_owned(), amount: 49_000, at: 0 };
        let ours = body(EventState::PartiallyRefunded, None, 0, Some(refund));
        assert!(ours.ends_with(r#","refund":{"id":"r1","amount":49000}}"#), "{ours}");
    }

    #[test]
    fn unknown_order_and_contact() {
        let mut payment = payment();
        payment.order = Vec::new();
        payment.contact = None;
        payment.state = State::Pending;
        payment.origin = Origin::Notification;
        let happened =
            Happened { state: EventState::Pending, amount: Money::new(50, Currency::RUB), refund: None };
        let ours = tail(&payment, "x", &happened, None, 0);
        assert!(ours.ends_with(r#""order":[],"contact":null}"#), "{ours}");
    }

    #[test]
    fn kopecks_in_an_order_line() {
        assert_eq!(major(Money::new(90_050, Currency::RUB)).get(), "900.5");
        assert_eq!(major(Money::new(90_000, Currency::RUB)).get(), "900");
    }
}
