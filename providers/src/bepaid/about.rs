//! What API, console, documentation and `doctor` show about bePaid.

use serde_json::Value;

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, State, rsa};

/// bePaid's declaration.
pub static ABOUT: About = About {
    slug: "bepaid",
    title: Text::new("bePaid", "bePaid"),
    event_provider: "bepaid",
    countries: &["BY"],
    currencies: &[],
    docs: "https://docs.bepaid.by/",
    checked_on: "2026-08-04",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: KINDS,
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "Content-Signature (RSA-SHA256 of the body, checked with the public key), else HTTP Basic with the shop's id \
         and secret key",
        "Content-Signature (RSA-SHA256 тела запроса, проверяется публичным ключом), иначе HTTP Basic с ID магазина и \
         секретным ключом",
    ),
    sources: &[],
    api_base: "https://checkout.bepaid.by",
    retries: Text::new(
        "Until the answer is 200: transactions 15 times in about 37 hours, subscriptions 25 times in about 25 days, an \
         expired pay page only twice within minutes",
        "Пока ответ не 200: транзакции 15 раз за 37 часов, подписки 25 раз за 25 суток, истёкшая страница оплаты только \
         дважды за несколько минут",
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
        charge: true,
        cancel_subscription: true,
        attempts_share_reference: true,
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: 200, calls_at_once: 4, period_days: 0 },
    setup: &[
        Text::new(
            "Back office merchant.bepaid.by → the shop: copy Shop ID, Secret key and Public key",
            "Личный кабинет merchant.bepaid.by → магазин: скопируйте «ID магазина», «Секретный ключ магазина» и \
             «Публичный ключ»",
        ),
        Text::new(
            "There is no notification address to set: {webhook_url} goes out with each payment that is created here. \
             For payments that other programs create, give them {webhook_url} as notification_url",
            "Адрес уведомлений в кабинете не задаётся: {webhook_url} передаётся с каждым созданным здесь платежом. \
             Платежам из других программ задайте {webhook_url} как notification_url",
        ),
        Text::new(
            "For saved cards and repeated charges ask bePaid to allow them for the shop",
            "Для сохранённых карт и повторных списаний попросите bePaid включить их для магазина",
        ),
        Text::new(
            "Another provider on beGateway: set hosts to its payment page domain, payment gateway domain and API domain",
            "Другой провайдер на beGateway: задайте в hosts «Домен страницы оплаты», «Домен платежного шлюза» и домен API",
        ),
    ],
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "shop_id",
        required: true,
        secret: false,
        label: Text::new("Shop ID", "ID магазина"),
        hint: Text::new("A number: back office → the shop", "Число: личный кабинет → магазин"),
        check: Check::Digits,
    },
    Field {
        key: "secret_key",
        required: true,
        secret: true,
        label: Text::new("Secret key", "Секретный ключ магазина"),
        hint: Text::new(
            "In the same place, usually 64 hex digits",
            "Там же, обычно 64 шестнадцатеричных знака",
        ),
        check: Check::Text,
    },
    Field {
        key: "public_key",
        required: false,
        secret: false,
        label: Text::new("Public key", "Публичный ключ"),
        hint: Text::new(
            "In the same place: a long line that begins with MII. It proves notifications; without it only HTTP Basic \
             does",
            "Там же: длинная строка, начинается с MII. По нему проверяются уведомления, без него — только HTTP Basic",
        ),
        check: Check::Text,
    },
];

const SETTINGS: &[Setting] = &[
    Setting {
        key: "hosts",
        label: Text::new("Hosts", "Домены"),
        hint: Text::new(
            r#"Of another provider on beGateway: {"checkout":"https://…","gateway":"https://…","api":"https://…"}; what is missing stays bePaid's"#,
            r#"Другого провайдера на beGateway: {"checkout":"https://…","gateway":"https://…","api":"https://…"}; чего нет, остаётся от bePaid"#,
        ),
        check: Check::Object,
        default: "{}",
    },
    Setting {
        key: "require_signature",
        label: Text::new("Require Content-Signature", "Требовать Content-Signature"),
        hint: Text::new(
            "Refuse notifications that HTTP Basic alone proves. Payment pages' expiry and subscriptions may come without \
             a signature",
            "Отклонять уведомления, подтверждённые только HTTP Basic. Истечение страницы оплаты и подписки могут \
             приходить без подписи",
        ),
        check: Check::Switch,
        default: "false",
    },
];

