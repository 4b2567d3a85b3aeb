//! Operations: `createInvoice`, `getInvoices`, `deleteInvoice`, `getMe`; JSON with the token in a header.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{about, invoice, is_test};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State};
use crate::http::{Call, Reply};
use crate::json::{member, raw_body};
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};
use crate::{Account, Secret};

/// How long an invoice can be paid, seconds: without it the invoice would live for ever. The API allows 31 days.
const EXPIRES_IN_S: u32 = 86_400;
/// Longest description, characters.
const DESCRIPTION_LEN_MAX: usize = 1024;
/// Invoices on one page of the list: the API's most.
const PAGE_LEN: usize = 1000;
/// Longest pause that is taken over from a reply, seconds.
const RETRY_AFTER_S_MAX: u64 = 3600;

const ACTIVE: &str = "active";
const PAID: &str = "paid";
const DELETE: &str = "delete";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let api = Api::of(account)?;
    Ok(match &operation.wish {
        Wish::Create(create) => api.post("createInvoice", &invoice_of(create)?, ""),
        Wish::Status(target) => match &target.provider_id {
            Some(_) => api.get(&by_id(target)?, ""),
            None => api.get(&by_status(ACTIVE), ACTIVE),
        },
        Wish::Cancel(target) => match target.state {
            State::Succeeded => return Err(paid_already()),
            _ => api.get(&by_id(target)?, ""),
        },
        Wish::Probe => api.get("getMe", ""),
        Wish::Capture { .. } => return Err(never("Crypto Pay has no holds: there is nothing to capture")),
        Wish::Refund { .. } => {
            return Err(never(
                "Crypto Pay has no refunds: send the coins back by hand, or by a transfer in @CryptoBot",
            ));
        }
        Wish::RefundStatus { .. } => return Err(never("Crypto Pay has no refunds")),
        Wish::Charge { .. } => {
            return Err(never("Crypto Pay can't charge a payer: send a new invoice's link for each period"));
        }
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => {
            return Err(never("Crypto Pay keeps no subscriptions"));
        }
        Wish::Period { .. } => return Err(Failure::unsupported("list of payments by period; ask for each")),
    })
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let api = Api::of(account)?;
    let changes = matches!(operation.wish, Wish::Create(_)) || memo == DELETE;
    let answer = read(reply).map_err(|failure| match failure.retry {
        // Nothing says whether it was done, and there are no idempotency keys. A 429 was not done.
        Retry::Later(_) if changes && reply.status != 429 => Failure { retry: Retry::LookUp, ..failure },
        _ => failure,
    })?;
    match &operation.wish {
        Wish::Create(create) => created(create, answer, is_test(account)),
        Wish::Status(target) => match (&target.provider_id, memo) {
            (Some(_), _) => Ok(Step::done(status(target, &answer, is_test(account))?)),
            (None, memo) => api.found(target, memo, &answer),
        },
        Wish::Cancel(target) if memo == DELETE => deleted(target, answer, is_test(account)),
        Wish::Cancel(target) => api.delete(target, answer),
        Wish::Probe => probed(&answer, account),
        _ => Err(Failure::never(Fault::Us, "an answer to a question that was not asked")),
    }
}

fn never(why: &str) -> Failure {
    Failure::never(Fault::Caller, why)
}

fn paid_already() -> Failure {
    never("the invoice is paid: there is nothing to cancel, and Crypto Pay has no refunds")
}

struct Api<'a> {
    account: &'a Account,
    token: &'a Secret,
}

