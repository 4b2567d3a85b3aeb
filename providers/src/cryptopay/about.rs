//! What API, console, documentation and `doctor` show about Cryptopay.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, Currency, State};

/// Base URL of the sandbox.
const SANDBOX_BASE: &str = "https://business-sandbox.cryptopay.me";

/// Cryptopay's declaration.
pub static ABOUT: About = About {
    slug: "cryptopay",
    title: Text::new("Cryptopay.me", "Cryptopay.me"),
    event_provider: "cryptopay",
    countries: &["GB", "EU"],
    currencies: &[],
    docs: "https://developers.cryptopay.me/",
    checked_on: "2026-08-04",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: KINDS,
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "X-Cryptopay-Signature: HMAC-SHA256 of the body with the callback secret",
        "X-Cryptopay-Signature: HMAC-SHA256 тела запроса с секретом Callback secret",
    ),
    sources: &[],
    api_base: "https://business.cryptopay.me",
    retries: Text::new(
        "Up to 20 times after 30 s, 32 s, 48 s, growing to more than a day; each waits 10 s for exactly 200",
        "До 20 раз: через 30 с, 32 с, 48 с и далее реже, до суток с лишним; ответ ждут 10 с, принимается только 200",
    ),
    capabilities: Capabilities {
        create: true,
        status: true,
        capture: true,
        cancel: true,
        cancel_subscription: true,
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: 500, calls_at_once: 2, period_days: 0 },
    setup: &[
        Text::new(
            "Dashboard → Settings → API (newer: Integration → API): copy API key, API secret and Callback secret",
            "Кабинет → Settings → API (в новом: Integration → API): скопируйте API key, API secret и Callback secret",
        ),
        Text::new("Callback URL: {webhook_url}", "Callback URL: {webhook_url}"),
        Text::new(
            "How to handle unresolved invoices: “do nothing” lets you decide here (capture: by what was paid; cancel: \
             refund); the automatic choices need no decision",
            "How to handle unresolved invoices: «do nothing» оставляет решение вам (capture — засчитать оплаченное, \
             cancel — вернуть); автоматические варианты решения не требуют",
        ),
        Text::new(
            "Choose the coin that payers pay with: the setting pay_currency (and network), or metadata.pay_currency of \
             a payment",
            "Выберите монету оплаты: настройка pay_currency (и network) или metadata.pay_currency платежа",
        ),
        Text::new(
            "Sandbox (business-sandbox.cryptopay.me): an account and keys of its own; set environment to sandbox",
            "Песочница (business-sandbox.cryptopay.me): отдельный аккаунт и ключи; задайте environment = sandbox",
        ),
    ],
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "api_key",
        required: true,
        secret: false,
        label: Text::new("API key", "API key"),
        hint: Text::new("Settings → API", "Settings → API"),
        check: Check::Text,
    },
    Field {
        key: "api_secret",
        required: true,
        secret: true,
        label: Text::new("API secret", "API secret"),
        hint: Text::new("In the same place. It signs our requests", "Там же. Им подписываются наши запросы"),
        check: Check::Text,
    },
    Field {
        key: "callback_secret",
        required: true,
        secret: true,
        label: Text::new("Callback secret", "Callback secret"),
        hint: Text::new(
            "In the same place, another value. It signs the callbacks",
            "Там же, другое значение. Им подписаны уведомления",
        ),
        check: Check::Text,
    },
];

const SETTINGS: &[Setting] = &[
    Setting {
        key: "environment",
        label: Text::new("Environment", "Среда"),
        hint: Text::new(
            "production or sandbox; the sandbox has its own account and keys",
            "production или sandbox; у песочницы свой аккаунт и ключи",
        ),
        check: Check::OneOf(&["production", "sandbox"]),
        default: r#""production""#,
    },
    Setting {
        key: "pay_currency",
        label: Text::new("Coin to pay with", "Монета оплаты"),
        hint: Text::new(
            "Code of the coin, such as BTC or USDT; a payment's metadata.pay_currency goes before it",
            "Код монеты, например BTC или USDT; metadata.pay_currency платежа важнее",
        ),
        check: Check::Text,
        default: "null",
    },
    Setting {
        key: "network",
        label: Text::new("Network of the coin", "Сеть монеты"),
        hint: Text::new(
            "For coins of several networks: ethereum, tron, …; a payment's metadata.network goes before it",
            "Для монет в нескольких сетях: ethereum, tron, …; metadata.network платежа важнее",
        ),
        check: Check::Text,
        default: "null",
    },
];

const KINDS: &[Kind] = &[
    kind("Invoice", "An invoice changed", "Изменился счёт"),
    kind(
        "ChannelPayment",
        "Coins came to a channel, the permanent address of a customer",
        "Поступление на канал, постоянный адрес клиента",
    ),
    kind("CoinWithdrawal", "A payout", "Выплата"),
    kind("Subscription", "A subscription was paid or ended", "Подписка оплачена или окончена"),
];

const fn kind(name: &'static str, en: &'static str, ru: &'static str) -> Kind {
    Kind { name, in_url: false, about: Text::new(en, ru) }
}

/// The two secrets are different values, and the coin is a code.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    let same =
        |secret: &crate::Secret| account.secret("api_secret").is_some_and(|api| api.same(secret.expose()));
    if account.secret("callback_secret").is_some_and(same) {
        let detail = "is the API secret; the callback secret is another value";
        found.push(Problem::credential("callback_secret", detail));
    }
    if account.text("api_key").contains(|letter: char| letter.is_whitespace() || letter == ':') {
        found.push(Problem::credential("api_key", "must not hold a colon or white space"));
    }
    if account.setting("pay_currency").is_some_and(|code| code.parse::<Currency>().is_err()) {
        found.push(Problem::setting("pay_currency", "must be a coin's code, such as BTC"));
    }
    found
}

/// Base URL of the account's environment.
pub(super) fn base(account: &Account) -> &str {
    account.base(if super::is_test(account) { SANDBOX_BASE } else { ABOUT.api_base })
}
