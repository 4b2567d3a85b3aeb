//! What API, console, documentation and `doctor` show about CloudPayments.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Text};
use crate::{Account, State};

/// CloudPayments' declaration.
pub static ABOUT: About = About {
    slug: "cloudpayments",
    title: Text::new("CloudPayments", "CloudPayments"),
    event_provider: "cloudpayments",
    countries: &["RU", "KZ"],
    currencies: &[
        "RUB", "KZT", "USD", "EUR", "GBP", "UAH", "BYN", "AZN", "CHF", "CZK", "CAD", "PLN", "SEK", "TRY",
        "CNY", "INR", "BRL", "ZAR", "UZS", "BGN", "RON", "AUD", "HKD", "GEL", "KGS", "AMD", "AED",
    ],
    docs: "https://developers.cloudpayments.ru/",
    checked_on: "2026-08-04",
    credentials: &[
        Field {
            key: "public_id",
            required: true,
            secret: false,
            label: Text::new("Public ID", "Public ID"),
            hint: Text::new(
                "The site's id, looks like pk_…: cabinet → Sites → the site's settings",
                "Идентификатор сайта вида pk_…: личный кабинет → «Сайты» → настройки сайта",
            ),
            check: Check::Text,
        },
        Field {
            key: "api_secret",
            required: true,
            secret: true,
            label: Text::new("API password (API Secret)", "Пароль для API"),
            hint: Text::new(
                "In the same place. It signs the notifications, too",
                "Там же. Им же подписаны уведомления",
            ),
            check: Check::Text,
        },
    ],
    open_credentials: false,
    settings: &[],
    kinds: KINDS,
    states: &[State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "Content-HMAC: HMAC-SHA256 of the body with the API password",
        "Content-HMAC: HMAC-SHA256 тела запроса с паролем для API",
    ),
    sources: &[
        "185.98.81.0/28",
        "87.251.91.160/27",
        "46.46.175.96/27",
        "46.46.168.160/27",
        "162.55.174.97/32",
        "91.216.178.243/32",
    ],
    api_base: "https://api.cloudpayments.ru",
    retries: Text::new(
        "Up to 100 times after 1, 2, 5, 10 and then every 30 minutes, about two days; each waits 30 s. \
         Check is not repeated: a failure declines the payment",
        "До 100 раз: через 1, 2, 5, 10 и далее каждые 30 минут, около двух суток; ожидание ответа 30 с. \
         Check не повторяется: при ошибке платёж отклоняется",
    ),
    capabilities: Capabilities {
        create: true,
        hold: true,
        status: true,
        capture: true,
        partial_capture: true,
        cancel: true,
        refund: true,
        partial_refund: true,
        capture_receipt: true,
        refund_receipt: true,
        charge: true,
        cancel_subscription: true,
        questions: true,
        attempts_share_reference: true,
    },
    limits: Limits { call_gap_ms: 200, calls_at_once: 5, period_days: 0 },
    setup: &[
        Text::new(
            "Cabinet merchant.cloudpayments.ru → Sites → the site → settings: copy Public ID and the API password",
            "Личный кабинет merchant.cloudpayments.ru → «Сайты» → сайт → настройки: скопируйте Public ID и «Пароль для API»",
        ),
        Text::new(
            "Notifications → Pay: switch on, address {webhook_url}/pay, method POST, encoding UTF-8, format CloudPayments",
            "«Уведомления» → Pay: включите, адрес {webhook_url}/pay, метод POST, кодировка UTF-8, формат CloudPayments",
        ),
        Text::new(
            "The same for Fail {webhook_url}/fail, Confirm {webhook_url}/confirm, Refund {webhook_url}/refund, \
             Cancel {webhook_url}/cancel, Recurrent {webhook_url}/recurrent: each its own address",
            "Так же Fail {webhook_url}/fail, Confirm {webhook_url}/confirm, Refund {webhook_url}/refund, \
             Cancel {webhook_url}/cancel, Recurrent {webhook_url}/recurrent: каждому свой адрес",
        ),
        Text::new(
            "Check {webhook_url}/check only if the payer's page sets the amount (the widget): while it is on and this \
             router can't be reached, all payments are declined",
            "Check {webhook_url}/check — только если сумму задаёт страница плательщика (виджет): пока он включён, а \
             этот адрес недоступен, все платежи отклоняются",
        ),
        Text::new(
            "For repeated charges switch on “Save the card's token”",
            "Для повторных списаний включите «Сохранение токена карты»",
        ),
        Text::new(
            "TipTop Pay (Kazakhstan): set api_base to https://api.tiptoppay.kz",
            "TipTop Pay (Казахстан): задайте api_base https://api.tiptoppay.kz",
        ),
    ],
};

const KINDS: &[Kind] = &[
    kind("check", "May this payment be paid? Before authorisation", "Можно ли платить? До авторизации"),
    kind("pay", "Paid, or held in two-stage mode", "Оплачено или захолдировано (двухстадийная оплата)"),
    kind(
        "fail",
        "An attempt was declined; the payer may try again",
        "Попытка отклонена; можно попробовать ещё раз",
    ),
    kind("confirm", "A hold was captured", "Холд подтверждён"),
    kind("cancel", "A hold was voided", "Холд отменён"),
    kind("refund", "Money went back, all or in part", "Возврат, полный или частичный"),
    kind("recurrent", "A subscription changed its status", "Изменился статус подписки"),
    kind("receipt", "A fiscal receipt was issued", "Сформирован чек"),
    kind("kkt", "State of the cash register", "Состояние кассы"),
    kind("sbptoken", "An account was bound for SBP charges, or not", "Результат привязки счёта СБП"),
];

const fn kind(name: &'static str, en: &'static str, ru: &'static str) -> Kind {
    Kind { name, in_url: true, about: Text::new(en, ru) }
}

/// A Public ID may not hold a colon: HTTP Basic (RFC 7617) would cut it there.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    if account.text("public_id").contains(':') {
        found.push(Problem::credential("public_id", "must not hold a colon"));
    }
    if account.secret("api_secret").is_some_and(|secret| secret.same(account.text("public_id"))) {
        found.push(Problem::credential("api_secret", "is the Public ID; the API password is another value"));
    }
    found
}
