//! The page of a payment whose provider takes no link: the payer's browser posts a form that we hold. It needs no
//! click where scripts run, and has a button where they do not.

mod page;

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use kassir_providers::State;

use crate::domain::ids::MerchantId;
use crate::domain::payment::{PayForm, Payment};
use crate::limits::PAYMENT_NUMBER_MAX;
use crate::secrets::{new_token, token_hash};
use crate::store::Store;

/// Longest key in an address, characters.
const KEY_LEN_MAX: usize = 128;

/// What the page needs.
#[derive(Clone)]
pub struct PayState {
    /// The store.
    pub store: Arc<dyn Store>,
}

/// The page's address.
#[must_use]
pub fn url(public_url: &str, payment: &Payment, form: &PayForm) -> String {
    format!("{public_url}/pay/{}/{}/{}", payment.merchant, payment.number, form.key)
}

/// Mounts `GET /pay/{merchant}/{number}/{key}`.
pub fn configure(service: &mut web::ServiceConfig, state: PayState) {
    let resource = web::resource("/pay/{merchant}/{number}/{key}")
        .app_data(web::Data::new(state))
        .route(web::get().to(show));
    service.service(resource);
}

async fn show(state: web::Data<PayState>, path: web::Path<(String, String, String)>) -> HttpResponse {
    let (merchant, number, key) = path.into_inner();
    let ids = (merchant.parse::<MerchantId>().ok(), number.parse::<u32>().ok());
    let (Some(merchant), Some(number)) = ids else { return unknown() };
    if key.len() > KEY_LEN_MAX || number > PAYMENT_NUMBER_MAX {
        return unknown();
    }
    let payment = match state.store.payment(merchant, number).await {
        Ok(payment) => payment,
        Err(error) => {
            tracing::warn!(%error, "a pay page could not be read");
            return answer(StatusCode::SERVICE_UNAVAILABLE, page::LATER.to_owned(), None);
        }
    };
    let Some(payment) = payment else { return unknown() };
    let Some(form) = payment.pay_form.as_ref() else { return unknown() };
    // Of two hashes, the time of a comparison tells nothing.
    if token_hash(&form.key) != token_hash(&key) {
        return unknown();
    }
    match payment.state {
        State::Pending => match new_token("") {
            Ok(nonce) => {
                let html = page::form(&payment, form, nonce.expose());
                answer(StatusCode::OK, html, Some(nonce.expose()))
            }
            Err(error) => {
                tracing::error!(%error, "a pay page could not be made");
                answer(StatusCode::SERVICE_UNAVAILABLE, page::LATER.to_owned(), None)
            }
        },
        State::Canceled => answer(StatusCode::OK, page::CANCELED.to_owned(), None),
        State::Succeeded | State::WaitingForCapture => answer(StatusCode::OK, page::PAID.to_owned(), None),
    }
}

fn unknown() -> HttpResponse {
    answer(StatusCode::NOT_FOUND, page::UNKNOWN.to_owned(), None)
}

fn answer(status: StatusCode, html: String, nonce: Option<&str>) -> HttpResponse {
    // No form-action: browsers apply it to the provider's own redirects too.
    let scripts = nonce.map_or_else(|| "'none'".to_owned(), |nonce| format!("'nonce-{nonce}'"));
    let policy = format!("default-src 'none'; script-src {scripts}; base-uri 'none'; frame-ancestors 'none'");
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(html)
}
