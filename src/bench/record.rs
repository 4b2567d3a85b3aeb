//! Records of the usual size, as a payment through a card provider leaves them: a notification of 1.2 KB.

use kassir_providers::{Currency, Money, State};
use serde_json::Map;
use uuid::Uuid;

use super::site::Shop;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::delivery::Delivery;
use crate::domain::event::{Event, EventState, Proven};
use crate::domain::ids::{DeliveryId, EndpointId, EventId, NotificationId};
use crate::domain::notification::{GivenAnswer, Notification, NotificationOutcome};
use crate::domain::payment::{Origin, Payment};
use crate::store::{Commit, PaymentWrite, Tally};

/// A payment in the making.
pub(super) struct Sample<'a> {
    pub shop: &'a Shop,
    pub endpoint: EndpointId,
    /// What tells it from all others: its order.
    pub order: usize,
    /// The provider's id of it.
    pub provider_id: String,
    /// Unix milliseconds.
    pub at: i64,
}

impl<'a> Sample<'a> {
    pub(super) fn new(shop: &'a Shop, endpoint: EndpointId, order: usize) -> Sample<'a> {
        Sample { shop, endpoint, order, provider_id: Uuid::new_v4().to_string(), at: SystemClock.now() }
    }

    /// The payment, yet without a number.
    pub(super) fn payment(&self, state: State) -> Payment {
        Payment {
            number: 0,
            version: 0,
            merchant: self.shop.merchant,
            integration: self.shop.integration,
            provider: PROVIDER.to_owned(),
            origin: Origin::Notification,
            state,
            expired_by_us: false,
            amount: Money::new(self.amount(), Currency::RUB),
            captured: (state == State::Succeeded).then(|| self.amount()),
            refunds: Vec::new(),
            provider_id: Some(self.provider_id.clone()),
            reference: Some(self.order.to_string()),
            operation_key: None,
            saved_method: None,
            method: Some("bank_card".to_owned()),
            pay_url: None,
            pay_form: None,
            hold: false,
            test: false,
            description: self.description(),
            order: Vec::new(),
            contact: None,
            email: None,
            return_url: None,
            metadata: Map::new(),
            reason: None,
            expires_at: None,
            created_at: self.at,
            updated_at: self.at,
        }
    }

    /// A notification with its event and delivery, for a new payment.
    pub(super) fn first(&self, state: State, delivery: impl FnOnce(&mut Delivery)) -> Commit {
        let payment = Box::new(self.payment(state));
        let links = vec![self.provider_id.clone()];
        Commit { payment: Some(PaymentWrite::New { payment, links }), ..self.step(0, state.into(), delivery) }
    }

    /// A notification with its event and delivery, for payment `number`.
    pub(super) fn step(&self, number: u32, state: EventState, change: impl FnOnce(&mut Delivery)) -> Commit {
        let body = self.body(state.word());
        let mut notification = self.notification(number, &body);
        let event = self.event(number, state, notification.id, &body);
        notification.event = Some(event.id);
        let mut delivery = self.delivery(&event);
        change(&mut delivery);
        Commit {
            notification: Some(notification),
            events: vec![event],
            deliveries: vec![delivery],
            tallies: vec![Tally { key: format!("event.{}.{PROVIDER}", state.word()), by: 1 }],
            ..Commit::of(self.shop.merchant)
        }
    }

    fn event(&self, number: u32, state: EventState, notification: NotificationId, body: &str) -> Event {
        let tail = format!(
            r#","provider":"{PROVIDER}","provider_id":"{}","currency":"RUB","amount":{},"state":"{}","created_at":{},"payload":{body},"order":[],"contact":null}}"#,
            self.provider_id,
            self.amount(),
            state.word(),
            self.at / 1000,
        );
        Event {
            id: EventId(SystemClock.id()),
            merchant: self.shop.merchant,
            integration: self.shop.integration,
            payment: number,
            state,
            proven: Proven::Signed,
            test: false,
            notification: Some(notification),
            created_at: self.at,
            tail,
        }
    }

    fn delivery(&self, event: &Event) -> Delivery {
        let id = DeliveryId(SystemClock.id());
        Delivery { after: 1, ..Delivery::of(event, self.endpoint, id, PROVIDER) }
    }

    fn notification(&self, number: u32, body: &str) -> Notification {
        let headers = [
            ("host", "pay.example.com".to_owned()),
            ("user-agent", "AHC/2.1".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("content-length", body.len().to_string()),
            ("accept", "*/*".to_owned()),
            ("x-forwarded-for", PEER.to_owned()),
            ("x-forwarded-proto", "https".to_owned()),
            ("accept-encoding", "gzip, deflate, br".to_owned()),
        ];
        Notification {
            id: NotificationId(SystemClock.id()),
            merchant: self.shop.merchant,
            integration: self.shop.integration,
            provider: PROVIDER.to_owned(),
            kind: None,
            outcome: NotificationOutcome::Accepted,
            reason: String::new(),
            diagnosis: None,
            warnings: Vec::new(),
            proof: Some("signed".to_owned()),
            payment: Some(number),
            event: None,
            answer: GivenAnswer { status: 200, body: format!("OK{}", self.order) },
            peer: Some(PEER.to_owned()),
            method: "POST".to_owned(),
            query: String::new(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: body.to_owned(),
            body_is_base64: false,
            received_at: self.at,
        }
    }

    fn amount(&self) -> i64 {
        90_000 + i64::try_from(self.order % 9_700).unwrap_or(0)
    }

    fn description(&self) -> String {
        format!("Заказ №{} в магазине «Цветы на дом», доставка до двери", self.order)
    }

    /// Numbers that look like chance and follow from the order.
    fn digits(&self, salt: u64, below: u64) -> u64 {
        let order = u64::try_from(self.order).unwrap_or(0);
        order.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % below
    }

    fn body(&self, status: &str) -> String {
        let (id, order, account) = (&self.provider_id, self.order, self.digits(1, 900_000) + 100_000);
        let (card, amount) = (self.digits(2, 10_000), self.amount() / 100);
        format!(
            r#"{{"type":"notification","InvId":"{order}","event":"payment.{status}","object":{{"id":"{id}","status":"{status}","amount":{{"value":"{amount}.00","currency":"RUB"}},"income_amount":{{"value":"{}.35","currency":"RUB"}},"description":"{}","recipient":{{"account_id":"{account}","gateway_id":"2{account}"}},"payment_method":{{"type":"bank_card","id":"{}","saved":false,"status":"inactive","title":"Bank card *{card:04}","card":{{"first6":"427{:03}","last4":"{card:04}","expiry_year":"2029","expiry_month":"07","card_type":"MasterCard","card_product":{{"code":"MCP","name":"MIR Privilege"}},"issuer_country":"RU","issuer_name":"Sberbank Of Russia"}}}},"captured_at":"2026-01-01T00:{:02}:{:02}.{:03}Z","created_at":"2026-01-01T00:00:{:02}.{:03}Z","test":false,"refunded_amount":{{"value":"0.00","currency":"RUB"}},"paid":true,"refundable":true,"metadata":{{"chat_id":"{}","order_id":"{order}"}},"authorization_details":{{"rrn":"{}","auth_code":"{:06}","three_d_secure":{{"applied":false,"method_completed":false,"challenge_completed":true}}}}}}}}"#,
            amount - 30,
            self.description(),
            Uuid::from_u64_pair(self.digits(12, u64::MAX), self.digits(13, u64::MAX)),
            self.digits(3, 1_000),
            self.digits(4, 60),
            self.digits(5, 60),
            self.digits(6, 1_000),
            self.digits(7, 60),
            self.digits(8, 1_000),
            self.digits(9, 999_999_937),
            self.digits(10, 999_999_937),
            self.digits(11, 1_000_000),
        )
    }
}

/// Of the shop that the notifications go to.
const PROVIDER: &str = "robokassa";
const PEER: &str = "185.71.76.5";