impl<'a> Api<'a> {
    fn of(account: &'a Account) -> Result<Api<'a>, Failure> {
        let token = account.secret("token");
        let token =
            token.ok_or_else(|| Failure::never(Fault::Merchant, "the API token (token) is not set"))?;
        Ok(Api { account, token })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/{path}", about::base(self.account))
    }

    fn send(&self, call: Call, memo: &str) -> Step {
        let call = call.header("crypto-pay-api-token", self.token.expose());
        Step::Send { call: Box::new(call), memo: memo.to_owned() }
    }

    fn get(&self, path: &str, memo: &str) -> Step {
        self.send(Call::get(self.url(path)), memo)
    }

    fn post(&self, path: &str, body: &Value, memo: &str) -> Step {
        self.send(Call::post(self.url(path), "application/json", body.to_string()), memo)
    }

    /// A page of all active, then of all paid invoices: there is no search by order number.
    fn found(&self, target: &Target, memo: &str, answer: &Answer) -> Result<Step, Failure> {
        let items = answer.items()?;
        let number = target.order_number();
        let ours = |item: &&Value| invoice::reference(item).as_deref() == Some(&number);
        if let Some(item) = items.iter().find(ours) {
            let fact = invoice::fact(item, is_test(self.account)).map_err(|why| unreadable(&why))?;
            return Ok(Step::done(Done {
                provider_id: invoice::id(item),
                facts: vec![fact],
                payload: Some(answer.raw.clone()),
                ..Done::default()
            }));
        }
        if memo == ACTIVE {
            return Ok(self.get(&by_status(PAID), PAID));
        }
        let why = if items.len() >= PAGE_LEN {
            "the newest invoices show none with this order number; there are more than one call lists"
        } else {
            "no active or paid invoice has this order number"
        };
        Err(never(why).code("not_found"))
    }

    /// The invoice was looked at: it is deleted only while nobody has paid it.
    fn delete(&self, target: &Target, answer: Answer) -> Result<Step, Failure> {
        let done = status(target, &answer, is_test(self.account))?;
        let state = done.facts.iter().find_map(|fact| match fact {
            Fact::Payment(fact) => Some(fact.state),
            _ => None,
        });
        match state {
            Some(State::Succeeded) => Err(Failure { retry: Retry::LookUp, ..paid_already() }),
            Some(State::Pending) => {
                let id: u64 = target.provider_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0);
                Ok(self.post("deleteInvoice", &json!({ "invoice_id": id }), DELETE))
            }
            _ => Ok(Step::done(done)),
        }
    }
}

fn by_id(target: &Target) -> Result<String, Failure> {
    let id = target.provider_id.as_deref();
    let id = id.filter(|id| id.parse::<u64>().is_ok_and(|number| number.to_string() == *id));
    let id = id.ok_or_else(|| never("Crypto Pay's id of the invoice (a number) is not known"))?;
    Ok(format!("getInvoices?invoice_ids={id}"))
}

fn by_status(status: &str) -> String {
    format!("getInvoices?status={status}&count={PAGE_LEN}")
}

