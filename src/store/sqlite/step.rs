//! A step made ready: its records are written as text by whoever asks for it, before its turn, since everybody waits
//! for the one thread that writes.

use std::borrow::Cow;

use serde::Serialize;

use super::super::{Commit, Decide, Found, PaymentWrite, Result, StoreError};
use super::rows::to_text;
use crate::domain::event::Event;
use crate::domain::job::{Job, Task};

/// A record as text. That of a new payment, and those that refer to it, have a gap where its number goes, which only
/// the writer can give.
pub(super) struct Text {
    /// All of it, or what is before the gap.
    head: String,
    /// What is behind the gap.
    tail: Option<String>,
}

/// How a payment's record, and one that refers to a payment, say that it has no number yet. No text within a record
/// looks like this: there a quotation mark has a backslash before it.
const OWN_NUMBER: &str = "\"number\":0";
const PAYMENT: &str = "\"payment\":0";

impl Text {
    fn whole(record: &impl Serialize) -> Result<Text> {
        Ok(Text { head: to_text(record)?, tail: None })
    }

    /// `zero`: the member with the number that is not known yet.
    fn parted(record: &impl Serialize, zero: &str) -> Result<Text> {
        let text = to_text(record)?;
        let parts = text.find(zero).and_then(|at| {
            let gap = at.checked_add(zero.len())?.checked_sub(1)?;
            Some((text.get(..gap)?, text.get(gap.checked_add(1)?..)?))
        });
        let (head, tail) =
            parts.ok_or_else(|| StoreError::Corrupt(format!("a record for a new payment without {zero}")))?;
        Ok(Text { head: head.to_owned(), tail: Some(tail.to_owned()) })
    }

    fn of(record: &impl Serialize, is_new: bool) -> Result<Text> {
        if is_new { Text::parted(record, PAYMENT) } else { Text::whole(record) }
    }

    /// The record, with the number of the step's payment.
    pub(super) fn with(&self, number: Option<u32>) -> Cow<'_, str> {
        match &self.tail {
            None => Cow::Borrowed(&self.head),
            Some(tail) => Cow::Owned(format!("{}{}{tail}", self.head, number.unwrap_or(0))),
        }
    }
}

/// A step and its records as text.
pub(super) struct Step {
    /// With the versions that its records get.
    pub(super) commit: Commit,
    pub(super) payment: Option<Text>,
    pub(super) notification: Option<Text>,
    /// Without their tails: those have a column of their own.
    pub(super) events: Vec<Text>,
    pub(super) deliveries: Vec<Text>,
    pub(super) jobs: Vec<Text>,
}

impl Step {
    /// Writes the records as text.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when one is too large.
    pub(super) fn ready(mut commit: Commit) -> Result<Step> {
        let payment = commit.payment.as_mut().map(|write| match write {
            PaymentWrite::New { payment, .. } => {
                (payment.number, payment.version) = (0, 1);
                Text::parted(&**payment, OWN_NUMBER)
            }
            PaymentWrite::Update { payment, .. } => {
                payment.version = payment.version.saturating_add(1);
                Text::whole(&**payment)
            }
        });
        for delivery in &mut commit.deliveries {
            delivery.version = 1;
        }
        let notification = commit.notification.as_ref();
        let notification = notification.map(|it| Text::of(it, it.payment == Some(0)));
        let deliveries = commit.deliveries.iter().map(|it| Text::of(it, it.payment == 0));
        Ok(Step {
            payment: payment.transpose()?,
            notification: notification.transpose()?,
            events: commit.events.iter_mut().map(event).collect::<Result<_>>()?,
            deliveries: deliveries.collect::<Result<_>>()?,
            jobs: commit.jobs.iter().map(|(job, _)| self::job(job)).collect::<Result<_>>()?,
            commit,
        })
    }
}

/// The body must come back to the byte, and people should find it: the tail is not part of the record.
fn event(event: &mut Event) -> Result<Text> {
    let tail = std::mem::take(&mut event.tail);
    let text = Text::of(event, event.payment == 0);
    event.tail = tail;
    text
}

fn job(job: &Job) -> Result<Text> {
    Text::of(job, matches!(job.task, Task::Poll { payment: 0 }))
}

/// What is to be written if nothing is found: mostly it is the first notification of a payment.
pub(super) struct Guess {
    at_hand: u64,
    /// `None`: nothing is to be written.
    step: Option<Step>,
}

impl Guess {
    /// Asks what is to be written if nothing is found. Gives nothing when that can't be made ready, which whoever
    /// then makes the step again finds out.
    pub(super) fn ask(at_hand: u64, decide: &mut Decide) -> Option<Guess> {
        let step = decide(&Found::nothing(at_hand)).map(Step::ready).transpose().ok()?;
        Some(Guess { at_hand, step })
    }

    /// The answer, if the guess was right.
    pub(super) fn answer(&self, found: &Found) -> Option<Option<&Step>> {
        (found.is_nothing() && found.config_version == self.at_hand).then_some(self.step.as_ref())
    }
}
