//! Declarations are complete: API, console, command line and documentation are made of them.

use std::collections::BTreeSet;

use kassir_providers::about::{Check, Text, problems};
use kassir_providers::{Account, Currency};
use serde_json::Value;

use crate::support::{Failures, Fixture, fixtures, providers};

#[test]
fn declarations_are_complete() {
    let mut failures = Failures::of("the declaration is complete");
    let mut slugs = BTreeSet::new();
    for (slug, provider) in providers() {
        let about = provider.about();
        let mut text = |what: &str, text: &Text| {
            failures.check(slug, !text.en.trim().is_empty(), || format!("{what} has no English text"));
            failures.check(slug, !text.ru.trim().is_empty(), || format!("{what} has no Russian text"));
        };
        text("title", &about.title);
        text("proof", &about.proof);
        text("retries", &about.retries);
        for field in about.credentials {
            text(&format!("label of {}", field.key), &field.label);
            text(&format!("hint of {}", field.key), &field.hint);
        }
        for setting in about.settings {
            text(&format!("label of {}", setting.key), &setting.label);
            text(&format!("hint of {}", setting.key), &setting.hint);
        }
        for kind in about.kinds {
            text(&format!("kind {}", kind.name), &kind.about);
        }
        for (number, step) in about.setup.iter().enumerate() {
            text(&format!("setup step {number}"), step);
        }
        let mut check = |good: bool, what: &str| failures.check(slug, good, || what.to_owned());
        check(slugs.insert(slug), "the slug is taken");
        check(!about.event_provider.is_empty(), "no event_provider");
        check(about.docs.starts_with("https://"), "docs is no https link");
        let date: Vec<_> = about.checked_on.split('-').map(str::len).collect();
        check(date == [4, 2, 2], "checked_on is no date");
        check(about.api_base.is_empty() || about.api_base.starts_with("https://"), "api_base is not https");
        check(!about.kinds.is_empty() && !about.states.is_empty(), "no kinds or no states");
        check(about.currencies.iter().all(|code| code.parse::<Currency>().is_ok()), "an odd currency code");
        check(!about.setup.is_empty(), "no setup steps");
        let names_url = |text: fn(&Text) -> &'static str| {
            about.setup.iter().any(|step| text(step).contains("{webhook_url}"))
        };
        check(names_url(|step| step.en) && names_url(|step| step.ru), "no setup step has {webhook_url}");
        let required: Vec<_> = about.credentials.iter().map(|field| field.required).collect();
        check(required.is_sorted_by(|a, b| a >= b), "required credentials come first");
        check(about.open_credentials || required.first() == Some(&true), "no required credential");
        let keys: BTreeSet<_> = about
            .credentials
            .iter()
            .map(|field| field.key)
            .chain(about.settings.iter().map(|setting| setting.key))
            .collect();
        check(keys.len() == about.credentials.len() + about.settings.len(), "a key occurs twice");
        let snake = |key: &&str| {
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        };
        check(keys.iter().all(snake), "a key is not snake_case");
        let kinds: BTreeSet<_> = about.kinds.iter().map(|kind| kind.name).collect();
        check(kinds.len() == about.kinds.len(), "a kind occurs twice");
        check(
            about.sources.iter().all(|network| {
                kassir_providers::sources::contains(
                    about.sources,
                    network.split('/').next().unwrap_or("").parse().unwrap(),
                )
            }),
            "a source network can't be read",
        );
    }
    failures.finish();
}

#[test]
fn defaults_of_settings_are_valid() {
    let mut failures = Failures::of("the default of a setting is one of its values");
    for (slug, provider) in providers() {
        let about = provider.about();
        for setting in about.settings {
            let Ok(value) = serde_json::from_str::<Value>(setting.default) else {
                failures.add(slug, format!("default of {} is no JSON: {}", setting.key, setting.default));
                continue;
            };
            // Nothing, as null or as an empty text, means that the setting is not set.
            if value.is_null() || (value == "" && !matches!(setting.check, Check::Switch)) {
                continue;
            }
            let mut account = Account::default();
            account.settings.own.insert(setting.key.to_owned(), value);
            let pointer = format!("/settings/{}", setting.key);
            let found = problems(about, &account);
            failures
                .check(slug, found.iter().all(|problem| problem.pointer != pointer), || format!("{found:?}"));
        }
    }
    failures.finish();
}

#[test]
fn accounts_of_fixtures_are_valid_and_a_missing_credential_is_found() {
    let mut failures = Failures::of("problems() and validate() find what is wrong, and nothing else");
    for fixture in fixtures().iter().filter(|fixture| Fixture::is_good(fixture)) {
        let (about, account) = (fixture.provider.about(), &fixture.account);
        let mut found = problems(about, account);
        found.extend(fixture.provider.validate(account));
        failures.check(&fixture.place, found.is_empty(), || format!("its account has problems: {found:?}"));
        for field in about.credentials.iter().filter(|field| field.required) {
            let mut account = account.clone();
            account.credentials.remove(field.key);
            let pointer = format!("/credentials/{}", field.key);
            let noticed = problems(about, &account).iter().any(|problem| problem.pointer == pointer);
            failures.check(&fixture.place, noticed, || format!("nobody misses {}", field.key));
            failures.calm(&fixture.place, || fixture.provider.validate(&account));
        }
    }
    failures.finish();
}
