//! A payment's whole life at each provider: created over the API, seen to be paid by asking the provider (no
//! notification comes), given back in parts; or held and captured, or held and released.

use kassir::limits::POLL_FIRST_MS;
use kassir_providers::Method;
use serde_json::json;

use super::till::Till;
use super::vector::Vector;
use crate::world::bank::Reply;

/// A vector with other texts in place of some.
type Told = (&'static str, &'static [(&'static str, &'static str)]);

struct Story {
    slug: &'static str,
    open: Told,
    paid: Told,
    held: Option<Told>,
    /// How much is captured, and the provider's answers.
    capture: Option<(Option<i64>, Told)>,
    /// What the provider says when it is asked after a capture that it only queued.
    settled: Option<Told>,
    release: Option<Told>,
    /// How much goes back, and the provider's answers.
    refunds: &'static [(Option<i64>, Told)],
    /// What the provider says of a refund that is under way, one asking after the other.
    refund_states: &'static [Told],
}

const STORIES: [Story; 8] = [
    Story {
        slug: "yookassa",
        open: ("create", &[("10.50", "1490.00")]),
        paid: ("status", &[]),
        held: Some(("status", &[(r#""status":"succeeded""#, r#""status":"waiting_for_capture""#)])),
        capture: Some((Some(200), ("capture-part", &[]))),
        settled: None,
        release: Some(("cancel", &[])),
        refunds: &[
            (Some(49_000), ("refund", &[])),
            (None, ("refund-all", &[("1490.00", "1000.00"), ("2f3b6a11-0015", "2f3b6a11-0016")])),
        ],
        refund_states: &[],
    },
    Story {
        slug: "yoomoney",
        open: ("create", &[("10.50", "50.00")]),
        paid: ("status", &[]),
        held: None,
        capture: None,
        settled: None,
        release: None,
        refunds: &[],
        refund_states: &[],
    },
    Story {
        slug: "robokassa",
        open: ("create", &[]),
        paid: ("status", &[]),
        held: Some(("status_held", &[])),
        capture: Some((Some(100_000), ("capture_part", &[]))),
        settled: None,
        release: Some(("cancel", &[])),
        refunds: &[(Some(49_990), ("refund_part", &[]))],
        refund_states: &[("refund_status_processing", &[]), ("refund_status", &[])],
    },
    Story {
        slug: "cloudpayments",
        open: ("create", &[]),
        paid: ("status_by_order", &[("order-1042", "1042")]),
        held: Some(("status_by_order", &[("order-1042", "1042"), (r#""Completed""#, r#""Authorized""#)])),
        capture: Some((Some(6_598), ("capture", &[]))),
        settled: None,
        release: Some(("cancel", &[])),
        refunds: &[
            (Some(10_000), ("refund", &[])),
            (None, ("refund", &[(r#""Amount": 100.0"#, r#""Amount": 1399.9"#), ("568", "569")])),
        ],
        refund_states: &[],
    },
    Story {
        slug: "liqpay",
        open: ("create_minimal", &[]),
        paid: ("status", &[("bot-1001", "1001")]),
        held: Some((
            "status",
            &[
                ("bot-1001", "1001"),
                (r#""action":"pay""#, r#""action":"hold""#),
                (r#""status":"success""#, r#""status":"hold_wait""#),
            ],
        )),
        capture: Some((
            None,
            ("capture", &[("bot-1004", "1001"), ("24.71", "10.50"), ("3170554240", "3170554201")]),
        )),
        settled: None,
        release: Some(("cancel_hold", &[("bot-1004", "1001"), ("3170554240", "3170554201")])),
        refunds: &[
            (Some(525), ("refund_in_part", &[("bot-1001", "1001")])),
            (None, ("refund_in_part", &[("bot-1001", "1001")])),
        ],
        refund_states: &[],
    },
    Story {
        slug: "uapay",
        open: ("create", &[]),
        paid: ("status", &[]),
        held: Some(("status_held", &[])),
        capture: Some((Some(525), ("capture_in_part", &[("100000000", "1050")]))),
        settled: None,
        release: Some(("cancel", &[("100000000", "1050")])),
        refunds: &[(Some(525), ("refund_in_part", &[]))],
        refund_states: &[],
    },
    Story {
        slug: "uniteller",
        open: ("create_form", &[]),
        paid: ("status_paid", &[("order-1001", "1042")]),
        held: Some(("status_hold", &[("order-1001", "1042")])),
        capture: Some((None, ("capture", &[("order-1001", "1042")]))),
        settled: Some(("status_paid", &[("order-1001", "1042")])),
        release: Some(("cancel", &[("order-1001", "1042")])),
        refunds: &[(None, ("refund_full", &[("order-1001", "1042")]))],
        refund_states: &[],
    },
    Story {
        slug: "unitpay",
        open: ("create_api", &[("1400072", "153091501")]),
        paid: ("status_success", &[]),
        held: Some(("status_hold", &[])),
        capture: Some((None, ("capture", &[]))),
        settled: None,
        release: Some(("cancel", &[])),
        refunds: &[(
            Some(525),
            ("refund_partial", &[("&params%5BpaymentMethod%5D=advance&params%5BcashItems%5D=W10%3D", "")]),
        )],
        refund_states: &[],
    },
];

impl Story {
    fn of(slug: &str) -> &'static Story {
        STORIES.iter().find(|story| story.slug == slug).unwrap()
    }

    fn vector(&self, told: Told) -> Vector {
        Vector::changed(self.slug, told.0, told.1)
    }

    /// A shop with a payment that was created.
    async fn begun(&self, more: serde_json::Value) -> (Till, u32) {
        let vector = self.vector(self.open);
        let till = Till::open(&vector).await;
        let exchanges = till.expect(&vector);
        let mut wishes = Till::wishes(&vector);
        wishes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = till.create(&vector, wishes).await.is(201);
        assert_eq!((till.bank.take_asked().len(), till.bank.left().len()), (exchanges.len(), 0));
        assert_eq!(made.word("state"), "pending");
        assert!(made.word("pay_url").starts_with("http"), "{}", made.text);
        assert_eq!(till.world.states().await, ["pending"]);
        (till, vector.number())
    }

    /// A while passes; the provider is asked, and says this.
    async fn asked_later(&self, till: &Till, told: Told) {
        let exchanges = till.expect(&self.vector(told));
        till.later(i64::try_from(POLL_FIRST_MS).unwrap() + 60_000).await;
        till.was_asked(&exchanges, told.0);
    }

    async fn deed(
        &self,
        till: &Till,
        number: u32,
        deed: &str,
        amount: Option<i64>,
        told: Told,
    ) -> super::till::Told {
        let exchanges = till.expect(&self.vector(told));
        let done = till.act(number, deed, amount).await;
        till.was_asked(&exchanges, told.0);
        done.is(200)
    }

    async fn is_paid_and_given_back(&self) {
        let (till, number) = self.begun(json!({})).await;
        // The provider's API is out of order at first.
        let first = &self.vector(self.paid).exchanges()[0];
        till.bank.next(&first.call(), Reply::json(503, "{}"));
        till.later(i64::try_from(POLL_FIRST_MS).unwrap()).await;
        assert_eq!(till.bank.take_asked().len(), 1);
        assert_eq!(till.world.states().await, ["pending"]);
        self.asked_later(&till, self.paid).await;
        assert_eq!(till.world.states().await, ["pending", "succeeded"]);
        assert_eq!(till.world.events().await[0].proven.word(), "confirmed");
        assert!(!till.look(number).await.word("provider_id").is_empty());
        // What is paid is asked about no more.
        till.later(86_400_000).await;
        assert_eq!(till.bank.take_asked().len(), 0);
        let (mut back, whole) = (0, self.vector(self.open).amount().minor);
        for (amount, told) in self.refunds {
            let done = self.deed(&till, number, "refund", *amount, *told).await;
            for (at, state) in self.refund_states.iter().enumerate() {
                assert_eq!(till.look(number).await.json["refunded_amount"], 0, "{at}");
                self.asked_later(&till, *state).await;
            }
            back += amount.unwrap_or(whole - back);
            let done = if self.refund_states.is_empty() { done } else { till.look(number).await };
            assert_eq!(done.json["refunded_amount"], back, "{}", done.text);
            let state = if back == whole { "refunded" } else { "partially_refunded" };
            assert_eq!(*till.world.states().await.last().unwrap(), state);
        }
        // More than is left is refused before anybody is asked; so is a refund that a provider does not have.
        let events = till.world.states().await.len();
        let too_much = till.act(number, "refund", Some(whole - back + 1)).await;
        assert!(matches!(too_much.status, 409 | 422), "{}", too_much.text);
        assert!(matches!(till.act(number, "capture", None).await.status, 409));
        assert!(matches!(till.act(number, "cancel", None).await.status, 409));
        assert_eq!((till.bank.take_asked().len(), till.world.states().await.len()), (0, events));
        till.close().await;
    }

    async fn is_held_and_captured(&self) {
        let Some(held) = self.held else {
            return self.can_not_be_held().await;
        };
        let (till, number) = self.begun(json!({ "hold": true })).await;
        self.asked_later(&till, held).await;
        assert_eq!(till.world.states().await, ["pending", "waiting_for_capture"]);
        let (amount, told) = self.capture.unwrap();
        let done = self.deed(&till, number, "capture", amount, told).await;
        if let Some(settled) = self.settled {
            assert_eq!(done.word("state"), "waiting_for_capture");
            till.world.clock.advance(3_600_000);
            self.asked_later(&till, settled).await;
        }
        let payment = till.look(number).await;
        assert_eq!(payment.word("state"), "succeeded", "{}", payment.text);
        let whole = self.vector(self.open).amount().minor;
        assert_eq!(payment.json["captured_amount"], amount.unwrap_or(whole), "{}", payment.text);
        assert_eq!(till.world.states().await, ["pending", "waiting_for_capture", "succeeded"]);
        let again = till.act(number, "capture", None).await.is(409);
        assert!(again.word("detail").contains("succeeded"), "{}", again.text);
        till.close().await;
    }

    async fn can_not_be_held(&self) {
        let vector = self.vector(self.open);
        let till = Till::open(&vector).await;
        let refused = till.create(&vector, json!({ "hold": true })).await.is(422);
        assert_eq!(refused.json["errors"][0]["pointer"], "/hold");
        let path = "/payments?state=pending";
        assert_eq!(till.call(Method::Get, path, None).await.json["data"], json!([]));
    }

    async fn is_held_and_released(&self) {
        let Some(held) = self.held else { return };
        let (till, number) = self.begun(json!({ "hold": true })).await;
        self.asked_later(&till, held).await;
        let done = self.deed(&till, number, "cancel", None, self.release.unwrap()).await;
        assert_eq!(done.word("state"), "canceled", "{}", done.text);
        assert_eq!(till.world.states().await, ["pending", "waiting_for_capture", "canceled"]);
        till.later(86_400_000).await;
        assert_eq!(till.bank.take_asked().len(), 0);
        till.act(number, "refund", None).await.is(409);
        till.close().await;
    }
}

macro_rules! every_story {
    ($($slug:ident)*) => {
        $(
            mod $slug {
                use super::Story;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn is_paid_and_given_back() {
                    Story::of(stringify!($slug)).is_paid_and_given_back().await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn is_held_and_captured() {
                    Story::of(stringify!($slug)).is_held_and_captured().await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn is_held_and_released() {
                    Story::of(stringify!($slug)).is_held_and_released().await;
                }
            }
        )*
    };
}

every_story! { yookassa yoomoney robokassa cloudpayments liqpay uapay uniteller unitpay }
