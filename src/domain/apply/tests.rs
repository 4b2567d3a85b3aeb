use kassir_providers::account::AmountPolicy;
use kassir_providers::fact::QuestionKind;
use kassir_providers::{Question, RefundFact};
use serde_json::json;

use super::*;

fn integration() -> Integration {
    let id = uuid::Uuid::nil();
    serde_json::from_value(json!({
        "id": crate::domain::ids::IntegrationId(id), "merchant": crate::domain::ids::MerchantId(id),
        "provider": "unitpay", "name": "", "event_provider": "unitpay", "credentials": {}, "settings": {},
        "tokens": [], "created_at": 0, "updated_at": 0,
    }))
    .unwrap()
}

fn payment(integration: &Integration, state: State, provider_id: &str, hold: bool) -> Payment {
    let fact = Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id: Some(provider_id.to_owned()), reference: Some("1042".to_owned()) },
        state,
        amount: Some(Sum::Money(Money::new(1050, kassir_providers::Currency::RUB))),
        amount_check: AmountCheck::Equal,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    });
    let rules = Rules { integration, attempts_share_reference: true, now: 1 };
    let made = apply(&rules, None, &fact).change.unwrap().payment;
    Payment { hold, ..*made }
}

fn ask(share: bool, state: State, known: &str, asked: &str, hold: bool) -> Decision {
    let integration = integration();
    let payment = payment(&integration, state, known, hold);
    let rules = Rules { integration: &integration, attempts_share_reference: share, now: 2 };
    let question = Fact::Question(Question {
        kind: QuestionKind::MayPay,
        payment: PaymentRef { provider_id: Some(asked.to_owned()), reference: Some("1042".to_owned()) },
        amount: Some(Sum::Money(Money::new(1050, kassir_providers::Currency::RUB))),
    });
    apply(&rules, Some(&payment), &question)
}

#[test]
fn a_failed_attempt_does_not_close_an_order_whose_attempts_have_ids_of_their_own() {
    let closed = Verdict::Refused(Refusal::Closed);
    assert_eq!(ask(true, State::Canceled, "1", "2", false).verdict, Verdict::Accepted);
    assert_eq!(ask(true, State::Canceled, "1", "1", false).verdict, closed);
    assert_eq!(ask(true, State::Canceled, "1", "2", true).verdict, closed);
    assert_eq!(ask(false, State::Canceled, "1", "2", false).verdict, closed);
    let paid = Verdict::Refused(Refusal::AlreadyPaid);
    assert_eq!(ask(true, State::Succeeded, "1", "2", false).verdict, paid);
}

#[test]
fn the_id_that_a_question_tells_is_kept() {
    let decision = ask(true, State::Pending, "1", "2", false);
    let change = decision.change.unwrap();
    assert_eq!(change.payment.provider_id.as_deref(), Some("2"));
    assert_eq!(change.links, ["2"]);
    assert_eq!(change.payment.state, State::Pending);
    assert!(decision.happened.is_none());
    assert!(ask(true, State::Pending, "1", "1", false).change.is_none());
    assert!(ask(false, State::Pending, "1", "2", false).change.is_none());
}

fn told(state: State, minor: i64) -> Fact {
    Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id: Some("p".to_owned()), reference: None },
        state,
        amount: Some(Sum::Money(Money::new(minor, kassir_providers::Currency::RUB))),
        amount_check: AmountCheck::Equal,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

fn decide(integration: &Integration, payment: Option<&Payment>, fact: &Fact) -> Decision {
    apply(&Rules { integration, attempts_share_reference: false, now: 7 }, payment, fact)
}

/// The table of the module's documentation, line by line: e(vent), s(ame), l(ate), m(ismatch).
#[test]
fn every_transition_is_as_the_table_says() {
    use State::{Canceled, Pending, Succeeded, WaitingForCapture};
    const TO: [State; 4] = [Pending, WaitingForCapture, Succeeded, Canceled];
    let integration = integration();
    for (from, ours, row) in [
        (Pending, false, "seee"),
        (WaitingForCapture, false, "lsee"),
        (Succeeded, false, "llsm"),
        (Canceled, false, "lles"),
        (Canceled, true, "lees"),
    ] {
        let payment = Payment { expired_by_us: ours, ..payment(&integration, from, "p", false) };
        for (to, expected) in TO.into_iter().zip(row.chars()) {
            let decision = decide(&integration, Some(&payment), &told(to, 1050));
            let found = match (decision.outcome, &decision.happened) {
                (NotificationOutcome::Accepted, Some(happened)) => {
                    assert_eq!(happened.state, EventState::from(to));
                    assert_eq!(decision.change.unwrap().payment.state, to);
                    'e'
                }
                (NotificationOutcome::Duplicate, None) => 's',
                (NotificationOutcome::Ignored, None) => 'l',
                (NotificationOutcome::Mismatch, None) => 'm',
                other => panic!("{from:?} → {to:?}: {other:?}"),
            };
            assert_eq!(found, expected, "{from:?} (ours: {ours}) → {to:?}");
            assert!(!matches!(decision.verdict, Verdict::Refused(_)), "the provider is told no");
        }
    }
}

