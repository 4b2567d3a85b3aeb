//! The OpenAPI document, made from the handlers' own annotations.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::{MEDIA_TYPE, Problem};
use super::{
    audit, deliveries, endpoints, events, explain, health, integrations, merchants, notifications, payments,
    providers, replays, stats, stream, tokens, transfer, tries,
};
use crate::manage::InputError;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Kassir", description = "A multi-provider payment webhook router for messenger bots.\n\nErrors are `application/problem+json` (RFC 9457). Lists take `limit` and `cursor` and answer newest first. Times are RFC 3339, UTC. Every POST that does something honours `Idempotency-Key`: repeated within a day it gives the same answer again, with the header `idempotency-replayed: true`. So does one of which nobody knows whether the provider did it (`provider-unknown`): look the payment up, then take another key."),
    paths(
        merchants::create, merchants::list, merchants::show, merchants::update, merchants::delete,
        transfer::export_merchant, transfer::import_merchant, providers::list,
        integrations::create, integrations::list, integrations::show, integrations::update, integrations::delete,
        integrations::rotate_token, tries::try_request, explain::saved, explain::draft,
        endpoints::create, endpoints::list, endpoints::show, endpoints::update, endpoints::delete,
        endpoints::rotate_secret, endpoints::test,
        payments::create, payments::list, payments::show, payments::capture, payments::cancel, payments::refund,
        events::list, events::show, stream::stream,
        deliveries::list, deliveries::show, deliveries::replay,
        replays::create, replays::list, replays::show, replays::cancel,
        notifications::list, notifications::show,
        stats::show, audit::list, audit::export,
        tokens::create, tokens::list, tokens::delete,
        health::live, health::ready, health::metrics,
    ),
    components(schemas(Problem, InputError)),
    security(("token" = [])),
    modifiers(&Common),
)]
pub struct Document;

/// Operations that change nothing: they need no key.
const DRY_RUNS: [&str; 3] = ["try_request", "explain_request", "explain_draft"];

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("The admin token, or one of /api/v1/tokens.")).build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(scheme));
        }
        for item in document.paths.paths.values_mut() {
            let post = item.post.as_mut();
            let is_dry =
                |post: &Operation| post.operation_id.as_deref().is_some_and(|id| DRY_RUNS.contains(&id));
            if let Some(post) = post.filter(|post| !is_dry(post)) {
                idempotency(post);
            }
            let all = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in all.into_iter().flatten() {
                plain_words(operation);
                if operation.security.is_none() {
                    problems(operation);
                }
            }
        }
    }
}

/// Leaves the handlers' sections about Rust out of their descriptions.
fn plain_words(operation: &mut Operation) {
    let words = operation.description.take().unwrap_or_default();
    let words = words.split("# Errors").next().unwrap_or_default().trim();
    operation.description = Some(words.to_owned()).filter(|words| !words.is_empty());
}

fn idempotency(operation: &mut Operation) {
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some("1 to 255 printable characters: the request is done once per key."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(parameter.into());
}

fn problems(operation: &mut Operation) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response =
        ResponseBuilder::new().description("What is wrong, and what to do.").content(MEDIA_TYPE, content);
    operation.responses.responses.insert("default".to_owned(), response.build().into());
}

/// The document as JSON, with a line feed at its end.
#[must_use]
pub fn json() -> String {
    let document = Document::openapi().to_pretty_json().unwrap_or_default();
    format!("{document}\n")
}
