//! Questions before a payment: may the payer pay this (CloudPayments check, Unitpay check, YooKassa's old
//! checkOrder), what is the order's state (Uniteller). They are answered on the spot from what we know, in each
//! provider's exact words.

use kassir_providers::operation::Sample;
use kassir_providers::{Money, Secret, State, by_slug};

use super::till::Till;
use super::vector::Vector;

const SHOP_PASSWORD: &str = "Shop_Pass_1";

struct Case {
    slug: &'static str,
    vector: &'static str,
    kind: &'static str,
    /// The words for an open payment, another amount, an order nobody knows, a paid one, a canceled one.
    words: [&'static str; 5],
}

const CASES: [Case; 4] = [
    Case {
        slug: "cloudpayments",
        vector: "create",
        kind: "check",
        words: [r#"{"code":0}"#, r#"{"code":12}"#, r#"{"code":10}"#, r#"{"code":13}"#, r#"{"code":13}"#],
    },
    Case {
        slug: "unitpay",
        vector: "create_form",
        kind: "check",
        words: [
            r#"{"result":{"message":"OK"}}"#,
            r#"{"error":{"message":"Сумма не совпадает с суммой заказа"}}"#,
            r#"{"error":{"message":"Заказ не найден"}}"#,
            r#"{"error":{"message":"Заказ уже оплачен"}}"#,
            r#"{"error":{"message":"Заказ отменён"}}"#,
        ],
    },
    Case {
        slug: "yookassa",
        vector: "create",
        kind: "checkOrder",
        words: [
            r#"code="0" invoiceId="{invoice}" shopId="100500"/>"#,
            r#"code="100" invoiceId="{invoice}" shopId="100500" message="Сумма заказа изменилась"/>"#,
            r#"code="100" invoiceId="{invoice}" shopId="100500" message="Заказ не найден"/>"#,
            r#"code="100" invoiceId="{invoice}" shopId="100500" message="Заказ уже оплачен"/>"#,
            r#"code="100" invoiceId="{invoice}" shopId="100500" message="Заказ отменён"/>"#,
        ],
    },
    Case {
        slug: "uniteller",
        vector: "create_form",
        kind: "control",
        words: ["NEW", "NEW", "NEW", "PAID", "NEW"],
    },
];

impl Case {
    async fn ask(&self, till: &Till, reference: u32, amount: Money, wanted: &str) {
        let sample = Sample {
            kind: Some(self.kind.to_owned()),
            state: State::Succeeded,
            refund: false,
            amount,
            reference: reference.to_string(),
            provider_id: None,
            description: "Заказ".to_owned(),
            email: None,
            metadata: serde_json::Map::new(),
            now: crate::world::START,
        };
        let request = by_slug(self.slug).unwrap().imitate(&sample, &till.shop.account).unwrap();
        let answered = till.world.notify(&till.shop, &request).await;
        let wanted = wanted.replace("{invoice}", &format!("2000{reference:0>9}"));
        let wanted = if self.slug == "yookassa" {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<checkOrderResponse \
                 performedDatetime=\"2026-01-01T03:00:00.000+03:00\" {wanted}"
            )
        } else {
            wanted
        };
        assert_eq!((answered.status, answered.body.as_str()), (200, wanted.as_str()), "{}", self.slug);
    }

    async fn run(&self) {
        let vector = Vector::named(self.slug, self.vector);
        let mut till = Till::open(&vector).await;
        if self.slug == "yookassa" {
            till.add_credential("shop_password", SHOP_PASSWORD).await;
        }
        let open = till.stage(&vector, State::Pending).await;
        let paid = till.stage(&vector, State::Succeeded).await;
        let closed = till.stage(&vector, State::Canceled).await;
        let (right, wrong) = (vector.amount(), Money { minor: vector.amount().minor - 1, ..vector.amount() });
        let [yes, other_amount, unknown, was_paid, was_closed] = self.words;
        self.ask(&till, open, right, yes).await;
        self.ask(&till, open, wrong, other_amount).await;
        self.ask(&till, closed + 1, right, unknown).await;
        self.ask(&till, paid, right, was_paid).await;
        self.ask(&till, closed, right, was_closed).await;
        // A question changes nothing, and no provider's API is asked about it.
        assert_eq!(till.world.states().await, [""; 0], "{}", self.slug);
        assert_eq!(till.look(open).await.word("state"), "pending");
        assert_eq!(till.bank.take_asked().len(), 0);
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_answered_in_each_providers_words() {
    for case in &CASES {
        case.run().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_ones_get_no_yes() {
    for case in CASES.iter().filter(|case| case.kind != "control") {
        let vector = Vector::named(case.slug, case.vector);
        let mut till = Till::open(&vector).await;
        if case.slug == "yookassa" {
            till.add_credential("shop_password", SHOP_PASSWORD).await;
        }
        let number = till.stage(&vector, State::Pending).await;
        for key in ["api_secret", "project_secret", "shop_password"] {
            if till.shop.account.credentials.contains_key(key) {
                till.shop.account.credentials.insert(key.to_owned(), Secret::new("forged"));
            }
        }
        let sample = Sample {
            kind: Some(case.kind.to_owned()),
            state: State::Succeeded,
            refund: false,
            amount: vector.amount(),
            reference: number.to_string(),
            provider_id: None,
            description: String::new(),
            email: None,
            metadata: serde_json::Map::new(),
            now: crate::world::START,
        };
        let request = by_slug(case.slug).unwrap().imitate(&sample, &till.shop.account).unwrap();
        let answered = till.world.notify(&till.shop, &request).await;
        assert!(!answered.body.contains(case.words[0]), "{}: {}", case.slug, answered.body);
        match case.slug {
            "cloudpayments" => assert!(answered.status >= 400),
            "unitpay" => assert_eq!(answered.body, r#"{"error":{"message":"Неверная подпись запроса"}}"#),
            _ => assert!(answered.body.contains(r#"code="1""#), "{}", answered.body),
        }
        till.close().await;
    }
}
