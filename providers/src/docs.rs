//! The page of a provider for people, made from its declaration.

use std::fmt::Write as _;

use serde_json::Value;

use crate::about::{About, Check, Field, Setting, Text};

/// The page `docs/providers/<slug>.md`: Markdown, English with the dashboard's own labels.
#[must_use]
pub fn page(about: &About) -> String {
    let mut out = String::new();
    heading(&mut out, about);
    credentials(&mut out, about);
    settings(&mut out, about.settings);
    setup(&mut out, about);
    kinds(&mut out, about);
    let _ = writeln!(out, "\n## Proof and answers\n");
    let _ = writeln!(out, "- Proof: {}.", about.proof.en.trim_end_matches('.'));
    let _ = writeln!(out, "- Repeated: {}.", about.retries.en.trim_end_matches('.'));
    let sources = match about.sources {
        [] => "the provider publishes no list".to_owned(),
        networks => format!("{}; see the setting `source_ips`", join(networks)),
    };
    let _ = writeln!(out, "- Source addresses: {sources}.");
    let states: Vec<_> = about.states.iter().map(|state| state.word()).collect();
    let _ = writeln!(out, "- States that its notifications tell: {}.", join(&states));
    can(&mut out, about);
    out
}

/// The provider's row of the table in the README.
#[must_use]
pub fn row(about: &About) -> String {
    let can = about.capabilities;
    let mark = |can: bool| if can { "✓" } else { "–" };
    format!(
        "| [{}](docs/providers/{}.md) | `{}` | {} | {} | {} | {} | {} | {} | {} |",
        about.title.en,
        about.slug,
        about.slug,
        about.countries.join(" "),
        mark(can.create),
        mark(can.hold),
        mark(can.status),
        mark(can.refund),
        mark(can.charge),
        mark(can.questions),
    )
}

/// The table of the README: head and a row for each provider.
#[must_use]
pub fn table<'a>(providers: impl IntoIterator<Item = &'a About>) -> String {
    let mut out = "| provider | slug | countries | pay link | hold | status | refund | saved method | asks before payment |\n\
                   | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for about in providers {
        out.push_str(&row(about));
        out.push('\n');
    }
    out
}

fn heading(out: &mut String, about: &About) {
    let other =
        if about.title.ru == about.title.en { String::new() } else { format!(" ({})", about.title.ru) };
    let _ = writeln!(
        out,
        "<!-- Generated from the adapter's declaration: UPDATE_DOCS=1 cargo test -p kassir-providers --test docs -->"
    );
    let _ = writeln!(out, "\n# {}{other}\n", about.title.en);
    let countries =
        if about.countries.is_empty() { "any country".to_owned() } else { about.countries.join(", ") };
    let currencies = match about.currencies {
        [] => "any currency".to_owned(),
        codes => codes.join(", "),
    };
    let _ = writeln!(out, "- Slug: `{}`; in events `\"provider\":\"{}\"`.", about.slug, about.event_provider);
    let _ = writeln!(out, "- Countries: {countries}. Currencies: {currencies}.");
    let _ = writeln!(out, "- Documentation: <{}>, last checked on {}.", about.docs, about.checked_on);
    if !about.api_base.is_empty() {
        let _ = writeln!(out, "- API: <{}> (the setting `api_base` replaces it).", about.api_base);
    }
}

fn credentials(out: &mut String, about: &About) {
    let _ = writeln!(out, "\n## Credentials\n");
    if !about.credentials.is_empty() {
        let _ = writeln!(out, "| key | | what it is | where to find it |\n| --- | --- | --- | --- |");
        for field in about.credentials {
            let _ = writeln!(out, "{}", credential(field));
        }
    }
    if about.open_credentials {
        let _ = writeln!(out, "\nFurther credentials are named by the integration's document.");
    }
}

fn credential(field: &Field) -> String {
    let need = if field.required { "required" } else { "optional" };
    let secret = if field.secret { ", secret" } else { "" };
    let limits = check(field.check);
    let key = field.key;
    format!("| `{key}` | {need}{secret}{limits} | {} | {} |", both(&field.label), both(&field.hint))
}

fn settings(out: &mut String, settings: &[Setting]) {
    if settings.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## Settings of its own\n");
    let _ = writeln!(out, "| key | default | what it does |\n| --- | --- | --- |");
    for setting in settings {
        let default = match serde_json::from_str(setting.default) {
            Ok(Value::String(text)) if !text.is_empty() => format!("`{}`", cell(&text)),
            Ok(Value::Null | Value::String(_)) | Err(_) => "not set".to_owned(),
            Ok(other) => format!("`{}`", cell(&other.to_string())),
        };
        let limits = check(setting.check);
        let (label, hint) = (both(&setting.label), both(&setting.hint));
        let _ = writeln!(out, "| `{}` | {default}{limits} | {label}: {hint} |", setting.key);
    }
}

