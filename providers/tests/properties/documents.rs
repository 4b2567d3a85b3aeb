//! Documents of the configurable adapter, changed at random together with their requests: nothing panics, what is
//! explained is what is done, and no secret is shown. The fuzz target `documents` does the same for longer.

use kassir_providers::generic::{ExplainVerdict, Generic, explain};
use kassir_providers::{Account, Provider as _};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::noise::mutation;
use crate::support::{Fixture, fixtures};

/// Shortest secret that is looked for in what is shown, bytes: shorter ones stand in the words of a step, too.
const SECRET_LEN_MIN: usize = 8;

fn documents() -> Vec<&'static Fixture> {
    fixtures().iter().filter(|fixture| fixture.slug == "generic").collect()
}

/// Takes values of one document for values of another, place by place: what comes out is a document more often than
/// noise would be.
fn cross(into: &mut Value, from: &Value, picks: &[(Index, Index)]) {
    for (at, of) in picks {
        let (places, sources) = (places(into), places(from));
        let value = from.pointer(&sources[of.index(sources.len())]).cloned().unwrap_or_default();
        if let Some(place) = into.pointer_mut(&places[at.index(places.len())]) {
            *place = value;
        }
    }
}

/// The pointers of everything in a value.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, out: &mut Vec<String>) {
        out.push(at.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                walk(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
            }),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| walk(value, &format!("{at}/{index}"), out));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(value, "", &mut out);
    out
}

fn document_of(account: &Account) -> Value {
    account.settings.own["document"].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn crossed_documents_are_explained_as_they_are_read(
        which: Index,
        other: Index,
        picks in prop::collection::vec(any::<(Index, Index)>(), 0..4),
        body in prop::collection::vec(mutation(), 0..2),
    ) {
        let (fixture, other) = (*which.get(&documents()), *other.get(&documents()));
        let mut account = fixture.account.clone();
        let mut document = document_of(&account);
        cross(&mut document, &document_of(&other.account), &picks);
        account.settings.own.insert("document".to_owned(), document.clone());
        let mut request = fixture.request.clone();
        body.iter().for_each(|mutation| mutation.apply(&mut request.body));

        for problem in Generic.validate(&account) {
            prop_assert!(problem.pointer.starts_with('/') && !problem.detail.is_empty());
        }
        let received = Generic.receive(&request, &account);
        let told = explain(&request, &account);
        if document.is_object() && document.get("mode").is_none_or(|mode| mode == "live") {
            prop_assert_eq!(received.is_ok(), told.verdict != ExplainVerdict::Refused, "{:?}", told.steps);
        }
        let shown = serde_json::to_string(&told).unwrap();
        for secret in account.credentials.values().map(|secret| secret.expose()) {
            let public = secret.contains("PUBLIC KEY");
            prop_assert!(public || secret.len() < SECRET_LEN_MIN || !shown.contains(secret), "{}", shown);
        }
    }
}
