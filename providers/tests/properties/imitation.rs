//! `imitate` makes what `receive` reads: every kind × state × amount, back to the last minor unit.

use kassir_providers::operation::Sample;
use kassir_providers::{AmountCheck, Currency, Fact, Money, Proof, Received, State, Sum};
use serde_json::Map;

use crate::support::{Failures, Fixture, fixtures, providers};

/// Amounts in minor units: round, with one decimal, with two, large, and some that a float gets wrong.
const AMOUNTS: [i64; 6] = [1000, 1050, 149_990, 100_000_000, 1999, 435];

const STATES: [State; 4] = [State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled];

/// The currency of the fixture's own facts (an account may have one currency only), else one of the provider's.
fn currency(fixture: &Fixture) -> Currency {
    let facts = fixture.receive().map(|received| received.facts).unwrap_or_default();
    let money = facts.iter().filter_map(amount).find_map(|sum| match sum {
        Sum::Money(money) => Some(money.currency),
        Sum::InPaymentCurrency(_) => None,
    });
    let about = fixture.provider.about();
    let code =
        if about.currencies.contains(&"RUB") { "RUB" } else { about.currencies.first().unwrap_or(&"RUB") };
    money.unwrap_or_else(|| code.parse().expect("a currency"))
}

fn samples(fixture: &Fixture) -> Vec<Sample> {
    let (about, currency) = (fixture.provider.about(), currency(fixture));
    let kinds = std::iter::once(None).chain(about.kinds.iter().map(|kind| Some(kind.name.to_owned())));
    let mut all = Vec::new();
    for kind in kinds {
        for (state, refund) in
            STATES.map(|state| (state, false)).into_iter().chain([(State::Succeeded, true)])
        {
            all.extend(AMOUNTS.map(|minor| Sample {
                kind: kind.clone(),
                state,
                refund,
                amount: Money::new(minor, currency),
                reference: "1042".to_owned(),
                provider_id: None,
                description: "Заказ №1042 & «кофе»".to_owned(),
                email: Some("payer@example.com".to_owned()),
                metadata: Map::new(),
                now: 1_772_046_491_000,
            }));
        }
    }
    all
}

/// The accounts of a provider's good fixtures, each once.
fn accounts() -> Vec<&'static Fixture> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for fixture in fixtures().iter().filter(|fixture| fixture.is_good()) {
        let key =
            (fixture.slug, fixture.account_data.credentials.clone(), fixture.account_data.settings.clone());
        if !seen.contains(&key) {
            seen.push(key);
            found.push(fixture);
        }
    }
    found
}

fn amount(fact: &Fact) -> Option<&Sum> {
    match fact {
        Fact::Payment(fact) if fact.amount_check != AmountCheck::Ignore => fact.amount.as_ref(),
        Fact::Payment(_) | Fact::Note(_) => None,
        Fact::Refund(fact) => fact.amount.as_ref(),
        Fact::Question(fact) => fact.amount.as_ref(),
    }
}

fn problem(sample: &Sample, received: &Received) -> Option<String> {
    for fact in &received.facts {
        if let Some(sum) = amount(fact)
            && sum.in_currency(sample.amount.currency) != Ok(sample.amount)
        {
            return Some(format!("the amount {} came back as {sum:?}", sample.amount));
        }
        let known = fact.payment().reference.as_ref() == Some(&sample.reference)
            || fact.payment().provider_id.is_some();
        match fact {
            Fact::Payment(fact) if sample.refund => {
                return Some(format!("a refund came back as the state {:?}", fact.state));
            }
            Fact::Payment(fact) if fact.state != sample.state => {
                return Some(format!("it came back as {:?}", fact.state));
            }
            Fact::Refund(_) if !sample.refund => return Some("it came back as a refund".to_owned()),
            Fact::Payment(_) | Fact::Refund(_) if !known => {
                return Some("the payment came back without reference and id".to_owned());
            }
            _ => {}
        }
    }
    let says_state = received.facts.iter().any(|fact| matches!(fact, Fact::Payment(_) | Fact::Refund(_)));
    (sample.kind.is_none() && !says_state).then(|| format!("no payment in {:?}", received.facts))
}

#[test]
fn imitations_are_read_back_to_the_last_minor_unit() {
    let mut failures = Failures::of("imitate → receive gives the same state and amount");
    let mut made: Vec<(&str, Option<String>, State)> = Vec::new();
    for fixture in accounts() {
        let (provider, account) = (fixture.provider, &fixture.account);
        let signs = fixtures()
            .iter()
            .filter(|other| other.slug == fixture.slug && other.is_good())
            .all(|other| other.expect.proof.as_deref() == Some("signed"));
        for sample in samples(fixture) {
            let place = format!(
                "{} imitate({}, {:?}{}, {})",
                fixture.place,
                sample.kind.as_deref().unwrap_or("any kind"),
                sample.state,
                if sample.refund { ", refund" } else { "" },
                sample.amount
            );
            let Some(Ok(request)) = failures.calm(&place, || provider.imitate(&sample, account)) else {
                continue;
            };
            made.push((fixture.slug, sample.kind.clone(), sample.state));
            match provider.receive(&request, account) {
                Err(reject) => failures.add(&place, format!("it was refused: {reject:?}")),
                Ok(received) => {
                    if let Some(problem) = problem(&sample, &received) {
                        failures.add(&place, problem);
                    }
                    let signed = received.proof == Proof::Signed;
                    failures.check(&place, signed || !signs, || format!("proof {:?}", received.proof));
                }
            }
        }
    }
    // Over all accounts of a provider: some kinds need credentials that not every account has.
    for (slug, provider) in providers() {
        let made = || made.iter().filter(|(of, ..)| *of == slug);
        for kind in provider.about().kinds {
            let some = made().any(|(_, made, _)| made.as_deref() == Some(kind.name));
            failures.check(slug, some, || format!("imitate makes no {} at all", kind.name));
        }
        for state in provider.about().states {
            let some = made().any(|(_, kind, made)| kind.is_none() && made == state);
            failures.check(slug, some, || format!("imitate makes no {state:?} of any kind"));
        }
    }
    failures.finish();
}

#[test]
fn what_can_not_be_imitated_is_said_in_words() {
    let mut failures = Failures::of("imitate refuses in words");
    for fixture in accounts() {
        let samples = samples(fixture);
        let mut odd = samples.first().cloned().expect("there are samples");
        odd.kind = Some("no-such-kind".to_owned());
        let said = fixture.provider.imitate(&odd, &fixture.account);
        failures.check(&fixture.place, said.as_ref().is_err_and(|why| !why.is_empty()), || {
            "it imitated a kind that does not exist".to_owned()
        });
    }
    failures.finish();
}
