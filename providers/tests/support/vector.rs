//! A vector of an outgoing operation: the calls that it makes, the replies it is fed, what it ends with.

use std::collections::BTreeMap;
use std::path::Path;

use kassir_providers::form::Form;
use kassir_providers::operation::{Done, Failure, Operation, Retry};
use kassir_providers::{Account, Call, Link, Provider, Reply, Step};
use serde::Deserialize;
use serde_json::Value;

use super::fixture::{AccountData, facts, word};
use super::operation::OperationData;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallData {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<String>,
    form: Option<toml::Table>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyData {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepData {
    call: CallData,
    reply: ReplyData,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailedData {
    why: Option<String>,
    fault: Option<String>,
    retry: Option<String>,
    retry_after: Option<u64>,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultData {
    link: Option<String>,
    form_action: Option<String>,
    form_fields: Option<Vec<(String, String)>>,
    provider_id: Option<String>,
    operation_key: Option<String>,
    /// Of a refund that is under way; not compared when absent.
    refund_id: Option<String>,
    /// To the byte; not compared when absent.
    payload: Option<String>,
    facts: Option<String>,
    failed: Option<FailedData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    #[serde(default)]
    account: AccountData,
    operation: OperationData,
    #[serde(default)]
    steps: Vec<StepData>,
    result: ResultData,
}

pub struct Vector {
    /// `robokassa/operations/create.toml`.
    pub place: String,
    pub slug: &'static str,
    pub source: String,
    pub wish: String,
    pub provider: &'static dyn Provider,
    pub account_data: AccountData,
    pub account: Account,
    pub operation: Operation,
    steps: Vec<StepData>,
    result: ResultData,
}

impl Vector {
    pub fn load(provider: &'static dyn Provider, path: &Path) -> Vector {
        let file: File = super::read(path);
        let slug = provider.about().slug;
        let operation = file.operation.operation();
        Vector {
            place: format!("{slug}/operations/{}", path.file_name().unwrap().to_string_lossy()),
            slug,
            source: file.source,
            wish: file.operation.wish.clone(),
            provider,
            account: file.account.account(),
            account_data: file.account,
            operation: operation.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            steps: file.steps,
            result: file.result,
        }
    }

    /// Whether the operation ends well.
    pub fn ends_well(&self) -> bool {
        self.result.failed.is_none()
    }

    /// Runs it through; every difference, and the texts (memos, reasons) that a secret must not be in.
    pub fn run(&self) -> (Vec<String>, Vec<String>) {
        let (mut found, mut texts) = (Vec::new(), Vec::new());
        let mut step = self.provider.begin(&self.operation, &self.account);
        for (index, expected) in self.steps.iter().enumerate() {
            let (call, memo) = match step {
                Step::Send { call, memo } | Step::FollowUp { call, memo, .. } => (call, memo),
                other => {
                    found.push(format!("step {index}: no call, but {}", step_text(&other)));
                    return (found, texts);
                }
            };
            found.extend(call_differences(&call, &expected.call).map(|text| format!("step {index}: {text}")));
            step = self.provider.next(&self.operation, &memo, &expected.reply.reply(), &self.account);
            texts.push(memo);
        }
        texts.push(step_text(&step));
        match &step {
            Step::Done(done) if self.ends_well() => found.extend(done_differences(done, &self.result)),
            Step::Failed(failure) if !self.ends_well() => {
                let expected = self.result.failed.as_ref().expect("it fails");
                found.extend(failure_differences(failure, expected));
            }
            other => found.push(format!("another end than expected: {}", step_text(other))),
        }
        (found, texts)
    }

    /// The last reply's step again, with that reply cut off after so many bytes.
    pub fn with_last_reply_cut(&self, len: usize) -> Option<Step> {
        let (last, before) = self.steps.split_last()?;
        let mut memo = first_memo(self.provider.begin(&self.operation, &self.account))?;
        for step in before {
            memo =
                first_memo(self.provider.next(&self.operation, &memo, &step.reply.reply(), &self.account))?;
        }
        let mut reply = last.reply.reply();
        reply.body.truncate(len);
        Some(self.provider.next(&self.operation, &memo, &reply, &self.account))
    }

    /// The last reply's body when it is JSON and the operation ends well.
    pub fn last_json_reply(&self) -> Option<&str> {
        let last = self.steps.last()?;
        let body = last.reply.body.trim_end();
        let is_json = body.starts_with(['{', '[']) && serde_json::from_str::<Value>(body).is_ok();
        (is_json && self.ends_well()).then_some(body)
    }

    /// Every reply of the vector with the memo that its step was given.
    pub fn replies(&self) -> Vec<(String, Reply)> {
        let mut all = Vec::new();
        let mut memo = first_memo(self.provider.begin(&self.operation, &self.account));
        for step in &self.steps {
            let Some(text) = memo else { break };
            let reply = step.reply.reply();
            memo = first_memo(self.provider.next(&self.operation, &text, &reply, &self.account));
            all.push((text, reply));
        }
        all
    }
}

fn first_memo(step: Step) -> Option<String> {
    match step {
        Step::Send { memo, .. } | Step::FollowUp { memo, .. } => Some(memo),
        Step::Done(_) | Step::Failed(_) => None,
    }
}

impl ReplyData {
    fn reply(&self) -> Reply {
        let headers = self.headers.iter();
        Reply {
            status: self.status,
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

/// A step for a person: everything but what may be secret.
pub fn step_text(step: &Step) -> String {
    match step {
        Step::Send { call, memo } | Step::FollowUp { call, memo, .. } => {
            format!("send {} {} (memo {memo:?})", call.method.word(), call.url)
        }
        Step::Done(done) => format!("done: {done:?}"),
        Step::Failed(failure) => format!("failed: {failure:?}"),
    }
}

fn call_differences(call: &Call, expected: &CallData) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, got: &str, expected: &str| {
        if got != expected {
            found.push(format!("{what}\n{}", super::difference(got, expected)));
        }
    };
    compare("method", call.method.word(), &expected.method);
    compare("url", &call.url, &expected.url);
    let body = String::from_utf8_lossy(&call.body);
    if let Some(json) = &expected.json {
        let parse =
            |text: &str| serde_json::from_str::<Value>(text).map(sorted).map(|value| value.to_string());
        let wanted = parse(json).unwrap_or_else(|error| panic!("json of a vector: {error}"));
        compare("json body", &parse(&body).unwrap_or_else(|_| body.to_string()), &wanted);
    } else if let Some(form) = &expected.form {
        let mut wanted: Vec<_> = form
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()))
            .collect();
        let got = Form::parse(&call.body).unwrap_or_default();
        let mut got: Vec<_> =
            got.fields().iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        got.sort();
        wanted.sort();
        compare("form", &format!("{got:?}"), &format!("{wanted:?}"));
    } else {
        compare("body", &body, expected.body.as_deref().unwrap_or(""));
    }
    // Headers are compared whole; those that merely say the body's type may be left out of the vector.
    let mut wanted: BTreeMap<String, String> =
        expected.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    for (name, value) in &call.headers {
        match wanted.remove(name) {
            Some(wanted) => compare(&format!("header {name}"), value, &wanted),
            None if matches!(name.as_str(), "content-type" | "accept") => {}
            None => compare(&format!("header {name}"), value, "(none)"),
        }
    }
    for (name, value) in wanted {
        compare(&format!("header {name}"), "(none)", &value);
    }
    found.into_iter()
}

/// The value with the members of its objects in order, so that texts can be compared.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted_members: BTreeMap<_, _> =
                object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(sorted_members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn done_differences(done: &Done, expected: &ResultData) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, got: String, expected: String| {
        if got != expected {
            found.push(format!("{what}\n{}", super::difference(&got, &expected)));
        }
    };
    let link = match (&expected.link, &expected.form_action) {
        (Some(url), _) => Some(Link::Url(url.clone())),
        (None, Some(action)) => Some(Link::Form {
            action: action.clone(),
            fields: expected.form_fields.clone().unwrap_or_default(),
        }),
        (None, None) => None,
    };
    compare("link", format!("{:?}", done.link), format!("{link:?}"));
    compare("provider_id", format!("{:?}", done.provider_id), format!("{:?}", expected.provider_id));
    compare("operation_key", format!("{:?}", done.operation_key), format!("{:?}", expected.operation_key));
    if expected.refund_id.is_some() {
        compare("refund_id", format!("{:?}", done.refund_id), format!("{:?}", expected.refund_id));
    }
    if expected.payload.is_some() {
        let payload = done.payload.as_ref().map(|payload| payload.get().to_owned());
        compare("payload", format!("{payload:?}"), format!("{:?}", expected.payload));
    }
    let text = expected.facts.as_deref().unwrap_or("[]");
    let wanted = facts(text).unwrap_or_else(|error| panic!("{error}"));
    let json = |facts| serde_json::to_string(facts).unwrap_or_default();
    compare("facts", json(&done.facts), json(&wanted));
    found
}

fn failure_differences(failure: &Failure, expected: &FailedData) -> Vec<String> {
    let mut found = Vec::new();
    let mut part = |what: &str, expected: &Option<String>, fits: bool, got: &str| {
        if let (Some(expected), false) = (expected, fits) {
            found.push(format!("{what}\n    expected: {expected}\n    got:      {got}"));
        }
    };
    let why = expected.why.as_deref().unwrap_or("");
    part("why", &expected.why, failure.why.contains(why), &failure.why);
    let fault = word(&failure.fault);
    part("fault", &expected.fault, expected.fault.as_ref() == Some(&fault), &fault);
    let (retry, after) = match failure.retry {
        Retry::Never => ("never", None),
        Retry::Later(after) => ("later", after),
        Retry::LookUp => ("look_up", None),
    };
    part("retry", &expected.retry, expected.retry.as_deref() == Some(retry), retry);
    let code = failure.code.as_deref().unwrap_or("");
    part("code", &expected.code, expected.code.as_deref() == Some(code), code);
    if expected.retry_after.is_some() && expected.retry_after != after {
        found.push(format!("retry_after: expected {:?}, got {after:?}", expected.retry_after));
    }
    found
}
