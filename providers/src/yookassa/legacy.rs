//! The old protocol of Yandex.Kassa ("commonHTTP-3.0"): forms signed with MD5, answers in XML.
//!
//! `md5` is the upper-case hex of MD5 over `action;orderSumAmount;orderSumCurrencyPaycash;orderSumBankPaycash;shopId;
//! invoiceId;customerNumber;shopPassword`, the values as received.

use super::ABOUT;
use crate::date::{Civil, MOSCOW};
use crate::digest::{Hash, same_hex};
use crate::fact::QuestionKind;
use crate::form::{Form, Plus, decode};
use crate::operation::Sample;
use crate::outcome::Refusal;
use crate::{
    Account, AmountCheck, Answer, Currency, Fact, Method, Money, Note, Outcome, PaymentFact, PaymentRef,
    Proof, Question, Received, Reject, RejectKind, Request, State, Sum, form, sources,
};

/// What is signed, in this order; the password follows.
const SIGNED: [&str; 7] = [
    "action",
    "orderSumAmount",
    "orderSumCurrencyPaycash",
    "orderSumBankPaycash",
    "shopId",
    "invoiceId",
    "customerNumber",
];

/// Largest body, bytes.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Code of the rouble in this protocol …
const ROUBLE: &str = "643";
/// … and of its test money.
const TEST_ROUBLE: &str = "10643";

/// Whether a request speaks the old protocol: a form that names an action, where API v3 has a JSON object.
pub(super) fn speaks(request: &Request) -> bool {
    let is_json = request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let names_action =
        |body: &[u8]| body.starts_with(b"action=") || body.windows(8).any(|part| part == b"&action=");
    !is_json
        && request.method == Method::Post
        && request.body.len() <= BODY_LEN_MAX
        && names_action(&request.body)
}

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    sources::check(&ABOUT, request, account)?;
    let form = request.form().map_err(|error| Reject::malformed(error.to_string()))?;
    if let Some(name) = form.duplicate() {
        return Err(Reject::malformed(format!("the field {:?} occurs twice", super::objects::short(name))));
    }
    check_signature(&form, account)?;
    if form.get("shopId") != Some(account.text("shop_id")) {
        return Err(Reject::new(RejectKind::WrongAccount, "it is about another shop than shop_id says"));
    }
    let action = form.get("action").unwrap_or("");
    let invoice = form.get("invoiceId").ok_or_else(|| Reject::malformed("there is no invoiceId"))?;
    let fact = fact(action, invoice, &form)?;
    Ok(Received {
        facts: vec![fact],
        proof: Proof::Signed,
        payload: form.payload(),
        dedupe: format!("{action}:{invoice}"),
        warnings: Vec::new(),
    })
}

fn fact(action: &str, invoice: &str, form: &Form) -> Result<Fact, Reject> {
    let payment = PaymentRef {
        provider_id: Some(invoice.to_owned()),
        reference: form.get("orderNumber").map(ToOwned::to_owned),
    };
    if !matches!(action, "checkOrder" | "paymentAviso") {
        let why = if action == "cancelOrder" {
            "the order was dropped before it was paid"
        } else {
            "an action that is not known here"
        };
        return Ok(Fact::Note(Note { what: super::objects::short(action), why: why.to_owned(), payment }));
    }
    let currency = form.get("orderSumCurrencyPaycash").unwrap_or("");
    if !matches!(currency, ROUBLE | TEST_ROUBLE) {
        return Err(Reject::new(RejectKind::Unsupported, "orderSumCurrencyPaycash is neither 643 nor 10643"));
    }
    let amount = Money::parse(form.get("orderSumAmount").unwrap_or(""), Currency::RUB)
        .map_err(|error| Reject::malformed(format!("orderSumAmount: {error}")))?;
    let amount = Some(Sum::Money(amount));
    if action == "checkOrder" {
        return Ok(Fact::Question(Question { kind: QuestionKind::MayPay, payment, amount }));
    }
    Ok(Fact::Payment(PaymentFact {
        payment,
        state: State::Succeeded,
        amount,
        amount_check: AmountCheck::Equal,
        reason: None,
        test: currency == TEST_ROUBLE,
        method: form.get("paymentType").map(ToOwned::to_owned),
        saved_method: None,
        operation_key: None,
        expires_at: None,
    }))
}

fn base(form: &Form) -> String {
    SIGNED.iter().map(|name| form.get(name).unwrap_or("")).collect::<Vec<_>>().join(";")
}