#[test]
fn another_amount_or_currency_is_a_mismatch() {
    let integration = integration();
    let payment = payment(&integration, State::Pending, "p", false);
    for minor in [1049, 1051, 0] {
        let decision = decide(&integration, Some(&payment), &told(State::Succeeded, minor));
        assert_eq!((decision.outcome, decision.change), (NotificationOutcome::Mismatch, None), "{minor}");
    }
    let Fact::Payment(mut fact) = told(State::Succeeded, 1050) else { panic!() };
    fact.amount = Some(Sum::Money(Money::new(1050, kassir_providers::Currency::USD)));
    let decision = decide(&integration, Some(&payment), &Fact::Payment(fact));
    assert_eq!(decision.outcome, NotificationOutcome::Mismatch);
    assert!(decision.reason.contains("USD instead of RUB"), "{}", decision.reason);
}

#[test]
fn amounts_may_differ_as_the_setting_and_the_provider_say() {
    use AmountCheck::{AfterFee, AtLeast, AtMostIfHeld, Equal, Ignore};
    let mut integration = integration();
    for (policy, check, held, minor, fits) in [
        (AmountPolicy::Equal, AtLeast, false, 1051, true),
        (AmountPolicy::Equal, AtLeast, false, 1049, false),
        (AmountPolicy::Equal, AtMostIfHeld, true, 500, true),
        (AmountPolicy::Equal, AtMostIfHeld, true, 0, false),
        (AmountPolicy::Equal, AtMostIfHeld, true, 1051, false),
        (AmountPolicy::Equal, AtMostIfHeld, false, 500, false),
        (AmountPolicy::Equal, Ignore, false, 1, true),
        (AmountPolicy::Equal, AfterFee(20_000), false, 1029, true),
        (AmountPolicy::Equal, AfterFee(20_000), false, 1000, false),
        (AmountPolicy::AtLeast, Equal, false, 2000, true),
        (AmountPolicy::AtLeast, Equal, false, 1049, false),
        (AmountPolicy::Off, Equal, false, 1, true),
    ] {
        integration.settings.amount_check = policy;
        let state = if held { State::WaitingForCapture } else { State::Pending };
        let payment = payment(&integration, state, "p", held);
        let Fact::Payment(mut fact) = told(State::Succeeded, minor) else { panic!() };
        fact.amount_check = check;
        let decision = decide(&integration, Some(&payment), &Fact::Payment(fact));
        assert_eq!(decision.happened.is_some(), fits, "{policy:?} {check:?} held {held} {minor}");
    }
}

#[test]
fn refunds_add_up_and_never_exceed_what_was_paid() {
    let integration = integration();
    let mut payment = payment(&integration, State::Succeeded, "p", false);
    let refund = |id: &str, minor: Option<i64>, cumulative: bool| {
        Fact::Refund(RefundFact {
            id: id.to_owned(),
            payment: PaymentRef::default(),
            amount: minor.map(|minor| Sum::Money(Money::new(minor, kassir_providers::Currency::RUB))),
            cumulative,
            test: false,
            if_unpaid: None,
        })
    };
    let mut give = |fact: &Fact| {
        let decision = decide(&integration, Some(&payment), fact);
        if let Some(change) = &decision.change {
            payment = (*change.payment).clone();
        }
        (
            decision.outcome.word(),
            decision.happened.map(|happened| (happened.state.word(), happened.refund.unwrap().amount)),
        )
    };
    assert_eq!(give(&refund("a", Some(300), false)), ("accepted", Some(("partially_refunded", 300))));
    assert_eq!(give(&refund("a", Some(300), false)), ("duplicate", None));
    assert_eq!(give(&refund("b", Some(800), false)), ("mismatch", None));
    assert_eq!(give(&refund("c", Some(500), true)), ("accepted", Some(("partially_refunded", 200))));
    assert_eq!(give(&refund("d", Some(500), true)), ("duplicate", None));
    assert_eq!(give(&refund("e", None, false)), ("accepted", Some(("refunded", 550))));
    assert_eq!(give(&refund("f", None, false)), ("duplicate", None));
}

#[test]
fn a_refund_waits_for_its_payment() {
    let integration = integration();
    let fact = Fact::Refund(RefundFact {
        id: "r".to_owned(),
        payment: PaymentRef::default(),
        amount: None,
        cumulative: false,
        test: false,
        if_unpaid: None,
    });
    assert!(decide(&integration, None, &fact).wait);
    let pending = payment(&integration, State::Pending, "p", false);
    assert!(decide(&integration, Some(&pending), &fact).wait);
    let canceled = payment(&integration, State::Canceled, "p", false);
    assert!(decide(&integration, Some(&canceled), &fact).wait, "the next attempt may have succeeded");
}

