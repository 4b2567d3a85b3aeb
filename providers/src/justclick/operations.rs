//! Making, asking for and canceling orders.

use super::api::{self, Told};
use super::{about, notice};
use crate::operation::{Create, Retry, Target, Wish};
use crate::{
    Account, AmountCheck, Done, Fact, Failure, Fault, Link, Money, Note, Operation, PaymentFact, PaymentRef,
    Reply, State, Step, Sum, json,
};

/// The same open order exists; its number is in `result`.
const EXISTS: u32 = 601;
/// There is no such order.
const NO_ORDER: u32 = 400;

const LOOK: &str = "look";

pub(super) fn begin(operation: &Operation, account: &Account) -> Step {
    match &operation.wish {
        Wish::Create(order) => match order_params(order, account) {
            Ok(params) => send("CreateOrder", &params, "create", account),
            Err(failure) => failure.into(),
        },
        Wish::Status(target) => match number(target) {
            Ok(id) => details(id, "status", account),
            Err(failure) => failure.into(),
        },
        // A paid order could be canceled, too, and its money would stay: so the order is looked at first.
        Wish::Cancel(target) => match (target.state, number(target)) {
            (State::Succeeded, _) => paid_already().into(),
            (_, Ok(id)) => details(id, LOOK, account),
            (_, Err(failure)) => failure.into(),
        },
        Wish::Probe => details("1", "probe", account),
        Wish::Refund { .. } => unsupported("refund: give the money back at the acquirer or in the dashboard"),
        Wish::Capture { .. } => unsupported("capture: there are no holds"),
        Wish::Charge { .. } => unsupported("charge: JustClick charges recurring products itself"),
        Wish::RefundStatus { .. } => unsupported("refund status: ask for the order's state"),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => {
            unsupported("subscription: manage it in the dashboard")
        }
        Wish::Period { .. } => unsupported("period: ask for each order"),
    }
}

fn unsupported(what: &str) -> Step {
    Failure::never(Fault::Caller, format!("JustClick's API has no {what}")).into()
}

pub(super) fn next(operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step {
    let step = match &operation.wish {
        Wish::Create(order) => created(order, memo, reply, account),
        Wish::Status(target) => status(target, reply, account),
        Wish::Cancel(target) if memo == LOOK => looked_at(target, reply, account),
        Wish::Cancel(target) => canceled(target, reply, account),
        Wish::Probe => probed(reply, account),
        _ => Err(Failure::never(Fault::Us, "there was nothing to ask")),
    };
    step.unwrap_or_else(Step::from)
}

fn send(method: &str, params: &[(String, String)], memo: &str, account: &Account) -> Step {
    Step::Send { call: Box::new(api::call(method, params, account)), memo: memo.to_owned() }
}

fn details(id: &str, memo: &str, account: &Account) -> Step {
    send("getOrderDetails", &api::params([("bill_id", id), ("good_info", "1")]), memo, account)
}

fn cancel(id: &str, memo: &str, account: &Account) -> Step {
    send("UpdateOrderStatus", &api::params([("bill_id", id), ("status", "cancel")]), memo, account)
}

fn number(target: &Target) -> Result<&str, Failure> {
    target
        .provider_id
        .as_deref()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::never(Fault::Caller, "JustClick's number of the order is not known yet"))
}

/// What is ordered: the lines, where each names its product and they add up; else the product of the settings.
fn goods(order: &Create, account: &Account) -> Result<Vec<(String, String)>, Failure> {
    let product = account.setting("product").unwrap_or("");
    let named = |description: &Option<String>| description.as_deref().is_some_and(|id| !id.is_empty());
    let mut sum: i64 = 0;
    for line in &order.order {
        sum = sum.saturating_add(line.amount.minor);
    }
    let lines: Vec<(&str, String)> = if !order.order.is_empty()
        && order.order.iter().all(|line| named(&line.description))
        && sum == order.amount.minor
    {
        order
            .order
            .iter()
            .map(|line| (line.description.as_deref().unwrap_or(""), line.amount.decimal()))
            .collect()
    } else if product.is_empty() {
        let why = "name the product: in the setting product, or as the description of every line of an order that \
                       adds up to the amount";
        return Err(Failure::never(Fault::Merchant, why));
    } else {
        vec![(product, order.amount.decimal())]
    };
    let pairs = lines.into_iter().enumerate().flat_map(|(at, (name, sum))| {
        [(format!("goods[{at}][good_name]"), name.to_owned()), (format!("goods[{at}][good_sum]"), sum)]
    });
    Ok(pairs.collect())
}

