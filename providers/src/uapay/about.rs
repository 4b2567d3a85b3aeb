//! UAPAY's declaration.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Text};
use crate::fact::State;

/// Host of real payments.
pub(super) const LIVE_BASE: &str = "https://api.uapay.ua";
/// Host of test payments, with shops and keys of its own.
pub(super) const DEMO_BASE: &str = "https://api.demo.uapay.ua";

/// Declaration.
pub static ABOUT: About = About {
    slug: "uapay",
    title: Text::new("UAPAY", "UAPAY").uk("UAPAY"),
    event_provider: "uapay",
    countries: &["UA"],
    currencies: &["UAH"],
    docs: "https://uapayua.atlassian.net/wiki/spaces/AC/pages/753795086",
    checked_on: "2026-11-07",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: &[],
    kinds: KINDS,
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "a JWT (HS256) signed with the shop's SECRET KEY",
        "JWT (HS256), подписанный ключом магазина SECRET KEY",
    )
    .uk("JWT (HS256), підписаний ключем магазину SECRET KEY"),
    sources: &[],
    api_base: LIVE_BASE,
    retries: Text::new(
        "5 more times within a day, after 5 s, 5 min, 1 h, 2 h, 24 h, until the answer's status is 200",
        "ещё 5 раз в течение суток — через 5 с, 5 мин, 1 ч, 2 ч, 24 ч, — пока не получит статус 200",
    )
    .uk("ще 5 разів протягом доби — через 5 с, 5 хв, 1 год, 2 год, 24 год, — доки не отримає статус 200"),
    capabilities: Capabilities {
        create: true,
        hold: true,
        status: true,
        capture: true,
        partial_capture: true,
        cancel: true,
        refund: true,
        partial_refund: true,
        cancel_subscription: true,
        attempts_share_reference: true,
        ..Capabilities::NONE
    },
    // UAPAY publishes no limit: one call a second of one shop is surely welcome.
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: SETUP,
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "client_id",
        required: true,
        secret: false,
        label: Text::new("Shop ID («ID магазина»)", "ID магазина").uk("ID магазину"),
        hint: Text::new(
            "UAPAY's cabinet, «My shops»: digits, such as 6001",
            "Кабинет UAPAY, «Мои магазины»: цифры, например 6001",
        )
        .uk("Кабінет UAPAY, «Мої магазини»: цифри, наприклад 6001"),
        check: Check::Digits,
    },
    Field {
        key: "secret_key",
        required: true,
        secret: true,
        label: Text::new("Key (SECRET KEY)", "Ключ (SECRET KEY)").uk("Ключ (SECRET KEY)"),
        hint: Text::new(
            "Beside the shop ID; copy the text as it is, with the = at its end",
            "Рядом с ID магазина; скопируйте текст как есть, вместе с = на конце",
        )
        .uk("Поруч з ID магазину; скопіюйте текст як є, разом з = наприкінці"),
        check: Check::Text,
    },
];

const KINDS: &[Kind] = &[
    Kind {
        name: "invoice",
        in_url: false,
        about: Text::new("payment of an invoice", "оплата счёта").uk("оплата рахунку"),
    },
    Kind {
        name: "operation",
        in_url: false,
        about: Text::new("an operation of a server-to-server payment", "операция платежа сервер-сервер")
            .uk("операція платежу сервер-сервер"),
    },
    Kind {
        name: "order",
        in_url: false,
        about: Text::new("payment of an order (the API before invoices)", "оплата заказа (прежний API)")
            .uk("оплата замовлення (попередній API)"),
    },
];

const SETUP: &[Text] = &[
    Text::new(
        "In UAPAY's cabinet open «My shops» («Мои магазины»). UAPAY must have activated the shop.",
        "В кабинете UAPAY откройте «Мои магазины». Магазин должен быть активирован компанией UAPAY.",
    )
    .uk("У кабінеті UAPAY відкрийте «Мої магазини». Магазин має бути активований компанією UAPAY."),
    Text::new(
        "Copy «ID магазина» into client_id and «Ключ (SECRET KEY)» into secret_key, as text. The demo cabinet has shops \
         and keys of its own: for them set mode to test.",
        "Скопируйте «ID магазина» в client_id, а «Ключ (SECRET KEY)» — в secret_key, как текст. В демо-кабинете свои \
         магазины и ключи: для них поставьте режим test.",
    )
    .uk("Скопіюйте «ID магазину» в client_id, а «Ключ (SECRET KEY)» — у secret_key, як текст. У демо-кабінеті свої \
         магазини й ключі: для них поставте режим test."),
    Text::new(
        "Send your personal UAPAY manager the callback address {webhook_url}: without it on their allow list no callback \
         comes. It also travels in each invoice as callbackUrl.",
        "Передайте своему менеджеру UAPAY адрес для callback {webhook_url}: пока его нет в списке разрешённых, callback не \
         приходит. Он также передаётся в каждом счёте как callbackUrl.",
    )
    .uk("Передайте своєму менеджеру UAPAY адресу для callback {webhook_url}: доки її немає в списку дозволених, callback не \
         надходить. Вона також передається в кожному рахунку як callbackUrl."),
    Text::new(
        "Tell the manager the IP address of the server that Kassir runs on too, and again whenever it changes.",
        "Сообщите менеджеру и IP-адрес сервера, на котором работает Kassir, и сообщайте снова при каждой его смене.",
    )
    .uk("Повідомте менеджерові й IP-адресу сервера, на якому працює Kassir, і повідомляйте знову за кожної її зміни."),
    Text::new(
        "Keep the server's clock right: UAPAY refuses requests that are more than 20 seconds off.",
        "Следите за часами сервера: UAPAY отклоняет запросы с расхождением больше 20 секунд.",
    )
    .uk("Стежте за годинником сервера: UAPAY відхиляє запити з розбіжністю понад 20 секунд."),
];
