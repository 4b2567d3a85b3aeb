//! One merchant's account at a provider: credentials and settings, as an adapter sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret text. It has no `Debug`, `Display` or serialisation, is wiped when dropped, and is compared in constant
/// time.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the secret has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time (the length is not hidden).
    #[must_use]
    pub fn same(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Whether an integration takes real money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real payments only; a test notification is recorded but is no event.
    Live,
    /// Test payments are events.
    Test,
    /// Everything is recorded, nothing becomes an event.
    Observe,
}

/// When a notification is confirmed by asking the provider's API before it takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// Always.
    Always,
    /// When the notification is not signed.
    #[default]
    WhenUnproven,
    /// Never: an unproven notification is kept and has no effect.
    Never,
}

/// What to do about the address a notification came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceIps {
    /// Refuse foreign addresses.
    Enforce,
    /// Note a foreign address in the inbound log.
    Log,
    /// Do not look.
    Off,
}

/// How a notification's amount must fit the registered payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountPolicy {
    /// Exactly (unless the provider's own rules allow otherwise, as after a partial capture).
    #[default]
    Equal,
    /// The registered amount or more.
    AtLeast,
    /// Any amount.
    Off,
}

/// What to do about a notification for a payment that nobody registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPayments {
    /// It makes a new payment, and a question about it is answered with yes.
    Accept,
    /// It is kept in the inbound log and has no effect; the provider is told no.
    Reject,
}

/// Settings of an integration: those that every provider has, and the provider's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Live, test or observe; `None`: real and test payments are both events, test ones marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Another base URL for the provider's API: sandboxes, tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_base: Option<String>,
    /// When to ask the provider's API about a notification.
    pub confirm: Confirm,
    /// Source address rule; `None` means `log` where the provider publishes a list, else `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ips: Option<SourceIps>,
    /// How strictly amounts are compared.
    pub amount_check: AmountPolicy,
    /// What to do about unknown payments; `None`: a notification makes one, a question is answered with no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_payments: Option<UnknownPayments>,
    /// Another value for the event's `provider`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_provider: Option<String>,
    /// Whether payments are held by default and captured by a person or a program.
    pub manual_capture: bool,
    /// Where a payment that was not created through us gets its contact from: JSON pointers into the payload, names
    /// of custom parameters, or constants that start with `=`, by member of `contact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_from: Option<BTreeMap<String, String>>,
    /// The same for its order: either `{"items": pointer}` or `name`, `description`, `amount` of one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_from: Option<BTreeMap<String, String>>,
    /// The provider's own settings, as its declaration names them.
    #[serde(flatten)]
    pub own: Map<String, Value>,
}

/// An account: what an adapter needs to prove, read, answer and ask.
#[derive(Clone, Default)]
pub struct Account {
    /// Credentials by key, as the provider's declaration names them.
    pub credentials: BTreeMap<String, Secret>,
    /// Settings.
    pub settings: Settings,
}

impl Account {
    /// A credential that is set and not empty.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        self.credentials.get(key).filter(|secret| !secret.is_empty())
    }

    /// A credential's text, or nothing when it is not set: for public identifiers such as a shop's number.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.secret(key).map_or("", Secret::expose)
    }

    /// One of the provider's own settings as text.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.own.get(key).and_then(Value::as_str)
    }

    /// One of the provider's own settings as a switch; off when it is not set.
    #[must_use]
    pub fn switch(&self, key: &str) -> bool {
        self.settings.own.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The base URL for the provider's API without a slash at the end: the setting `api_base`, else `default`.
    #[must_use]
    pub fn base<'a>(&'a self, default: &'a str) -> &'a str {
        self.settings.api_base.as_deref().unwrap_or(default).trim_end_matches('/')
    }

    /// Whether test notifications count (mode `test`).
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.settings.mode == Some(Mode::Test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_round_trip_with_numbers_of_their_own() {
        let text = r#"{"mode":"test","confirm":"never","amount_check":"equal","unknown_payments":"accept","manual_capture":false,"own":{"a":1.50,"b":[9007199254740993]}}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.mode, Some(Mode::Test));
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
    }

    #[test]
    fn secrets_are_compared_whole() {
        let secret = Secret::new("abc");
        assert!(secret.same("abc"));
        assert!(!secret.same("ab") && !secret.same("abd") && !secret.same(""));
    }
}
