//! What is forged is refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use kassir_providers::account::SourceIps;
use kassir_providers::operation::Sample;
use kassir_providers::{Money, Proof, Provider, RejectKind, Secret, State};

use crate::support::breaking::{flips, stripped};
use crate::support::{Failures, Fixture, fixtures};

fn good() -> impl Iterator<Item = &'static Fixture> {
    fixtures().iter().filter(|fixture| fixture.is_good())
}

fn flip_all(failures: &mut Failures, fixture: &Fixture) {
    let Some(flip) = &fixture.flip else { return };
    for part in &flip.parts {
        match flips(&fixture.request, part) {
            Err(error) => failures.add(&fixture.place, error),
            Ok(all) => {
                for (what, broken) in all {
                    let result = fixture.provider.receive(&broken, &fixture.account);
                    failures.check(&fixture.place, flip.to.fits(&result), || format!("{what}: taken in"));
                }
            }
        }
    }
}

#[test]
fn any_flipped_signed_byte_is_refused() {
    let fixtures: Vec<_> = good().collect();
    let next = AtomicUsize::new(0);
    // By far the most work of the suite, so it uses every core.
    let work = || {
        let mut failures = Failures::of("any flipped signed byte is refused");
        while let Some(fixture) = fixtures.get(next.fetch_add(1, Ordering::Relaxed)) {
            flip_all(&mut failures, fixture);
        }
        failures
    };
    let mut failures = Failures::of("any flipped signed byte is refused");
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| failures.append(worker.join().expect("no panic")));
    });
    failures.finish();
}

/// A PEM key of nobody's: its private half was thrown away.
const FOREIGN_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAt5TfN61SK8kfapCFVwsO
O4JC3jz4XqmBkPxGF+ICiFr5MVy6/8xp2BfH1HO2OAm9Oalb3PNktDvyIBboga/f
su3iNjBKDwDwhU54pg+Cz9sj+yFyQPik8O8H8kVKmRItvBVtF3T3xZ0AYcs+PB4q
/AYL3AIMOTXJZrepCzeYhN7foOQmi+U8Bs1xPWT5Hk7AVTqd7rH77ORxa3ewxnK6
gCEehjuZZ6Hdx5OKL+AeFq1Id7CqILBGuRx008VzuHo9/+mJuRcHb+qfUsUHt6r5
Zj/7dXRHw450dtg1orhVoVYTWHa3cJdY6KgG8n/dHiS8NadBe3T8pS3VrJrWWADS
LQIDAQAB
-----END PUBLIC KEY-----
";

#[test]
fn a_foreign_or_empty_key_is_refused() {
    let mut failures = Failures::of("a wrong, empty or foreign key is refused");
    for fixture in good() {
        let Some(keys) = &fixture.keys else { continue };
        for key in &keys.proving {
            let Some(own) = fixture.account_data.credentials.get(key) else {
                failures.add(&fixture.place, format!("[keys] names {key}, which the account has not"));
                continue;
            };
            let foreign = match keys.foreign.get(key) {
                Some(foreign) => foreign.clone(),
                None if own.contains("-----BEGIN ") => FOREIGN_PEM.to_owned(),
                None => format!("{}-foreign", own.chars().rev().collect::<String>()),
            };
            let last = if own.ends_with('x') { "y" } else { "x" };
            let near = format!("{}{last}", &own[..own.char_indices().next_back().map_or(0, |(at, _)| at)]);
            for (what, value) in [("foreign", foreign), ("off by one", near), ("empty", String::new())] {
                let mut account = fixture.account.clone();
                account.credentials.insert(key.clone(), Secret::new(value));
                let result = fixture.provider.receive(&fixture.request, &account);
                failures.check(&fixture.place, keys.to.fits(&result), || format!("{what} {key}: taken in"));
            }
            let mut account = fixture.account.clone();
            account.credentials.remove(key);
            let result = fixture.provider.receive(&fixture.request, &account);
            failures.check(&fixture.place, keys.to.fits(&result), || format!("no {key}: taken in"));
        }
    }
    failures.finish();
}

/// Whoever knows that a key is not set could sign with nothing.
#[test]
fn nothing_is_signed_with_an_empty_key() {
    let mut failures =
        Failures::of("an account without its keys believes nothing that is signed with nothing");
    for fixture in good() {
        let Some(keys) = &fixture.keys else { continue };
        let mut account = fixture.account.clone();
        // All of them: an adapter may fall back on another one.
        let fields = fixture.provider.about().credentials;
        let public = |key: &str| fields.iter().any(|field| field.key == key && !field.secret);
        for (key, secret) in &mut account.credentials {
            if !public(key) || keys.proving.contains(key) {
                *secret = Secret::new("");
            }
        }
        for state in [State::Succeeded, State::WaitingForCapture] {
            let sample = sample(fixture.provider, state);
            let Some(Ok(request)) =
                failures.calm(&fixture.place, || fixture.provider.imitate(&sample, &account))
            else {
                continue;
            };
            let received = fixture.provider.receive(&request, &account);
            let signed = received.is_ok_and(|received| received.proof == Proof::Signed);
            failures.check(&fixture.place, !signed, || format!("{state:?}, signed with nothing: taken in"));
        }
    }
    failures.finish();
}

fn sample(provider: &dyn Provider, state: State) -> Sample {
    let currencies = provider.about().currencies;
    let code = if currencies.contains(&"RUB") { "RUB" } else { currencies.first().unwrap_or(&"RUB") };
    Sample {
        kind: None,
        state,
        refund: false,
        amount: Money::new(149_990, code.parse().expect("a currency")),
        reference: "1042".to_owned(),
        provider_id: None,
        description: "Order 1042".to_owned(),
        email: Some("payer@example.com".to_owned()),
        metadata: serde_json::Map::new(),
        now: 1_772_046_491_000,
    }
}

#[test]
fn a_missing_proof_is_refused() {
    let mut failures = Failures::of("a notification without its proof is refused");
    for fixture in good() {
        let Some(strip) = &fixture.strip else { continue };
        match stripped(&fixture.request, strip) {
            Err(error) => failures.add(&fixture.place, error),
            Ok(bare) => {
                let result = fixture.provider.receive(&bare, &fixture.account);
                failures.check(&fixture.place, strip.to.fits(&result), || "it was taken in".to_owned());
            }
        }
    }
    failures.finish();
}

#[test]
fn foreign_addresses_are_refused_when_that_is_enforced() {
    let mut failures = Failures::of("source_ips = enforce refuses a foreign address");
    for fixture in good() {
        if fixture.provider.about().sources.is_empty() {
            continue;
        }
        let (mut account, mut request) = (fixture.account.clone(), fixture.request.clone());
        account.settings.source_ips = Some(SourceIps::Enforce);
        for peer in [None, Some("203.0.113.7".parse().unwrap()), Some("2001:db8::7".parse().unwrap())] {
            request.peer = peer;
            let kind = fixture.provider.receive(&request, &account).map_err(|reject| reject.kind).err();
            failures.check(&fixture.place, kind == Some(RejectKind::ForeignSource), || {
                format!("from {peer:?}: {kind:?}")
            });
        }
    }
    failures.finish();
}
