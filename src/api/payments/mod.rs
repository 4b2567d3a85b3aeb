//! `/merchants/{m}/payments`.

mod input;
mod view;

use kassir_providers::{Failure, Fault, Retry, State};

use super::auth::Need;
use super::context::{Body, Context};
use super::deliveries::DeliveryView;
use super::events::EventView;
use super::idempotency::once_held;
use super::notifications::NotificationView;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{
    AmountInput, EmptyInput, MerchantPath, PageQuery, PaymentInput, PaymentQuery, RecordPath, TimeQuery,
};
use crate::domain::ids::MerchantId;
use crate::ledger::LedgerError;
use crate::limits;
use crate::manage::Members;
use crate::payments::{Part, PaymentError};
use crate::store::list::PAGE_MAX;
use crate::store::{DeliveryFilter, EventFilter, NotificationFilter, Page, PaymentFilter};

pub use view::PaymentView;

const STATES: [(&str, State); 4] = [
    ("pending", State::Pending),
    ("waiting_for_capture", State::WaitingForCapture),
    ("succeeded", State::Succeeded),
    ("canceled", State::Canceled),
];

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Problem {
        match error {
            PaymentError::NotFound(what) => {
                Problem::new(404, "not-found", "There is no such record", format!("There is no such {what}."))
            }
            PaymentError::Invalid { pointer, detail } => Problem::invalid_at(pointer, detail),
            PaymentError::Provider(failure, number) => provider_problem(&failure, number),
            PaymentError::Ledger(LedgerError::Registry(error)) => error.into(),
            PaymentError::Ledger(error) => Problem::conflict(format!("{error}.")),
        }
    }
}

/// What a provider's failure is to our caller: whose fault, and what to do.
fn provider_problem(failure: &Failure, number: Option<u32>) -> Problem {
    let code = failure.code.as_ref().map(|code| format!(" (code {code})")).unwrap_or_default();
    let payment = number.map(|number| format!(" Payment {number}.")).unwrap_or_default();
    let why = format!("{}{code}.{payment}", failure.why.trim_end_matches('.'));
    let problem = problem_of(failure, why);
    if failure.retry == Retry::LookUp { problem.for_good() } else { problem }
}

fn problem_of(failure: &Failure, why: String) -> Problem {
    match (failure.fault, failure.retry) {
        (Fault::Caller, _) => Problem::conflict(why),
        (Fault::Merchant, _) => {
            let detail = format!("{why} Check the integration's credentials and rights at the provider.");
            Problem::new(422, "provider-account", "The provider refused the shop's account", detail)
        }
        (_, Retry::LookUp) => {
            let detail = format!(
                "{why} It is not known whether it was done: look the payment up before trying again."
            );
            Problem::new(502, "provider-unknown", "The provider's answer is not known", detail)
        }
        (_, Retry::Later(after)) => {
            let after_s = after.map_or(super::problem::RETRY_AFTER_S.into(), |ms| ms.div_ceil(1000));
            // Under another key it would be another operation, also at the provider.
            let detail =
                format!("{why} Try again in {after_s} s. Take the same Idempotency-Key, if there was one.");
            Problem::new(502, "provider-unavailable", "The provider did not do it now", detail)
                .header(actix_web::http::header::RETRY_AFTER, after_s.to_string())
        }
        (_, Retry::Never) => Problem::new(502, "provider-refused", "The provider refused", why),
    }
}

