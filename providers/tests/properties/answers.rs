//! Answers to the provider.

use kassir_providers::{Outcome, Reject, RejectKind};

use crate::support::fixture::{
    AnswerData, REFUSALS, REJECT_KINDS, STATES, answer_text, outcomes, rejects, word,
};
use crate::support::{Failures, Fixture, fixtures};

#[test]
fn answers_are_exact_to_the_byte() {
    let mut failures = Failures::of("the answer is exact to the byte");
    for fixture in fixtures() {
        let own = fixture.receive().err();
        let wrong = Reject::new(RejectKind::WrongProof, "the signature does not fit");
        let rejected = own.as_ref().unwrap_or(&wrong);
        let answers = &fixture.answers;
        compare(&mut failures, fixture, "accepted", answers.accepted.as_ref(), &Outcome::Accepted);
        compare(&mut failures, fixture, "duplicate", answers.duplicate.as_ref(), &Outcome::Duplicate);
        compare(&mut failures, fixture, "busy", answers.busy.as_ref(), &Outcome::Busy);
        compare(&mut failures, fixture, "rejected", answers.rejected.as_ref(), &Outcome::Rejected(rejected));
        for (name, data) in &answers.rejected_as {
            match REJECT_KINDS.into_iter().find(|kind| word(kind) == *name) {
                None => failures.add(&fixture.place, format!("no reject is called {name}")),
                Some(kind) => {
                    let reject = Reject::new(kind, "a reason");
                    compare(&mut failures, fixture, name, Some(data), &Outcome::Rejected(&reject));
                }
            }
        }
        for (name, data) in &answers.refused {
            match REFUSALS.into_iter().find(|refusal| word(refusal) == *name) {
                None => failures.add(&fixture.place, format!("no refusal is called {name}")),
                Some(refusal) => {
                    compare(&mut failures, fixture, name, Some(data), &Outcome::Refused(refusal))
                }
            }
        }
        for (name, data) in &answers.told {
            match STATES.into_iter().find(|state| state.word() == name) {
                None => failures.add(&fixture.place, format!("no state is called {name}")),
                Some(state) => compare(&mut failures, fixture, name, Some(data), &Outcome::Told(state)),
            }
        }
    }
    failures.finish();
}

fn compare(
    failures: &mut Failures,
    fixture: &Fixture,
    name: &str,
    data: Option<&AnswerData>,
    outcome: &Outcome<'_>,
) {
    let Some(data) = data else { return };
    let answer = fixture.provider.answer(&fixture.request, outcome, &fixture.account);
    let place = format!("{} [{name}]", fixture.place);
    failures.equal(&place, "status", &answer.status.to_string(), &data.status.to_string());
    if let Some(content_type) = &data.content_type {
        failures.equal(&place, "content type", answer.content_type, content_type);
    }
    if let Some(body) = &data.body {
        failures.equal(&place, "body", &answer.body, body);
    }
}

#[test]
fn every_outcome_has_an_answer_and_only_good_ones_a_positive_one() {
    let mut failures = Failures::of("the answer is total; a bad outcome is never answered like a good one");
    let rejects = rejects();
    for fixture in fixtures() {
        let answer =
            |outcome: &Outcome<'_>| fixture.provider.answer(&fixture.request, outcome, &fixture.account);
        let accepted = answer(&Outcome::Accepted);
        for outcome in outcomes(&rejects) {
            let Some(got) = failures.calm(&fixture.place, || answer(&outcome)) else { continue };
            failures.check(&fixture.place, (200..600).contains(&got.status), || answer_text(&got));
            match &outcome {
                Outcome::Duplicate => {
                    let place = format!("{} duplicate", fixture.place);
                    failures.equal(place, "answer", &answer_text(&got), &answer_text(&accepted));
                }
                Outcome::Busy | Outcome::Rejected(_) if fixture.is_good() => {
                    let differs = (got.status, &got.body) != (accepted.status, &accepted.body);
                    failures.check(&fixture.place, differs, || {
                        format!("{outcome:?} is answered like success: {}", answer_text(&got))
                    });
                }
                _ => {}
            }
        }
    }
    failures.finish();
}
