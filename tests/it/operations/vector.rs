//! The providers' operation vectors, read for these tests: what is asked of us, what the provider's API is asked then,
//! what it answers, and how that ends.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kassir_providers::jws::sign_hs256;
use kassir_providers::{Currency, Money, Provider, State, by_slug};
use serde::Deserialize as _;
use serde_json::{Map, Value};
use toml::Table;

use crate::world::bank::Reply;

/// One vector.
#[derive(Clone)]
pub struct Vector {
    pub slug: &'static str,
    pub name: String,
    table: Table,
    changes: Vec<(String, String)>,
}

/// A call that the provider's API gets, and its reply.
pub struct Exchange {
    pub method: String,
    /// Path, with the query if there is one.
    pub target: String,
    /// `authorization`, where the provider takes one.
    pub authorization: Option<String>,
    /// Name of the header that carries the idempotency key, where the provider takes one.
    pub key_header: Option<&'static str>,
    pub json: Option<Value>,
    pub form: Option<Vec<(String, String)>>,
    pub reply: Reply,
}

impl Exchange {
    /// `GET /path`, without the query.
    pub fn call(&self) -> String {
        format!("{} {}", self.method, self.target.split('?').next().unwrap())
    }
}

/// How a vector ends badly.
pub struct Failed {
    pub why: String,
    pub fault: Option<String>,
    pub retry: Option<String>,
    pub code: Option<String>,
    pub retry_after_s: Option<i64>,
}

fn folder(slug: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/fixtures").join(slug).join("operations")
}

/// Path and query of a URL.
pub fn target_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned())
}

fn json_of(value: &toml::Value) -> Value {
    Value::deserialize(value.clone()).unwrap()
}

impl Vector {
    /// All vectors of a provider, by name.
    pub fn all(slug: &'static str) -> Vec<Vector> {
        let files = std::fs::read_dir(folder(slug)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> =
            files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names.iter().map(|name| Vector::named(slug, name)).collect()
    }

    pub fn named(slug: &'static str, name: &str) -> Vector {
        Vector::changed(slug, name, &[])
    }

    /// For a payment that was created through us: the order number that the provider knows is ours.
    pub fn with_our_number(&self) -> Vector {
        let Some(reference) = self.text("reference") else { return self.clone() };
        Vector::changed(self.slug, &self.name, &[(reference, &self.number().to_string())])
    }

    /// With other texts in place of some: another amount or id.
    pub fn changed(slug: &'static str, name: &str, changes: &[(&str, &str)]) -> Vector {
        let path = folder(slug).join(format!("{name}.toml"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
        let changes = changes.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Vector { slug, name: name.to_owned(), table, changes }
    }

    pub fn provider(&self) -> &'static dyn Provider {
        by_slug(self.slug).unwrap()
    }

    pub fn credentials(&self) -> Map<String, Value> {
        json_of(&self.table["account"]["credentials"]).as_object().unwrap().clone()
    }

    /// The settings; the path of `api_base` stays, its host becomes the bank's.
    pub fn settings(&self, bank: &str) -> Map<String, Value> {
        let settings = self.table["account"].get("settings").map(json_of);
        let mut settings = settings.and_then(|value| value.as_object().cloned()).unwrap_or_default();
        let base = settings.get("api_base").and_then(Value::as_str);
        let path = target_of(base.unwrap_or(self.provider().about().api_base));
        settings.insert("api_base".to_owned(), format!("{bank}{path}").trim_end_matches('/').into());
        settings
    }

    pub fn wish(&self) -> &str {
        self.text("wish").unwrap()
    }

    /// A member of the operation.
    pub fn value(&self, name: &str) -> Option<Value> {
        self.table["operation"].get(name).map(json_of)
    }

    /// A member of the operation that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.table["operation"].get(name)?.as_str()
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.table["operation"].get(name)?.as_integer()
    }

    pub fn number(&self) -> u32 {
        self.integer("number").map_or(1042, |number| u32::try_from(number).unwrap())
    }

    pub fn currency(&self) -> Currency {
        self.text("currency").unwrap_or("RUB").parse().unwrap()
    }

    pub fn money(&self, text: &str) -> Money {
        Money::parse(text, self.currency()).unwrap()
    }

    pub fn amount(&self) -> Money {
        self.money(self.text("amount").unwrap_or("1499.90"))
    }

    pub fn part(&self) -> Option<Money> {
        self.text("part").map(|text| self.money(text))
    }

    pub fn state(&self) -> Option<State> {
        self.text("state").map(|word| serde_json::from_value(word.into()).unwrap())
    }

    /// What the provider is asked, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let steps = self.table.get("steps").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let mut exchanges: Vec<Exchange> = steps.iter().map(exchange).collect();
        for exchange in &mut exchanges {
            if let Reply::Say { body, .. } = &mut exchange.reply {
                self.change_signed(body);
            }
        }
        exchanges
    }

    /// UAPAY's answers are signed: what is changed in them is signed anew.
    fn change_signed(&self, body: &mut String) {
        let read: Option<Value> = serde_json::from_str(body).ok();
        let Some(token) = read.as_ref().and_then(|read| read["data"]["token"].as_str()) else { return };
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let changed = self.changes.iter().fold(payload.clone(), |text, (from, to)| text.replace(from, to));
        if changed != payload {
            let key = self.table["account"]["credentials"]["secret_key"].as_str().unwrap();
            *body = body.replace(token, &sign_hs256(changed.as_bytes(), key.as_bytes()));
        }
    }

    pub fn result(&self, name: &str) -> Option<&str> {
        self.table.get("result")?.get(name)?.as_str()
    }

    /// The facts that it ends with.
    pub fn facts(&self) -> Vec<Value> {
        serde_json::from_str(self.result("facts").unwrap_or("[]")).unwrap()
    }

    /// The last state that its facts tell.
    pub fn told_state(&self) -> Option<String> {
        let facts = self.facts();
        let state = facts.iter().rev().find_map(|fact| fact.get("payment")?.get("state")?.as_str());
        state.map(ToOwned::to_owned)
    }

    pub fn failed(&self) -> Option<Failed> {
        let failed = self.table.get("result")?.get("failed")?;
        let text = |name: &str| failed.get(name).and_then(toml::Value::as_str).map(ToOwned::to_owned);
        let after = failed.get("retry_after").and_then(toml::Value::as_integer);
        Some(Failed {
            why: text("why").unwrap_or_default(),
            fault: text("fault"),
            retry: text("retry"),
            code: text("code"),
            retry_after_s: after.map(|ms| (ms + 999) / 1000),
        })
    }
}

fn exchange(step: &toml::Value) -> Exchange {
    let (call, reply) = (&step["call"], &step["reply"]);
    let text = |name: &str| call.get(name).and_then(toml::Value::as_str);
    let header = |name: &str| call.get("headers").and_then(|headers| headers.get(name));
    let form = call.get("form").and_then(toml::Value::as_table).map(|form| {
        form.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    });
    let headers = reply.get("headers").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    Exchange {
        method: text("method").unwrap().to_owned(),
        target: target_of(text("url").unwrap()),
        authorization: header("authorization").and_then(toml::Value::as_str).map(ToOwned::to_owned),
        key_header: ["idempotence-key", "x-request-id"].into_iter().find(|name| header(name).is_some()),
        json: text("json").map(|text| serde_json::from_str(text).unwrap()),
        form,
        reply: Reply::Say {
            status: u16::try_from(reply["status"].as_integer().unwrap()).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            body: reply.get("body").and_then(toml::Value::as_str).unwrap_or_default().to_owned(),
        },
    }
}
