//! YooKassa's declaration.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Text};
use crate::{Account, State};

/// Networks that notifications come from (<https://yookassa.ru/developers/using-api/webhooks#ip>).
const SOURCES: &[&str] = &[
    "185.71.76.0/27",
    "185.71.77.0/27",
    "77.75.153.0/25",
    "77.75.156.11",
    "77.75.156.35",
    "77.75.154.128/25",
    "2a02:5180::/32",
];

/// YooKassa's declaration.
pub static ABOUT: About = About {
    slug: "yookassa",
    title: Text::new("YooKassa", "ЮKassa"),
    // Subscribers have known it by this name since it was Yandex.Kassa.
    event_provider: "yandex_kassa",
    countries: &["RU"],
    currencies: &["RUB", "EUR", "USD", "KZT", "BYN", "UAH", "UZS", "TRY", "INR", "MDL", "AZN", "AMD"],
    docs: "https://yookassa.ru/developers",
    checked_on: "2026-07-04",
    credentials: &[
        Field {
            key: "shop_id",
            required: true,
            secret: false,
            label: Text::new("Shop ID (shopId)", "Идентификатор магазина (shopId)"),
            hint: Text::new(
                "digits, such as 100500; in the dashboard under Settings, or Integration — API keys",
                "цифры, например 100500; в личном кабинете: «Настройки» или «Интеграция — Ключи API»",
            ),
            check: Check::Digits,
        },
        Field {
            key: "secret_key",
            required: true,
            secret: true,
            label: Text::new("Secret key", "Секретный ключ"),
            hint: Text::new(
                "issued under Integration — API keys; a test shop's key starts with test_",
                "выпускается в разделе «Интеграция — Ключи API»; у тестового магазина начинается с test_",
            ),
            check: Check::Text,
        },
        Field {
            key: "shop_password",
            required: false,
            secret: true,
            label: Text::new("Shop password (shopPassword)", "Секретное слово (shopPassword)"),
            hint: Text::new(
                "only for shops on the old protocol with checkOrder and paymentAviso; leave empty otherwise",
                "только для магазинов на старом протоколе с checkOrder и paymentAviso; иначе оставьте пустым",
            ),
            check: Check::Text,
        },
    ],
    open_credentials: false,
    settings: &[],
    kinds: KINDS,
    states: &[State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "notifications are not signed: the sender's address is checked, and each is confirmed by asking the API \
         before it takes effect; the old protocol is signed (MD5 with the shop password)",
        "уведомления не подписаны: проверяется адрес отправителя, и каждое подтверждается запросом к API до того, как \
         подействует; старый протокол подписан (MD5 с секретным словом)",
    ),
    sources: SOURCES,
    api_base: "https://api.yookassa.ru/v3",
    retries: Text::new(
        "until it gets status 200, for 24 hours with growing intervals (about 7 deliveries)",
        "пока не получит ответ 200, в течение 24 часов с растущими паузами (около 7 попыток)",
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
        questions: true,
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: 200, calls_at_once: 5, period_days: 0 },
    setup: &[
        Text::new(
            "Open https://yookassa.ru/my, section Integration — API keys, and copy shopId and the secret key",
            "Откройте https://yookassa.ru/my, раздел «Интеграция — Ключи API», и скопируйте shopId и секретный ключ",
        ),
        Text::new(
            "Open Integration — HTTP notifications and paste {webhook_url} into the notification URL field (HTTPS, \
             port 443 or 8443)",
            "Откройте «Интеграция — HTTP-уведомления» и вставьте {webhook_url} в поле «URL для уведомлений» (HTTPS, \
             порт 443 или 8443)",
        ),
        Text::new(
            "Tick the events payment.succeeded, payment.waiting_for_capture, payment.canceled, refund.succeeded and \
             save",
            "В списке «О каких событиях уведомлять» отметьте payment.succeeded, payment.waiting_for_capture, \
             payment.canceled, refund.succeeded и сохраните",
        ),
        Text::new(
            "Old protocol only: give {webhook_url} as both checkURL and avisoURL, and fill in the shop password here",
            "Только для старого протокола: укажите {webhook_url} как checkURL и avisoURL и заполните здесь секретное \
             слово",
        ),
    ],
};

const KINDS: &[Kind] = &[
    kind("payment.waiting_for_capture", Text::new("money is held", "деньги заблокированы")),
    kind("payment.succeeded", Text::new("paid", "оплачено")),
    kind("payment.canceled", Text::new("declined, expired or voided", "отказ, истечение срока или отмена")),
    kind(
        "refund.succeeded",
        Text::new("money went back, in whole or in part", "возврат, полный или частичный"),
    ),
    kind(
        "payment_method.active",
        Text::new("a card was bound without a payment", "карта привязана без платежа"),
    ),
    kind("payout.succeeded", Text::new("a payout was made", "выплата проведена")),
    kind("payout.canceled", Text::new("a payout failed", "выплата не прошла")),
    kind("deal.closed", Text::new("a safe deal was closed", "безопасная сделка закрыта")),
    kind("checkOrder", Text::new("old protocol: may this be paid?", "старый протокол: можно ли оплатить?")),
    kind("paymentAviso", Text::new("old protocol: paid", "старый протокол: оплачено")),
    kind("cancelOrder", Text::new("old protocol: the order was dropped", "старый протокол: заказ отменён")),
];

const fn kind(name: &'static str, about: Text) -> Kind {
    Kind { name, in_url: false, about }
}

/// What the declaration can't say: an Idempotence-Key and the Basic header take no control characters.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let odd = account.text("secret_key").chars().any(|letter| letter.is_control() || letter.is_whitespace());
    let problem = || Problem::credential("secret_key", "has white space or control characters inside");
    odd.then(problem).into_iter().collect()
}
