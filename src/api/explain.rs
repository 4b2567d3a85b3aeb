//! What the configurable adapter computes for a request, step by step: `/merchants/{m}/integrations/{id}/explain` for
//! what is saved, `/merchants/{m}/generic/explain` for a document that is not.

use kassir_providers::generic::{self, ExplainStep, Generic};
use kassir_providers::{Account, Provider as _, Request};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::problem::{Problem, Result};
use super::reply::Reply;
use super::schema::{DraftInput, MerchantPath, RecordPath, TryInput};
use super::tries::asked;
use crate::domain::ids::{IntegrationId, MerchantId};
use crate::manage::{InputError, Members, integrations, kind};
use crate::registry::MerchantView;

/// A step of reading a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// `document`, `advice`, `read`, `unwrap`, `hash`, `hmac`, `rsa`, `basic`, `static`, `ip`, `timestamp`, `when`,
    /// `state`, `map`, `fact`, `dedupe`, `confirm`, `refused`, `answer`.
    what: String,
    /// Whether it went well.
    ok: bool,
    /// What came of it, or why it failed.
    detail: String,
    /// The base string that was signed, every secret replaced by `<secret:NAME>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    /// The first characters of the signature that we computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// The first characters of the signature that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<String>,
}

/// What became of a request, step by step. Nothing was stored or sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplanationView {
    /// `proven`, `unproven` (the provider's API or a person would have to confirm it) or `refused`.
    verdict: &'static str,
    /// What was done, in order.
    steps: Vec<StepView>,
}

fn view(request: &Request, account: &Account) -> ExplanationView {
    let told = generic::explain(request, account);
    let step = |step: ExplainStep| StepView {
        what: step.what,
        ok: step.ok,
        detail: step.detail,
        base: step.base,
        expected: step.expected,
        received: step.received,
    };
    ExplanationView { verdict: told.verdict.word(), steps: told.steps.into_iter().map(step).collect() }
}

/// The account of a configurable integration.
fn account_of(merchant: &MerchantView, id: IntegrationId, shown: &str, pointer: &str) -> Result<Account> {
    let (integration, account) =
        merchant.integration(id)?.ok_or_else(|| Problem::not_found("integration", shown))?;
    if integration.provider == Generic.about().slug {
        return Ok(Account::clone(account));
    }
    let provider = &integration.provider;
    let detail = format!("is an integration of {provider}, which has no document; use its try instead");
    Err(Problem::invalid_at(pointer, detail))
}

/// Explains step by step what the saved document of a `generic` integration makes of a request: every base string
/// with the secrets masked, what was compared, which rule decided, what would be answered.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/integrations/{id}/explain", tag = "integrations",
    operation_id = "explain_request", params(RecordPath), request_body = TryInput,
    responses((status = 200, body = ExplanationView)))]
pub async fn saved(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    context.no_params()?;
    let id: IntegrationId = context.id("integration")?;
    let mut members = body.members()?;
    let request = asked(&context, merchant.config.merchant.id, Some(id), &mut members).await?;
    members.finish()?;
    let account = account_of(&merchant, id, context.part("id"), "")?;
    Ok(Reply::ok(&view(&request, &account)))
}

/// Explains the same for a document that is not saved: `settings` and `credentials` as when an integration is made. A
/// wrong document is refused with the member and the reason. With `integration_id` they come on top of what that
/// integration has; that takes a token that may change it.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/generic/explain", tag = "integrations",
    operation_id = "explain_draft", params(MerchantPath), request_body = DraftInput,
    responses((status = 200, body = ExplanationView)))]
pub async fn draft(context: Context, body: Body) -> Result<Reply> {
    let mut members = body.members()?;
    let id = members.parsed::<IntegrationId>("integration_id");
    // Saved secrets under a document of the caller's own tell more than looking does.
    let merchant = context.merchant(if id.is_some() { Need::Write } else { Need::Read }).await?;
    context.no_params()?;
    let base = match id {
        Some(id) => account_of(&merchant, id, &id.to_string(), "/integration_id")?,
        None => Account::default(),
    };
    let request = request(&context, merchant.config.merchant.id, &mut members).await?;
    let account = integrations::draft(&Generic, base, &mut members);
    members.finish()?;
    Ok(Reply::ok(&view(&request, &account)))
}

async fn request(context: &Context, merchant: MerchantId, members: &mut Members) -> Result<Request> {
    let pointer = members.pointer("request");
    let given = match members.value("request") {
        Some(Value::Object(given)) => given,
        Some(other) => {
            members.error(InputError::at(&pointer, format!("must be an object, not {}", kind(&other))));
            serde_json::Map::new()
        }
        None => {
            members.wrong("request", "is required: the request that is tried");
            serde_json::Map::new()
        }
    };
    let mut inner = Members::of(given, pointer);
    let request = asked(context, merchant, None, &mut inner).await?;
    inner.into_errors().into_iter().for_each(|error| members.error(error));
    Ok(request)
}
