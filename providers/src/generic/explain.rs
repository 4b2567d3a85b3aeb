//! What was computed, step by step, and why it failed: for the person who writes a document.

use serde::Serialize;

use super::document::{self, Absent, Document};
use super::mask::Mask;
use super::{receive, reply, validate};
use crate::{Account, Outcome, Proof, Received, Reject, Request};

/// Most steps that are told.
const STEPS_MAX: usize = 256;
/// How many characters of a signature are shown.
const SIGNATURE_SHOWN: usize = 8;
/// How many characters of any other text are shown.
const TEXT_SHOWN: usize = 4096;

/// Whether the document takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its checks prove the sender, and it says something about a payment.
    Proven,
    /// It is read, but nothing in it proves the sender: the provider's API would be asked, or a person.
    Unproven,
    /// It would be refused.
    Refused,
}

impl Verdict {
    /// `proven`, `unproven`, `refused`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Unproven => "unproven",
            Verdict::Refused => "refused",
        }
    }
}

/// What became of a request, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// How it ended.
    pub verdict: Verdict,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

/// A step of reading a notification. No secret is in it: wherever a secret stands, also in what came, its name stands
/// instead (`<secret:NAME>`), and of signatures only the first eight characters are shown.
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

    /// Fit to be shown.
    fn shown(self, mask: &Mask) -> Step {
        let text = |text: &str| cut(&mask.hide(text), TEXT_SHOWN);
        let signature = |text: &String| {
            let hidden = mask.hide(text);
            // Where a secret itself came in the signature's place, its name is shown whole.
            if hidden == *text {
                text.chars().take(SIGNATURE_SHOWN).collect()
            } else {
                cut(&hidden, TEXT_SHOWN)
            }
        };
        Step {
            what: self.what,
            ok: self.ok,
            detail: text(&self.detail),
            base: self.base.as_deref().map(text),
            expected: self.expected.as_ref().map(signature),
            received: self.received.as_ref().map(signature),
        }
    }
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((at, _)) => {
            let more = text.get(at..).map_or(0, |rest| rest.chars().count());
            format!("{}… ({more} more characters)", text.get(..at).unwrap_or(""))
        }
    }
}

/// Takes steps down, if anybody wants to know.
pub(super) struct Trace(Option<(Mask, Vec<Step>)>);

impl Trace {
    pub(super) fn off() -> Trace {
        Trace(None)
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn add(&mut self, step: impl FnOnce() -> Step) {
        if let Some((mask, steps)) = &mut self.0
            && steps.len() < STEPS_MAX
        {
            steps.push(step().shown(mask));
        }
    }

    /// Takes down why something failed.
    pub(super) fn failed<T, E: Into<Reject>>(
        &mut self,
        what: &str,
        result: Result<T, E>,
    ) -> Result<T, Reject> {
        let result = result.map_err(Into::into);
        if let Err(reject) = &result {
            self.add(|| Step::new(what, false, reject.reason.clone()));
        }
        result
    }
}

/// Reads a request as the account's document says and tells every step: what was read, every base string with the
/// secrets masked, what was compared, which rule gave the state, which fact came out or why none did, and what the
/// provider would be answered. It does not matter whether the document is live, only observes, or is off.
#[must_use]
pub fn explain(request: &Request, account: &Account) -> Explanation {
    let document = match document::of(account) {
        Ok(document) => document,
        Err(absent) => {
            let why = match absent {
                Absent::NotGiven => "there is no document yet".to_owned(),
                Absent::Wrong(wrong) => wrong.to_string(),
            };
            return Explanation { verdict: Verdict::Refused, steps: vec![Step::new("document", false, why)] };
        }
    };
    let mut trace = Trace(Some((Mask::of(&document, account), Vec::new())));
    trace.add(|| Step::new("document", true, format!("{} is read", document.slug)));
    for text in validate::advice(&document) {
        trace.add(|| Step::new("advice", true, text));
    }
    let result = receive::run(&document, request, account, &mut trace);
    let verdict = match &result {
        Ok(received) => taken(&document, received, &mut trace),
        Err(reject) => refused(reject, &mut trace),
    };
    let outcome = result.as_ref().map_or_else(Outcome::Rejected, |_| Outcome::Accepted);
    let answer = reply::answer(request, &outcome, account);
    trace.add(|| {
        Step::new("answer", true, format!("{} {} {}", answer.status, answer.content_type, answer.body))
    });
    Explanation { verdict, steps: trace.0.map(|(_, steps)| steps).unwrap_or_default() }
}

fn taken(document: &Document<'_>, received: &Received, trace: &mut Trace) -> Verdict {
    for fact in &received.facts {
        let text = serde_json::to_string(fact).unwrap_or_default();
        trace.add(|| Step::new("fact", true, text));
    }
    trace.add(|| Step::new("dedupe", true, received.dedupe.clone()));
    if let Proof::Unproven(why) = &received.proof {
        trace.add(|| Step::new("confirm", true, why.clone()));
    }
    if document.is_proved() { Verdict::Proven } else { Verdict::Unproven }
}

fn refused(reject: &Reject, trace: &mut Trace) -> Verdict {
    let mut detail = reject.reason.clone();
    if let Some(diagnosis) = &reject.diagnosis {
        detail.push_str("; ");
        detail.push_str(diagnosis);
    }
    trace.add(|| Step::new("refused", false, detail));
    Verdict::Refused
}
