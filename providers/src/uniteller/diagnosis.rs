//! Why a notification's signature does not fit: the usual mistakes, tried one after the other.

use super::receive::Fields;
use super::signature::plain;
use crate::account::Account;
use crate::digest;

/// Most extra fields whose orders are all tried: 5 have 120 orders.
const PERMUTED_MAX: usize = 5;
/// Length of the password under «Параметры Авторизации», characters.
const PASSWORD_LEN: usize = 80;

/// Names the mistake that fits, without a secret.
pub(super) fn diagnose(fields: &Fields, account: &Account) -> Option<String> {
    let password = account.secret("password")?.expose();
    let names: Vec<&str> = fields.extra.iter().map(|(name, _)| name.as_str()).collect();
    let claimed = fields.signature.to_ascii_uppercase();
    let fits = |made: String| digest::same(claimed.as_bytes(), made.as_bytes());
    let (order, status) = (fields.order.as_str(), fields.status.as_str());
    if fits(plain(&[order, status, password])) {
        return Some("matches without any extra field: the fields beside it are not signed".to_owned());
    }
    if names.len() <= PERMUTED_MAX
        && let Some(right) =
            orders(&names).into_iter().find(|names| fits(fields.signature_over(names, password)))
    {
        return Some(format!(
            "matches with the extra fields in another order: set callback_fields to {}",
            right.join(" ")
        ));
    }
    for status in ["Authorized", "Paid", "Canceled", "authorized", "paid", "canceled", "partly canceled"] {
        if fits(plain(&[order, status, password])) {
            return Some(format!("matches with the status {status:?}: something changed it on the way"));
        }
    }
    if fits(plain(&[order.trim(), status.trim(), password])) {
        return Some("matches when white space is trimmed: it was added on the way".to_owned());
    }
    let login = account.text("login");
    if !login.is_empty() && fits(fields.signature_over(&names, login)) {
        return Some("matches with the login instead of the password: the two are swapped".to_owned());
    }
    if fits(fields.signature_over(&names, password.trim())) {
        return Some(
            "matches when the password is trimmed: it was saved with white space around it".to_owned(),
        );
    }
    (password.chars().count() != PASSWORD_LEN).then(|| {
        format!(
            "the password does not have {PASSWORD_LEN} characters: take the one under «Параметры Авторизации», not that \
             of the dashboard"
        )
    })
}

/// Every order of a few names.
fn orders<'a>(names: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut found: Vec<Vec<&str>> = vec![Vec::new()];
    for name in names {
        found = found
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let (before, after) = order.split_at(at);
                    [before, &[*name], after].concat()
                })
            })
            .collect();
    }
    found
}