fn setup(out: &mut String, about: &About) {
    let _ = writeln!(out, "\n## Setting it up\n");
    for (number, step) in about.setup.iter().enumerate() {
        let number = number.saturating_add(1);
        let _ = writeln!(out, "{number}. {}", languages(step).join("\n   <br>"));
    }
    let url = "`{webhook_url}` is the integration's `webhook_url`, as the API shows it.";
    let _ = writeln!(out, "\n{url}");
}

fn kinds(out: &mut String, about: &About) {
    let _ = writeln!(out, "\n## Notifications\n");
    let _ = writeln!(out, "| kind | URL | when it comes |\n| --- | --- | --- |");
    for kind in about.kinds {
        let url = if kind.in_url {
            format!("`{{webhook_url}}/{}`", kind.name)
        } else {
            "`{webhook_url}`".to_owned()
        };
        let _ = writeln!(out, "| `{}` | {url} | {} |", cell(kind.name), both(&kind.about));
    }
}

fn can(out: &mut String, about: &About) {
    let can = about.capabilities;
    let _ = writeln!(out, "\n## What can be done\n");
    let more = |in_part: bool, receipt: bool| match (in_part, receipt) {
        (true, true) => ", also in part, with a `receipt` of your own",
        (true, false) => ", also in part",
        (false, true) => ", with a `receipt` of your own",
        (false, false) => "",
    };
    let list = [
        (can.create, "create a payment with a link to pay at".to_owned()),
        (can.hold, "hold the money and capture it later".to_owned()),
        (can.status, "ask for the state".to_owned()),
        (can.capture, format!("capture{}", more(can.partial_capture, can.capture_receipt))),
        (can.cancel, "cancel".to_owned()),
        (can.refund, format!("refund{}", more(can.partial_refund, can.refund_receipt))),
        (can.charge, "charge a saved method".to_owned()),
        (can.cancel_subscription, "end a subscription that the provider runs".to_owned()),
        (can.questions, "answer the provider's question before the payer pays".to_owned()),
    ];
    for (_, what) in list.iter().filter(|(can, _)| *can) {
        let _ = writeln!(out, "- {what}");
    }
    let missing: Vec<_> = list.iter().filter(|(can, _)| !can).map(|(_, what)| what.as_str()).collect();
    if !missing.is_empty() {
        let _ = writeln!(out, "\nNot possible: {}.", missing.join("; "));
    }
    let limits = about.limits;
    let _ = writeln!(
        out,
        "\nAPI calls of one account: at least {} ms apart, at most {} at once.",
        limits.call_gap_ms, limits.calls_at_once
    );
    if limits.period_days > 0 {
        let _ = writeln!(out, "Payments can be listed by periods of up to {} days.", limits.period_days);
    }
}

fn check(check: Check) -> String {
    match check {
        Check::Text => String::new(),
        Check::Digits => ", digits".to_owned(),
        Check::OneOf(words) => format!(", one of {}", join(words)),
        Check::Switch => ", true or false".to_owned(),
        Check::List => ", a list of texts".to_owned(),
        Check::Url => ", a URL".to_owned(),
        Check::Object => ", a JSON object".to_owned(),
        Check::Pem => ", PEM".to_owned(),
    }
}

fn join(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{}`", cell(word))).collect::<Vec<_>>().join(", ")
}

/// A text in its languages, each once, for a cell of a table.
fn both(text: &Text) -> String {
    languages(text).iter().map(|text| cell(text)).collect::<Vec<_>>().join(" <br>")
}

fn languages(text: &Text) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for words in [text.en, text.ru, text.uk] {
        let words = mark_up(words);
        if !words.is_empty() && !found.contains(&words) {
            found.push(words);
        }
    }
    found
}

/// The placeholder as code.
fn mark_up(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, word) in text.split(' ').enumerate() {
        if number > 0 {
            out.push(' ');
        }
        match word.split_once("{webhook_url}") {
            // With what follows directly, such as a kind; a sign after that is not part of the URL.
            Some((before, after)) => {
                let url = after.trim_end_matches([',', '.', ';', ':', ')', '»', '"']);
                let rest = after.get(url.len()..).unwrap_or("");
                let _ = write!(out, "{before}`{{webhook_url}}{url}`{rest}");
            }
            None => out.push_str(word),
        }
    }
    out
}

/// A text that does not end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
