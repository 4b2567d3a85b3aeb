//! Rules that make a state of what a request holds.

use rust_decimal::Decimal;

use super::envelope::{Envelope, Failed};
use super::pointer::Pointer;
use super::reader::{Node, Object, Read};
use crate::State;

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The payment is in this state.
    Is(State),
    /// All of its money went back.
    Refunded,
    /// Some of its money went back.
    PartiallyRefunded,
    /// Of no consequence.
    Ignore,
    /// Not to be taken.
    Reject,
}

impl Verdict {
    /// The word of the document.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Is(state) => state.word(),
            Verdict::Refunded => "refunded",
            Verdict::PartiallyRefunded => "partially_refunded",
            Verdict::Ignore => "ignore",
            Verdict::Reject => "reject",
        }
    }
}

const STATES: [(&str, Verdict); 7] = [
    ("pending", Verdict::Is(State::Pending)),
    ("waiting_for_capture", Verdict::Is(State::WaitingForCapture)),
    ("succeeded", Verdict::Is(State::Succeeded)),
    ("canceled", Verdict::Is(State::Canceled)),
    ("refunded", Verdict::Refunded),
    ("partially_refunded", Verdict::PartiallyRefunded),
    ("ignore", Verdict::Ignore),
];

/// States that may stand for what no rule knows.
const DEFAULTS: [(&str, Verdict); 4] = [
    ("ignore", Verdict::Ignore),
    ("pending", Verdict::Is(State::Pending)),
    ("canceled", Verdict::Is(State::Canceled)),
    ("reject", Verdict::Reject),
];

/// What is asked of a scalar.
#[derive(Debug)]
pub(super) enum Test<'a> {
    In { words: Vec<&'a str>, fold: bool, wanted: bool },
    Present(bool),
    NonEmpty(bool),
    Greater(Decimal),
    Equals(Pointer<'a>),
}

/// A condition on a scalar.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    pub(super) ptr: Pointer<'a>,
    pub(super) tests: Vec<Test<'a>>,
}

impl<'a> Condition<'a> {
    pub(super) fn list(node: Node<'a, '_>) -> Read<Vec<Condition<'a>>> {
        node.each(|item| {
            let object =
                item.object(&["ptr", "in", "not_in", "ci", "present", "nonempty", "gt", "eq_ptr"])?;
            let fold = object.or("ci", false, |node| node.switch())?;
            let mut tests = Vec::new();
            for (name, wanted) in [("in", true), ("not_in", false)] {
                tests.extend(object.maybe(name, |node| Ok(Test::In { words: node.texts()?, fold, wanted }))?);
            }
            tests.extend(object.maybe("present", |node| node.switch().map(Test::Present))?);
            tests.extend(object.maybe("nonempty", |node| node.switch().map(Test::NonEmpty))?);
            tests.extend(object.maybe("gt", |node| {
                let number = decimal(node.text()?);
                number.map(Test::Greater).ok_or_else(|| node.problem("must be decimal text such as \"0\""))
            })?);
            tests.extend(object.maybe("eq_ptr", |node| Pointer::read(node).map(Test::Equals))?);
            if tests.is_empty() {
                return Err(item.problem("asks nothing: give in, not_in, present, nonempty, gt or eq_ptr"));
            }
            Ok(Condition { ptr: Pointer::read(object.need("ptr")?)?, tests })
        })
    }

    /// Whether it holds. A missing value only is not present and not filled.
    pub(super) fn holds(&self, envelope: &Envelope<'_>) -> Result<bool, Failed> {
        // An object or list is present, but no text.
        let present = envelope.value(self.ptr)?.is_some();
        for test in &self.tests {
            let holds = match test {
                Test::Present(wanted) => present == *wanted,
                Test::NonEmpty(wanted) => {
                    envelope.scalar(self.ptr)?.is_some_and(|text| !text.is_empty()) == *wanted
                }
                Test::In { words, fold, wanted } => envelope.scalar(self.ptr)?.is_some_and(|text| {
                    let same =
                        |word: &&str| if *fold { word.eq_ignore_ascii_case(&text) } else { **word == *text };
                    words.iter().any(same) == *wanted
                }),
                Test::Greater(limit) => envelope
                    .scalar(self.ptr)?
                    .and_then(|text| decimal(&text))
                    .is_some_and(|number| number > *limit),
                Test::Equals(other) => {
                    let other = envelope.scalar(*other)?;
                    envelope.scalar(self.ptr)?.is_some_and(|text| other.is_some_and(|other| *text == *other))
                }
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    if plain { Decimal::from_str_exact(text).ok() } else { None }
}

/// Whether all conditions hold.
pub(super) fn all(conditions: &[Condition<'_>], envelope: &Envelope<'_>) -> Result<bool, Failed> {
    for condition in conditions {
        if !condition.holds(envelope)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rules in order; the first that fits decides.
#[derive(Debug)]
pub(super) struct States<'a> {
    pub(super) rules: Vec<(Vec<Condition<'a>>, Verdict)>,
    pub(super) default: Verdict,
}

impl<'a> States<'a> {
    /// Reads `states` and `default_state` of an object.
    pub(super) fn read(object: &Object<'a, '_>) -> Read<States<'a>> {
        let rule = |item: Node<'a, '_>| {
            let rule = item.object(&["when", "state"])?;
            Ok((Condition::list(rule.need("when")?)?, rule.need("state")?.word(&STATES)?))
        };
        Ok(States {
            rules: object.or("states", Vec::new(), |node| node.each(rule))?,
            default: object.or("default_state", Verdict::Ignore, |node| node.word(&DEFAULTS))?,
        })
    }

    /// The verdict and the number of the rule that gave it.
    pub(super) fn decide(&self, envelope: &Envelope<'_>) -> Result<(Verdict, Option<usize>), Failed> {
        for (at, (conditions, verdict)) in self.rules.iter().enumerate() {
            if all(conditions, envelope)? {
                return Ok((*verdict, Some(at)));
            }
        }
        Ok((self.default, None))
    }

    /// Whether any rule may give this verdict.
    pub(super) fn may_be(&self, wanted: Verdict) -> bool {
        self.rules.iter().any(|(_, verdict)| *verdict == wanted) || self.default == wanted
    }
}
