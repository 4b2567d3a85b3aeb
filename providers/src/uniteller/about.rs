//! What API, console and documentation show about Uniteller.

use super::errors::CALL_GAP_MS;
use super::results::PERIOD_DAYS;
use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Setting, Text};
use crate::fact::State;

/// Declaration.
pub static ABOUT: About = About {
    slug: "uniteller",
    title: Text::new("Uniteller", "Uniteller (Юнителлер)"),
    event_provider: "uniteller",
    countries: &["RU"],
    currencies: super::CURRENCIES,
    docs: "https://www.uniteller.ru",
    checked_on: "2026-06-19",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: KINDS,
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "MD5 over order, status, the extra fields in the order of the payment request, and the password. Where it \
         covers no amount, or does not tell a hold from a payment, the order is looked up (results) before it counts",
        "MD5 от заказа, статуса, дополнительных полей в порядке запроса оплаты и пароля. Если подпись не покрывает \
         сумму или не отличает блокировку от оплаты, заказ сначала проверяется запросом results",
    ),
    sources: &[],
    api_base: super::WPAY,
    retries: Text::new(
        "10 attempts in all with growing intervals, about 3.5 hours; a new status ends the attempts for the one before",
        "Всего 10 попыток с растущими интервалами, около 3,5 часов; новый статус отменяет попытки для прежнего",
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
        attempts_share_reference: true,
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: CALL_GAP_MS, calls_at_once: 1, period_days: PERIOD_DAYS },
    setup: SETUP,
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "shop_id",
        required: true,
        secret: false,
        label: Text::new("Uniteller Point ID", "Uniteller Point ID"),
        hint: Text::new(
            "Dashboard → «Точки продажи», column «Uniteller Point ID»; keep its leading zeros",
            "Личный кабинет → «Точки продажи», столбец «Uniteller Point ID»; ведущие нули сохраняются",
        ),
        check: Check::Text,
    },
    Field {
        key: "password",
        required: true,
        secret: true,
        label: Text::new("Password (authorisation parameters)", "Пароль («Параметры Авторизации»)"),
        hint: Text::new(
            "80 characters, under «Параметры Авторизации»; not the password of the dashboard",
            "80 символов, раздел «Параметры Авторизации»; это не пароль от личного кабинета",
        ),
        check: Check::Text,
    },
    Field {
        key: "login",
        required: false,
        secret: false,
        label: Text::new("Login (authorisation parameters)", "Логин («Параметры Авторизации»)"),
        hint: Text::new(
            "Beside the password. Without it orders can't be looked up: holds, refunds and unsigned amounts stay unproven",
            "Рядом с паролем. Без него нельзя проверить заказ: блокировки, возвраты и суммы без подписи не подтвердятся",
        ),
        check: Check::Text,
    },
];

const SETTINGS: &[Setting] = &[
    Setting {
        key: "callback_fields",
        label: Text::new("Extra fields of notifications", "Дополнительные поля уведомлений"),
        hint: Text::new(
            "CallbackFields of the payment request, in its order; at most 29 characters when joined by spaces. With \
             Total the amount is signed, with Balance two partial refunds can be told apart",
            "CallbackFields запроса оплаты в том же порядке; не длиннее 29 символов через пробел. С Total подписана \
             сумма, с Balance различимы частичные возвраты",
        ),
        check: Check::List,
        default: r#"["BillNumber","Total","Balance"]"#,
    },
    Setting {
        key: "currency",
        label: Text::new("Currency of the point of sale", "Валюта точки продажи"),
        hint: Text::new("Notifications do not say one", "В уведомлениях валюты нет"),
        check: Check::OneOf(super::CURRENCIES),
        default: "\"RUB\"",
    },
    Setting {
        key: "create_with",
        label: Text::new("How payments are created", "Как создавать платежи"),
        hint: Text::new(
            "form: a link to the pay form; api: a pay link of Uniteller's API (switched on by its staff)",
            "form: ссылка на платёжную форму; api: платёжная ссылка через API (включает Uniteller)",
        ),
        check: Check::OneOf(&["form", "api"]),
        default: "\"form\"",
    },
    Setting {
        key: "return_url",
        label: Text::new("Return address", "Адрес возврата"),
        hint: Text::new(
            "Where the payer returns to when a payment has no return_url of its own: Uniteller demands one",
            "Куда вернётся плательщик, если у платежа нет своего return_url: Uniteller требует адрес",
        ),
        check: Check::Url,
        default: "null",
    },
    Setting {
        key: "order_lifetime",
        label: Text::new("Life of an order, seconds", "Срок жизни заказа, секунды"),
        hint: Text::new(
            "How long an order may be paid (OrderLifetime); afterwards an unpaid one is canceled",
            "Сколько заказ можно оплатить (OrderLifetime); затем неоплаченный заказ отменяется",
        ),
        check: Check::Digits,
        default: "null",
    },
    Setting {
        key: "paid_only",
        label: Text::new("Succeeded only when settled", "Успех только после списания"),
        hint: Text::new(
            "A one-stage payment succeeds with paid, not with authorized already",
            "Одностадийный платёж успешен при paid, а не уже при authorized",
        ),
        check: Check::Switch,
        default: "false",
    },
    Setting {
        key: "receipts",
        label: Text::new("Payments with receipts (54-FZ)", "Платежи с фискализацией (54-ФЗ)"),
        hint: Text::new(
            "The point of sale works at fpay.uniteller.ru and wants a receipt with each payment",
            "Точка продажи работает через fpay.uniteller.ru и требует чек к каждому платежу",
        ),
        check: Check::Switch,
        default: "false",
    },
];

