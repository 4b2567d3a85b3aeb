//! No document and no request make the configurable adapter panic; what it explains is what it does, and shows no
//! secret. The seeds are those of `receive` for generic: the document is the line `!document=…` of the head.
#![no_main]

use kassir_providers::generic::{ExplainVerdict, Generic, explain};
use kassir_providers::{Mode, Outcome, Provider as _};
use kassir_providers_fuzz::Input;
use libfuzzer_sys::fuzz_target;

/// Shortest secret that is looked for in what is shown, bytes: shorter ones stand in the words of a step, too.
const SECRET_LEN_MIN: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some(Input { mut account, request, operation, reply, memo, .. }) = Input::read(data) else { return };
    let problems = Generic.validate(&account);
    assert!(problems.iter().all(|problem| problem.pointer.starts_with('/') && !problem.detail.is_empty()));
    let received = Generic.receive(&request, &account);
    let told = explain(&request, &account);
    let document = account.settings.own.get("document");
    let mode = document.and_then(|document| document.get("mode")).and_then(|mode| mode.as_str());
    if document.is_some_and(|document| document.is_object()) && mode.is_none_or(|mode| mode == "live") {
        assert_eq!(received.is_ok(), told.verdict != ExplainVerdict::Refused, "{:?}", told.steps);
    }
    let shown = serde_json::to_string(&told).expect("steps are JSON").to_ascii_lowercase();
    // What a document itself says (a literal, a name) is no secret that came from elsewhere.
    let own = document.map(ToString::to_string).unwrap_or_default().to_ascii_lowercase();
    for secret in account.credentials.values().map(|secret| secret.expose().to_ascii_lowercase()) {
        let public = secret.contains("public key") || own.contains(&secret);
        assert!(public || secret.len() < SECRET_LEN_MIN || !shown.contains(&secret), "{shown}");
    }
    match &received {
        Ok(_) => Generic.answer(&request, &Outcome::Accepted, &account),
        Err(reject) => Generic.answer(&request, &Outcome::Rejected(reject), &account),
    };
    let _ = Generic.begin(&operation, &account);
    let _ = Generic.next(&operation, &memo, &reply, &account);
    account.settings.mode = Some(Mode::Observe);
    let _ = Generic.receive(&request, &account);
});
