//! Arbitrary bytes never panic, and what is mutated at random does not count as proved.

use kassir_providers::{ALL, Method, Outcome, Provider, Reply, Request};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::breaking::Mutation;
use crate::support::fixture::{outcomes, rejects};
use crate::support::operation::one_of_each;
use crate::support::{Fixture, fixtures, vectors};

/// A change at random.
pub fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<usize>().prop_map(Mutation::Truncate),
        (any::<usize>(), any::<u8>()).prop_map(|(at, mask)| Mutation::Flip(at, mask)),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, more)| Mutation::Insert(at, more)),
        (any::<usize>(), "[\\[\\]{}\",:;&=%+.0-9eE-]{1,6}")
            .prop_map(|(at, more)| Mutation::Insert(at, more.into_bytes())),
        (any::<usize>(), 1..40_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Mutation::Replace),
    ]
}

fn answer_all(provider: &dyn Provider, request: &Request, fixture: &Fixture) {
    let rejects = rejects();
    for outcome in outcomes(&rejects) {
        provider.answer(request, &outcome, &fixture.account);
    }
    if let Err(reject) = provider.receive(request, &fixture.account) {
        provider.answer(request, &Outcome::Rejected(&reject), &fixture.account);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn mutated_notifications_never_panic(
        which: Index,
        body in prop::collection::vec(mutation(), 0..4),
        query in prop::option::of(mutation()),
        header in prop::option::of((any::<Index>(), mutation())),
        kind in prop::option::of("[a-zA-Z_./]{0,12}"),
        method in prop::option::of(prop_oneof![Just(Method::Get), Just(Method::Post)]),
    ) {
        let fixture = which.get(fixtures());
        let mut request = fixture.request.clone();
        for mutation in &body {
            mutation.apply(&mut request.body);
        }
        if let Some(mutation) = query {
            request.query = mutation.apply_text(&request.query);
        }
        if let Some((index, mutation)) = header && !request.headers.is_empty() {
            let at = index.index(request.headers.len());
            request.headers[at].1 = mutation.apply_text(&request.headers[at].1);
        }
        request.kind = kind.or(request.kind);
        request.method = method.unwrap_or(request.method);
        answer_all(fixture.provider, &request, fixture);
    }

    #[test]
    fn arbitrary_requests_never_panic(
        which: Index,
        account: Index,
        body in prop::collection::vec(any::<u8>(), 0..600),
        query in ".{0,200}",
        headers in prop::collection::vec(("[a-z-]{1,20}", ".{0,80}"), 0..6),
        received_at: i64,
    ) {
        let provider = *which.get(ALL);
        let fixture = account.get(fixtures());
        let request = Request {
            method: Method::Post, kind: None, query, headers, body, peer: None, received_at,
        };
        answer_all(provider, &request, fixture);
    }

    #[test]
    fn mutated_replies_never_panic(
        which: Index,
        status in prop_oneof![Just(200_u16), 100..600_u16],
        body in prop::collection::vec(mutation(), 0..4),
        memo in prop::option::of(mutation()),
    ) {
        let vector = which.get(vectors());
        for (text, mut reply) in vector.replies() {
            for mutation in &body {
                mutation.apply(&mut reply.body);
            }
            let text = memo.as_ref().map_or(text.clone(), |mutation| mutation.apply_text(&text));
            reply.status = status;
            let _ = vector.provider.next(&vector.operation, &text, &reply, &vector.account);
        }
    }

    #[test]
    fn arbitrary_replies_never_panic(
        which: Index,
        account: Index,
        status: u16,
        body in prop::collection::vec(any::<u8>(), 0..300),
        memo in ".{0,60}",
    ) {
        let provider = *which.get(ALL);
        let fixture = account.get(fixtures());
        let reply = Reply { status, headers: Vec::new(), body };
        for (_, operation) in one_of_each("RUB") {
            let _ = provider.begin(&operation, &fixture.account);
            let _ = provider.next(&operation, &memo, &reply, &fixture.account);
        }
    }
}
