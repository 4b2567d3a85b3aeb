//! Operations at a provider as data: what we want, which request does it, what came of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fact::{Fact, State};
use crate::http::Call;
use crate::money::Money;

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Name of the goods.
    pub name: String,
    /// Further words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Price of the line.
    pub amount: Money,
}

/// The person who pays, as the bot platform knows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The platform's id, passed through unchanged: an integer or a string.
    pub id: Value,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `whatsapp`, `telegram`, `viber`, `vk`, `max`, … (an open set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messenger: Option<String>,
    /// Digits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// What every operation has.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now, Unix milliseconds.
    pub now: i64,
    /// The same for every repetition of one operation, another for every other: 1 to 64 of `[0-9a-zA-Z_-]`.
    pub idempotency_key: String,
}

/// A payment that exists, for operations on it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Our number.
    pub number: u32,
    /// The order number that the provider knows, when it is not our number.
    pub reference: Option<String>,
    /// The provider's id, when known.
    pub provider_id: Option<String>,
    /// Another id that operations need (Robokassa's OpKey, an invoice's id), when known.
    pub operation_key: Option<String>,
    /// Registered amount.
    pub amount: Money,
    /// Minor units that went back so far, as we know it.
    pub refunded: i64,
    /// State as we know it.
    pub state: State,
    /// When it was created, Unix milliseconds.
    pub created_at: i64,
}

impl Target {
    /// The total of all refunds once this part went back, too. Where refunds have no id, a notification of the same
    /// refund can only be told from another refund by the total.
    #[must_use]
    pub fn refunded_with(&self, part: Money) -> Money {
        Money { minor: self.refunded.saturating_add(part.minor), ..part }
    }

    /// The order number as the provider knows it.
    #[must_use]
    pub fn order_number(&self) -> String {
        self.reference.clone().unwrap_or_else(|| self.number.to_string())
    }
}

/// A payment to be created.
#[derive(Clone, Debug)]
pub struct Create {
    /// Our number; goes to the provider in the form that its protocol allows.
    pub number: u32,
    /// Amount.
    pub amount: Money,
    /// For the payer.
    pub description: String,
    /// Order lines; may be empty.
    pub order: Vec<OrderLine>,
    /// The payer.
    pub contact: Option<Contact>,
    /// The payer's e-mail.
    pub email: Option<String>,
    /// Where the payer's browser goes afterwards.
    pub return_url: Option<String>,
    /// Our inbound URL for this integration (without a kind).
    pub notify_url: Option<String>,
    /// Two steps: hold now, capture later.
    pub hold: bool,
    /// Ask the provider to keep the method for later charges.
    pub save_method: bool,
    /// The caller's own data; comes back where the provider allows it.
    pub metadata: Map<String, Value>,
    /// Receipt data (54-FZ) in the provider's own form.
    pub receipt: Option<Value>,
}

/// What we want of a provider.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Create a payment.
    Create(Box<Create>),
    /// Ask for a payment's state.
    Status(Target),
    /// Ask for a refund's state.
    RefundStatus {
        /// The payment.
        payment: Target,
        /// The provider's id of the refund.
        refund_id: String,
    },
    /// Capture a held payment, all or part of it.
    Capture {
        /// The payment.
        payment: Target,
        /// How much; `None` is all.
        amount: Option<Money>,
        /// Receipt data in the provider's own form.
        receipt: Option<Value>,
    },
    /// Cancel an unpaid or held payment.
    Cancel(Target),
    /// Give money back, all or part of it.
    Refund {
        /// The payment.
        payment: Target,
        /// How much; `None` is all.
        amount: Option<Money>,
        /// Words for the payer or the books.
        reason: Option<String>,
        /// Receipt data in the provider's own form.
        receipt: Option<Value>,
    },
    /// Charge a saved method.
    Charge {
        /// The new payment.
        create: Box<Create>,
        /// The token, or what the provider has in its place (the parent payment's number).
        saved_method: String,
    },
    /// End a subscription that the provider runs.
    CancelSubscription {
        /// The provider's id of the subscription.
        id: String,
    },
    /// Ask for the state of a subscription that the provider keeps, or of all of them. The answer is in
    /// [`Done::payload`]: it concerns no payment.
    Subscriptions {
        /// The provider's id of one subscription; `None` for all.
        id: Option<String>,
    },
    /// Ask for all payments of a period: far cheaper than asking for each. Only where
    /// [`crate::about::Limits::period_days`] is not 0, and for no longer than that.
    Period {
        /// Start, Unix milliseconds.
        from: i64,
        /// End, Unix milliseconds.
        to: i64,
    },
    /// Do the credentials work?
    Probe,
}

