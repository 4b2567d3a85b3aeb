//! A provider's declaration: API, console, command line, documentation and `doctor` are generated from it.

use serde::Serialize;
use serde_json::Value;

use crate::account::Account;
use crate::fact::State;

/// Longest value of a credential, bytes.
pub const CREDENTIAL_LEN_MAX: usize = 8 * 1024;

/// A text in the languages in which people read it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Russian.
    pub ru: &'static str,
    /// Ukrainian, where the provider's merchants read it; empty otherwise.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uk: &'static str,
}

impl Text {
    /// English and Russian.
    #[must_use]
    pub const fn new(en: &'static str, ru: &'static str) -> Text {
        Text { en, ru, uk: "" }
    }

    /// With a Ukrainian text.
    #[must_use]
    pub const fn uk(mut self, uk: &'static str) -> Text {
        self.uk = uk;
        self
    }
}

/// What a credential or setting may hold.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Any text that is not empty.
    Text,
    /// Decimal digits.
    Digits,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// true or false.
    Switch,
    /// A list of texts.
    List,
    /// An `https://` (or allowed `http://`) base URL.
    Url,
    /// A JSON object.
    Object,
    /// PEM public keys or certificates, one after the other.
    Pem,
}

/// A credential that a merchant fills in.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Field {
    /// Key in the API's `credentials`.
    pub key: &'static str,
    /// Whether an integration can't be made without it.
    pub required: bool,
    /// Whether it is secret; of a secret only the last four characters are shown.
    pub secret: bool,
    /// The provider's dashboard's own label.
    pub label: Text,
    /// Where to find it, what it looks like.
    pub hint: Text,
    /// What it may hold.
    pub check: Check,
}

/// One of a provider's own settings.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// Key in the API's `settings`.
    pub key: &'static str,
    /// Name for a person.
    pub label: Text,
    /// What it does.
    pub hint: Text,
    /// What it may hold.
    pub check: Check,
    /// Value when it is not set, as JSON text.
    pub default: &'static str,
}

impl Setting {
    /// Whether it says, like `api_base`, where requests with credentials go: then secrets do not follow when it is
    /// changed. Such a setting bears one of these names.
    #[must_use]
    pub fn says_where(&self) -> bool {
        matches!(self.key, "domain" | "hosts")
    }
}

/// A kind of notification.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Kind {
    /// The word: last segment of the URL where `in_url`, else the provider's own word. Also `simulate --kind`.
    pub name: &'static str,
    /// Whether the URL must say it.
    pub in_url: bool,
    /// When it comes.
    pub about: Text,
}

/// What can be done with a provider.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Capabilities {
    /// A payment can be created and has a pay link.
    pub create: bool,
    /// A payment can be held and captured later.
    pub hold: bool,
    /// The state can be asked for.
    pub status: bool,
    /// A held payment can be captured.
    pub capture: bool,
    /// … for less than was held.
    pub partial_capture: bool,
    /// An unpaid or held payment can be canceled.
    pub cancel: bool,
    /// Money can be given back.
    pub refund: bool,
    /// … in part.
    pub partial_refund: bool,
    /// Capturing takes receipt data (54-FZ) in the provider's own form.
    pub capture_receipt: bool,
    /// Giving money back takes receipt data (54-FZ) in the provider's own form.
    pub refund_receipt: bool,
    /// A saved method can be charged.
    pub charge: bool,
    /// A subscription that the provider runs can be ended.
    pub cancel_subscription: bool,
    /// The provider asks before the payer pays.
    pub questions: bool,
    /// Several attempts, each with an id of its own, may share one order number (CloudPayments).
    pub attempts_share_reference: bool,
}

impl Capabilities {
    /// None of them.
    pub const NONE: Capabilities = Capabilities {
        create: false,
        hold: false,
        status: false,
        capture: false,
        partial_capture: false,
        cancel: false,
        refund: false,
        partial_refund: false,
        capture_receipt: false,
        refund_receipt: false,
        charge: false,
        cancel_subscription: false,
        questions: false,
        attempts_share_reference: false,
    };
}

/// How fast a provider's API may be asked.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Shortest time between two calls of one account, milliseconds.
    pub call_gap_ms: u32,
    /// Calls of one account under way at once.
    pub calls_at_once: u32,
    /// Longest period that [`crate::operation::Wish::Period`] may ask about, days; 0 where the provider lists no
    /// payments by period.
    pub period_days: u32,
}

