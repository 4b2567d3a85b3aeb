//! A shop at a provider whose API the test plays, driven over the REST API.

use std::sync::Arc;

use kassir::clock::Clock as _;
use kassir::domain::ids::JobId;
use kassir::domain::job::{Job, Lane, Task};
use kassir::domain::payment::{Origin, Payment, Refund};
use kassir::store::{Commit, PaymentWrite};
use kassir_providers::digest::{Hash, base64};
use kassir_providers::{Account, Method, Secret, Settings, State};
use serde_json::{Map, Value, json};

use super::log;
use super::vector::{Exchange, Vector};
use crate::world::bank::{Asked, Bank};
use crate::world::{ADMIN, Shop, World};

/// Members of a create vector that the API takes under the same name.
const TAKEN: [&str; 6] = ["description", "email", "return_url", "hold", "save_method", "saved_method"];

/// An answer of the API.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub text: String,
    pub json: Value,
}

impl Told {
    #[track_caller]
    pub fn is(self, status: u16) -> Told {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A member as a text.
    pub fn word(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }
}

/// A shop at a provider.
pub struct Till {
    pub world: World,
    pub bank: Arc<Bank>,
    pub shop: Shop,
    pub integration: String,
    pub slug: &'static str,
    secrets: Vec<String>,
}

impl Till {
    /// A shop with the account of a vector, whose next payment has the vector's number.
    pub async fn open(vector: &Vector) -> Till {
        let world = World::on(crate::sqlite::fresh().await).await;
        Till::in_world(world, Arc::new(Bank::start()), vector).await
    }

    /// The same in a world that exists.
    pub async fn in_world(mut world: World, bank: Arc<Bank>, vector: &Vector) -> Till {
        log::keep();
        let merchant = json!({ "name": "Лавка", "first_payment": vector.number().max(1) });
        let made = send(&world, Method::Post, "/merchants", None, Some(merchant)).await.is(201);
        world.merchant = made.word("id").parse().unwrap();
        let (credentials, settings) = (vector.credentials(), vector.settings(&bank.url()));
        let body = json!({ "provider": vector.slug, "credentials": credentials, "settings": settings });
        let path = format!("/merchants/{}/integrations", world.merchant);
        let made = send(&world, Method::Post, &path, None, Some(body)).await.is(201);
        let about = vector.provider().about();
        let is_secret = |key: &str| about.credentials.iter().any(|field| field.key == key && field.secret);
        let texts = credentials.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
        let texts: Vec<(String, String)> = texts.collect();
        let secrets = texts.iter().filter(|(key, _)| is_secret(key)).map(|(_, text)| text.clone()).collect();
        let settings: Settings = serde_json::from_value(Value::Object(settings)).unwrap();
        let credentials = texts.into_iter().map(|(key, text)| (key, Secret::new(text))).collect();
        let shop = Shop {
            url: made.word("webhook_url").to_owned(),
            account: Account { credentials, settings },
            slug: vector.slug.to_owned(),
        };
        let integration = made.word("id").to_owned();
        Till { world, bank, shop, integration, slug: vector.slug, secrets }
    }

    /// A further credential.
    pub async fn add_credential(&mut self, key: &str, value: &str) {
        let path = format!("/integrations/{}", self.integration);
        self.call(Method::Patch, &path, Some(json!({ "credentials": { key: value } }))).await.is(200);
        self.shop.account.credentials.insert(key.to_owned(), Secret::new(value));
        self.secrets.push(value.to_owned());
    }

    /// The provider's API is elsewhere.
    pub async fn rebase(&mut self, api_base: &str) {
        let path = format!("/integrations/{}", self.integration);
        let credentials = self.shop.account.credentials.iter();
        let credentials: Map<String, Value> =
            credentials.map(|(key, secret)| (key.clone(), secret.expose().into())).collect();
        let body = json!({ "settings": { "api_base": api_base }, "credentials": credentials });
        self.call(Method::Patch, &path, Some(body)).await.is(200);
    }

