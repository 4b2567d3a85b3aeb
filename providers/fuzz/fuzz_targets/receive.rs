//! No bytes make `receive` or `answer` panic, and what is taken in holds together.
#![no_main]

use kassir_providers::{Fact, Outcome, Refusal, State};
use kassir_providers_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let Input { provider, account, request, .. } = &input;
    let answer = |outcome: &Outcome<'_>| provider.answer(request, outcome, account);
    for outcome in [
        Outcome::Accepted,
        Outcome::Busy,
        Outcome::Told(State::Succeeded),
        Outcome::Refused(Refusal::WrongAmount),
    ] {
        answer(&outcome);
    }
    match provider.receive(request, account) {
        Err(reject) => {
            assert!(!reject.reason.is_empty());
            answer(&Outcome::Rejected(&reject));
        }
        Ok(received) => {
            assert!(!received.dedupe.is_empty() && !received.facts.is_empty());
            let text = serde_json::to_string(&received.facts).expect("facts are JSON");
            let back: Vec<Fact> = serde_json::from_str(&text).expect("facts come back");
            assert_eq!(back, received.facts);
            serde_json::from_str::<serde_json::Value>(received.payload.get()).expect("the payload is JSON");
        }
    }
});