/// A provider's declaration.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct About {
    /// Name in URLs and configuration.
    pub slug: &'static str,
    /// Name for a person.
    pub title: Text,
    /// Value of the event's `provider`, unless the integration says otherwise.
    pub event_provider: &'static str,
    /// Countries by ISO 3166 code.
    pub countries: &'static [&'static str],
    /// Currencies that occur; empty when it is an open set.
    pub currencies: &'static [&'static str],
    /// The provider's documentation.
    pub docs: &'static str,
    /// When the adapter was last held against the documentation, `YYYY-MM-DD`.
    pub checked_on: &'static str,
    /// Credentials, required ones first.
    pub credentials: &'static [Field],
    /// Whether further credentials may be given, named by the integration's document.
    pub open_credentials: bool,
    /// Settings of its own.
    pub settings: &'static [Setting],
    /// Kinds of notification.
    pub kinds: &'static [Kind],
    /// States that its notifications tell.
    pub states: &'static [State],
    /// How a notification is proved, for a person.
    pub proof: Text,
    /// Networks that notifications come from, as the provider publishes them (CIDR); may be empty.
    pub sources: &'static [&'static str],
    /// Base URL of the API; the setting `api_base` replaces it.
    pub api_base: &'static str,
    /// How often and how long the provider repeats a notification.
    pub retries: Text,
    /// What can be done.
    pub capabilities: Capabilities,
    /// How fast its API may be asked.
    pub limits: Limits,
    /// What the merchant does in the provider's dashboard, step by step, with its own labels. `{webhook_url}` stands
    /// for the integration's inbound URL.
    pub setup: &'static [Text],
}

/// What is wrong with a credential or a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer into the integration: `/credentials/shop_id`, `/settings/hash`.
    pub pointer: String,
    /// What is wrong and what is expected.
    pub detail: String,
}

impl Problem {
    /// A problem of a credential.
    #[must_use]
    pub fn credential(key: &str, detail: impl Into<String>) -> Problem {
        Problem { pointer: format!("/credentials/{key}"), detail: detail.into() }
    }

    /// A problem of a setting.
    #[must_use]
    pub fn setting(key: &str, detail: impl Into<String>) -> Problem {
        Problem { pointer: format!("/settings/{key}"), detail: detail.into() }
    }
}

/// What the declaration alone finds wrong with an account: missing, unknown and ill-formed credentials and settings.
#[must_use]
pub fn problems(about: &About, account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    for field in about.credentials {
        match account.secret(field.key) {
            None if field.required => {
                found.push(Problem::credential(field.key, format!("is required: {}", field.label.en)));
            }
            None => {}
            Some(secret) => {
                let text = secret.expose();
                if text.len() > CREDENTIAL_LEN_MAX {
                    found.push(Problem::credential(
                        field.key,
                        format!("is longer than {CREDENTIAL_LEN_MAX} bytes"),
                    ));
                } else if let Some(detail) = text_problem(field.check, text) {
                    found.push(Problem::credential(field.key, detail));
                }
            }
        }
    }
    if !about.open_credentials {
        for key in account.credentials.keys() {
            if !about.credentials.iter().any(|field| field.key == key) {
                let known: Vec<_> = about.credentials.iter().map(|field| field.key).collect();
                found.push(Problem::credential(
                    key,
                    format!("is unknown here; known are {}", known.join(", ")),
                ));
            }
        }
    }
    for (key, value) in &account.settings.own {
        match about.settings.iter().find(|setting| setting.key == key) {
            None => {
                let known: Vec<_> = about.settings.iter().map(|setting| setting.key).collect();
                let known = if known.is_empty() { "none of its own".to_owned() } else { known.join(", ") };
                found.push(Problem::setting(key, format!("is unknown; {} has {known}", about.slug)));
            }
            Some(setting) => {
                if let Some(detail) = value_problem(setting.check, value) {
                    found.push(Problem::setting(key, detail));
                }
            }
        }
    }
    found
}

fn text_problem(check: Check, text: &str) -> Option<String> {
    if text.trim() != text && !matches!(check, Check::Pem) {
        return Some("has white space at its start or end".to_owned());
    }
    match check {
        Check::Digits if !text.bytes().all(|byte| byte.is_ascii_digit()) => Some("must be digits".to_owned()),
        Check::OneOf(words) if !words.contains(&text) => Some(format!("must be one of {}", words.join(", "))),
        Check::Url if !text.starts_with("https://") && !text.starts_with("http://") => {
            Some("must be a URL that starts with https://".to_owned())
        }
        Check::Pem if !text.contains("-----BEGIN ") => Some("must be PEM: -----BEGIN …".to_owned()),
        _ if text.is_empty() => Some("must not be empty".to_owned()),
        _ => None,
    }
}

fn value_problem(check: Check, value: &Value) -> Option<String> {
    match (check, value) {
        (Check::Switch, Value::Bool(_)) | (Check::Object, Value::Object(_)) => None,
        (Check::Switch, _) => Some("must be true or false".to_owned()),
        (Check::Object, _) => Some("must be an object".to_owned()),
        (Check::List, Value::Array(items)) if items.iter().all(Value::is_string) => None,
        (Check::List, _) => Some("must be a list of texts".to_owned()),
        (_, Value::String(text)) => text_problem(check, text),
        _ => Some("must be a text".to_owned()),
    }
}