#[test]
fn one_word_for_given_back_and_canceled_is_one_clean_result() {
    let integration = integration();
    let Fact::Payment(mut unpaid) = told(State::Canceled, 1050) else { panic!() };
    unpaid.amount_check = AmountCheck::Ignore;
    let fact = Fact::Refund(RefundFact {
        id: "r".to_owned(),
        payment: unpaid.payment.clone(),
        amount: None,
        cumulative: false,
        test: false,
        if_unpaid: Some(Box::new(unpaid)),
    });
    let came = |state: Option<State>| {
        let payment = state.map(|state| payment(&integration, state, "p", state == State::WaitingForCapture));
        let decision = decide(&integration, payment.as_ref(), &fact);
        (decision.outcome.word(), decision.wait, decision.happened.map(|happened| happened.state.word()))
    };
    assert_eq!(came(None), ("accepted", false, Some("canceled")));
    assert_eq!(came(Some(State::Pending)), ("accepted", false, Some("canceled")));
    assert_eq!(came(Some(State::WaitingForCapture)), ("accepted", false, Some("canceled")));
    assert_eq!(came(Some(State::Canceled)), ("duplicate", false, None));
    assert_eq!(came(Some(State::Succeeded)), ("accepted", false, Some("refunded")));
}

#[test]
fn a_number_finds_only_what_we_made_in_this_integration() {
    let integration = integration();
    let rules = Rules { integration: &integration, attempts_share_reference: false, now: 7 };
    let sharing = Rules { attempts_share_reference: true, ..rules };
    let fact = told(State::Succeeded, 1050);
    let found = |rules: &Rules<'_>, payment: &Payment| choose(rules, &fact, None, Some(payment)).is_some();
    let ours = |state: State, id: Option<&str>| Payment {
        origin: Origin::Api,
        provider_id: id.map(ToOwned::to_owned),
        ..payment(&integration, state, "p", false)
    };
    assert!(found(&rules, &ours(State::Pending, None)));
    assert!(found(&rules, &ours(State::Pending, Some("p"))));
    assert!(!found(&rules, &ours(State::Pending, Some("other"))));
    assert!(found(&sharing, &ours(State::Pending, Some("other"))));
    assert!(found(&sharing, &ours(State::Canceled, Some("other"))));
    assert!(!found(&sharing, &ours(State::Succeeded, Some("other"))), "paid twice is two payments");
    assert!(!found(&rules, &payment(&integration, State::Pending, "p", false)), "not made by us");
    let elsewhere = crate::domain::ids::IntegrationId(uuid::Uuid::from_u128(9));
    assert!(!found(&rules, &Payment { integration: elsewhere, ..ours(State::Pending, None) }));
}

#[test]
fn modes_keep_test_money_and_observers_without_effect() {
    let mut integration = integration();
    let Fact::Payment(mut test) = told(State::Succeeded, 1050) else { panic!() };
    test.test = true;
    let (test, real) = (Fact::Payment(test), told(State::Succeeded, 1050));
    for (mode, test_counts, real_counts) in [
        (None, true, true),
        (Some(Mode::Test), true, true),
        (Some(Mode::Live), false, true),
        (Some(Mode::Observe), false, false),
    ] {
        integration.settings.mode = mode;
        for (fact, counts) in [(&test, test_counts), (&real, real_counts)] {
            let decision = decide(&integration, None, fact);
            assert_eq!(decision.happened.is_some(), counts, "{mode:?}");
            assert_eq!(decision.verdict, Verdict::Accepted);
        }
    }
}

#[test]
fn a_price_that_was_set_anew_counts_only_after_a_hold() {
    let integration = integration();
    let rules = Rules { integration: &integration, attempts_share_reference: false, now: 2 };
    let follow = |from: State, minor: i64| {
        let payment = payment(&integration, from, "1", false);
        let fact = PaymentFact {
            payment: PaymentRef { provider_id: Some("1".to_owned()), reference: None },
            state: State::Succeeded,
            amount: Some(Sum::Money(Money::new(minor, kassir_providers::Currency::RUB))),
            amount_check: AmountCheck::AnyIfHeld,
            reason: None,
            test: false,
            method: None,
            saved_method: None,
            operation_key: None,
            expires_at: None,
        };
        apply(&rules, Some(&payment), &Fact::Payment(fact))
    };
    for minor in [1, 1049, 1050, 1051, 5000] {
        let decision = follow(State::WaitingForCapture, minor);
        assert_eq!(decision.happened.unwrap().amount.minor, minor);
        assert_eq!(decision.change.unwrap().payment.captured, Some(minor));
        let decision = follow(State::Pending, minor);
        assert_eq!(decision.happened.is_some(), minor == 1050, "{}", decision.reason);
    }
    assert!(follow(State::WaitingForCapture, 0).happened.is_none());
}
