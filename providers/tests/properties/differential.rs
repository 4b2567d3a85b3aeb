//! The configurable adapter against the built-in ones: a document that says a provider's scheme comes to the same
//! payments on the same notifications, and believes nothing that the built-in adapter refuses as forged.

use std::collections::BTreeMap;

use kassir_providers::{Account, Currency, Fact, Money, Proof, RejectKind, State, Sum, by_slug};
use serde_json::{Value, json};

use crate::support::{Failures, Fixture, fixtures};

/// A built-in provider's scheme as a document, and which of its credentials are the document's secrets.
struct Scheme {
    slug: &'static str,
    secrets: &'static [&'static str],
    document: Value,
    /// The one currency that the document knows, where it is a constant; payments in others are not compared.
    constant: Option<Currency>,
    /// The least number of payments that both must have read for the comparison to mean something.
    compared_min: usize,
}

fn document(request: Value, secret: &str, auth: Value, map: Value, states: Value) -> Value {
    json!({
        "version": 1, "slug": "described", "request": request, "secrets": {secret: {}}, "auth": auth, "map": map,
        "states": states,
    })
}

fn schemes() -> Vec<Scheme> {
    let rule =
        |ptr: &str, word: &str, state: &str| json!({"when": [{"ptr": ptr, "in": [word]}], "state": state});
    vec![
        Scheme {
            slug: "yoomoney",
            secrets: &["notification_secret"],
            document: document(
                json!({"body": "form", "form_style": "flat", "duplicates": "reject"}),
                "notification_secret",
                json!([{
                    "type": "hmac", "alg": "sha256", "key": "notification_secret",
                    "base": [{"params": {
                        "from": "/body", "exclude": ["sign"], "value_fmt": ["urlencode_rfc3986"]
                    }}],
                    "expect": {"from": "/body/sign"}
                }]),
                json!({
                    "provider_id": ["/body/operation_id"], "order_id": ["/body/label"],
                    "amount": {"from": ["/body/withdraw_amount"], "unit": "major"},
                    "currency": {"from": ["/body/currency"], "aliases": {"643": "RUB"}}
                }),
                json!([
                    {"when": [{"ptr": "/body/test_notification", "in": ["true"]}], "state": "ignore"},
                    rule("/body/unaccepted", "true", "pending"), rule("/body/codepro", "true", "pending"),
                    {"when": [], "state": "succeeded"}
                ]),
            ),
            constant: None,
            compared_min: 3,
        },
        Scheme {
            slug: "robokassa",
            secrets: &["password2"],
            document: document(
                json!({"body": "form", "form_style": "flat", "duplicates": "reject"}),
                "password2",
                json!([{
                    "type": "hash", "alg": "md5",
                    "base": [{"join": {"sep": ":", "parts": [
                        {"field": "/body/OutSum"}, {"field": "/body/InvId"}, {"secret": "password2"},
                        {"params": {"from": "/body", "include": ["Shp_*", "shp_*", "SHP_*"], "pair_sep": ":"}}
                    ]}}],
                    "expect": {"from": "/body/SignatureValue"}
                }]),
                json!({
                    "provider_id": ["/body/InvId"], "order_id": ["/body/InvId"],
                    "amount": {"from": ["/body/OutSum"], "unit": "major"}, "currency": {"const": "RUB"}
                }),
                json!([{"when": [], "state": "succeeded"}]),
            ),
            constant: Some(Currency::RUB),
            compared_min: 5,
        },
        Scheme {
            slug: "cloudpayments",
            secrets: &["api_secret"],
            document: document(
                json!({"body": "form", "form_style": "flat"}),
                "api_secret",
                json!([{
                    "type": "hmac", "alg": "sha256", "key": "api_secret", "base": [{"raw": true}],
                    "expect": {"from": "/headers/content-hmac", "encoding": "base64"}
                }]),
                json!({
                    "provider_id": ["/body/TransactionId"], "order_id": ["/body/InvoiceId"],
                    "amount": {"from": ["/body/Amount"], "unit": "major"},
                    "currency": {"from": ["/body/Currency"]}
                }),
                json!([
                    {"when": [{"ptr": "/path/kind", "in": ["pay"]}, {"ptr": "/body/Status", "in": ["Completed"]}],
                     "state": "succeeded"},
                    {"when": [{"ptr": "/path/kind", "in": ["pay"]}, {"ptr": "/body/Status", "in": ["Authorized"]}],
                     "state": "waiting_for_capture"}
                ]),
            ),
            constant: None,
            compared_min: 2,
        },
        Scheme {
            slug: "unitpay",
            secrets: &["project_secret"],
            document: document(
                json!({"methods": ["GET"], "body": "query"}),
                "project_secret",
                json!([{
                    "type": "hash", "alg": "sha256",
                    "base": [{"join": {"sep": "{up}", "parts": [
                        {"field": "/query/method"},
                        {"params": {
                            "from": "/query/params", "exclude": ["sign", "signature"], "pair": "value",
                            "pair_sep": "{up}"
                        }},
                        {"secret": "project_secret"}
                    ]}}],
                    "expect": {"from": "/query/params/signature"}
                }]),
                json!({
                    "provider_id": ["/query/params/unitpayId"], "order_id": ["/query/params/account"],
                    "amount": {"from": ["/query/params/orderSum"], "unit": "major"},
                    "currency": {"from": ["/query/params/orderCurrency"]}
                }),
                json!([
                    rule("/query/method", "pay", "succeeded"),
                    rule("/query/method", "preauth", "waiting_for_capture")
                ]),
            ),
            constant: None,
            compared_min: 2,
        },
        Scheme {
            slug: "liqpay",
            secrets: &["private_key"],
            document: document(
                json!({
                    "body": "form", "form_style": "flat", "duplicates": "reject",
                    "unwrap": [{"op": "base64_json", "from": "/body/data", "to": "/x/data"}]
                }),
                "private_key",
                json!([{
                    "type": "hash", "alg": "sha1",
                    "base": [{"secret": "private_key"}, {"field": "/body/data"}, {"secret": "private_key"}],
                    "expect": {"from": "/body/signature", "encoding": "base64"}
                }]),
                json!({
                    "provider_id": ["/x/data/payment_id"], "order_id": ["/x/data/order_id"],
                    "amount": {"from": ["/x/data/amount"], "unit": "major"},
                    "currency": {"from": ["/x/data/currency"]}
                }),
                json!([
                    {"when": [{"ptr": "/x/data/action", "not_in": ["pay", "hold"]}], "state": "ignore"},
                    rule("/x/data/status", "success", "succeeded"),
                    rule("/x/data/status", "hold_wait", "waiting_for_capture")
                ]),
            ),
            constant: None,
            compared_min: 3,
        },
    ]
}