/// An operation: a wish and its context.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Now, and the idempotency key.
    pub context: Context,
    /// What we want.
    pub wish: Wish,
}

/// Where a payer goes to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// A link.
    Url(String),
    /// A form that the payer's browser posts.
    Form {
        /// Where to.
        action: String,
        /// Names and values in order.
        fields: Vec<(String, String)>,
    },
}

/// An operation that came to its end.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The provider's id of the payment, when it is known now.
    pub provider_id: Option<String>,
    /// Another id that later operations need.
    pub operation_key: Option<String>,
    /// The provider's id of a refund that is under way: what became of it is asked with [`Wish::RefundStatus`].
    pub refund_id: Option<String>,
    /// Where the payer goes.
    pub link: Option<Link>,
    /// What the provider said, in the words of a notification.
    pub facts: Vec<Fact>,
    /// The provider's reply as JSON: the payload of an event that comes of it. In the shape of a notification where
    /// the provider shows the same object in both.
    pub payload: Option<Box<RawValue>>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The provider's.
    Provider,
    /// The merchant's: credentials, account, rights.
    Merchant,
    /// The caller's: an amount, a state that does not allow it.
    Caller,
    /// Ours.
    Us,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never.
    Never,
    /// Later, with the same idempotency key; after so many milliseconds if the provider says so.
    Later(Option<u64>),
    /// The outcome is unknown and the provider has no idempotency: look the state up, do not repeat.
    LookUp,
}

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, for a person; holds no secret.
    pub why: String,
    /// The provider's code, if it has one.
    pub code: Option<String>,
    /// Whose fault.
    pub fault: Fault,
    /// Whether to try again.
    pub retry: Retry,
}

impl Failure {
    /// A failure that trying again does not help.
    #[must_use]
    pub fn never(fault: Fault, why: impl Into<String>) -> Failure {
        Failure { why: why.into(), code: None, fault, retry: Retry::Never }
    }

    /// A failure of the provider that may pass.
    #[must_use]
    pub fn later(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), code: None, fault: Fault::Provider, retry: Retry::Later(None) }
    }

    /// With the provider's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Failure {
        self.code = Some(code.into());
        self
    }

    /// The provider has no such operation.
    #[must_use]
    pub fn unsupported(what: &str) -> Failure {
        Failure::never(Fault::Caller, format!("this provider has no {what} operation"))
    }
}

/// The next thing to do for an operation.
#[derive(Clone)]
pub enum Step {
    /// Make this call and hand `memo` back to `next` with the reply.
    Send {
        /// The request.
        call: Box<Call>,
        /// What `next` needs to know; may be stored, so no secrets.
        memo: String,
    },
    /// What was wanted is done already; this call only learns more of it, or does the rest.
    FollowUp {
        /// The request.
        call: Box<Call>,
        /// As in [`Step::Send`].
        memo: String,
        /// The operation's end when there is no reply: never one that says that nothing was done.
        otherwise: Box<Step>,
    },
    /// Finished.
    Done(Box<Done>),
    /// It did not work.
    Failed(Failure),
}

impl Step {
    /// A request to make, without a memo.
    #[must_use]
    pub fn send(call: Call) -> Step {
        Step::Send { call: Box::new(call), memo: String::new() }
    }

    /// Finished with a link: nothing had to be asked.
    #[must_use]
    pub fn link(link: Link) -> Step {
        Step::Done(Box::new(Done { link: Some(link), ..Done::default() }))
    }

    /// Finished.
    #[must_use]
    pub fn done(done: Done) -> Step {
        Step::Done(Box::new(done))
    }
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Step {
        Step::Failed(failure)
    }
}

/// What [`crate::Provider::imitate`] shall make.
#[derive(Clone, Debug)]
pub struct Sample {
    /// One of the provider's kinds; `None` picks the one that fits the state.
    pub kind: Option<String>,
    /// State to tell.
    pub state: State,
    /// Whether it is a refund (of `amount`) instead of a state.
    pub refund: bool,
    /// Amount.
    pub amount: Money,
    /// Order number.
    pub reference: String,
    /// The provider's id; `None` lets the adapter make one from the reference.
    pub provider_id: Option<String>,
    /// Words for the payer.
    pub description: String,
    /// The payer's e-mail.
    pub email: Option<String>,
    /// Metadata, where the provider carries it.
    pub metadata: Map<String, Value>,
    /// Now, Unix milliseconds.
    pub now: i64,
}
