//! YooMoney's declaration.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, State};

/// YooMoney's declaration.
pub static ABOUT: About = About {
    slug: "yoomoney",
    title: Text::new("YooMoney wallet", "Кошелёк ЮMoney"),
    event_provider: "yoomoney",
    countries: &["RU"],
    currencies: &["RUB"],
    docs: "https://yoomoney.ru/docs/payment-buttons",
    checked_on: "2026-08-04",
    credentials: &[
        Field {
            key: "receiver",
            required: true,
            secret: false,
            label: Text::new("Wallet number", "Номер кошелька"),
            hint: Text::new(
                "11 to 33 digits, usually starting with 4100",
                "от 11 до 33 цифр, обычно начинается с 4100",
            ),
            check: Check::Digits,
        },
        Field {
            key: "notification_secret",
            required: true,
            secret: true,
            label: Text::new("Secret of the notifications", "Секрет (секретное слово)"),
            hint: Text::new(
                "button «Показать секрет» on https://yoomoney.ru/transfer/myservices/http-notification",
                "кнопка «Показать секрет» на странице https://yoomoney.ru/transfer/myservices/http-notification",
            ),
            check: Check::Text,
        },
        Field {
            key: "access_token",
            required: false,
            secret: true,
            label: Text::new(
                "Access token of the wallet's API",
                "Токен доступа к API кошелька (access_token)",
            ),
            hint: Text::new(
                "OAuth token with the rights account-info, operation-history and operation-details; finds payments \
                 whose notification was lost (there are only three deliveries)",
                "OAuth-токен с правами account-info, operation-history и operation-details; находит платежи, чьи \
                 уведомления потерялись (попыток всего три)",
            ),
            check: Check::Text,
        },
    ],
    open_credentials: false,
    settings: &[
        Setting {
            key: "legacy_sha1",
            label: Text::new("Accept sha1_hash", "Принимать sha1_hash"),
            hint: Text::new(
                "believes notifications without sign by the old SHA-1 check, which YooMoney ended on 18 May 2026",
                "верить уведомлениям без sign по старой проверке SHA-1, которую ЮMoney отключил 18 мая 2026 года",
            ),
            check: Check::Switch,
            default: "false",
        },
        Setting {
            key: "payment_type",
            label: Text::new("How the payer pays", "Способ оплаты"),
            hint: Text::new(
                "AC: bank card (fee 3 %); PC: wallet (fee 1 %)",
                "AC: банковская карта (комиссия 3 %); PC: кошелёк (1 %)",
            ),
            check: Check::OneOf(&["AC", "PC"]),
            default: "\"AC\"",
        },
        Setting {
            key: "post_form",
            label: Text::new("Open the payment page by POST", "Открывать страницу оплаты методом POST"),
            hint: Text::new(
                "the documented way; otherwise a plain link, which is what bots usually send",
                "как описано в документации; иначе обычная ссылка, как её шлют боты",
            ),
            check: Check::Switch,
            default: "false",
        },
    ],
    kinds: &[
        kind(
            "card-incoming",
            Text::new("a payment by bank card has come", "поступил платёж с банковской карты"),
        ),
        kind("p2p-incoming", Text::new("a payment from a wallet has come", "поступил перевод из кошелька")),
        kind("test-notification", Text::new("the button «Протестировать»", "кнопка «Протестировать»")),
    ],
    states: &[State::Pending, State::Succeeded],
    proof: Text::new(
        "signed: sign, HMAC-SHA256 over all parameters with the secret of the notifications",
        "подписано: sign, HMAC-SHA256 по всем параметрам с секретом уведомлений",
    ),
    // YooMoney publishes none for wallets, and YooKassa's do not hold here.
    sources: &[],
    api_base: "https://yoomoney.ru",
    retries: Text::new(
        "three deliveries in all: at once, after 10 minutes, after 1 hour",
        "всего три попытки: сразу, через 10 минут, через 1 час",
    ),
    capabilities: Capabilities { create: true, status: true, ..Capabilities::NONE },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: &[
        Text::new(
            "Open https://yoomoney.ru/transfer/myservices/http-notification (wallet — Settings — HTTP notifications)",
            "Откройте https://yoomoney.ru/transfer/myservices/http-notification (кошелёк — Настройки — \
             HTTP-уведомления)",
        ),
        Text::new(
            "Paste {webhook_url} as the address, press «Показать секрет» and copy the secret",
            "Вставьте {webhook_url} в поле адреса, нажмите «Показать секрет» и скопируйте секрет",
        ),
        Text::new(
            "Tick «Отправлять HTTP-уведомления», save, and press «Протестировать»: the test notification must appear \
             in the inbound log",
            "Отметьте «Отправлять HTTP-уведомления», сохраните и нажмите «Протестировать»: тестовое уведомление \
             должно появиться в журнале",
        ),
        Text::new(
            "Better: register an application at https://yoomoney.ru/myservices/new and get an access token, so that \
             payments with a lost notification are found",
            "Желательно: зарегистрируйте приложение на https://yoomoney.ru/myservices/new и получите токен, чтобы \
             находились платежи с потерянными уведомлениями",
        ),
    ],
};

const fn kind(name: &'static str, about: Text) -> Kind {
    Kind { name, in_url: false, about }
}

pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let receiver = account.text("receiver");
    let mut found = Vec::new();
    if !receiver.is_empty() && !(11..=33).contains(&receiver.len()) {
        found.push(Problem::credential("receiver", "must have 11 to 33 digits"));
    }
    if account.text("access_token").chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        found.push(Problem::credential("access_token", "has white space or control characters inside"));
    }
    found
}
