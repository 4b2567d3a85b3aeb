//! What API, console and documentation show about Unitpay.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Setting, Text};
use crate::fact::State;

/// The addresses that notifications come from; the live feed is `https://DOMAIN/ips/ips_webhooks.json`.
pub(super) const SOURCES: &[&str] = &["31.186.100.49", "51.250.20.9"];
/// Addresses that were published until 2025 and are in no list since.
pub(super) const LEGACY_SOURCES: &[&str] = &["52.29.152.23", "52.19.56.234"];

/// Declaration.
pub static ABOUT: About = About {
    slug: "unitpay",
    title: Text::new("Unitpay", "Unitpay (Юнитпей)"),
    event_provider: "unitpay",
    countries: &["RU"],
    currencies: super::CURRENCIES,
    docs: "https://help.unitpay.ru/payments/payment-handler",
    checked_on: "2026-07-30",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: KINDS,
    states: &[State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "SHA-256 over the method, all values sorted by name and the project's secret key; source addresses are noted",
        "SHA-256 от метода, всех значений по порядку имён и секретного ключа проекта; адрес отправителя отмечается",
    ),
    sources: SOURCES,
    api_base: "https://unitpay.ru",
    retries: Text::new(
        "Repeats CHECK and PAY by itself after a bad answer, about five times (the first after a minute); after that \
         the merchant presses «Повторить платеж» in the statistics",
        "Повторяет CHECK и PAY после неверного ответа, около пяти раз (первый раз через минуту); затем — кнопка \
         «Повторить платеж» в статистике",
    ),
    capabilities: Capabilities {
        create: true,
        hold: true,
        status: true,
        capture: true,
        cancel: true,
        refund: true,
        partial_refund: true,
        refund_receipt: true,
        charge: true,
        cancel_subscription: true,
        questions: true,
        attempts_share_reference: true,
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: SETUP,
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "public_key",
        required: true,
        secret: false,
        label: Text::new("PUBLIC KEY", "PUBLIC KEY"),
        hint: Text::new("Project settings; such as 15155-ae12d", "Настройки проекта; например 15155-ae12d"),
        check: Check::Text,
    },
    Field {
        key: "project_secret",
        required: true,
        secret: true,
        label: Text::new("SECRET KEY (of the project)", "SECRET KEY (проекта)"),
        hint: Text::new(
            "Project settings. Not «Секретный ключ» of the profile: that one is for payouts",
            "Настройки проекта. Не путать с «Секретный ключ» в профиле: тот для выплат",
        ),
        check: Check::Text,
    },
    Field {
        key: "project_id",
        required: false,
        secret: false,
        label: Text::new("Project number", "Номер проекта"),
        hint: Text::new(
            "The digits of the public key before the dash; needed only if they differ",
            "Цифры публичного ключа до дефиса; указывать не обязательно",
        ),
        check: Check::Digits,
    },
    Field {
        key: "account_login",
        required: false,
        secret: false,
        label: Text::new("Account e-mail", "E-mail аккаунта"),
        hint: Text::new("Together with account_secret", "Вместе с account_secret"),
        check: Check::Text,
    },
    Field {
        key: "account_secret",
        required: false,
        secret: true,
        label: Text::new("Secret key (of the profile)", "Секретный ключ (в профиле)"),
        hint: Text::new(
            "Profile; reads the balance when the connection is checked",
            "Профиль; для проверки баланса",
        ),
        check: Check::Text,
    },
    Field {
        key: "test_secret",
        required: false,
        secret: true,
        label: Text::new("Secret key for test mode", "Секретный ключ для тестового режима"),
        hint: Text::new("Profile; needed for mode test", "Профиль; нужен для режима test"),
        check: Check::Text,
    },
];

