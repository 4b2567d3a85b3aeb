//! The declaration.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, Currency, State};

/// What everybody is told about JustClick.
pub static ABOUT: About = About {
    slug: "justclick",
    title: Text::new("JustClick", "JustClick"),
    event_provider: "justclick",
    countries: &["RU"],
    currencies: &[],
    docs: "https://help.justclick.ru/archives/613",
    checked_on: "2026-11-21",
    credentials: &[
        Field {
            key: "login",
            required: true,
            secret: false,
            label: Text::new("Login", "Логин"),
            hint: Text::new(
                "the name before .justclick.ru: Profile — Change password",
                "имя перед .justclick.ru: Профиль → Изменить пароль",
            ),
            check: Check::Text,
        },
        Field {
            key: "api_key",
            required: true,
            secret: true,
            label: Text::new("API key", "Ключ API («Секретный ключ для подписи»)"),
            hint: Text::new(
                "page shops/setts/apisettings, link «Интеграция и API» in the footer",
                "страница shops/setts/apisettings, ссылка «Интеграция и API» внизу",
            ),
            check: Check::Text,
        },
    ],
    open_credentials: false,
    settings: &[
        Setting {
            key: "domain",
            label: Text::new("Domain", "Домен"),
            hint: Text::new(
                "justclick.ru, justclick.io or influencersoft.com",
                "justclick.ru, justclick.io или influencersoft.com",
            ),
            check: Check::Text,
            default: "\"justclick.ru\"",
        },
        Setting {
            key: "currency",
            label: Text::new("Currency", "Валюта"),
            hint: Text::new(
                "neither notifications nor the API tell one",
                "ни уведомления, ни API её не сообщают",
            ),
            check: Check::Text,
            default: "\"RUB\"",
        },
        Setting {
            key: "product",
            label: Text::new("Product", "Товар"),
            hint: Text::new(
                "text id of the product that is ordered when the order's lines name none in their description",
                "текстовый идентификатор товара для заказов, в строках которых он не назван в описании",
            ),
            check: Check::Text,
            default: "\"\"",
        },
    ],
    kinds: &[
        kind("paid", Text::new("the order is paid", "счёт оплачен")),
        kind("created", Text::new("an order was made", "счёт оформлен")),
        kind("prepayment", Text::new("a part of the order is paid", "внесена предоплата")),
        kind("canceled", Text::new("the order was canceled", "счёт отменён")),
        kind("moneyback", Text::new("the money went back", "деньги возвращены (moneyback)")),
    ],
    states: &[State::Pending, State::Succeeded, State::Canceled],
    proof: Text::new(
        "hash: MD5 over id, e-mail, time and the API key; then getOrderDetails, because amount and kind are not signed",
        "hash: MD5 от id, e-mail, времени и ключа API; затем getOrderDetails, так как сумма и вид события не подписаны",
    ),
    sources: &[],
    api_base: "https://justclick.ru",
    retries: Text::new("not documented; assume none", "не описаны; считайте, что их нет"),
    capabilities: Capabilities { create: true, status: true, cancel: true, ..Capabilities::NONE },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: &[
        Text::new(
            "Open https://justclick.ru/shops/setts/apisettings/ and copy the API key",
            "Откройте https://justclick.ru/shops/setts/apisettings/ и скопируйте ключ API",
        ),
        Text::new(
            "In every product paste {webhook_url}?event=paid into «URL для оповещений по API об оплаченном счете», \
             {webhook_url}?event=created into «… об оформленном счете», and likewise prepaid, canceled, moneyback",
            "В каждом товаре вставьте {webhook_url}?event=paid в поле «URL для оповещений по API об оплаченном \
             счете», {webhook_url}?event=created в поле «… об оформленном счете», и так же для предоплаты, отмены и \
             возврата",
        ),
        Text::new(
            "Name the product of bot payments in the setting product",
            "Укажите товар для платежей бота в настройке product",
        ),
    ],
};

const fn kind(name: &'static str, about: Text) -> Kind {
    Kind { name, in_url: false, about }
}

/// The currency of the account.
pub(super) fn currency(account: &Account) -> Option<Currency> {
    account
        .setting("currency")
        .filter(|code| !code.is_empty())
        .map_or(Some(Currency::RUB), |code| code.parse().ok())
}

/// Where the account lives: `demoshop.justclick.ru`.
pub(super) fn host(account: &Account) -> String {
    let domain = account.setting("domain").filter(|domain| !domain.is_empty()).unwrap_or("justclick.ru");
    format!("{}.{domain}", account.text("login"))
}

pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    let part = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            && !text.starts_with('.')
            && !text.ends_with('.')
    };
    if !part(account.text("login")) {
        found.push(Problem::credential("login", "must be the name before .justclick.ru"));
    }
    if !part(account.setting("domain").unwrap_or("")) {
        found.push(Problem::setting("domain", "must be a domain such as justclick.ru"));
    }
    if currency(account).and_then(|currency| currency.exponent()).is_none() {
        found.push(Problem::setting("currency", "must be a currency code such as RUB"));
    }
    found
}
