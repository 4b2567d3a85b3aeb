//! LiqPay's declaration.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Setting, Text};
use crate::fact::State;

/// LiqPay's own host: pages and server API.
pub(super) const API_BASE: &str = "https://www.liqpay.ua";

/// Declaration.
pub static ABOUT: About = About {
    slug: "liqpay",
    title: Text::new("LiqPay", "LiqPay").uk("LiqPay"),
    event_provider: "liqpay",
    countries: &["UA"],
    currencies: &["UAH", "USD", "EUR"],
    docs: "https://www.liqpay.ua/documentation/en/api/callback",
    checked_on: "2026-11-07",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: KINDS,
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "signature over the data field with the private key: SHA-1, or SHA3-256 from API version 7 on",
        "подпись поля data приватным ключом: SHA-1, а начиная с версии API 7 — SHA3-256",
    )
    .uk("підпис поля data приватним ключем: SHA-1, а починаючи з версії API 7 — SHA3-256"),
    sources: &[],
    api_base: API_BASE,
    retries: Text::new(
        "not documented; open payments are asked for by the status API",
        "не описаны; состояние открытых платежей запрашивается через API",
    )
    .uk("не описані; стан відкритих платежів запитується через API"),
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
        charge: true,
        cancel_subscription: true,
        ..Capabilities::NONE
    },
    // LiqPay publishes no limits: these keep a shop's polling polite and its reports short.
    limits: Limits { call_gap_ms: 200, calls_at_once: 2, period_days: 7 },
    setup: SETUP,
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "public_key",
        required: true,
        secret: false,
        label: Text::new("Public key (public_key)", "Публичный ключ (public_key)")
            .uk("Публічний ключ (public_key)"),
        hint: Text::new(
            "Business cabinet, the shop's settings: i00000000, or sandbox_i00000000 for tests",
            "Бизнес-кабинет, настройки магазина: i00000000 или sandbox_i00000000 для тестов",
        )
        .uk("Бізнес-кабінет, налаштування магазину: i00000000 або sandbox_i00000000 для тестів"),
        check: Check::Text,
    },
    Field {
        key: "private_key",
        required: true,
        secret: true,
        label: Text::new("Private key (private_key)", "Приватный ключ (private_key)")
            .uk("Приватний ключ (private_key)"),
        hint: Text::new(
            "Beside the public key; that of a test pair begins with sandbox_",
            "Рядом с публичным ключом; у тестовой пары начинается с sandbox_",
        )
        .uk("Поруч із публічним ключем; у тестової пари починається з sandbox_"),
        check: Check::Text,
    },
];

const SETTINGS: &[Setting] = &[
    Setting {
        key: "api_version",
        label: Text::new("API version", "Версия API").uk("Версія API"),
        hint: Text::new(
            "Version of our requests: 3 is signed with SHA-1, 7 with SHA3-256; notifications may use either",
            "Версия наших запросов: 3 подписывается SHA-1, 7 — SHA3-256; уведомления принимаются с обеими",
        )
        .uk("Версія наших запитів: 3 підписується SHA-1, 7 — SHA3-256; сповіщення приймаються з обома"),
        check: Check::OneOf(&["3", "7"]),
        default: "\"3\"",
    },
    Setting {
        key: "wait_accept",
        label: Text::new("Status wait_accept means", "Статус wait_accept означает").uk("Статус wait_accept означає"),
        hint: Text::new(
            "The payer was charged, but the shop is not verified yet; LiqPay returns the money after 60 days",
            "Деньги списаны, но магазин ещё не проверен; через 60 дней LiqPay вернёт их плательщику",
        )
        .uk("Гроші списано, але магазин ще не перевірено; через 60 днів LiqPay поверне їх платникові"),
        check: Check::OneOf(&["pending", "succeeded"]),
        default: "\"pending\"",
    },
    Setting {
        key: "create_with",
        label: Text::new("Payments are created as", "Платежи создаются как").uk("Платежі створюються як"),
        hint: Text::new(
            "checkout: a link to the payment page; invoice: LiqPay also sends the bill to the payer's e-mail or Privat24",
            "checkout: ссылка на страницу оплаты; invoice: LiqPay также отправляет счёт на e-mail или в Приват24",
        )
        .uk("checkout: посилання на сторінку оплати; invoice: LiqPay також надсилає рахунок на e-mail або в Приват24"),
        check: Check::OneOf(&["checkout", "invoice"]),
        default: "\"checkout\"",
    },
    Setting {
        key: "language",
        label: Text::new("Language of the payment page", "Язык страницы оплаты").uk("Мова сторінки оплати"),
        hint: Text::new("uk or en; LiqPay's default is uk", "uk или en; по умолчанию у LiqPay — uk")
            .uk("uk або en; типово в LiqPay — uk"),
        check: Check::OneOf(&["uk", "en"]),
        default: "null",
    },
    Setting {
        key: "paytypes",
        label: Text::new("Payment methods", "Способы оплаты").uk("Способи оплати"),
        hint: Text::new(
            "Comma list of apay, gpay, card, privat24, moment_part, paypart, cash, invoice, qr; else the shop's own",
            "Через запятую: apay, gpay, card, privat24, moment_part, paypart, cash, invoice, qr; иначе — из настроек магазина",
        )
        .uk("Через кому: apay, gpay, card, privat24, moment_part, paypart, cash, invoice, qr; інакше — з налаштувань магазину"),
        check: Check::Text,
        default: "null",
    },
];