fn order_params(order: &Create, account: &Account) -> Result<Vec<(String, String)>, Failure> {
    if order.hold {
        return Err(Failure::never(Fault::Caller, "JustClick has no holds: create the payment without hold"));
    }
    if about::currency(account) != Some(order.amount.currency) {
        return Err(Failure::never(Fault::Caller, "the account has another currency (setting currency)"));
    }
    let email = order.email.as_deref().filter(|email| !email.is_empty());
    let email = email.ok_or_else(|| {
        Failure::never(Fault::Caller, "JustClick makes no order without the payer's e-mail")
    })?;
    let mut params = goods(order, account)?;
    let contact = order.contact.as_ref();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            params.push((name.to_owned(), value.to_owned()));
        }
    };
    add("bill_first_name", contact.and_then(|contact| contact.name.as_deref()).unwrap_or(""));
    add("bill_email", email);
    add("bill_phone", contact.and_then(|contact| contact.phone.as_deref()).unwrap_or(""));
    add("bill_comment", &order.description);
    add("bill_domain", &about::host(account));
    add("bill_tag", &order.number.to_string());
    Ok(params)
}

/// CreateOrder → (the same order exists: look at it, cancel it, create again, once) → getOrderDetails → link.
fn created(order: &Create, memo: &str, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let (step, id) = memo.split_once(':').unwrap_or((memo, ""));
    // An order that was made is found again by error 601, so a repetition does no harm.
    let told = api::read(reply, account, Retry::Later(None))?;
    match step {
        "create" | "again" => {
            let bill = json::member(&told.result, "bill_id").unwrap_or_default();
            let is_number = !bill.is_empty() && bill.bytes().all(|byte| byte.is_ascii_digit());
            match told.code {
                0 | EXISTS if !is_number => Err(Failure::later("JustClick's answer has no bill_id")),
                0 => Ok(details(&bill, &format!("link:{bill}"), account)),
                EXISTS => {
                    let memo = if step == "create" { "exists" } else { "still" };
                    Ok(details(&bill, &format!("{memo}:{bill}"), account))
                }
                code => Err(api::failure(code)),
            }
        }
        "cancel" if told.code == 0 => {
            Ok(send("CreateOrder", &order_params(order, account)?, "again", account))
        }
        "link" | "exists" | "still" if told.code == 0 => {
            let found = Order::read(&told, account)?;
            let ours = found.tag.as_deref() == Some(order.number.to_string().as_str())
                && found.price == Some(order.amount);
            match step {
                "link" => done(id, &found, told, account),
                _ if ours && found.status == "waiting" => done(id, &found, told, account),
                // An order of another payment: its tag would lead the money there.
                "exists" if found.status == "waiting" => Ok(cancel(id, &format!("cancel:{id}"), account)),
                _ => Err(api::failure(EXISTS)),
            }
        }
        _ => Err(api::failure(told.code)),
    }
}

fn done(id: &str, found: &Order, told: Told, account: &Account) -> Result<Step, Failure> {
    let host = about::host(account);
    let link = match found.link.as_str() {
        "" => return Err(Failure::later("JustClick's answer has no link")),
        path if path.starts_with('/') => format!("https://{host}{path}"),
        link => match link.strip_prefix("http://") {
            Some(rest) if rest.split('/').next() == Some(host.as_str()) => format!("https://{rest}"),
            _ => link.to_owned(),
        },
    };
    if !link.starts_with("https://") && !link.starts_with("http://") {
        return Err(Failure::never(Fault::Provider, "JustClick's answer has a link that is none"));
    }
    let link = Some(Link::Url(link));
    Ok(Step::done(Done { provider_id: Some(id.to_owned()), link, payload: told.raw, ..Done::default() }))
}

/// An order as getOrderDetails tells it.
struct Order {
    id: String,
    status: String,
    tag: Option<String>,
    price: Option<Money>,
    link: String,
}