const KINDS: &[Kind] = &[
    kind(
        "payment",
        "A payment, by card or another method (ERIP)",
        "Платёж картой или другим способом (ЕРИП)",
    ),
    kind("authorization", "A hold", "Холд"),
    kind("capture", "A hold was captured", "Холд подтверждён"),
    kind("void", "A hold was released", "Холд отменён"),
    kind("refund", "Money went back", "Возврат"),
    kind("expired", "The pay page expired with nothing paid", "Страница оплаты истекла без оплаты"),
    kind("subscription", "A subscription changed, or was charged", "Подписка изменилась или списана"),
];

const fn kind(name: &'static str, en: &'static str, ru: &'static str) -> Kind {
    Kind { name, in_url: false, about: Text::new(en, ru) }
}

/// bePaid's services, each with a host of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// The pay page.
    Checkout,
    /// Cards.
    Gateway,
    /// Alternative methods and subscriptions.
    Api,
}

impl Host {
    const ALL: [Host; 3] = [Host::Checkout, Host::Gateway, Host::Api];

    const fn name(self) -> &'static str {
        match self {
            Host::Checkout => "checkout",
            Host::Gateway => "gateway",
            Host::Api => "api",
        }
    }

    /// The service's base URL: the setting `api_base` replaces all of them, `hosts` single ones.
    pub(super) fn base(self, account: &Account) -> &str {
        let default = match self {
            Host::Checkout => ABOUT.api_base,
            Host::Gateway => "https://gateway.bepaid.by",
            Host::Api => "https://api.bepaid.by",
        };
        let hosts = account.settings.own.get("hosts");
        let own = hosts.and_then(|hosts| hosts.get(self.name())).and_then(Value::as_str);
        account.base(own.filter(|url| is_base(url)).unwrap_or(default)).trim_end_matches('/')
    }
}

/// Whether a text is a base URL: a scheme and an authority, without query and fragment.
fn is_base(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:/[]_".contains(&byte))
    })
}

/// The public key can be read, and the hosts are base URLs.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(key) = account.secret("public_key")
        && let Err(why) = rsa::read_bare(key.expose())
    {
        let detail = format!("{why}: copy it whole, one long line that begins with MII");
        found.push(Problem::credential("public_key", detail));
    }
    if account.switch("require_signature") && account.secret("public_key").is_none() {
        found.push(Problem::setting("require_signature", "needs the credential public_key"));
    }
    let hosts = account.settings.own.get("hosts").and_then(Value::as_object);
    for (name, url) in hosts.into_iter().flatten() {
        if !Host::ALL.iter().any(|host| host.name() == name) {
            found.push(Problem::setting("hosts", "may have checkout, gateway and api, nothing else"));
        } else if !url.as_str().is_some_and(is_base) {
            found.push(Problem::setting("hosts", format!("{name} must be a URL that starts with https://")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn account(hosts: Value) -> Account {
        let mut account = Account::default();
        account.settings.own.insert("hosts".to_owned(), hosts);
        account
    }

    #[test]
    fn hosts_are_replaced_one_by_one_or_all() {
        let mut account = account(json!({"gateway": "https://demo-gateway.begateway.com/"}));
        assert_eq!(Host::Checkout.base(&account), "https://checkout.bepaid.by");
        assert_eq!(Host::Gateway.base(&account), "https://demo-gateway.begateway.com");
        account.settings.api_base = Some("https://sandbox.example/".to_owned());
        assert!(Host::ALL.iter().all(|host| host.base(&account) == "https://sandbox.example"));
    }

    #[test]
    fn odd_hosts_are_found_and_never_used() {
        for hosts in [
            json!({"gateway": "gateway.example"}),
            json!({"gateway": "https://"}),
            json!({"gateway": "https://a.example/?x=1#"}),
            json!({"gateway": "https://user@a.example"}),
            json!({"gateway": 1}),
            json!({"bank": "https://a.example"}),
        ] {
            let account = account(hosts.clone());
            assert_eq!(validate(&account).len(), 1, "{hosts}");
            assert_eq!(Host::Gateway.base(&account), "https://gateway.bepaid.by", "{hosts}");
        }
        assert!(validate(&account(json!({"api": "https://api.begateway.com"}))).is_empty());
    }
}