const KINDS: &[Kind] = &[
    Kind {
        name: "authorized",
        in_url: false,
        about: Text::new(
            "the money is held, or a one-stage payment went through",
            "средства заблокированы, либо одностадийный платёж прошёл",
        ),
    },
    Kind {
        name: "paid", in_url: false, about: Text::new("the money was taken", "деньги списаны")
    },
    Kind {
        name: "canceled",
        in_url: false,
        about: Text::new(
            "a hold was released, or all money given back",
            "блокировка снята или деньги возвращены полностью",
        ),
    },
    Kind {
        name: "partly canceled",
        in_url: false,
        about: Text::new(
            "a part was released or given back (needs «Уведомлять об изменении баланса по заказу»)",
            "снята или возвращена часть (нужно «Уведомлять об изменении баланса по заказу»)",
        ),
    },
    Kind {
        name: "waiting",
        in_url: false,
        about: Text::new("an e-money bill was issued", "выставлен счёт электронных денег"),
    },
    Kind {
        name: "control",
        in_url: false,
        about: Text::new(
            "status control: Uniteller asks for an order's state",
            "контроль статуса: Uniteller спрашивает состояние заказа",
        ),
    },
];

const SETUP: &[Text] = &[
    Text::new(
        "Dashboard (lk.uniteller.ru) → «Точки продажи» → edit the point of sale → «URL-адрес уведомления магазина»: \
         {webhook_url}. Each point of sale needs an integration of its own.",
        "Личный кабинет (lk.uniteller.ru) → «Точки продажи» → редактирование точки → «URL-адрес уведомления магазина»: \
         {webhook_url}. Для каждой точки продажи нужна своя интеграция.",
    ),
    Text::new(
        "There switch on «Уведомлять об изменении статуса заказа» (else nothing is sent) and «Уведомлять об изменении \
         баланса по заказу» (else partial refunds are not told).",
        "Там же включите «Уведомлять об изменении статуса заказа» (иначе ничего не придёт) и «Уведомлять об изменении \
         баланса по заказу» (иначе не видно частичных возвратов).",
    ),
    Text::new(
        "Copy «Uniteller Point ID» into shop_id, and login and password from «Параметры Авторизации» into login and \
         password.",
        "Скопируйте «Uniteller Point ID» в shop_id, а логин и пароль из «Параметры Авторизации» — в login и password.",
    ),
    Text::new(
        "If your own site makes the payments, set callback_fields to the CallbackFields that it sends, in its order.",
        "Если платежи создаёт ваш сайт, укажите в callback_fields те же CallbackFields в том же порядке.",
    ),
    Text::new(
        "Optional: «Настройки контроля статуса заказа» → «URL для запроса статуса заказа»: {webhook_url} as well; then \
         Uniteller repeats a notification that was lost.",
        "По желанию: «Настройки контроля статуса заказа» → «URL для запроса статуса заказа»: тоже {webhook_url}; тогда \
         Uniteller повторит потерянное уведомление.",
    ),
    Text::new(
        "Holds, recurrent payments, pay links and receipts are switched on by Uniteller's staff. For tests ask for a \
         test point of sale (cards 4000000000002487 good, 4000000000002479 bad; 10 to 100 roubles) and use mode test.",
        "Двухстадийные и рекуррентные платежи, платёжные ссылки и фискализацию включает Uniteller. Для тестов \
         запросите тестовую точку (карты 4000000000002487 — успех, 4000000000002479 — отказ; 10–100 ₽) и режим test.",
    ),
];
