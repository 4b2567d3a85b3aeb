//! A notification as a fixture file describes it; the format is in `fixtures/README.md`.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use kassir_providers::{
    Account, Answer, Fact, Method, Outcome, Proof, Provider, Received, Refusal, Reject, RejectKind, Request,
    Secret, Settings, State,
};
use serde::Deserialize;
use serde_json::Value;

/// The account of a fixture or a vector.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountData {
    pub credentials: BTreeMap<String, String>,
    pub settings: toml::Table,
}

impl AccountData {
    pub fn account(&self) -> Account {
        let settings = serde_json::to_value(&self.settings).expect("settings are JSON");
        let credentials = self.credentials.iter();
        Account {
            credentials: credentials.map(|(key, text)| (key.clone(), Secret::new(text.as_str()))).collect(),
            settings: serde_json::from_value::<Settings>(settings).expect("settings are in the API's form"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestData {
    #[serde(default = "post")]
    method: Method,
    kind: Option<String>,
    #[serde(default)]
    query: String,
    peer: Option<std::net::IpAddr>,
    #[serde(default)]
    received_at: i64,
    #[serde(default)]
    body: String,
    body_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn post() -> Method {
    Method::Post
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub proof: Option<String>,
    pub facts: Option<String>,
    pub payload: Option<String>,
    pub dedupe: Option<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    #[serde(default)]
    pub same_as: Vec<String>,
    #[serde(default)]
    pub dated: bool,
    #[serde(default)]
    pub unknown_state: bool,
    pub reject: Option<String>,
    pub reason: Option<String>,
    pub diagnosis: Option<String>,
}

/// What becomes of a request that was tampered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    #[default]
    Rejected,
    Unproven,
}

impl To {
    /// Whether this is what has to come of a forged request.
    pub fn fits(self, result: &Result<Received, Reject>) -> bool {
        match (self, result) {
            (_, Err(_)) => true,
            (To::Unproven, Ok(received)) => matches!(received.proof, Proof::Unproven(_)),
            (To::Rejected, Ok(_)) => false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    pub parts: Vec<String>,
    #[serde(default)]
    pub to: To,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub proving: Vec<String>,
    #[serde(default)]
    pub foreign: BTreeMap<String, String>,
    #[serde(default)]
    pub to: To,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strip {
    #[serde(default)]
    pub headers: Vec<String>,
    #[serde(default)]
    pub fields: Vec<String>,
    #[serde(default)]
    pub json: Vec<String>,
    #[serde(default)]
    pub to: To,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerData {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    pub accepted: Option<AnswerData>,
    pub duplicate: Option<AnswerData>,
    pub busy: Option<AnswerData>,
    pub rejected: Option<AnswerData>,
    pub rejected_as: BTreeMap<String, AnswerData>,
    pub refused: BTreeMap<String, AnswerData>,
    pub told: BTreeMap<String, AnswerData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    #[serde(default)]
    account: AccountData,
    request: RequestData,
    expect: Expect,
    flip: Option<Flip>,
    keys: Option<Keys>,
    strip: Option<Strip>,
    #[serde(default)]
    answers: Answers,
}

pub struct Fixture {
    /// `robokassa/hold.toml`.
    pub place: String,
    pub stem: String,
    pub source: String,
    pub slug: &'static str,
    pub provider: &'static dyn Provider,
    pub account_data: AccountData,
    pub account: Account,
    pub request: Request,
    pub expect: Expect,
    pub flip: Option<Flip>,
    pub keys: Option<Keys>,
    pub strip: Option<Strip>,
    pub answers: Answers,
}

impl Fixture {
    pub fn load(provider: &'static dyn Provider, path: &Path) -> Fixture {
        let file: File = super::read(path);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let slug = provider.about().slug;
        let data = file.request;
        let body = match &data.body_base64 {
            Some(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap_or_else(|error| panic!("{}: body_base64: {error}", path.display())),
            None => data.body.into_bytes(),
        };
        let request = Request {
            method: data.method,
            kind: data.kind,
            query: data.query,
            headers: data
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            body,
            peer: data.peer,
            received_at: data.received_at,
        };
        Fixture {
            place: format!("{slug}/{stem}.toml"),
            stem,
            source: file.source,
            slug,
            provider,
            account: file.account.account(),
            account_data: file.account,
            request,
            expect: file.expect,
            flip: file.flip,
            keys: file.keys,
            strip: file.strip,
            answers: file.answers,
        }
    }

    pub fn receive(&self) -> Result<Received, Reject> {
        self.provider.receive(&self.request, &self.account)
    }

    /// Whether the fixture is a notification that is taken in.
    pub fn is_good(&self) -> bool {
        self.expect.reject.is_none()
    }

    /// The secrets of its account that are long enough to be recognised in a text.
    pub fn secrets(&self) -> Vec<&str> {
        secrets(self.provider, &self.account_data)
    }
}

/// The secrets of an account that are long enough to be recognised in a text.
pub fn secrets<'a>(provider: &dyn Provider, data: &'a AccountData) -> Vec<&'a str> {
    const RECOGNISED_MIN: usize = 6;
    let is_secret = |key: &str| {
        let field = provider.about().credentials.iter().find(|field| field.key == key);
        field.is_none_or(|field| field.secret)
    };
    let all = data.credentials.iter().filter(|(key, _)| is_secret(key));
    all.map(|(_, text)| text.as_str()).filter(|text| text.len() >= RECOGNISED_MIN).collect()
}

/// Facts as a fixture writes them: default members may be left out, unknown ones are a mistake.
pub fn facts(text: &str) -> Result<Vec<Fact>, String> {
    let written: Value = serde_json::from_str(text).map_err(|error| format!("facts are no JSON: {error}"))?;
    let facts: Vec<Fact> =
        serde_json::from_value(written.clone()).map_err(|error| format!("facts: {error}"))?;
    let whole = serde_json::to_value(&facts).map_err(|error| error.to_string())?;
    match superfluous(&written, &whole) {
        Some(path) => Err(format!("facts have a member that no fact has (or a null): {path}")),
        None => Ok(facts),
    }
}

/// The first member of `written` that `whole` lacks.
fn superfluous(written: &Value, whole: &Value) -> Option<String> {
    match (written, whole) {
        (Value::Object(written), Value::Object(whole)) => {
            written.iter().find_map(|(key, value)| match whole.get(key) {
                Some(other) => superfluous(value, other).map(|path| format!("/{key}{path}")),
                None if value.is_null() => None,
                None => Some(format!("/{key}")),
            })
        }
        (Value::Array(written), Value::Array(whole)) => {
            written.iter().zip(whole).enumerate().find_map(|(index, (value, other))| {
                superfluous(value, other).map(|path| format!("/{index}{path}"))
            })
        }
        _ => None,
    }
}

pub fn proof_word(proof: &Proof) -> &'static str {
    match proof {
        Proof::Signed => "signed",
        Proof::Sourced => "sourced",
        Proof::Unproven(_) => "unproven",
    }
}

/// The word of a plain enum's value, as it is serialised.
pub fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub const REFUSALS: [Refusal; 8] = [
    Refusal::UnknownPayment,
    Refusal::UnknownAccount,
    Refusal::WrongAmount,
    Refusal::WrongCurrency,
    Refusal::AlreadyPaid,
    Refusal::Closed,
    Refusal::Expired,
    Refusal::NotAccepted,
];

pub const STATES: [State; 4] = [State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled];

pub const REJECT_KINDS: [RejectKind; 6] = [
    RejectKind::Malformed,
    RejectKind::MissingProof,
    RejectKind::WrongProof,
    RejectKind::ForeignSource,
    RejectKind::WrongAccount,
    RejectKind::Unsupported,
];

/// Every outcome there is, given one reject of each kind.
pub fn outcomes(rejects: &[Reject]) -> Vec<Outcome<'_>> {
    let mut all = vec![Outcome::Accepted, Outcome::Duplicate, Outcome::Busy];
    all.extend(REFUSALS.into_iter().map(Outcome::Refused));
    all.extend(STATES.into_iter().map(Outcome::Told));
    all.extend(rejects.iter().map(Outcome::Rejected));
    all
}

/// One reject of each kind.
pub fn rejects() -> Vec<Reject> {
    REJECT_KINDS.into_iter().map(|kind| Reject::new(kind, "a reason with <markup> & \"quotes\"")).collect()
}

/// An answer as text, for comparing and showing.
pub fn answer_text(answer: &Answer) -> String {
    format!("{} {} {:?}", answer.status, answer.content_type, answer.body)
}
