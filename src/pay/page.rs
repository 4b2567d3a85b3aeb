//! The page's HTML, in the payer's likely languages.

use std::fmt::Write as _;

use crate::domain::payment::{PayForm, Payment};

const HEAD: &str = "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
    <title>Оплата · Payment</title>\n";

/// The order is paid.
pub(super) const PAID: &str = "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
    <title>Оплата · Payment</title>\n<p>Заказ оплачен. · The order is paid.</p>\n";
/// The order is canceled.
pub(super) const CANCELED: &str = "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
    <title>Оплата · Payment</title>\n<p>Заказ отменён. · The order is canceled.</p>\n";
/// There is no such page.
pub(super) const UNKNOWN: &str = "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
    <title>Оплата · Payment</title>\n<p>Такой страницы нет. · There is no such page.</p>\n";
/// The store is away.
pub(super) const LATER: &str = "<!doctype html>\n<html lang=\"ru\">\n<meta charset=\"utf-8\">\n\
    <title>Оплата · Payment</title>\n<p>Попробуйте ещё раз через минуту. · Try again in a minute.</p>\n";

/// The form, which posts itself.
pub(super) fn form(payment: &Payment, form: &PayForm, nonce: &str) -> String {
    let mut html = String::from(HEAD);
    let action = escape(&form.action);
    let _ = writeln!(html, "<form id=\"pay\" method=\"post\" accept-charset=\"utf-8\" action=\"{action}\">");
    for (name, value) in &form.fields {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    let words = escape(&payment.description);
    let amount = escape(&format!("{} {}", payment.amount.decimal(), payment.amount.currency));
    let _ = writeln!(html, "<p>{words}</p>\n<button>Оплатить · Pay {amount}</button>\n</form>");
    // A control named "submit" would hide the form's own method.
    let _ = writeln!(
        html,
        "<script nonce=\"{nonce}\">HTMLFormElement.prototype.submit.call(document.getElementById(\"pay\"))</script>"
    );
    html
}

/// Text for an attribute or an element.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
