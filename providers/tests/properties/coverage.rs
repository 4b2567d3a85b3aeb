//! Are there enough fixtures for the other properties to mean something?

use kassir_providers::by_slug;

use crate::support::{Failures, fixtures, folders, providers, vectors};

#[test]
fn every_provider_has_fixtures_and_every_folder_a_provider() {
    let mut failures = Failures::of("every provider has fixtures");
    let fixtures = fixtures();
    for (slug, provider) in providers() {
        let own: Vec<_> = fixtures.iter().filter(|fixture| fixture.slug == slug).collect();
        failures.check(slug, own.iter().any(|fixture| fixture.is_good()), || {
            "no fixture of a good notification".to_owned()
        });
        failures.check(slug, own.iter().any(|fixture| !fixture.is_good()), || {
            "no fixture of a refused notification".to_owned()
        });
        let unknown = own.iter().any(|fixture| fixture.expect.unknown_state);
        failures.check(slug, unknown || provider.about().states.len() < 2, || {
            "no fixture with an unknown state or event ([expect] unknown_state = true)".to_owned()
        });
        let signed = || {
            own.iter().filter(|fixture| fixture.expect.proof.as_deref() == Some("signed")).collect::<Vec<_>>()
        };
        let complete = |fixture: &&&&crate::support::Fixture| {
            fixture.flip.is_some() && fixture.keys.is_some() && fixture.strip.is_some()
        };
        failures.check(
            slug,
            signed().is_empty() || signed().iter().any(|fixture| complete(&fixture)),
            || "no signed fixture with all of [flip], [keys] and [strip]".to_owned(),
        );
        failures.check(slug, own.iter().any(|fixture| fixture.answers.accepted.is_some()), || {
            "no fixture with the exact answer [answers.accepted]".to_owned()
        });
    }
    for (slug, _) in folders() {
        failures.check(&slug, by_slug(&slug).is_some(), || "a folder without a provider in ALL".to_owned());
    }
    for fixture in fixtures {
        failures.check(&fixture.place, !fixture.source.is_empty(), || "no source".to_owned());
    }
    failures.finish();
}

#[test]
fn every_capability_has_a_vector() {
    let mut failures = Failures::of("every capability has a vector that ends well");
    let vectors = vectors();
    for (slug, provider) in providers() {
        let can = provider.about().capabilities;
        let needed = [
            ("create", can.create),
            ("status", can.status),
            ("capture", can.capture),
            ("cancel", can.cancel),
            ("refund", can.refund),
            ("charge", can.charge),
            ("cancel_subscription", can.cancel_subscription),
        ];
        for (wish, declared) in needed {
            let has =
                vectors.iter().any(|vector| vector.slug == slug && vector.wish == wish && vector.ends_well());
            failures.check(slug, has || !declared, || format!("no operations/*.toml with wish {wish:?}"));
        }
    }
    failures.finish();
}