    /// Closes the shop for good; gives what can be used again.
    pub async fn close(self) -> (World, Arc<Bank>) {
        log::holds_none_of(&self.secrets);
        let path = format!("/merchants/{}", self.world.merchant);
        assert_eq!(send(&self.world, Method::Delete, &path, None, None).await.status, 204);
        self.bank.left();
        (self.world, self.bank)
    }

    /// The provider answers with a vector's replies, in order.
    pub fn expect(&self, vector: &Vector) -> Vec<Exchange> {
        let exchanges = vector.exchanges();
        for exchange in &exchanges {
            self.bank.next(&exchange.call(), exchange.reply.clone());
        }
        exchanges
    }

    /// The clock stands at a time.
    pub fn at(&self, now: i64) {
        self.world.clock.advance(now - self.world.clock.now());
    }

    /// A request below the merchant; whatever the answer, it holds no secret.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Told {
        let path = format!("/merchants/{}{path}", self.world.merchant);
        self.told(send(&self.world, method, &path, None, body).await)
    }

    /// A refund under an `Idempotency-Key`.
    pub async fn refund_under(&self, key: &str, number: u32, amount: Option<i64>) -> Told {
        let path = format!("/merchants/{}/payments/{number}/refund", self.world.merchant);
        self.told(send(&self.world, Method::Post, &path, Some(key), Some(json!({ "amount": amount }))).await)
    }

    fn told(&self, told: Told) -> Told {
        for secret in &self.secrets {
            assert!(!told.text.contains(secret.as_str()), "a secret in {}", told.text);
        }
        told
    }

    /// Creates a payment of a vector's amount, with these members besides.
    pub async fn create(&self, vector: &Vector, more: Value) -> Told {
        let mut body = json!({ "integration_id": self.integration, "amount": vector.amount().minor,
            "currency": vector.currency().code() });
        let body_map = body.as_object_mut().unwrap();
        body_map.extend(more.as_object().unwrap().clone());
        self.call(Method::Post, "/payments", Some(body)).await
    }

    /// All that a create vector says beside its amount.
    pub fn wishes(vector: &Vector) -> Value {
        let mut wishes = Map::new();
        for name in TAKEN {
            wishes.extend(vector.value(name).map(|value| (name.to_owned(), value)));
        }
        for name in ["metadata", "receipt"] {
            let value = vector.text(name).map(|text| serde_json::from_str(text).unwrap());
            wishes.extend(value.map(|value| (name.to_owned(), value)));
        }
        wishes.extend(vector.value("contact").map(|value| ("contact".to_owned(), value)));
        if let Some(lines) = vector.value("order") {
            let mut lines = lines;
            for line in lines.as_array_mut().unwrap() {
                let amount = line["amount"].as_str().unwrap().to_owned();
                line["amount"] = serde_json::from_str(&amount).unwrap();
            }
            wishes.insert("order".to_owned(), lines);
        }
        wishes.into()
    }

    /// capture, cancel or refund.
    pub async fn act(&self, number: u32, deed: &str, amount: Option<i64>) -> Told {
        self.act_with(number, deed, amount, None).await
    }

    /// The same with receipt data.
    pub async fn act_with(
        &self,
        number: u32,
        deed: &str,
        amount: Option<i64>,
        receipt: Option<Value>,
    ) -> Told {
        let mut body = Map::new();
        body.extend(amount.map(|amount| ("amount".to_owned(), amount.into())));
        body.extend(receipt.map(|receipt| ("receipt".to_owned(), receipt)));
        let body = Value::Object(body);
        self.call(Method::Post, &format!("/payments/{number}/{deed}"), Some(body)).await
    }

    pub async fn look(&self, number: u32) -> Told {
        self.call(Method::Get, &format!("/payments/{number}"), None).await.is(200)
    }

    /// A while later, with all the work done that is due by then.
    pub async fn later(&self, ms: i64) {
        self.world.clock.advance(ms);
        self.world.work().await;
    }

