//! The declaration.

use super::presets;
use crate::State;
use crate::about::{About, Capabilities, Check, Kind, Limits, Setting, Text};

/// What everybody is told about the configurable adapter.
pub static ABOUT: About = About {
    slug: "generic",
    title: Text::new("Any provider with signed webhooks", "Любая система с подписанными уведомлениями")
        .uk("Будь-яка система з підписаними повідомленнями"),
    event_provider: "generic",
    countries: &[],
    currencies: &[],
    docs: "https://www.rfc-editor.org/rfc/rfc6901",
    checked_on: "2026-11-21",
    credentials: &[],
    open_credentials: true,
    settings: &[
        Setting {
            key: "document",
            label: Text::new("Configuration document", "Документ настройки"),
            hint: Text::new(
                "how this provider's requests are read, proved, mapped and answered; its secrets are the \
                 integration's credentials",
                "как читать, проверять, разбирать уведомления этой системы и что ей отвечать; секреты, которые он \
                 называет, вводятся как ключи подключения",
            ),
            check: Check::Object,
            default: "null",
        },
        Setting {
            key: "preset",
            label: Text::new("Ready-made document", "Готовый документ"),
            hint: Text::new(
                "used while there is no document of your own. flowell: none yet, only observing; flowell-…: guesses \
                 to try on recorded notifications",
                "используется, пока нет своего документа. flowell: документа ещё нет, только наблюдение; flowell-…: \
                 предположения, которые надо проверить на записанных уведомлениях",
            ),
            check: Check::OneOf(presets::NAMES),
            default: "\"\"",
        },
        Setting {
            key: "hosts",
            label: Text::new("API hosts", "Узлы API"),
            hint: Text::new(
                "host names that the document's confirm.fetch and create may call",
                "имена узлов, к которым могут обращаться confirm.fetch и create документа",
            ),
            check: Check::List,
            default: "[]",
        },
    ],
    kinds: &[Kind {
        name: "notification",
        in_url: false,
        about: Text::new(
            "whatever the provider sends; the document tells what it means",
            "всё, что присылает система; смысл определяет документ",
        ),
    }],
    states: &[State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled],
    proof: Text::new(
        "by the checks of the document: digest, HMAC, RSA, JWT, Basic, token, or a question to the provider's API",
        "проверками документа: хеш, HMAC, RSA, JWT, Basic, токен или запрос к API системы",
    ),
    sources: &[],
    api_base: "",
    retries: Text::new("as the provider does it", "как принято у самой системы"),
    capabilities: Capabilities { create: true, status: true, ..Capabilities::NONE },
    limits: Limits { call_gap_ms: 1000, calls_at_once: 1, period_days: 0 },
    setup: &[
        Text::new(
            "Set mode to observe, give the provider {webhook_url} and let it send a notification",
            "Поставьте mode = observe, укажите у системы адрес {webhook_url} и дождитесь уведомления",
        ),
        Text::new(
            "Write the document from the provider's documentation and try it on the recorded notification: every \
             base string is shown with the secrets masked",
            "Составьте документ по описанию системы и проверьте его на записанном уведомлении: каждая подписываемая \
             строка показывается со скрытыми секретами",
        ),
        Text::new("Set mode to live", "Поставьте mode = live"),
    ],
};
