//! What API, console, documentation and `doctor` show about Robokassa.

use crate::about::{About, Capabilities, Check, Field, Kind, Limits, Problem, Setting, Text};
use crate::{Account, State};

/// Robokassa's declaration.
pub static ABOUT: About = About {
    slug: "robokassa",
    title: Text::new("Robokassa", "Robokassa"),
    event_provider: "robokassa",
    countries: &["RU", "KZ"],
    currencies: &["RUB", "KZT"],
    docs: "https://docs.robokassa.ru/",
    checked_on: "2026-08-04",
    credentials: CREDENTIALS,
    open_credentials: false,
    settings: SETTINGS,
    kinds: &[
        Kind {
            name: "result",
            in_url: false,
            about: Text::new("Money was received (Result URL)", "Деньги получены (Result URL)"),
        },
        Kind {
            name: "result2",
            in_url: false,
            about: Text::new(
                "Held or paid (ResultUrl2), signed by Robokassa's certificate",
                "Захолдировано или оплачено (ResultUrl2), подписано сертификатом Robokassa",
            ),
        },
    ],
    states: &[State::WaitingForCapture, State::Succeeded],
    proof: Text::new(
        "SignatureValue: a hash over sum, number and password #2; ResultUrl2: an RSA signature of Robokassa",
        "SignatureValue: хеш от суммы, номера и пароля #2; ResultUrl2: RSA-подпись Robokassa",
    ),
    sources: &["185.59.216.65/32", "185.59.217.65/32"],
    api_base: "https://auth.robokassa.ru",
    retries: Text::new(
        "Result URL about every minute, until it is answered with OK and the number; ResultUrl2 up to 5 times. \
         Nothing comes for declines, expired holds and refunds: they are asked for",
        "Result URL — примерно раз в минуту, пока не получит ответ OK и номер; ResultUrl2 — до 5 раз. Об отказах, \
         истёкших холдах и возвратах уведомлений нет: их состояние запрашивается",
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
        ..Capabilities::NONE
    },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: &[
        Text::new(
            "partner.robokassa.ru → My shops → the shop → Technical settings: copy the shop's id and the hash algorithm; \
             set Password #1 and Password #2 and copy them",
            "partner.robokassa.ru → «Мои магазины» → магазин → «Технические настройки»: скопируйте «Идентификатор \
             магазина» и «Алгоритм расчёта хеша»; задайте и скопируйте «Пароль #1» и «Пароль #2»",
        ),
        Text::new(
            "Result URL: {webhook_url}, method of sending data: POST",
            "«Result URL»: {webhook_url}, «Метод отсылки данных»: POST",
        ),
        Text::new(
            "For test payments: the pair of passwords under “Parameters of test payments”; they must differ from the live ones",
            "Для тестовых платежей: пара паролей в «Параметры проведения тестовых платежей»; они должны отличаться от боевых",
        ),
        Text::new(
            "For refunds ask for access to the refund API, then copy Password #3. Holds and recurring charges are switched \
             on by Robokassa's manager",
            "Для возвратов запросите «Доступ к API возвратов» и скопируйте «Пароль #3». Холдирование и рекуррентные \
             платежи включает менеджер Robokassa",
        ),
        Text::new(
            "Robokassa replaces its certificate for ResultUrl2 once a year (docs.robokassa.ru/media/files/jwtsign.cer): \
             when a newer one is published, put it into jws_public_keys",
            "Сертификат для ResultUrl2 Robokassa меняет раз в год (docs.robokassa.ru/media/files/jwtsign.cer): когда \
             появится новый, добавьте его в jws_public_keys",
        ),
    ],
};

const CREDENTIALS: &[Field] = &[
    Field {
        key: "merchant_login",
        required: true,
        secret: false,
        label: Text::new("Shop id (MerchantLogin)", "Идентификатор магазина"),
        hint: Text::new("Technical settings of the shop", "«Технические настройки» магазина"),
        check: Check::Text,
    },
    password(
        "password1",
        true,
        "Password #1",
        "Пароль #1",
        "Signs pay links and holds",
        "Подписывает ссылки на оплату и холды",
    ),
    password(
        "password2",
        true,
        "Password #2",
        "Пароль #2",
        "Signs notifications and OpStateExt",
        "Подписывает уведомления и OpStateExt",
    ),
    password(
        "password3",
        false,
        "Password #3",
        "Пароль #3",
        "Only for refunds; appears after access to the refund API was given",
        "Только для возвратов; появляется после подключения API возвратов",
    ),
    password(
        "test_password1",
        false,
        "Test password #1",
        "Пароль #1 для тестовых платежей",
        "Parameters of test payments",
        "«Параметры проведения тестовых платежей»",
    ),
    password(
        "test_password2",
        false,
        "Test password #2",
        "Пароль #2 для тестовых платежей",
        "Parameters of test payments",
        "«Параметры проведения тестовых платежей»",
    ),
    Field {
        key: "jws_public_keys",
        required: false,
        secret: false,
        label: Text::new(
            "Certificates or public keys of ResultUrl2",
            "Сертификаты или открытые ключи ResultUrl2",
        ),
        hint: Text::new(
            "PEM, several one after the other; the certificate published in 2026 is built in",
            "PEM, можно несколько подряд; сертификат, опубликованный в 2026 году, встроен",
        ),
        check: Check::Pem,
    },
];

const fn password(
    key: &'static str,
    required: bool,
    en: &'static str,
    ru: &'static str,
    hint_en: &'static str,
    hint_ru: &'static str,
) -> Field {
    Field {
        key,
        required,
        secret: true,
        label: Text::new(en, ru),
        hint: Text::new(hint_en, hint_ru),
        check: Check::Text,
    }
}

const SETTINGS: &[Setting] = &[
    Setting {
        key: "hash",
        label: Text::new("Hash algorithm", "Алгоритм расчёта хеша"),
        hint: Text::new(
            "As in the shop's technical settings; one for all, live and test",
            "Как в «Технических настройках» магазина; один на всё, включая тестовые платежи",
        ),
        check: Check::OneOf(&["md5", "ripemd160", "sha1", "sha256", "sha384", "sha512"]),
        default: "\"md5\"",
    },
    Setting {
        key: "country",
        label: Text::new("Country of the account", "Страна аккаунта"),
        hint: Text::new(
            "ru: roubles, auth.robokassa.ru; kz: tenge, auth.robokassa.kz",
            "ru: рубли, auth.robokassa.ru; kz: тенге, auth.robokassa.kz",
        ),
        check: Check::OneOf(&["ru", "kz"]),
        default: "\"ru\"",
    },
];

/// Live and test passwords must differ: which one fits is all that tells a test payment from a real one.
pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let mut found = Vec::new();
    for (test, live) in [
        ("test_password1", "password1"),
        ("test_password2", "password2"),
        ("test_password1", "password2"),
        ("test_password2", "password1"),
    ] {
        let same =
            |live: &crate::Secret| account.secret(test).is_some_and(|secret| secret.same(live.expose()));
        if account.secret(live).is_some_and(same) {
            found.push(Problem::credential(
                test,
                format!("is the same as {live}; then a test payment could not be told from a real one"),
            ));
        }
    }
    if let Some(pem) = account.secret("jws_public_keys")
        && let Err(problem) = crate::rsa::read_pem(pem.expose())
    {
        found.push(Problem::credential("jws_public_keys", problem));
    }
    if super::shop::hash(account).is_none() {
        found.push(Problem::setting("hash", "names no algorithm of Robokassa"));
    }
    found
}