    /// Writes down the payment that a vector is about, as if it had come that far.
    pub async fn stage(&self, vector: &Vector, state: State) -> u32 {
        let now = self.world.clock.now();
        let text = |name: &str| vector.text(name).map(ToOwned::to_owned);
        let before = vector.integer("refunded").into_iter();
        let refunds = before.map(|amount| Refund { id: "before".to_owned(), amount, at: now });
        let payment = Payment {
            number: 0,
            version: 0,
            merchant: self.world.merchant,
            integration: self.integration.parse().unwrap(),
            provider: self.slug.to_owned(),
            origin: Origin::Api,
            state,
            expired_by_us: false,
            amount: vector.amount(),
            captured: None,
            refunds: refunds.collect(),
            provider_id: text("provider_id"),
            reference: text("reference"),
            operation_key: text("operation_key"),
            saved_method: None,
            method: None,
            pay_url: None,
            pay_form: None,
            hold: state == State::WaitingForCapture,
            test: false,
            description: String::new(),
            order: Vec::new(),
            contact: None,
            email: None,
            return_url: None,
            metadata: Map::new(),
            reason: None,
            expires_at: None,
            created_at: vector.integer("created_at").filter(|at| *at > 0).unwrap_or(now),
            updated_at: now,
        };
        let links = payment.provider_id.iter().cloned().collect();
        let mut commit = Commit::of(self.world.merchant);
        commit.payment = Some(PaymentWrite::New { payment: Box::new(payment), links });
        self.world.router.store.commit(commit).await.unwrap().payment.unwrap().0
    }

    /// Queues a job of this shop that is due now.
    pub async fn queue(&self, task: Task) {
        let now = self.world.clock.now();
        let job = Job {
            id: JobId(self.world.clock.id()),
            merchant: self.world.merchant,
            lane: Lane::Integration(self.integration.parse().unwrap()),
            task,
            attempts: 0,
            created_at: now,
        };
        let mut commit = Commit::of(self.world.merchant);
        commit.jobs.push((job, 0));
        self.world.router.store.commit(commit).await.unwrap();
    }

    /// Cryptopay's signature is over the whole call, so that the vector's fits no other order number.
    /// <https://developers.cryptopay.me/guides/api-basics/authentication/signature>
    fn signed(&self, asked: &Asked) -> String {
        let md5 = if asked.body.is_empty() { String::new() } else { Hash::Md5.hex(asked.body.as_bytes()) };
        let (kind, date) = (&asked.headers["content-type"], &asked.headers["date"]);
        let text = format!("{}\n{md5}\n{kind}\n{date}\n{}", asked.method, asked.target);
        let account = &self.shop.account;
        let digest = Hash::Sha1.hmac(account.text("api_secret").as_bytes(), text.as_bytes());
        format!("HMAC {}:{}", account.text("api_key"), base64(&digest))
    }

    /// What the provider was asked is what it should be asked, and nothing else was.
    #[track_caller]
    pub fn was_asked(&self, exchanges: &[Exchange], what: &str) -> Vec<Asked> {
        let asked = self.bank.take_asked();
        let calls: Vec<String> =
            asked.iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect();
        let wanted: Vec<String> =
            exchanges.iter().map(|wanted| format!("{} {}", wanted.method, wanted.target)).collect();
        assert_eq!(calls, wanted, "{what}");
        for (asked, wanted) in asked.iter().zip(exchanges) {
            let header = |name: &str| asked.headers.get(name).map(String::as_str);
            if self.slug == "cryptopay" {
                assert_eq!(header("authorization"), Some(self.signed(asked).as_str()), "{what}");
            } else {
                assert_eq!(header("authorization"), wanted.authorization.as_deref(), "{what}");
            }
            if let Some(name) = wanted.key_header {
                assert_eq!(header(name).map(str::len), Some(40), "{what}: {name}");
            }
        }
        assert_eq!(self.bank.left(), [""; 0], "{what}");
        asked
    }
}

async fn send(world: &World, method: Method, path: &str, key: Option<&str>, body: Option<Value>) -> Told {
    let url = format!("{}/api/v1{path}", world.router.url());
    let mut headers = vec![("authorization".to_owned(), format!("Bearer {ADMIN}"))];
    headers.extend(body.as_ref().map(|_| ("content-type".to_owned(), "application/json".to_owned())));
    headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let answered = world.send(method, &url, headers, body).await;
    let json = serde_json::from_str(&answered.body).unwrap_or(Value::Null);
    Told { status: answered.status, text: answered.body, json }
}
