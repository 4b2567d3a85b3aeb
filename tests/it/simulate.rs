//! `kassir simulate` against a running router: every kind and state that a provider's declaration names is sent by the
//! real binary, answered positively, and becomes the event that it tells; with foreign credentials it is refused.

use std::process::{Command, Output};

use kassir_providers::operation::Sample;
use kassir_providers::{Account, Money, Secret, State, by_slug};
use serde_json::{Value, json};

use crate::crash::subscriber;
use crate::process::Plan;
use crate::world::bank::Bank;

struct Shop {
    slug: &'static str,
    credentials: &'static [(&'static str, &'static str)],
    /// Which credential a forger does not have, and a value of the right form.
    forged: (&'static str, &'static str),
    /// What the router answers to a forged notification.
    no: &'static str,
}

const SHOPS: [Shop; 7] = [
    Shop {
        slug: "yoomoney",
        credentials: &[
            ("receiver", "4100118012345678"),
            ("notification_secret", "01234567890ABCDEF01234567890"),
        ],
        forged: ("notification_secret", "11234567890ABCDEF01234567890"),
        no: "4",
    },
    Shop {
        slug: "robokassa",
        credentials: &[
            ("merchant_login", "demo_shop"),
            ("password1", "Pass1_qwe"),
            ("password2", "Pass2_asd"),
        ],
        forged: ("password2", "Pass3_zxc"),
        no: "4",
    },
    Shop {
        slug: "cloudpayments",
        credentials: &[("public_id", "pk_1"), ("api_secret", "0b1c2d3e4f5061728394a5b6c7d8e9f0")],
        forged: ("api_secret", "1b1c2d3e4f5061728394a5b6c7d8e9f0"),
        no: "4",
    },
    Shop {
        slug: "liqpay",
        credentials: &[
            ("public_key", "i41279053618"),
            ("private_key", "kV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB"),
        ],
        forged: ("private_key", "xV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB"),
        no: "4",
    },
    Shop {
        slug: "uapay",
        credentials: &[("client_id", "6001"), ("secret_key", "3Qm9vT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtBkVsX4=")],
        forged: ("secret_key", "4Qm9vT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtBkVsX4="),
        no: "4",
    },
    Shop {
        slug: "uniteller",
        credentials: &[
            ("shop_id", "00012345"),
            ("password", "Qm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN"),
        ],
        forged: ("password", "Xm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN"),
        no: "403 WRONG SIGNATURE",
    },
    Shop {
        slug: "unitpay",
        credentials: &[("public_key", "15155-ae12d"), ("project_secret", "c1f3d8a5e7b94026a8d1c2f3b4e5d607")],
        forged: ("project_secret", "d1f3d8a5e7b94026a8d1c2f3b4e5d607"),
        no: r#"200 {"error":{"message":"Неверная подпись запроса"}}"#,
    },
];

/// Every state that a notification can tell, with the event's word and whether it is a refund.
const STATES: [(&str, State, bool); 5] = [
    ("pending", State::Pending, false),
    ("waiting_for_capture", State::WaitingForCapture, false),
    ("succeeded", State::Succeeded, false),
    ("canceled", State::Canceled, false),
    ("refunded", State::Succeeded, true),
];

fn kassir(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kassir")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}{err}", out.trim())
}

impl Shop {
    fn arguments(
        &self,
        url: &str,
        state: &str,
        kind: Option<&str>,
        payment: u32,
        forged: bool,
    ) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["simulate", self.slug, "--to", url, "--state", state, "--payment", &payment.to_string()]
                .map(ToOwned::to_owned)
                .to_vec();
        for (key, value) in self.credentials {
            let value = if forged && self.forged.0 == *key { self.forged.1 } else { value };
            arguments.extend(["--credential".to_owned(), format!("{key}={value}")]);
        }
        arguments.extend(kind.iter().flat_map(|kind| ["--kind".to_owned(), (*kind).to_owned()]));
        arguments
    }

    /// Whether the adapter has such a notification at all: what it has not is a wrong usage, said in words.
    fn exists(&self, state: State, refund: bool, kind: Option<&str>) -> bool {
        let provider = by_slug(self.slug).unwrap();
        let currency = provider.about().currencies.first().copied().unwrap_or("RUB").parse().unwrap();
        let sample = Sample {
            kind: kind.map(ToOwned::to_owned),
            state,
            refund,
            amount: Money::new(90_000, currency),
            reference: "1".to_owned(),
            provider_id: None,
            description: String::new(),
            email: None,
            metadata: serde_json::Map::new(),
            now: 0,
        };
        let credentials =
            self.credentials.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
        provider.imitate(&sample, &Account { credentials, ..Account::default() }).is_ok()
    }
}

