//! What API, console, documentation and `doctor` show about Crypto Pay.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, State};

/// Base URL of the test network's API.
const TEST_BASE: &str = "https://testnet-pay.crypt.bot";

/// Crypto Pay's declaration.
pub static ABOUT: About = About {
    slug: "cryptobot",
    title: Text::new("Crypto Pay (@CryptoBot)", "Crypto Pay (@CryptoBot)"),
    event_provider: "cryptobot",
    countries: &[],
    currencies: &[],
    docs: "https://help.crypt.bot/crypto-pay-api",
    checked_on: "2026-08-04",
    credentials: &[Field {
        key: "token",
        required: true,
        secret: true,
        label: Text::new("API token", "API-токен"),
        hint: Text::new(
            "@CryptoBot → Crypto Pay → Create App (or My Apps → the app): a number, a colon and letters, whole",
            "@CryptoBot → Crypto Pay → «Создать приложение» (или «Мои приложения» → приложение): число, двоеточие и \
             буквы, целиком",
        ),
        check: Check::Text,
    }],
    open_credentials: false,
    settings: &[Setting {
        key: "network",
        label: Text::new("Network", "Сеть"),
        hint: Text::new(
            "main: @CryptoBot; test: @CryptoTestnetBot, which has its own apps and tokens",
            "main: @CryptoBot; test: @CryptoTestnetBot, у него свои приложения и токены",
        ),
        check: Check::OneOf(&["main", "test"]),
        default: r#""main""#,
    }],
    kinds: &[Kind {
        name: "invoice_paid",
        in_url: false,
        about: Text::new("An invoice was paid", "Счёт оплачен"),
    }],
    states: &[State::Succeeded],
    proof: Text::new(
        "crypto-pay-api-signature: HMAC-SHA256 of the body; its key is the SHA-256 of the token",
        "crypto-pay-api-signature: HMAC-SHA256 тела запроса, ключ — SHA-256 токена",
    ),
    sources: &[],
    api_base: "https://pay.crypt.bot",
    retries: Text::new(
        "Until the answer is 200; the schedule is not published. When all tries of an update fail, webhooks are \
         switched off for the app",
        "Пока ответ не 200; расписание не опубликовано. Если все попытки не удались, вебхуки приложения отключаются",
    ),
    capabilities: Capabilities { create: true, status: true, cancel: true, ..Capabilities::NONE },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: &[
        Text::new(
            "@CryptoBot (tests: @CryptoTestnetBot) → Crypto Pay → Create App: copy the API token",
            "@CryptoBot (для проверки: @CryptoTestnetBot) → Crypto Pay → «Создать приложение»: скопируйте API-токен",
        ),
        Text::new(
            "Crypto Pay → My Apps → the app → Webhooks… → Enable Webhooks: paste {webhook_url}",
            "Crypto Pay → «Мои приложения» → приложение → Webhooks… → Enable Webhooks: вставьте {webhook_url}",
        ),
        Text::new(
            "If the app's Security lists allowed addresses, add the address from which this router calls the API",
            "Если в разделе Security («Безопасность») приложения задан список адресов, добавьте адрес этого сервера",
        ),
        Text::new(
            "Price in a fiat currency (RUB, USD, …) so that order and event have one currency; a coin's code (TON, \
             USDT, …) prices in that coin",
            "Указывайте цену в обычной валюте (RUB, USD, …), тогда у заказа и события одна валюта; код монеты (TON, \
             USDT, …) означает цену в монете",
        ),
    ],
};

/// The token is a number, a colon and its secret part.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let text = account.text("token");
    let fits = text.split_once(':').is_some_and(|(app, secret)| {
        !app.is_empty() && app.bytes().all(|byte| byte.is_ascii_digit()) && !secret.is_empty()
    });
    if fits || text.is_empty() {
        return Vec::new();
    }
    vec![Problem::credential("token", "must be a number, a colon and letters, such as 12345:AA…, whole")]
}

/// Base URL of the account's network.
pub(super) fn base(account: &Account) -> &str {
    account.base(if super::is_test(account) { TEST_BASE } else { ABOUT.api_base })
}