/// What both can say of a payment that was paid or held.
type Paid = (Option<String>, State, Option<Money>);

fn paid(facts: &[Fact]) -> Vec<Paid> {
    let told = facts.iter().filter_map(|fact| match fact {
        Fact::Payment(fact) if matches!(fact.state, State::Succeeded | State::WaitingForCapture) => {
            let money = fact.amount.as_ref().and_then(|sum| match sum {
                Sum::Money(money) => Some(*money),
                Sum::InPaymentCurrency(_) => None,
            });
            Some((fact.payment.reference.clone(), fact.state, money))
        }
        _ => None,
    });
    told.collect()
}

fn described(scheme: &Scheme, fixture: &Fixture) -> Account {
    let credentials = &fixture.account.credentials;
    let own =
        scheme.secrets.iter().filter_map(|key| Some(((*key).to_owned(), credentials.get(*key)?.clone())));
    let mut account = Account { credentials: own.collect::<BTreeMap<_, _>>(), ..Account::default() };
    account.settings.own.insert("document".to_owned(), scheme.document.clone());
    account
}

#[test]
fn documents_read_what_built_in_adapters_read() {
    let mut failures = Failures::of("a document comes to the same payments as the built-in adapter");
    let generic = by_slug("generic").expect("the configurable adapter");
    for scheme in schemes() {
        let mut compared = 0;
        for fixture in fixtures().iter().filter(|fixture| fixture.slug == scheme.slug) {
            let account = described(&scheme, fixture);
            let got = generic.receive(&fixture.request, &account);
            match (fixture.receive(), got) {
                (Ok(own), Ok(got)) if own.proof == Proof::Signed => {
                    let (own, got) = (paid(&own.facts), paid(&got.facts));
                    let foreign = |(_, _, money): &Paid| {
                        let currency = money.map(|money| money.currency);
                        scheme.constant.is_some() && scheme.constant != currency
                    };
                    if own.is_empty() || got.is_empty() || own.iter().any(foreign) {
                        continue;
                    }
                    compared += 1;
                    failures
                        .check(&fixture.place, own == got, || format!("built in {own:?}, described {got:?}"));
                }
                (Err(reject), Ok(got)) if reject.kind == RejectKind::WrongProof => {
                    failures.check(&fixture.place, paid(&got.facts).is_empty(), || {
                        format!("built in: {}; described: {:?}", reject.reason, got.facts)
                    });
                }
                _ => {}
            }
        }
        failures.check(scheme.slug, compared >= scheme.compared_min, || format!("only {compared} compared"));
    }
    failures.finish();
}