async fn every_kind(slug: &str) {
    let shop = SHOPS.iter().find(|shop| shop.slug == slug).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let path = format!("/merchants/{}", merchant["id"].as_str().unwrap());
    let (subscriber, got) = subscriber();
    let all = ["pending", "waiting_for_capture", "succeeded", "canceled", "partially_refunded", "refunded"];
    client.post(&format!("{path}/endpoints"), &json!({ "url": subscriber, "states": all })).await.unwrap();
    let credentials: serde_json::Map<String, Value> =
        shop.credentials.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    // A question about an order that nobody knows is answered with yes, where the shop wants that.
    let bank = Bank::start();
    let settings = json!({ "unknown_payments": "accept", "source_ips": "off", "api_base": bank.url() });
    let body = json!({ "provider": slug, "credentials": credentials, "settings": settings });
    let made = client.post(&format!("{path}/integrations"), &body).await.unwrap();
    let url = made["webhook_url"].as_str().unwrap();
    let kinds = by_slug(slug).unwrap().about().kinds.iter().map(|kind| Some(kind.name));
    let (mut payment, mut sent) = (0, 0);
    for kind in std::iter::once(None).chain(kinds) {
        for (word, state, refund) in STATES {
            payment += 1;
            let what = format!("{slug} {kind:?} {word}");
            // Only what was held is released, only what was paid goes back.
            let before = match state {
                _ if refund => Some("succeeded"),
                State::Canceled if slug == "cloudpayments" => Some("waiting_for_capture"),
                _ => None,
            };
            if let Some(before) = before.filter(|_| shop.exists(state, refund, kind)) {
                let sent = kassir(&shop.arguments(url, before, None, payment, false));
                assert_eq!(sent.status.code(), Some(0), "{what}: {}", said(&sent));
            }
            let simulated = kassir(&shop.arguments(url, word, kind, payment, false));
            if !shop.exists(state, refund, kind) {
                assert_eq!(simulated.status.code(), Some(2), "{what}: {}", said(&simulated));
                continue;
            }
            sent += 1;
            assert_eq!(simulated.status.code(), Some(0), "{what}: {}", said(&simulated));
            // Robokassa signs result2 with a key that only it has: ours is taken as a hint, as anybody's.
            let hint = slug == "robokassa" && (kind == Some("result2") || word == "waiting_for_capture");
            if !hint && kind != Some("control") {
                let forged = kassir(&shop.arguments(url, word, kind, payment + 100_000, true));
                assert!(said(&forged).starts_with(shop.no), "{what}: {}", said(&forged));
            }
        }
    }
    assert!(sent > 0);
    let log = client.get(&format!("{path}/notifications?limit=200")).await.unwrap();
    let outcomes: Vec<&str> =
        log["data"].as_array().unwrap().iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.contains(&"accepted") || slug == "uniteller", "{outcomes:?}");
    // Every event of the log reached the subscriber.
    let events = client.get(&format!("{path}/events?limit=200")).await.unwrap();
    let told: Vec<(u64, String)> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["payment_id"].as_u64().unwrap(), event["state"].as_str().unwrap().to_owned()))
        .collect();
    got.wait_for_events(&told).await;
    for state in by_slug(slug).unwrap().about().states {
        let known = told.iter().any(|(_, word)| word == state.word());
        let unproven = slug == "uniteller" || (slug == "robokassa" && *state == State::WaitingForCapture);
        assert!(known || unproven || *state == State::Pending, "{slug}: no event {}: {told:?}", state.word());
    }
    assert_eq!(router.terminate().await, Some(0));
}

macro_rules! every_provider {
    ($($slug:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $slug() {
                every_kind(stringify!($slug)).await;
            }
        )*
    };
}

every_provider! { yoomoney robokassa cloudpayments liqpay uapay uniteller unitpay }
