//! Settings of an integration from JSON: those that every provider has, then the provider's own.

use std::collections::BTreeMap;

use kassir_providers::account::{AmountPolicy, Confirm, Mode, SourceIps, UnknownPayments};
use kassir_providers::{About, Settings};
use serde_json::{Map, Value};

use super::error::InputError;
use super::{Members, kind};

/// Longest base URL, characters.
const URL_MAX: usize = 500;
/// Longest `event_provider`, characters.
const EVENT_PROVIDER_MAX: usize = 64;
/// Longest pointer or constant of `contact_from` and `order_from`, characters.
const SOURCE_MAX: usize = 300;
/// Largest document or other setting of a provider's own, bytes of JSON.
const OWN_MAX: usize = 64 * 1024;

const MODES: [(&str, Mode); 3] = [("live", Mode::Live), ("test", Mode::Test), ("observe", Mode::Observe)];
const CONFIRMS: [(&str, Confirm); 3] =
    [("always", Confirm::Always), ("when_unproven", Confirm::WhenUnproven), ("never", Confirm::Never)];
const SOURCE_IPS: [(&str, SourceIps); 3] =
    [("enforce", SourceIps::Enforce), ("log", SourceIps::Log), ("off", SourceIps::Off)];
const AMOUNT_CHECKS: [(&str, AmountPolicy); 3] =
    [("equal", AmountPolicy::Equal), ("at_least", AmountPolicy::AtLeast), ("off", AmountPolicy::Off)];
const UNKNOWN_PAYMENTS: [(&str, UnknownPayments); 2] =
    [("accept", UnknownPayments::Accept), ("reject", UnknownPayments::Reject)];
/// Members of `contact_from`.
const CONTACT_MEMBERS: [&str; 4] = ["id", "name", "messenger", "phone"];
/// Members of `order_from`.
const ORDER_MEMBERS: [&str; 4] = ["items", "name", "description", "amount"];

/// Puts the given members into the settings; `null` puts a setting back to its default. Values of the provider's own
/// settings are checked afterwards, with the whole account, by `about::problems`.
pub fn apply(settings: &mut Settings, about: &About, given: Map<String, Value>) -> Vec<InputError> {
    let mut body = Members::of(given, "/settings".to_owned());
    words(settings, &mut body);
    if body.cleared("api_base") {
        settings.api_base = None;
    } else if let Some(url) = body.text("api_base", URL_MAX) {
        settings.api_base = Some(url);
    }
    if body.cleared("event_provider") {
        settings.event_provider = None;
    } else if let Some(name) = body.text("event_provider", EVENT_PROVIDER_MAX) {
        if name.trim().is_empty() {
            body.wrong("event_provider", "must not be empty; null puts the default back");
        }
        settings.event_provider = Some(name);
    }
    if body.cleared("manual_capture") {
        settings.manual_capture = false;
    } else if let Some(on) = body.switch("manual_capture") {
        settings.manual_capture = on;
    }
    sources(&mut settings.contact_from, &mut body, "contact_from", &CONTACT_MEMBERS);
    sources(&mut settings.order_from, &mut body, "order_from", &ORDER_MEMBERS);
    for own in about.settings {
        if body.cleared(own.key) {
            settings.own.shift_remove(own.key);
        } else if let Some(value) = body.value(own.key) {
            if value.to_string().len() > OWN_MAX {
                body.wrong(own.key, format!("is larger than {OWN_MAX} bytes"));
            } else {
                settings.own.insert(own.key.to_owned(), value);
            }
        }
    }
    body.into_errors()
}

fn words(settings: &mut Settings, body: &mut Members) {
    if body.cleared("mode") {
        settings.mode = None;
    } else if let Some(mode) = body.word("mode", &MODES) {
        settings.mode = Some(mode);
    }
    if body.cleared("confirm") {
        settings.confirm = Confirm::default();
    } else if let Some(confirm) = body.word("confirm", &CONFIRMS) {
        settings.confirm = confirm;
    }
    if body.cleared("source_ips") {
        settings.source_ips = None;
    } else if let Some(rule) = body.word("source_ips", &SOURCE_IPS) {
        settings.source_ips = Some(rule);
    }
    if body.cleared("amount_check") {
        settings.amount_check = AmountPolicy::default();
    } else if let Some(policy) = body.word("amount_check", &AMOUNT_CHECKS) {
        settings.amount_check = policy;
    }
    if body.cleared("unknown_payments") {
        settings.unknown_payments = None;
    } else if let Some(rule) = body.word("unknown_payments", &UNKNOWN_PAYMENTS) {
        settings.unknown_payments = Some(rule);
    }
}

fn sources(
    slot: &mut Option<BTreeMap<String, String>>,
    body: &mut Members,
    name: &'static str,
    members: &[&'static str],
) {
    if body.cleared(name) {
        *slot = None;
        return;
    }
    let read = body.object(name, |inner| {
        let mut found = BTreeMap::new();
        for member in members {
            if let Some(text) = inner.text(member, SOURCE_MAX) {
                if text.is_empty() {
                    inner.wrong(
                        member,
                        "must not be empty: a JSON pointer such as /object/metadata/chat_id, a parameter's name, or a constant such as =telegram",
                    );
                }
                found.insert((*member).to_owned(), text);
            }
        }
        found
    });
    if let Some(found) = read {
        *slot = Some(found);
    }
}

/// What is given under `settings`: an object, or nothing.
///
/// # Errors
/// Says what else it is.
pub fn given(value: Value) -> Result<Map<String, Value>, InputError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(InputError::at("/settings", format!("must be an object, not {}", kind(&other)))),
    }
}
