//! Which of the two notifications is it? Merchants put one address in both places, so the body decides, not the URL.

use super::about::ABOUT;
use super::result::is_invoice;
use super::{notice, result, shop};
use crate::account::Account;
use crate::http::{Method, Request};
use crate::outcome::{Received, Reject};
use crate::sources::{self, Source};

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let mut warnings = Vec::new();
    // The published addresses are those of Russia: in Kazakhstan they are looked at only when the setting asks for it.
    if (!shop::is_kz(account) || account.settings.source_ips.is_some())
        && let Source::Outside(warning) = sources::check(&ABOUT, request, account)?
    {
        warnings.push(warning);
    }
    match token(request) {
        Some(token) => notice::receive(&token, account, warnings),
        None => result::receive(request, account, warnings),
    }
}

fn token(request: &Request) -> Option<String> {
    (request.method == Method::Post).then(|| notice::token(&request.body)).flatten()
}

/// The invoice number as it came, for the answer `OK…`; nothing for a token, where any 2xx will do.
pub(super) fn invoice(request: &Request) -> Option<String> {
    if token(request).is_some() {
        return None;
    }
    let form = request.form().ok()?;
    let invoice = &form.find_ignore_case("InvId")?.value;
    is_invoice(invoice).then(|| invoice.clone())
}
