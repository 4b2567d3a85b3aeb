//! Secrets stay inside.

use crate::support::breaking::{flips, stripped};
use crate::support::fixture::{answer_text, outcomes, rejects, secrets};
use crate::support::{Failures, fixtures, vectors};

/// Broken variants of a fixture that are looked at, at the most.
const VARIANTS_MAX: usize = 64;

#[test]
fn no_secret_is_in_anything_that_is_shown() {
    let mut failures = Failures::of("no secret in refusals, warnings, payloads, answers");
    let rejects = rejects();
    for fixture in fixtures() {
        let mut requests = vec![fixture.request.clone()];
        if let Some(strip) = &fixture.strip {
            requests.extend(stripped(&fixture.request, strip));
        }
        for part in fixture.flip.iter().flat_map(|flip| &flip.parts) {
            let all = flips(&fixture.request, part).unwrap_or_default();
            let step = all.len().div_ceil(VARIANTS_MAX).max(1);
            requests.extend(all.into_iter().step_by(step).map(|(_, request)| request));
        }
        let mut texts = Vec::new();
        for request in &requests {
            texts.push(format!("{:?}", fixture.provider.receive(request, &fixture.account)));
        }
        for outcome in outcomes(&rejects) {
            texts.push(answer_text(&fixture.provider.answer(&fixture.request, &outcome, &fixture.account)));
        }
        for secret in fixture.secrets() {
            // A provider that sends the secret itself in its request is not ours to hide.
            let told = String::from_utf8_lossy(&fixture.request.body).contains(secret)
                || fixture.request.query.contains(secret);
            for text in texts.iter().filter(|text| !told && text.contains(secret)) {
                failures.add(&fixture.place, format!("shows a secret: {text}"));
            }
        }
    }
    for vector in vectors() {
        let (_, texts) = vector.run();
        for secret in secrets(vector.provider, &vector.account_data) {
            for text in texts.iter().filter(|text| text.contains(secret)) {
                failures.add(&vector.place, format!("shows a secret: {text}"));
            }
        }
    }
    failures.finish();
}