impl Order {
    fn read(told: &Told, account: &Account) -> Result<Order, Failure> {
        let text = |name: &str| json::member(&told.result, name);
        let currency = about::currency(account)
            .ok_or_else(|| Failure::never(Fault::Merchant, "the setting currency is no currency code"))?;
        let price = text("price").map(|text| Money::parse(&text, currency)).transpose();
        let price = price.map_err(|error| Failure::never(Fault::Provider, format!("price: {error}")))?;
        Ok(Order {
            id: text("id").ok_or_else(|| Failure::later("JustClick's answer has no id of the order"))?,
            status: text("pay_status").unwrap_or_default(),
            tag: text("tag"),
            price,
            link: text("link").unwrap_or_default(),
        })
    }

    /// The state table.
    fn facts(&self) -> Vec<Fact> {
        let payment = PaymentRef { provider_id: Some(self.id.clone()), reference: self.tag.clone() };
        let state = |state| {
            Fact::Payment(PaymentFact {
                payment: payment.clone(),
                state,
                amount: self.price.map(Sum::Money),
                amount_check: AmountCheck::Equal,
                reason: None,
                test: false,
                method: None,
                saved_method: None,
                operation_key: None,
                expires_at: None,
            })
        };
        match self.status.as_str() {
            "waiting" => vec![state(State::Pending)],
            "paid" if self.price.is_some() => vec![state(State::Succeeded)],
            "cancel" => vec![state(State::Canceled)],
            "moneyback" => vec![state(State::Succeeded), notice::refund(payment)],
            _ => vec![Fact::Note(Note {
                what: "unknown".to_owned(),
                why: "a pay_status that is not known here, or paid without a price".to_owned(),
                payment,
            })],
        }
    }
}

fn status(target: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let told = api::read(reply, account, Retry::Later(None))?;
    if told.code != 0 {
        return Err(api::failure(told.code));
    }
    let order = Order::read(&told, account)?;
    if order.id != number(target)? {
        return Err(Failure::never(Fault::Provider, "JustClick's answer is about another order"));
    }
    let facts = order.facts();
    Ok(Step::done(Done { provider_id: Some(order.id), facts, payload: told.raw, ..Done::default() }))
}

fn paid_already() -> Failure {
    Failure::never(
        Fault::Caller,
        "the order is paid: canceling it would give no money back; do that at the acquirer or in the dashboard",
    )
}

/// The order was looked at: it is canceled only while nobody has paid it.
fn looked_at(target: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let told = api::read(reply, account, Retry::Later(None))?;
    if told.code != 0 {
        return Err(api::failure(told.code));
    }
    let order = Order::read(&told, account)?;
    match order.status.as_str() {
        "waiting" if order.id == number(target)? => Ok(cancel(&order.id, "cancel", account)),
        "paid" => Err(Failure { retry: Retry::LookUp, ..paid_already() }),
        _ => status(target, reply, account),
    }
}

fn canceled(target: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let told = api::read(reply, account, Retry::LookUp)?;
    if told.code != 0 {
        return Err(api::failure(told.code));
    }
    let id = number(target)?.to_owned();
    let payment = PaymentRef { provider_id: Some(id.clone()), reference: Some(target.order_number()) };
    let fact = Fact::Payment(PaymentFact {
        payment,
        state: State::Canceled,
        amount: Some(Sum::Money(target.amount)),
        amount_check: AmountCheck::Equal,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    });
    Ok(Step::done(Done { provider_id: Some(id), facts: vec![fact], payload: told.raw, ..Done::default() }))
}

