//! Notifications are read exactly as the fixtures say.

use std::collections::BTreeMap;

use kassir_providers::{Fact, Received, Reject};

use crate::support::fixture::{facts, proof_word, word};
use crate::support::{Failures, Fixture, fixtures};

#[test]
fn notifications_are_read_exactly_as_written() {
    let mut failures = Failures::of("facts, payload, proof and warnings are exactly as written");
    for fixture in fixtures().iter().filter(|fixture| fixture.is_good()) {
        match fixture.receive() {
            Err(reject) => failures.add(&fixture.place, format!("it was refused: {reject:?}")),
            Ok(received) => compare(&mut failures, fixture, &received),
        }
    }
    failures.finish();
}

fn compare(failures: &mut Failures, fixture: &Fixture, received: &Received) {
    let (place, expect) = (&fixture.place, &fixture.expect);
    failures.equal(
        place,
        "proof",
        proof_word(&received.proof),
        expect.proof.as_deref().unwrap_or("(not given)"),
    );
    match facts(expect.facts.as_deref().unwrap_or("(not given)")) {
        Err(error) => failures.add(place, error),
        Ok(wanted) => {
            let json = |facts: &[Fact]| serde_json::to_string_pretty(facts).unwrap_or_default();
            failures.equal(place, "facts", &json(&received.facts), &json(&wanted));
        }
    }
    let body = fixture.request.text().unwrap_or("").trim_start_matches('\u{feff}').trim();
    let wanted = match expect.payload.as_deref().unwrap_or("(not given)") {
        "body" => body,
        text => text,
    };
    failures.equal(place, "payload", received.payload.get(), wanted);
    if let Some(dedupe) = &expect.dedupe {
        failures.equal(place, "dedupe", &received.dedupe, dedupe);
    }
    let told = received.warnings.len() == expect.warnings.len()
        && expect.warnings.iter().all(|part| received.warnings.iter().any(|warning| warning.contains(part)));
    failures.check(place, told, || {
        format!("warnings\n    expected: {:?}\n    got:      {:?}", expect.warnings, received.warnings)
    });
}

#[test]
fn facts_survive_json() {
    let mut failures = Failures::of("facts are the same after JSON and back");
    for fixture in fixtures() {
        let Ok(received) = fixture.receive() else { continue };
        let text = serde_json::to_string(&received.facts).expect("facts are JSON");
        let back: Result<Vec<Fact>, _> = serde_json::from_str(&text);
        failures.check(&fixture.place, back.as_ref().ok() == Some(&received.facts), || format!("{back:?}"));
    }
    failures.finish();
}

#[test]
fn refusals_say_why() {
    let mut failures = Failures::of("refused with this kind, reason and diagnosis");
    for fixture in fixtures().iter().filter(|fixture| !fixture.is_good()) {
        let (place, expect) = (&fixture.place, &fixture.expect);
        match fixture.receive() {
            Ok(received) => failures.add(place, format!("it was taken in: {:?}", received.facts)),
            Err(Reject { kind, reason, diagnosis }) => {
                failures.equal(place, "reject", &word(&kind), expect.reject.as_deref().unwrap_or(""));
                let part = expect.reason.as_deref().unwrap_or("");
                failures.check(place, !reason.is_empty() && reason.contains(part), || {
                    format!("reason\n    expected: …{part}…\n    got:      {reason}")
                });
                let diagnosed = match &expect.diagnosis {
                    Some(part) => diagnosis.as_deref().is_some_and(|text| text.contains(part)),
                    None => true,
                };
                failures.check(place, diagnosed, || {
                    format!("diagnosis\n    expected: …{:?}…\n    got:      {diagnosis:?}", expect.diagnosis)
                });
            }
        }
    }
    failures.finish();
}

#[test]
fn unknown_states_are_reported_and_never_guessed() {
    let mut failures = Failures::of("an unknown state or event is a note or a refusal");
    for fixture in fixtures().iter().filter(|fixture| fixture.expect.unknown_state) {
        let Ok(received) = fixture.receive() else { continue };
        let noted = received.facts.iter().all(|fact| matches!(fact, Fact::Note(_)));
        failures
            .check(&fixture.place, noted && !received.facts.is_empty(), || format!("{:?}", received.facts));
    }
    failures.finish();
}

#[test]
fn a_redelivery_has_the_same_dedupe_key() {
    let mut failures = Failures::of("the dedupe key is the same on redelivery");
    for fixture in fixtures().iter().filter(|fixture| fixture.is_good()) {
        let mut later = fixture.request.clone();
        if !fixture.expect.dated {
            later.received_at += 86_400_000;
        }
        later.headers.push(("x-attempt".to_owned(), "2".to_owned()));
        let again = fixture.provider.receive(&later, &fixture.account);
        let (Ok(first), Ok(again)) = (fixture.receive(), again) else {
            failures.add(&fixture.place, "it was refused");
            continue;
        };
        failures.check(&fixture.place, !first.dedupe.is_empty(), || "the dedupe key is empty".to_owned());
        failures.equal(&fixture.place, "dedupe", &again.dedupe, &first.dedupe);
        failures.check(&fixture.place, again.facts == first.facts, || "other facts".to_owned());
    }
    failures.finish();
}

#[test]
fn different_notifications_have_different_dedupe_keys() {
    let mut failures = Failures::of("dedupe keys are equal exactly for fixtures that say same_as");
    let fixtures: Vec<_> = fixtures().iter().filter(|fixture| fixture.is_good()).collect();
    let groups = groups(&fixtures, &mut failures);
    let keys: Vec<_> =
        fixtures.iter().map(|fixture| fixture.receive().map(|received| received.dedupe).ok()).collect();
    for (index, fixture) in fixtures.iter().enumerate() {
        for (other_index, other) in fixtures.iter().enumerate().skip(index + 1) {
            let one_account = fixture.slug == other.slug
                && fixture.account_data.credentials == other.account_data.credentials;
            let (true, Some(key), Some(other_key)) = (one_account, &keys[index], &keys[other_index]) else {
                continue;
            };
            let same = groups[index] == groups[other_index];
            let place = format!("{} and {}", fixture.place, other.place);
            match (same, key == other_key) {
                (true, false) => failures.add(place, format!("same_as, but {key:?} and {other_key:?}")),
                (false, true) => failures.add(place, format!("both have {key:?}")),
                _ => {}
            }
        }
    }
    failures.finish();
}

/// For each fixture the number of its group of `same_as`.
fn groups(fixtures: &[&Fixture], failures: &mut Failures) -> Vec<usize> {
    let index: BTreeMap<_, _> = fixtures
        .iter()
        .enumerate()
        .map(|(index, fixture)| ((fixture.slug, fixture.stem.as_str()), index))
        .collect();
    let mut groups: Vec<usize> = (0..fixtures.len()).collect();
    for (from, fixture) in fixtures.iter().enumerate() {
        for name in &fixture.expect.same_as {
            match index.get(&(fixture.slug, name.as_str())) {
                None => failures.add(&fixture.place, format!("same_as names no good fixture: {name}")),
                Some(to) => {
                    let (old, new) = (groups[from], groups[*to]);
                    groups.iter_mut().filter(|group| **group == old).for_each(|group| *group = new);
                }
            }
        }
    }
    groups
}