const KINDS: &[Kind] = &[
    Kind {
        name: "pay",
        in_url: false,
        about: Text::new("a payment in one step", "платёж в одно действие").uk("платіж в одну дію"),
    },
    Kind {
        name: "hold",
        in_url: false,
        about: Text::new("a payment with a hold, its capture, its release", "платёж с блокировкой суммы")
            .uk("платіж із блокуванням суми"),
    },
    Kind {
        name: "subscribe",
        in_url: false,
        about: Text::new("a subscription began or ended", "подписка оформлена или отменена")
            .uk("підписку оформлено або скасовано"),
    },
    Kind {
        name: "regular",
        in_url: false,
        about: Text::new("a charge of a subscription", "списание по подписке").uk("списання за підпискою"),
    },
    Kind {
        name: "paysplit",
        in_url: false,
        about: Text::new("a receiver's part of a split payment", "часть получателя при разделении платежа")
            .uk("частка отримувача при розділенні платежу"),
    },
    Kind {
        name: "auth",
        in_url: false,
        about: Text::new("a card was verified", "карта проверена").uk("картку перевірено"),
    },
];

const SETUP: &[Text] = &[
    Text::new(
        "Open the business cabinet https://www.liqpay.ua/en/adminbusiness and choose the shop (company).",
        "Откройте бизнес-кабинет https://www.liqpay.ua/adminbusiness и выберите магазин (компанию).",
    )
    .uk("Відкрийте бізнес-кабінет https://www.liqpay.ua/adminbusiness і виберіть магазин (компанію)."),
    Text::new(
        "In the shop's settings copy «Public key» and «Private key» into this integration. For tests take the pair \
         whose keys begin with sandbox_, and set mode to test.",
        "В настройках магазина скопируйте «Публичный ключ» и «Приватный ключ» в эту интеграцию. Для тестов возьмите \
         пару с ключами на sandbox_ и режим test.",
    )
    .uk("У налаштуваннях магазину скопіюйте «Публічний ключ» і «Приватний ключ» у цю інтеграцію. Для тестів візьміть \
         пару з ключами на sandbox_ і режим test."),
    Text::new(
        "For payments made through Kassir nothing else is needed: the address {webhook_url} goes along with each \
         payment as server_url. Where your own site or module makes payments, put this address into server_url.",
        "Для платежей, созданных через Kassir, больше ничего не нужно: адрес {webhook_url} передаётся в каждом платеже \
         как server_url. Если платежи создаёт ваш сайт или модуль, укажите этот адрес в server_url.",
    )
    .uk("Для платежів, створених через Kassir, більше нічого не потрібно: адреса {webhook_url} передається в кожному \
         платежі як server_url. Якщо платежі створює ваш сайт або модуль, вкажіть цю адресу в server_url."),
    Text::new(
        "For fiscal receipts (PRRO) first add the goods in the cabinet: SCR – Kasa – Goods. Charges of a saved card must \
         be enabled for the shop by LiqPay's support.",
        "Для фискальных чеков (ПРРО) сначала добавьте товары в кабинете: «ПРРО → Каса → Товари». Списания с сохранённой \
         карты включает для магазина поддержка LiqPay.",
    )
    .uk("Для фіскальних чеків (ПРРО) спершу додайте товари в кабінеті: «ПРРО → Каса → Товари». Списання зі збереженої \
         картки вмикає для магазину підтримка LiqPay."),
];