/// An answer that knows no such order proves that login and key are right.
fn probed(reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let told = api::read(reply, account, Retry::Later(None))?;
    match told.code {
        0 | NO_ORDER => Ok(Step::done(Done { payload: told.raw, ..Done::default() })),
        code => Err(api::failure(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn account(login: &str, key: &str) -> Account {
        let mut account = Account::default();
        account.credentials.insert("login".to_owned(), Secret::new(login));
        account.credentials.insert("api_key".to_owned(), Secret::new(key));
        account
    }

    /// Requests whose hashes PHP's own `http_build_query` and `md5` give.
    #[test]
    fn calls_are_signed_as_php_rebuilds_them() {
        let account = account("demoshop", "0123456789abcdef0123456789abcdef01234567");
        let mut order = api::params([
            ("goods[0][good_name]", "kurs"),
            ("goods[0][good_sum]", "10.5"),
            ("bill_first_name", "Дмитрий"),
            ("bill_email", "dima+bot@example.com"),
            ("bill_phone", "+79991234567"),
            ("bill_comment", "Курс «C++ за 21 день» ~*!"),
            ("bill_domain", "demoshop.justclick.ru"),
            ("bill_tag", "evt_42"),
            ("bill_created", "1700000000"),
        ]);
        let hash = |params: &[(String, String)]| api::hash(&api::query(params), &account);
        assert_eq!(hash(&order), "13a8c56ec17356f02f07cb461395d831");
        order.swap(0, 1);
        assert_ne!(hash(&order), "13a8c56ec17356f02f07cb461395d831");
        for (params, wanted) in [
            (api::params([("bill_id", "102937"), ("good_info", "1")]), "bc77a319bd7f0dcbc57620248d5d1ff6"),
            (api::params([("bill_id", "102937"), ("status", "cancel")]), "496c7415592b07b952cafcb591241b08"),
            (
                api::params([
                    ("goods[0][good_name]", "kurs"),
                    ("goods[0][good_sum]", "10.00"),
                    ("bill_email", "a@example.com"),
                ])
                .to_vec(),
                "decd6add852cdea61d5e2d8d9749d704",
            ),
            (
                api::params([
                    ("goods[0][good_name]", "kurs"),
                    ("goods[0][good_sum]", "10"),
                    ("bill_email", "a@example.com"),
                ])
                .to_vec(),
                "3a3b45fc3707ce10f315590b4d72c035",
            ),
            (
                api::params([
                    ("goods[0][good_name]", "kurs"),
                    ("goods[0][good_sum]", "1000000"),
                    ("goods[1][good_name]", "kniga"),
                    ("bill_email", "a@example.com"),
                    ("utm[utm_source]", "bot"),
                    ("utm[utm_medium]", "telegram"),
                ])
                .to_vec(),
                "abc11a5fd675109d265c029e7cebdec2",
            ),
            (
                api::params([
                    ("begin_date", "01.01.2024"),
                    ("end_date", "31.01.2024"),
                    ("paid", "true"),
                    ("goods[0]", "1"),
                    ("goods[1]", "2"),
                    ("goods[2]", "3"),
                ])
                .to_vec(),
                "1d7adc64385a3bd560dc5a50885c7094",
            ),
        ] {
            assert_eq!(hash(&params), wanted);
        }
        let other = self::account("username", &"X".repeat(40));
        let sent = api::params([
            ("bill_id", "100000"),
            ("status", "sent"),
            ("date", "1362254400"),
            ("rpo", "10000000000000"),
        ]);
        assert_eq!(api::hash(&api::query(&sent), &other), "92cea5ba30b463b8c3b234e3d2945e65");
    }

    #[test]
    fn answers_are_believed_by_their_hash() {
        let account = account("demoshop", "0123456789abcdef0123456789abcdef01234567");
        let code = |body: &str| {
            let reply = Reply { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
            api::read(&reply, &account, Retry::LookUp).map(|told| told.code).map_err(|failure| failure.retry)
        };
        for (body, wanted) in [
            (r#"{"error_code":0,"error_text":"OK","hash":"a860488a12fd9ef25834e509db15a990"}"#, 0),
            (
                r#"{"error_code":"601","error_text":"Order already exist. His number send in result array.","hash":"9D12D8A3BEB4868493E22B5108F55F73"}"#,
                601,
            ),
            (
                r#"{"error_code":604,"error_text":"Product not exist: \u043a\u0443\u0440\u0441","hash":"fac174cd6fc6ed8022c4da3a6e5bda08"}"#,
                604,
            ),
            (
                r#"{"error_code":4,"error_text":"Incorrect hash","hash":"530fe06fa0b6bc20db20746cdb16c65d"}"#,
                4,
            ),
        ] {
            assert_eq!(code(body), Ok(wanted), "{body}");
        }
        for body in [
            r#"{"error_code":0,"error_text":"ok","hash":"a860488a12fd9ef25834e509db15a990"}"#,
            r#"{"error_code":0}"#,
            "",
            "{}",
        ] {
            assert_eq!(code(body), Err(Retry::LookUp), "{body}");
        }
    }
}
