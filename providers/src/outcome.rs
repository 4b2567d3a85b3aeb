//! What came of a notification, from proof to answer.

use serde_json::value::RawValue;

use crate::fact::{Fact, State};

/// How far a notification proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A signature that only the provider can make.
    Signed,
    /// Not signed, but it came from the provider's own networks.
    Sourced,
    /// It proves nothing; its facts take effect only after the provider's API has confirmed them. Says why.
    Unproven(String),
}

/// A notification that was read.
#[derive(Clone, Debug)]
pub struct Received {
    /// What it says; several facts in one request are normal.
    pub facts: Vec<Fact>,
    /// How far to trust it.
    pub proof: Proof,
    /// The provider's body as JSON: a JSON body to the byte, a form as an object of strings, a wrapped body decoded.
    pub payload: Box<RawValue>,
    /// The same for each redelivery of a notification, another for every other one of the account.
    pub dedupe: String,
    /// What a person should know: a foreign source address, a legacy hash, an unsigned flag.
    pub warnings: Vec<String>,
}

/// What kind of fault a refused notification has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectKind {
    /// Not in the provider's format.
    Malformed,
    /// No signature where one is needed.
    MissingProof,
    /// The signature does not fit.
    WrongProof,
    /// The address is not the provider's, and the setting says to enforce that.
    ForeignSource,
    /// Genuine, perhaps, but for another account.
    WrongAccount,
    /// Of a kind or format that we do not serve.
    Unsupported,
}

impl RejectKind {
    /// Whether it could not be read, so that who sent it never came into question. All others are about who did.
    #[must_use]
    pub const fn is_unreadable(self) -> bool {
        matches!(self, RejectKind::Malformed | RejectKind::Unsupported)
    }
}

/// A notification that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Reject {
    /// What kind of fault.
    pub kind: RejectKind,
    /// The reason for a person; holds no secret.
    pub reason: String,
    /// For a wrong signature: the usual mistake that fits ("matches with password #1 instead of #2").
    pub diagnosis: Option<String>,
}

impl Reject {
    /// A refusal with its reason.
    #[must_use]
    pub fn new(kind: RejectKind, reason: impl Into<String>) -> Reject {
        Reject { kind, reason: reason.into(), diagnosis: None }
    }

    /// The request is not in the provider's format.
    #[must_use]
    pub fn malformed(reason: impl Into<String>) -> Reject {
        Reject::new(RejectKind::Malformed, reason)
    }

    /// With a diagnosis.
    #[must_use]
    pub fn diagnosed(mut self, diagnosis: Option<String>) -> Reject {
        self.diagnosis = diagnosis;
        self
    }
}

/// Why a question is answered with no, or a notification is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such payment.
    UnknownPayment,
    /// There is no such payer account.
    UnknownAccount,
    /// Another amount than the registered one.
    WrongAmount,
    /// Another currency than the registered one.
    WrongCurrency,
    /// It is paid already.
    AlreadyPaid,
    /// It was canceled.
    Closed,
    /// Its time is over.
    Expired,
    /// For another reason.
    NotAccepted,
}

/// What we decided about a request, for [`crate::Provider::answer`].
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// Kept; or the question is answered with yes.
    Accepted,
    /// Kept before: the same positive answer as the first time.
    Duplicate,
    /// A state question is answered: the payment's state.
    Told(State),
    /// The question is answered with no, or the notification is not wanted.
    Refused(Refusal),
    /// Not believed or not understood.
    Rejected(&'a Reject),
    /// We can't keep it now: the provider shall come again.
    Busy,
}

/// The HTTP reply to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body, exact to the byte.
    pub body: String,
    /// Further headers: names in lower case and values.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    /// A reply of plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", body: body.into(), headers: Vec::new() }
    }

    /// A reply of JSON.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, content_type: "application/json", body: body.into(), headers: Vec::new() }
    }
}