fn invoice_of(create: &Create) -> Result<Value, Failure> {
    if create.hold {
        return Err(never("Crypto Pay has no holds"));
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    let code = create.amount.currency.code();
    if create.amount.currency.is_coin() {
        put("currency_type", json!("crypto"));
        put("asset", json!(code));
    } else {
        put("currency_type", json!("fiat"));
        put("fiat", json!(code));
    }
    put("amount", json!(create.amount.shortest()));
    if !create.description.is_empty() {
        let text: String = create.description.chars().take(DESCRIPTION_LEN_MAX).collect();
        put("description", json!(text));
    }
    put("payload", json!(create.number.to_string()));
    put("allow_comments", json!(false));
    put("expires_in", json!(EXPIRES_IN_S));
    if let Some(url) = &create.return_url {
        put("paid_btn_name", json!("callback"));
        put("paid_btn_url", json!(url));
    }
    Ok(Value::Object(body))
}

fn created(create: &Create, answer: Answer, test: bool) -> Result<Step, Failure> {
    let invoice = &answer.result;
    let lost = |why: &str| Failure { retry: Retry::LookUp, ..unreadable(why) };
    let id = invoice::id(invoice).ok_or_else(|| lost("it has no invoice_id"))?;
    let messenger = create.contact.as_ref().and_then(|contact| contact.messenger.as_deref());
    // The bot's link opens Telegram; other messengers' users are better off with the page, where there is one.
    let names: &[&str] = match messenger {
        None | Some("telegram") => &["bot_invoice_url", "pay_url"],
        Some(_) => &["web_app_invoice_url", "bot_invoice_url", "pay_url"],
    };
    let link = names.iter().filter_map(|name| member(invoice, name)).find(|url| url.starts_with("https://"));
    let link = link.ok_or_else(|| lost("it has no link to pay at"))?;
    let fact = invoice::fact(invoice, test).map_err(|why| lost(&why))?;
    Ok(Step::done(Done {
        provider_id: Some(id),
        link: Some(Link::Url(link)),
        facts: vec![fact],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

fn status(target: &Target, answer: &Answer, test: bool) -> Result<Done, Failure> {
    let items = answer.items()?;
    let ours = items.iter().find(|item| invoice::id(item) == target.provider_id);
    let fact = match ours {
        Some(item) => invoice::fact(item, test).map_err(|why| unreadable(&why))?,
        None => Fact::Note(Note {
            what: "invoice.unlisted".to_owned(),
            why: "Crypto Pay does not list this invoice: it was deleted in the bot, or belongs to another app or \
                  network"
                .to_owned(),
            payment: reference(target),
        }),
    };
    Ok(Done {
        provider_id: target.provider_id.clone(),
        facts: vec![fact],
        payload: Some(answer.raw.clone()),
        ..Done::default()
    })
}

fn deleted(target: &Target, answer: Answer, test: bool) -> Result<Step, Failure> {
    if answer.result != Value::Bool(true) {
        let why = "Crypto Pay did not delete the invoice: it may have been paid meanwhile";
        return Err(Failure {
            why: why.to_owned(),
            code: None,
            fault: Fault::Provider,
            retry: Retry::LookUp,
        });
    }
    let fact = PaymentFact {
        payment: reference(target),
        state: State::Canceled,
        amount: None,
        amount_check: AmountCheck::Ignore,
        reason: Some("deleted".to_owned()),
        test,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    };
    Ok(Step::done(Done {
        provider_id: target.provider_id.clone(),
        facts: vec![Fact::Payment(fact)],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

fn reference(target: &Target) -> PaymentRef {
    PaymentRef { provider_id: target.provider_id.clone(), reference: Some(target.order_number()) }
}

/// The bot's name tells the test network from the live one.
fn probed(answer: &Answer, account: &Account) -> Result<Step, Failure> {
    let bot = member(&answer.result, "payment_processing_bot_username").unwrap_or_default();
    let test_bot = bot.to_ascii_lowercase().contains("testnet");
    if !bot.is_empty() && test_bot != is_test(account) {
        let why = format!("the app is of @{}; set network to match", invoice::short(&bot));
        return Err(Failure::never(Fault::Merchant, why));
    }
    Ok(Step::done(Done::default()))
}

/// `{"ok":true,"result":…}`.
struct Answer {
    result: Value,
    raw: Box<RawValue>,
}

impl Answer {
    /// The invoices of a list, in `result.items` (in `result` itself by an early description).
    fn items(&self) -> Result<&[Value], Failure> {
        let items = self.result.get("items").unwrap_or(&self.result).as_array();
        items.map(Vec::as_slice).ok_or_else(|| unreadable("it has no list of invoices"))
    }
}

fn unreadable(why: &str) -> Failure {
    Failure::later(format!("Crypto Pay's reply can't be used: {why}"))
}

fn read(reply: &Reply) -> Result<Answer, Failure> {
    if reply.status >= 500 {
        return Err(Failure::later(format!("Crypto Pay answers with status {}", reply.status)));
    }
    let raw = raw_body(&reply.body);
    let body: Option<Value> = raw.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok());
    let ok = body.as_ref().and_then(|body| body.get("ok")).and_then(Value::as_bool);
    match (raw, body, ok) {
        (Some(raw), Some(mut body), Some(true)) if reply.is_success() => {
            let result = body.get_mut("result").map(Value::take);
            Ok(Answer { result: result.ok_or_else(|| unreadable("it has no result"))?, raw })
        }
        (_, body, ok) if ok == Some(false) || !reply.is_success() => Err(refused(reply, body.as_ref())),
        _ => Err(unreadable("it is not the JSON that is documented")),
    }
}

/// An error's name (a constant in capitals) with its HTTP status.
fn refused(reply: &Reply, body: Option<&Value>) -> Failure {
    let error = body.and_then(|body| body.get("error"));
    let name = error.and_then(|error| member(error, "name")).map(|name| invoice::short(&name));
    let code = error.and_then(|error| error.get("code")).and_then(Value::as_u64);
    let status = if reply.is_success() { code.unwrap_or(400) } else { u64::from(reply.status) };
    let told = name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let (fault, retry, why) = match status {
        401 => (
            Fault::Merchant,
            Retry::Never,
            "Crypto Pay does not accept the token: check it, and whether network is the token's (test tokens work at \
             @CryptoTestnetBot only)"
                .to_owned(),
        ),
        403 => (
            Fault::Merchant,
            Retry::Never,
            format!("the app may not do this: see Security in the bot (methods, allowed addresses){told}"),
        ),
        404 | 405 => {
            (Fault::Us, Retry::Never, format!("Crypto Pay knows no such method: is api_base right?{told}"))
        }
        423 => (Fault::Merchant, Retry::Never, format!("the account or the app is suspended{told}")),
        429 => {
            let after = reply.header("retry-after").and_then(|seconds| seconds.trim().parse::<u64>().ok());
            let after = after.map(|seconds| seconds.min(RETRY_AFTER_S_MAX).saturating_mul(1000));
            (Fault::Provider, Retry::Later(after), "too many requests to Crypto Pay".to_owned())
        }
        300..=399 => (
            Fault::Merchant,
            Retry::Never,
            format!("the API redirects (status {status}), which is not followed: is api_base right?"),
        ),
        500.. => (Fault::Provider, Retry::Later(None), format!("Crypto Pay answers with status {status}")),
        _ => (Fault::Caller, Retry::Never, format!("Crypto Pay refuses the request{told}")),
    };
    Failure { why, code: name.or_else(|| Some(status.to_string())), fault, retry }
}