/// Creates a payment: the provider is asked for a pay link, and subscribers get `pending`.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/payments", tag = "payments", operation_id = "create_payment",
    params(MerchantPath), request_body = PaymentInput, responses((status = 201, body = PaymentView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?.config.merchant.id;
    context.no_params()?;
    let mut members = body.members()?;
    let new = input::read(&mut members);
    members.finish()?;
    let new = new.ok_or_else(|| Problem::malformed("The payment could not be read."))?;
    let inner = context.clone();
    once_held(&context, &body, move |caller| async move {
        let actor = &inner.caller.actor;
        let detail = format!("{} {}", new.amount.decimal(), new.amount.currency);
        inner.manage().note(actor, Some(merchant), "payment.create", new.integration, detail).await?;
        let payment = inner.state.payments.create(merchant, new, caller.as_ref()).await?;
        Ok(Reply::json(201, &PaymentView::from(payment)))
    })
    .await
}

/// Lists payments.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/payments", tag = "payments", operation_id = "list_payments",
    params(MerchantPath, PageQuery, PaymentQuery, TimeQuery), responses((status = 200, body = List<PaymentView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let page = params.page::<u32>();
    let filter = PaymentFilter {
        state: params.word("state", &STATES),
        provider: params.text("provider"),
        integration: params.parsed("integration_id"),
        from: params.time("from"),
        to: params.time("to"),
        q: params.search(),
    };
    params.finish()?;
    Ok(Reply::list(context.store().payments(merchant, &filter, &page).await?, PaymentView::from))
}

/// Shows a payment with its events, notifications and deliveries (the newest 200 of each).
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/payments/{id}", tag = "payments", operation_id = "show_payment",
    params(RecordPath), responses((status = 200, body = PaymentView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    context.no_params()?;
    let number: u32 = context.id("payment")?;
    let store = context.store();
    let payment = store.payment(merchant, number).await?;
    let payment = payment.ok_or_else(|| Problem::not_found("payment", context.part("id")))?;
    let all = Page { limit: PAGE_MAX, before: None };
    let events = EventFilter { payment: Some(number), ..EventFilter::default() };
    let events = store.events(merchant, &events, &all).await?.rows;
    let notifications = NotificationFilter { payment: Some(number), ..NotificationFilter::default() };
    let notifications = store.notifications(merchant, &notifications, &all).await?.rows;
    let deliveries = DeliveryFilter { payment: Some(number), ..DeliveryFilter::default() };
    let deliveries = store.deliveries(merchant, &deliveries, &all).await?.rows;
    let mut view = PaymentView::from(payment);
    view.events = Some(events.into_iter().map(EventView::from).collect());
    view.notifications = Some(notifications.into_iter().map(NotificationView::short).collect());
    view.deliveries = Some(deliveries.into_iter().map(DeliveryView::from).collect());
    Ok(Reply::ok(&view))
}

/// What is done to a payment.
#[derive(Clone, Copy)]
enum Deed {
    Capture,
    Cancel,
    Refund,
}

impl Deed {
    const fn action(self) -> &'static str {
        match self {
            Deed::Capture => "payment.capture",
            Deed::Cancel => "payment.cancel",
            Deed::Refund => "payment.refund",
        }
    }
}

fn read_part(members: &mut Members, deed: Deed) -> Part {
    match deed {
        Deed::Cancel => Part::default(),
        Deed::Capture | Deed::Refund => {
            Part { amount: members.integer("amount", 1..=i64::MAX), receipt: input::receipt(members) }
        }
    }
}

async fn operate(context: Context, body: Body, deed: Deed) -> Result<Reply> {
    let merchant: MerchantId = context.merchant(Need::Write).await?.config.merchant.id;
    context.no_params()?;
    let number: u32 = context.id("payment")?;
    if number > limits::PAYMENT_NUMBER_MAX || context.store().payment(merchant, number).await?.is_none() {
        return Err(Problem::not_found("payment", context.part("id")));
    }
    let mut members = body.members()?;
    let part = read_part(&mut members, deed);
    members.finish()?;
    let inner = context.clone();
    once_held(&context, &body, move |caller| async move {
        let detail = part.amount.map_or_else(|| "all".to_owned(), |amount| format!("{amount} minor units"));
        inner.manage().note(&inner.caller.actor, Some(merchant), deed.action(), number, detail).await?;
        let payments = &inner.state.payments;
        let payment = match deed {
            Deed::Capture => payments.capture(merchant, number, part).await?,
            Deed::Cancel => payments.cancel(merchant, number).await?,
            Deed::Refund => payments.refund(merchant, number, part, caller.as_ref()).await?,
        };
        Ok(Reply::ok(&PaymentView::from(payment)))
    })
    .await
}

/// Captures a held payment, all or part of it.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/payments/{id}/capture", tag = "payments",
    operation_id = "capture_payment", params(RecordPath), request_body = AmountInput,
    responses((status = 200, body = PaymentView)))]
pub async fn capture(context: Context, body: Body) -> Result<Reply> {
    operate(context, body, Deed::Capture).await
}

/// Cancels an unpaid or held payment.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/payments/{id}/cancel", tag = "payments",
    operation_id = "cancel_payment", params(RecordPath), request_body = EmptyInput,
    responses((status = 200, body = PaymentView)))]
pub async fn cancel(context: Context, body: Body) -> Result<Reply> {
    operate(context, body, Deed::Cancel).await
}

/// Gives money back, all that is left or part of it.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/payments/{id}/refund", tag = "payments",
    operation_id = "refund_payment", params(RecordPath), request_body = AmountInput,
    responses((status = 200, body = PaymentView)))]
pub async fn refund(context: Context, body: Body) -> Result<Reply> {
    operate(context, body, Deed::Refund).await
}
