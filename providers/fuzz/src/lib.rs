//! What a fuzzer's bytes mean: a head of lines, an empty line, a body. Seeds are written in the same form by the
//! example `fuzz-seeds` of kassir-providers.
//!
//! ```text
//! :provider yoomoney      (also :method, :kind, :query, :peer; :status, :memo, :wish, :currency,
//!                          :id, :key, :refund of the payment that is wished for)
//! @receiver=4100118012345678
//! !legacy_sha1=true
//! content-type: application/x-www-form-urlencoded
//!
//! notification_type=card-incoming&…
//! ```

use kassir_providers::operation::{Context, Create, Operation, Target, Wish};
use kassir_providers::{
    ALL, Account, Currency, Method, Money, Provider, Reply, Request, Secret, State, by_slug,
};
use serde_json::Map;

/// A fuzzer's bytes, taken apart.
pub struct Input {
    /// The provider; the first of all when the name is unknown.
    pub provider: &'static dyn Provider,
    /// The account.
    pub account: Account,
    /// The bytes as a notification.
    pub request: Request,
    /// The bytes as a reply of the provider's API.
    pub reply: Reply,
    /// The operation that the reply belongs to.
    pub operation: Operation,
    /// What the step before asked to be handed back.
    pub memo: String,
}

impl Input {
    /// Takes bytes apart; nothing is an error.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Input> {
        let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
        let head = String::from_utf8_lossy(data.get(..end)?).into_owned();
        let body = data.get(end + 2..).unwrap_or_default().to_vec();
        let mut account = Account::default();
        let mut request = Request::post("", body.clone());
        request.headers.clear();
        request.received_at = 1_772_046_491_000;
        let mut slug = "";
        let (mut wish, mut memo, mut status) = ("", "", 200);
        let mut target = Words { currency: "RUB", id: "1234567", key: "7654321", refund: "r-1" };
        for line in head.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                ":provider" => slug = value,
                ":method" if value == "GET" => request.method = Method::Get,
                ":kind" => request.kind = Some(value.to_owned()),
                ":query" => value.clone_into(&mut request.query),
                ":peer" => request.peer = value.parse().ok(),
                ":wish" => wish = value,
                ":memo" => memo = value,
                ":status" => status = value.parse().unwrap_or(200),
                ":currency" => target.currency = value,
                ":id" => target.id = value,
                ":key" => target.key = value,
                ":refund" => target.refund = value,
                _ => other(line, &mut account, &mut request),
            }
        }
        let provider = by_slug(slug).or_else(|| ALL.first().copied())?;
        let reply = Reply { status, headers: request.headers.clone(), body };
        let context = Context { now: request.received_at, idempotency_key: "key-1".to_owned() };
        let operation = Operation { context, wish: wish_of(wish, &target) };
        Some(Input { provider, account, request, reply, operation, memo: memo.to_owned() })
    }
}

fn other(line: &str, account: &mut Account, request: &mut Request) {
    if let Some((key, value)) = line.strip_prefix('@').and_then(|line| line.split_once('=')) {
        account.credentials.insert(key.to_owned(), Secret::new(value.replace("\\n", "\n")));
    } else if let Some((key, value)) = line.strip_prefix('!').and_then(|line| line.split_once('=')) {
        if let Ok(value) = serde_json::from_str(value) {
            account.settings.own.insert(key.to_owned(), value);
        }
    } else if let Some((name, value)) = line.split_once(": ") {
        request.headers.push((name.to_owned(), value.to_owned()));
    }
}

/// What a head says about the payment that is wished for.
struct Words<'a> {
    currency: &'a str,
    id: &'a str,
    key: &'a str,
    refund: &'a str,
}

fn wish_of(word: &str, words: &Words<'_>) -> Wish {
    let amount = Money::new(149_990, words.currency.parse().unwrap_or(Currency::RUB));
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let target = Target {
        number: 1042,
        reference: None,
        provider_id: known(words.id),
        operation_key: known(words.key),
        amount,
        refunded: 0,
        state: State::Succeeded,
        created_at: 1_772_046_491_000,
    };
    let create = Create {
        number: 1042,
        amount,
        description: "Order".to_owned(),
        order: Vec::new(),
        contact: None,
        email: Some("a@b.example".to_owned()),
        return_url: Some("https://shop.example/ok".to_owned()),
        notify_url: Some("https://kassir.example/webhooks/x/t".to_owned()),
        hold: false,
        save_method: false,
        metadata: Map::new(),
        receipt: None,
    };
    match word {
        "create" => Wish::Create(Box::new(create)),
        "refund_status" => Wish::RefundStatus { payment: target, refund_id: words.refund.to_owned() },
        "capture" => Wish::Capture { payment: target, amount: None, receipt: None },
        "cancel" => Wish::Cancel(target),
        "refund" => Wish::Refund { payment: target, amount: Some(amount), reason: None, receipt: None },
        "charge" => Wish::Charge { create: Box::new(create), saved_method: "token-1".to_owned() },
        "cancel_subscription" => Wish::CancelSubscription { id: "s-1".to_owned() },
        "subscriptions" => Wish::Subscriptions { id: None },
        "period" => Wish::Period { from: 1_772_046_491_000, to: 1_772_132_891_000 },
        "probe" => Wish::Probe,
        _ => Wish::Status(target),
    }
}
