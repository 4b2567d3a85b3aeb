//! `kassir simulate` against a running router: every kind and state that a provider's declaration names is sent by the
//! real binary, answered positively, and becomes the event that it tells; with foreign credentials it is refused.

use std::process::{Command, Output};

use kassir_providers::operation::Sample;
use kassir_providers::{Account, Fact, Money, Request, Secret, State, by_slug};
use serde_json::{Value, json};

use crate::crash::subscriber;
use crate::process::Plan;
use crate::world::bank::Bank;

struct Shop {
    slug: &'static str,
    credentials: &'static [(&'static str, &'static str)],
    /// Settings of its own, by key, as JSON.
    settings: &'static [(&'static str, &'static str)],
    /// Which credential a forger does not have, and a value of the right form.
    forged: (&'static str, &'static str),
    /// What the router answers to a forged notification.
    no: &'static str,
}

const SHOPS: [Shop; 13] = [
    Shop {
        slug: "yoomoney",
        credentials: &[
            ("receiver", "4100118012345678"),
            ("notification_secret", "01234567890ABCDEF01234567890"),
        ],
        settings: &[],
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
        settings: &[],
        forged: ("password2", "Pass3_zxc"),
        no: "4",
    },
    Shop {
        slug: "cloudpayments",
        credentials: &[("public_id", "pk_1"), ("api_secret", "0b1c2d3e4f5061728394a5b6c7d8e9f0")],
        settings: &[],
        forged: ("api_secret", "1b1c2d3e4f5061728394a5b6c7d8e9f0"),
        no: "4",
    },
    Shop {
        slug: "liqpay",
        credentials: &[
            ("public_key", "i41279053618"),
            ("private_key", "kV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB"),
        ],
        settings: &[],
        forged: ("private_key", "xV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB"),
        no: "4",
    },
    Shop {
        slug: "uapay",
        credentials: &[("client_id", "6001"), ("secret_key", "3Qm9vT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtBkVsX4=")],
        settings: &[],
        forged: ("secret_key", "4Qm9vT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtBkVsX4="),
        no: "4",
    },
    Shop {
        slug: "uniteller",
        credentials: &[
            ("shop_id", "00012345"),
            ("password", "Qm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN"),
        ],
        settings: &[],
        forged: ("password", "Xm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN"),
        no: "403 WRONG SIGNATURE",
    },
    Shop {
        slug: "unitpay",
        credentials: &[("public_key", "15155-ae12d"), ("project_secret", "c1f3d8a5e7b94026a8d1c2f3b4e5d607")],
        settings: &[],
        forged: ("project_secret", "d1f3d8a5e7b94026a8d1c2f3b4e5d607"),
        no: r#"200 {"error":{"message":"Неверная подпись запроса"}}"#,
    },
    Shop {
        slug: "bepaid",
        credentials: &[("shop_id", "363"), ("secret_key", "45454e083434aa37rfdfd")],
        settings: &[],
        forged: ("secret_key", "55454e083434aa37rfdfd"),
        no: "401",
    },
    Shop {
        slug: "cryptopay",
        credentials: &[
            ("api_key", "ApiKeyExample0001"),
            ("api_secret", "ApiSecretExample0001-abcdefghijkl"),
            ("callback_secret", "cb-secret-0001"),
        ],
        settings: &[],
        forged: ("callback_secret", "cb-secret-0002"),
        no: "4",
    },
    Shop {
        slug: "cryptobot",
        credentials: &[("token", "12345:AAexampleTokenForTests000000000000")],
        settings: &[],
        forged: ("token", "12345:BBexampleTokenForTests000000000000"),
        no: "4",
    },
    Shop {
        slug: "generic",
        credentials: &[("main", "flowell-test-secret")],
        settings: &[("document", include_str!("../../providers/src/generic/presets/flowell-json-hmac.json"))],
        forged: ("main", "flowell-other-secret"),
        no: "403",
    },
    Shop {
        slug: "yookassa",
        credentials: &[("shop_id", "100500"), ("secret_key", "test_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789")],
        settings: &[],
        // Its notifications carry no proof: nobody can forge what its API does not confirm.
        forged: ("", ""),
        no: "",
    },
    Shop {
        slug: "justclick",
        credentials: &[("login", "demoshop"), ("api_key", "0123456789abcdef0123456789abcdef01234567")],
        settings: &[],
        forged: ("api_key", "1123456789abcdef0123456789abcdef01234567"),
        no: "403",
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
        for (key, value) in self.settings {
            arguments.extend(["--setting".to_owned(), format!("{key}={value}")]);
        }
        arguments.extend(kind.iter().flat_map(|kind| ["--kind".to_owned(), (*kind).to_owned()]));
        arguments
    }

    /// What the adapter makes of it, if it has such a notification at all: what it has not is a wrong usage, said in
    /// words.
    fn imitated(&self, state: State, refund: bool, kind: Option<&str>, payment: u32) -> Option<Request> {
        let provider = by_slug(self.slug).unwrap();
        let currency = provider.about().currencies.first().copied().unwrap_or("RUB").parse().unwrap();
        let sample = Sample {
            kind: kind.map(ToOwned::to_owned),
            state,
            refund,
            amount: Money::new(90_000, currency),
            reference: payment.to_string(),
            provider_id: None,
            description: String::new(),
            email: None,
            metadata: serde_json::Map::new(),
            now: 0,
        };
        provider.imitate(&sample, &self.account()).ok()
    }

    fn exists(&self, state: State, refund: bool, kind: Option<&str>) -> bool {
        self.imitated(state, refund, kind, 1).is_some()
    }

    fn account(&self) -> Account {
        let credentials =
            self.credentials.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
        let mut account = Account { credentials, ..Account::default() };
        for (key, value) in self.settings {
            account.settings.own.insert((*key).to_owned(), serde_json::from_str(value).unwrap());
        }
        account
    }

    /// The integration, and the path of its merchant.
    async fn connect(&self, plan: &Plan, subscriber: &str, bank: &Bank) -> (String, String) {
        let client = plan.client();
        let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
        let path = format!("/merchants/{}", merchant["id"].as_str().unwrap());
        let all =
            ["pending", "waiting_for_capture", "succeeded", "canceled", "partially_refunded", "refunded"];
        let endpoint = json!({ "url": subscriber, "states": all });
        client.post(&format!("{path}/endpoints"), &endpoint).await.unwrap();
        let credentials: serde_json::Map<String, Value> =
            self.credentials.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        // A question about an order that nobody knows is answered with yes, where the shop wants that.
        let mut settings =
            json!({ "unknown_payments": "accept", "source_ips": "off", "api_base": bank.url() });
        for (key, value) in self.settings {
            settings[key] = serde_json::from_str(value).unwrap();
        }
        let body = json!({ "provider": self.slug, "credentials": credentials, "settings": settings });
        let made = client.post(&format!("{path}/integrations"), &body).await.unwrap();
        (made["webhook_url"].as_str().unwrap().to_owned(), path)
    }
}