fn check_signature(form: &Form, account: &Account) -> Result<(), Reject> {
    let password = account.secret("shop_password").ok_or_else(|| {
        Reject::new(
            RejectKind::Unsupported,
            "the shop uses the old protocol (checkOrder, paymentAviso): it needs the credential shop_password",
        )
    })?;
    let claimed =
        form.get("md5").ok_or_else(|| Reject::new(RejectKind::MissingProof, "the field md5 is missing"))?;
    let fits = |base: &str, password: &str| {
        same_hex(claimed, &Hash::Md5.digest(format!("{base};{password}").as_bytes()))
    };
    let base = base(form);
    if fits(&base, password.expose()) {
        return Ok(());
    }
    let diagnosis = if fits(&base, password.expose().trim()) {
        Some("matches without the white space around shop_password")
    } else if fits(&base, account.text("secret_key")) {
        Some("matches with secret_key: the shop password of the old protocol is set to the API's secret key")
    } else if fits(&base, "") {
        Some("matches with an empty password: set one in the shop's settings")
    } else if fits(&undecoded(form), password.expose()) {
        Some("matches with a plus sign where the form has a space: something on the way re-encoded the body")
    } else {
        None
    };
    Err(Reject::new(RejectKind::WrongProof, "md5 does not fit shop_password")
        .diagnosed(diagnosis.map(str::to_owned)))
}

/// The base string with plus signs taken literally.
fn undecoded(form: &Form) -> String {
    let literal = |name: &&str| {
        let field = form.fields().iter().find(|field| field.name == **name);
        field.and_then(|field| decode(&field.raw_value, Plus::Plus).ok()).unwrap_or_default()
    };
    SIGNED.iter().map(literal).collect::<Vec<_>>().join(";")
}

/// The XML answer. `code`: 0 yes, 1 the signature does not fit, 100 refused (checkOrder only), 200 not understood.
pub(super) fn answer(request: &Request, outcome: &Outcome<'_>) -> Answer {
    let form = request.form().unwrap_or_default();
    let action = form.get("action").filter(|action| is_word(action)).unwrap_or("paymentAviso");
    let (code, message) = match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) => ("0", None),
        Outcome::Refused(refusal) if action == "checkOrder" => ("100", Some(words(*refusal))),
        // The money has moved, and the notification is kept: a no would only bring it again.
        Outcome::Refused(_) => ("0", None),
        Outcome::Rejected(reject) => match reject.kind {
            RejectKind::WrongProof | RejectKind::MissingProof => ("1", None),
            _ => ("200", None),
        },
        Outcome::Busy => ("200", None),
    };
    let message = message.map_or_else(String::new, |words| format!(" message=\"{words}\""));
    let attribute = |name| escape(form.get(name).unwrap_or(""));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response performedDatetime=\"{}\" code=\"{code}\" \
         invoiceId=\"{}\" shopId=\"{}\"{message}/>",
        moscow_time(request.received_at),
        attribute("invoiceId"),
        attribute("shopId"),
    );
    Answer { status: 200, content_type: "application/xml", body, headers: Vec::new() }
}

fn is_word(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// For the payer, whose language this is.
const fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownPayment | Refusal::UnknownAccount => "Заказ не найден",
        Refusal::WrongAmount | Refusal::WrongCurrency => "Сумма заказа изменилась",
        Refusal::AlreadyPaid => "Заказ уже оплачен",
        Refusal::Closed => "Заказ отменён",
        Refusal::Expired => "Срок оплаты истёк",
        Refusal::NotAccepted => "Магазин не принял заказ",
    }
}

/// `2026-03-10T13:14:05.000+03:00`.
fn moscow_time(unix_ms: i64) -> String {
    let text = Civil::at(unix_ms, MOSCOW).text().replace(' ', "T");
    format!("{text}.{:03}+03:00", unix_ms.rem_euclid(1000))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// A signed form of the old protocol.
pub(super) fn imitate(action: &str, sample: &Sample, account: &Account) -> Result<Request, String> {
    let password =
        account.secret("shop_password").ok_or("the old protocol needs the credential shop_password")?;
    if sample.refund {
        return Err("the old protocol has no notification of a refund".to_owned());
    }
    if action == "paymentAviso" && sample.state != State::Succeeded {
        return Err("paymentAviso tells of a paid order only".to_owned());
    }
    if sample.amount.currency != Currency::RUB {
        return Err("the old protocol knows roubles only".to_owned());
    }
    let (currency, bank) = if account.is_test() { (TEST_ROUBLE, "1003") } else { (ROUBLE, "1001") };
    let amount = sample.amount.decimal();
    let invoice = sample.provider_id.clone().unwrap_or_else(|| format!("2000{:0>9}", sample.reference));
    let now = moscow_time(sample.now);
    let mut fields = vec![
        ("requestDatetime", now.as_str()),
        ("action", action),
        ("shopId", account.text("shop_id")),
        ("invoiceId", &invoice),
        ("orderNumber", &sample.reference),
        ("customerNumber", sample.email.as_deref().unwrap_or("72")),
        ("orderSumAmount", &amount),
        ("orderSumCurrencyPaycash", currency),
        ("orderSumBankPaycash", bank),
        ("paymentType", "AC"),
    ];
    if action == "paymentAviso" {
        fields.push(("paymentDatetime", &now));
    }
    let unsigned =
        Form::parse(form::build(fields.iter().copied()).as_bytes()).map_err(|error| error.to_string())?;
    let md5 = Hash::Md5.hex(format!("{};{}", base(&unsigned), password.expose()).as_bytes()).to_uppercase();
    fields.push(("md5", &md5));
    let mut request = Request::post("application/x-www-form-urlencoded", form::build(fields));
    request.received_at = sample.now;
    Ok(request)
}
