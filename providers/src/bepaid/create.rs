//! Bodies of new payments: the pay page and the charge of a saved method.

use serde_json::{Map, Value, json};

use super::{amount, transaction};
use crate::Account;
use crate::operation::{Create, Failure, Fault};

/// Longest description, characters.
const DESCRIPTION_LEN_MAX: usize = 255;
/// Most lines for the payer's mail.
const RECEIPT_LINES_MAX: usize = 100;

fn put(body: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value);
    }
}

pub(super) fn gateway_amount(money: &crate::Money) -> Result<u64, Failure> {
    amount::write(money).map_err(|why| Failure::never(Fault::Caller, why))
}

fn description(create: &Create) -> String {
    let text: String = create.description.chars().take(DESCRIPTION_LEN_MAX).collect();
    // The field is required.
    if text.is_empty() { format!("№ {}", create.number) } else { text }
}

/// `{"checkout":{…}}`: one try, so that a failed one is the end of it.
pub(super) fn checkout(create: &Create, account: &Account) -> Result<Value, Failure> {
    let mut order = Map::new();
    put(&mut order, "amount", Some(json!(gateway_amount(&create.amount)?)));
    put(&mut order, "currency", Some(json!(create.amount.currency.code())));
    put(&mut order, "description", Some(json!(description(create))));
    put(&mut order, "tracking_id", Some(json!(create.number.to_string())));
    let additional = additional(create);
    put(&mut order, "additional_data", Some(Value::Object(additional)).filter(|data| data != &json!({})));
    let mut settings = Map::new();
    put(&mut settings, "notification_url", create.notify_url.as_ref().map(|url| json!(url)));
    put(&mut settings, "return_url", create.return_url.as_ref().map(|url| json!(url)));
    let mut checkout = Map::new();
    put(
        &mut checkout,
        "transaction_type",
        Some(json!(if create.hold { "authorization" } else { "payment" })),
    );
    put(&mut checkout, "attempts", Some(json!(1)));
    put(&mut checkout, "test", Some(json!(account.is_test())));
    put(&mut checkout, "order", Some(Value::Object(order)));
    put(&mut checkout, "settings", Some(Value::Object(settings)));
    put(&mut checkout, "customer", customer(create));
    Ok(json!({ "checkout": checkout }))
}

/// Our own data, what the saved card is for, and lines for the payer's mail. Receipt data in the provider's own form
/// (`{"receipt_text":[…]}`, `{"fiscalization":{…}}`, or a list of lines) goes before the order's lines.
fn additional(create: &Create) -> Map<String, Value> {
    let mut data = Map::new();
    let lines = create.order.iter().take(RECEIPT_LINES_MAX);
    let lines: Vec<String> = lines.map(|line| format!("{}: {}", line.name, line.amount)).collect();
    put(&mut data, "receipt_text", Some(json!(lines)).filter(|_| !lines.is_empty()));
    match &create.receipt {
        Some(Value::Object(own)) => data.extend(own.iter().map(|(key, value)| (key.clone(), value.clone()))),
        Some(Value::Array(lines)) => put(&mut data, "receipt_text", Some(json!(lines))),
        _ => {}
    }
    put(&mut data, "contract", create.save_method.then(|| json!(["recurring", "card_on_file"])));
    put(&mut data, "meta", Some(json!(create.metadata)).filter(|_| !create.metadata.is_empty()));
    data
}

fn customer(create: &Create) -> Option<Value> {
    let mut customer = Map::new();
    put(&mut customer, "email", create.email.as_ref().map(|email| json!(email)));
    if let Some(contact) = &create.contact {
        put(&mut customer, "first_name", contact.name.as_ref().map(|name| json!(name)));
        put(&mut customer, "phone", contact.phone.as_ref().map(|phone| json!(format!("+{phone}"))));
    }
    (!customer.is_empty()).then(|| Value::Object(customer))
}

/// `{"request":{…}}`: a charge with nobody present.
pub(super) fn charge(create: &Create, saved_method: &str, account: &Account) -> Result<Value, Failure> {
    let (section, token) = saved_method.split_once(':').unwrap_or(("credit_card", saved_method));
    if !transaction::is_token(token) || !transaction::is_plain(section) {
        return Err(Failure::never(Fault::Caller, "that is no token of a saved method of bePaid"));
    }
    let mut request = Map::new();
    put(&mut request, "amount", Some(json!(gateway_amount(&create.amount)?)));
    put(&mut request, "currency", Some(json!(create.amount.currency.code())));
    put(&mut request, "description", Some(json!(description(create))));
    put(&mut request, "tracking_id", Some(json!(create.number.to_string())));
    put(&mut request, "notification_url", create.notify_url.as_ref().map(|url| json!(url)));
    put(&mut request, "return_url", create.return_url.as_ref().map(|url| json!(url)));
    put(&mut request, "test", Some(json!(account.is_test())));
    put(&mut request, "duplicate_check", Some(json!(true)));
    put(&mut request, section, Some(json!({ "token": token })));
    let mut additional = additional(create);
    put(&mut additional, "contract", Some(json!(["recurring"])));
    put(&mut request, "additional_data", Some(Value::Object(additional)));
    put(&mut request, "customer", customer(create));
    Ok(json!({ "request": request }))
}