const SETTINGS: &[Setting] = &[
    Setting {
        key: "domain",
        label: Text::new("Working domain", "Рабочий домен"),
        hint: Text::new(
            "The domain that Unitpay's support assigned: unitpay.ru, unitpay.money or another bare host",
            "Домен, выданный поддержкой Unitpay: unitpay.ru, unitpay.money или другой",
        ),
        check: Check::Text,
        default: "\"unitpay.ru\"",
    },
    Setting {
        key: "create_with",
        label: Text::new("How payments are created", "Как создавать платежи"),
        hint: Text::new(
            "form: a link to the pay form; api: initPayment. Holds, saved cards and test payments always use the API",
            "form: ссылка на платёжную форму; api: initPayment. Двухстадийные, подписки и тесты всегда через API",
        ),
        check: Check::OneOf(&["form", "api"]),
        default: "\"form\"",
    },
    Setting {
        key: "payment_type",
        label: Text::new("Payment method", "Способ оплаты"),
        hint: Text::new(
            "paymentType code for initPayment: card, sbp, sberpay, tinkoffpay, …",
            "Код paymentType для initPayment: card, sbp, sberpay, tinkoffpay, …",
        ),
        check: Check::Text,
        default: "\"card\"",
    },
    Setting {
        key: "flat_api",
        label: Text::new("Flat API parameters", "Плоские параметры API"),
        hint: Text::new(
            "account=… instead of params[account]=…, as documented since May 2026; both are accepted",
            "account=… вместо params[account]=…, как в документации с мая 2026; принимаются оба вида",
        ),
        check: Check::Switch,
        default: "false",
    },
    Setting {
        key: "unsigned_api",
        label: Text::new("No signature in initPayment", "Без подписи в initPayment"),
        hint: Text::new(
            "Leave the signature out if Unitpay answers «Подпись запроса не верна» to initPayment",
            "Не передавать подпись, если initPayment отвечает «Подпись запроса не верна»",
        ),
        check: Check::Switch,
        default: "false",
    },
    Setting {
        key: "legacy_sources",
        label: Text::new("Accept addresses published until 2025", "Адреса, действовавшие до 2025 года"),
        hint: Text::new(
            "Also takes 52.29.152.23 and 52.19.56.234 for Unitpay's",
            "Считать адресами Unitpay также 52.29.152.23 и 52.19.56.234",
        ),
        check: Check::Switch,
        default: "false",
    },
];

const KINDS: &[Kind] = &[
    Kind {
        name: "check",
        in_url: false,
        about: Text::new("before the payment: may it go through?", "перед оплатой: можно ли её принять?"),
    },
    Kind {
        name: "preauth",
        in_url: false,
        about: Text::new(
            "money is held; nothing is to be delivered yet",
            "средства заблокированы; товар не выдавать",
        ),
    },
    Kind {
        name: "pay", in_url: false, about: Text::new("the money was taken", "деньги списаны")
    },
    Kind {
        name: "error",
        in_url: false,
        about: Text::new("the payment failed; pay may still follow", "ошибка оплаты; pay ещё может прийти"),
    },
];

const SETUP: &[Text] = &[
    Text::new(
        "The handler's domain must be the domain that is registered as the project (or a host of it). Point a host of \
         the project's domain at Kassir (DNS and a certificate, or a reverse proxy), so that {webhook_url} is reached \
         under it.",
        "Домен обработчика должен совпадать с доменом проекта (или быть его поддоменом). Направьте поддомен проекта \
         на Kassir (DNS и сертификат или обратный прокси), чтобы {webhook_url} открывался на нём.",
    ),
    Text::new(
        "Project settings → «Обработчик платежей»: enter {webhook_url} (with the project's host in place of ours).",
        "Настройки проекта → «Обработчик платежей»: укажите {webhook_url} (с хостом проекта).",
    ),
    Text::new(
        "Copy «PUBLIC KEY» and «SECRET KEY» from the project settings into public_key and project_secret.",
        "Скопируйте «PUBLIC KEY» и «SECRET KEY» из настроек проекта в public_key и project_secret.",
    ),
    Text::new(
        "If support assigned you another working domain than unitpay.ru (for example unitpay.money), put it into the \
         setting domain.",
        "Если поддержка выдала другой рабочий домен (например unitpay.money), укажите его в настройке domain.",
    ),
    Text::new(
        "Keep the signature switch (the lock) of the project on: then nobody can change the amount in a pay link.",
        "Оставьте включённой обязательную подпись (значок замка): тогда сумму в ссылке нельзя подменить.",
    ),
    Text::new(
        "For holds and subscriptions ask Unitpay's manager to switch them on (legal entities only; not together).",
        "Двухстадийные платежи и подписки включает менеджер Unitpay (только юрлица; вместе не работают).",
    ),
    Text::new(
        "For test payments: profile → «Секретный ключ для тестового режима» into test_secret, and mode test.",
        "Для тестов: профиль → «Секретный ключ для тестового режима» в test_secret и режим test.",
    ),
];