async fn every_kind(slug: &str) {
    let shop = SHOPS.iter().find(|shop| shop.slug == slug).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let client = plan.client();
    let (subscriber, got) = subscriber();
    let bank = Bank::start();
    let (url, path) = shop.connect(&plan, &subscriber, &bank).await;
    let url = url.as_str();
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

every_provider! {
    yoomoney robokassa cloudpayments liqpay uapay uniteller unitpay bepaid cryptopay cryptobot generic
}

/// What a provider whose word counts for nothing without its API is sent, kind by kind; `tell` makes the API say the
/// same as the notification before it goes out.
async fn every_confirmed_kind(slug: &str, tell: impl Fn(&Bank, &Request, &str)) {
    let shop = SHOPS.iter().find(|shop| shop.slug == slug).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let (subscriber, got) = subscriber();
    let bank = Bank::start();
    let (url, path) = shop.connect(&plan, &subscriber, &bank).await;
    let mut wanted = std::collections::BTreeMap::<String, usize>::new();
    let mut payment = 0;
    let kinds = by_slug(slug).unwrap().about().kinds.iter().map(|kind| Some(kind.name));
    for kind in std::iter::once(None).chain(kinds) {
        for (word, state, refund) in STATES {
            payment += 1;
            let what = format!("{slug} {kind:?} {word}");
            let Some(request) = shop.imitated(state, refund, kind, payment) else {
                let simulated = kassir(&shop.arguments(&url, word, kind, payment, false));
                assert_eq!(simulated.status.code(), Some(2), "{what}: {}", said(&simulated));
                continue;
            };
            let mut steps = vec![(word, kind, request)];
            if refund {
                let paid = shop.imitated(State::Succeeded, false, None, payment).unwrap();
                steps.insert(0, ("succeeded", None, paid));
            }
            for (word, kind, request) in steps {
                tell(&bank, &request, word);
                let simulated = kassir(&shop.arguments(&url, word, kind, payment, false));
                assert_eq!(simulated.status.code(), Some(0), "{what}: {}", said(&simulated));
                let received = by_slug(slug).unwrap().receive(&request, &shop.account()).unwrap();
                if received.facts.iter().any(|fact| matches!(fact, Fact::Payment(_) | Fact::Refund(_))) {
                    let count = wanted.entry(word.to_owned()).or_default();
                    *count += 1;
                    got.wait_for_state(*count, word).await;
                }
            }
        }
    }
    for state in by_slug(slug).unwrap().about().states {
        assert!(
            wanted.contains_key(state.word()) || *state == State::Pending,
            "{slug}: {state:?} {wanted:?}"
        );
    }
    // What the API does not confirm is answered, recorded, and has no effect.
    bank.forget();
    let unknown = kassir(&shop.arguments(&url, "succeeded", None, payment + 1, false));
    assert_eq!(unknown.status.code(), Some(0), "{}", said(&unknown));
    if !shop.forged.0.is_empty() {
        let forged = kassir(&shop.arguments(&url, "succeeded", None, payment + 2, true));
        assert!(said(&forged).starts_with(shop.no), "{}", said(&forged));
    }
    let log = plan.client().get(&format!("{path}/notifications?limit=1&outcome=unproven")).await.unwrap();
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
    assert_eq!(router.terminate().await, Some(0));
    assert_eq!(got.states(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn yookassa() {
    every_confirmed_kind("yookassa", |bank, request, _| {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return };
        let mut object = body["object"].clone();
        if body["event"].as_str().unwrap().starts_with("refund.") {
            // A refund's id depends on the moment when it is made up.
            object["id"] = json!("{id}");
            bank.answer("GET /refunds/*", 200, object.to_string());
        } else {
            let id = object["id"].as_str().unwrap();
            bank.answer(&format!("GET /payments/{id}"), 200, object.to_string());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn justclick() {
    every_confirmed_kind("justclick", |bank, request, word| {
        let form = kassir_providers::form::Form::parse(&request.body).unwrap();
        let status = match word {
            "succeeded" => "paid",
            "canceled" => "cancel",
            "refunded" => "moneyback",
            _ => "waiting",
        };
        let id = form.get("id").unwrap();
        let order = json!({
            "id": id, "pay_status": status, "price": "900.00", "tag": id.strip_prefix("10").unwrap(),
        });
        // The answer's hash covers its code and text only.
        let hash = "a860488a12fd9ef25834e509db15a990";
        let answer = json!({ "error_code": 0, "error_text": "OK", "result": order, "hash": hash });
        bank.answer("POST /api/getOrderDetails", 200, answer.to_string());
    })
    .await;
}
