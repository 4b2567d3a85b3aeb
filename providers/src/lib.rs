//! Payment providers' protocols as pure functions.
//!
//! A provider speaks through one type that implements [`Provider`]: bytes of a notification go in, [`Fact`]s come
//! out; an [`Operation`] goes in, the HTTP request that performs it comes out. Nothing here opens a socket, reads a
//! clock, an environment variable or a file, or logs; time and randomness arrive as arguments. So every adapter can
//! be tested with data alone, and the service around it owns all input and output.
//!
//! # Adding a provider
//!
//! 1. its file `src/<slug>.rs`, in the order: facts with links → declaration ([`About`]) → wire structs → state
//!    table as one `match` → receive → answer → operations → imitate;
//! 2. its fixtures in `fixtures/<slug>/`, taken from the provider's documentation, never from `imitate`;
//! 3. its line in [`ALL`];
//! 4. its page, written by `UPDATE_DOCS=1 cargo test -p kassir-providers --test docs`.

pub mod about;
pub mod account;
pub mod altered;
pub mod bepaid;
pub mod cloudpayments;
pub mod cryptobot;
pub mod cryptopay;
pub mod date;
pub mod digest;
pub mod docs;
pub mod fact;
pub mod form;
pub mod generic;
pub mod http;
pub mod json;
pub mod justclick;
pub mod jws;
pub mod liqpay;
pub mod money;
pub mod nested;
pub mod operation;
pub mod outcome;
pub mod robokassa;
pub mod rsa;
pub mod sources;
pub mod uapay;
pub mod uniteller;
pub mod unitpay;
pub mod yookassa;
pub mod yoomoney;

pub use about::About;
pub use account::{Account, Mode, Secret, Settings};
pub use fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, Question, RefundFact, State, Sum};
pub use http::{Call, Method, Reply, Request};
pub use money::{Currency, Money, MoneyError};
pub use operation::{Done, Failure, Fault, Link, Operation, Retry, Step};
pub use outcome::{Answer, Outcome, Proof, Received, Refusal, Reject, RejectKind};

/// A payment provider's protocol. There are no default methods: nothing can be trusted, or left out, by accident.
pub trait Provider: Send + Sync {
    /// Everything that API, console, command line, documentation and `doctor` show about this provider.
    fn about(&self) -> &'static About;

    /// Checks an account's credentials and settings beyond what the declaration in [`about`](Self::about) says
    /// (lengths, sets of values and required fields are checked from the declaration by
    /// [`about::problems`]). Empty when all is well.
    fn validate(&self, account: &Account) -> Vec<about::Problem>;

    /// Proves a notification and reads it, in one call so that the two can't be called in the wrong order.
    ///
    /// # Errors
    /// A [`Reject`] with the reason in words; one for a wrong signature tries the usual mistakes and names the one
    /// that fits in [`Reject::diagnosis`], without a secret in it.
    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject>;

    /// The exact reply to the provider for each [`Outcome`], in the provider's own words. Total.
    fn answer(&self, request: &Request, outcome: &Outcome<'_>, account: &Account) -> Answer;

    /// Begins an operation: either it is done at once (a link), or there is an HTTP request to make whose reply goes
    /// to [`next`](Self::next).
    fn begin(&self, operation: &Operation, account: &Account) -> Step;

    /// Goes on with an operation after the provider's reply. `memo` is what the previous [`Step::Send`] or
    /// [`Step::FollowUp`] asked to be handed back.
    fn next(&self, operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step;

    /// The notification as the provider would send it, for `simulate`, `demo` and tests.
    ///
    /// # Errors
    /// Says in words why there is no such notification.
    fn imitate(&self, sample: &operation::Sample, account: &Account) -> Result<Request, String>;
}

/// Every adapter, in the order in which they are listed to people.
#[rustfmt::skip] // one a line
pub static ALL: &[&dyn Provider] = &[
    &yookassa::YooKassa,
    &yoomoney::YooMoney,
    &robokassa::Robokassa,
    &cloudpayments::CloudPayments,
    &liqpay::LiqPay,
    &uapay::Uapay,
    &uniteller::Uniteller,
    &unitpay::Unitpay,
    &bepaid::BePaid,
    &cryptopay::Cryptopay,
    &cryptobot::CryptoBot,
    &justclick::JustClick,
    &generic::Generic,
];

/// The adapter with this slug (the `{provider}` of `/webhooks/{provider}/{token}`).
#[must_use]
pub fn by_slug(slug: &str) -> Option<&'static dyn Provider> {
    ALL.iter().copied().find(|provider| provider.about().slug == slug)
}

/// Value of the event's `provider` for an account: its setting, else the name that its document gives
/// ([`generic`]), else the adapter's.
#[must_use]
pub fn event_provider(about: &About, account: &Account) -> String {
    let own = account.settings.event_provider.clone();
    let named = || if about.slug == generic::ABOUT.slug { generic::slug(account) } else { None };
    own.or_else(named).unwrap_or_else(|| about.event_provider.to_owned())
}
