//! What was computed, step by step, and why it failed: for the person who writes a document.

use serde::Serialize;

use super::document::{self, Absent};
use crate::{Account, Request};

/// Most steps that are told.
const STEPS_MAX: usize = 256;
/// How many characters of a signature are shown.
const SIGNATURE_SHOWN: usize = 8;

/// A step of reading a notification. No secret is in it: a base string shows `<secret:NAME>` in its place, and of
/// signatures only the first eight characters are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was done: `read`, `unwrap`, `hmac`, `map`, `state`, `fact`, …
    pub what: String,
    /// Whether it went well.
    pub ok: bool,
    /// What came of it, or why it failed.
    pub detail: String,
    /// The base string that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The beginning of the signature that we computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The beginning of the signature that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
}

impl Step {
    /// A step without a signature.
    pub(super) fn new(what: &str, ok: bool, detail: impl Into<String>) -> Step {
        Step { what: what.to_owned(), ok, detail: detail.into(), base: None, expected: None, received: None }
    }

    /// With the beginnings of two signatures.
    pub(super) fn signatures(mut self, expected: Option<&str>, received: Option<&str>) -> Step {
        let short = |text: &str| text.chars().take(SIGNATURE_SHOWN).collect();
        self.expected = expected.map(short);
        self.received = received.map(short);
        self
    }
}

/// Takes steps down, if anybody wants to know.
pub(super) struct Trace(Option<Vec<Step>>);

impl Trace {
    pub(super) fn off() -> Trace {
        Trace(None)
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn add(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.0
            && steps.len() < STEPS_MAX
        {
            steps.push(step());
        }
    }
}

/// Reads a request as the account's document says and tells every step: what was read, every base string with the
/// secrets masked, what was compared, which rule gave the state, and which fact came out or why none did.
#[must_use]
pub fn explain(request: &Request, account: &Account) -> Vec<Step> {
    let mut trace = Trace(Some(Vec::new()));
    match document::of(account) {
        Err(Absent::NotGiven) => trace.add(|| Step::new("document", false, "there is no document yet")),
        Err(Absent::Wrong(problem)) => {
            trace.add(|| Step::new("document", false, format!("{}: {}", problem.pointer, problem.detail)));
        }
        Ok(document) => {
            trace.add(|| Step::new("document", true, format!("{} is read", document.slug)));
            for text in super::validate::advice(&document) {
                trace.add(|| Step::new("advice", true, text));
            }
            match super::receive::run(&document, request, account, &mut trace) {
                Ok(received) => {
                    for fact in &received.facts {
                        let text = serde_json::to_string(fact).unwrap_or_default();
                        trace.add(|| Step::new("fact", true, text));
                    }
                    trace.add(|| Step::new("dedupe", true, received.dedupe.clone()));
                }
                Err(reject) => {
                    let mut detail = reject.reason.clone();
                    if let Some(diagnosis) = &reject.diagnosis {
                        detail.push_str("; ");
                        detail.push_str(diagnosis);
                    }
                    trace.add(|| Step::new("refused", false, detail));
                }
            }
        }
    }
    trace.0.unwrap_or_default()
}
