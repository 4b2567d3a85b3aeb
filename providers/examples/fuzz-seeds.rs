//! Writes the fuzzer's seeds, one for every fixture and every reply of a vector, in the form that
//! `fuzz/src/lib.rs` reads: `cargo run -p kassir-providers --example fuzz-seeds`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::{create_dir_all, write};
use std::path::Path;

use kassir_providers::operation::Wish;
use support::fixture::AccountData;
use support::{fixtures, vectors};

fn account(data: &AccountData) -> String {
    let credentials = data.credentials.iter();
    let mut out: String =
        credentials.map(|(key, value)| format!("@{key}={}\n", value.replace('\n', "\\n"))).collect();
    let settings = serde_json::to_value(&data.settings).expect("settings are JSON");
    for (key, value) in settings.as_object().into_iter().flatten() {
        out.push_str(&format!("!{key}={value}\n"));
    }
    out
}

/// The payment that is wished for.
fn payment(wish: &Wish) -> String {
    let (target, refund) = match wish {
        Wish::Status(target) | Wish::Cancel(target) => (target, ""),
        Wish::Capture { payment, .. } | Wish::Refund { payment, .. } => (payment, ""),
        Wish::RefundStatus { payment, refund_id } => (payment, refund_id.as_str()),
        _ => return String::new(),
    };
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        ":id {}\n:key {}\n:refund {refund}\n:currency {}\n",
        known(&target.provider_id),
        known(&target.operation_key),
        target.amount.currency
    )
}

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let seed = |target: &str, place: &str, head: String, body: &[u8]| {
        let folder = corpus.join(target);
        create_dir_all(&folder).expect("the corpus can be made");
        let name = place.replace('/', "-").replace(".toml", "");
        write(folder.join(name), [head.as_bytes(), b"\n", body].concat()).expect("a seed can be written");
    };
    for fixture in fixtures() {
        let request = &fixture.request;
        let mut head = format!(":provider {}\n:method {}\n", fixture.slug, request.method.word());
        if let Some(kind) = &request.kind {
            head.push_str(&format!(":kind {kind}\n"));
        }
        if let Some(peer) = &request.peer {
            head.push_str(&format!(":peer {peer}\n"));
        }
        head.push_str(&format!(":query {}\n{}", request.query, account(&fixture.account_data)));
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\n"));
        }
        if fixture.slug == "generic" {
            seed("documents", &fixture.place, head.clone(), &request.body);
        }
        seed("receive", &fixture.place, head, &request.body);
    }
    for vector in vectors() {
        for (number, (memo, reply)) in vector.replies().into_iter().enumerate() {
            let head = format!(
                ":provider {}\n:wish {}\n{}:memo {memo}\n:status {}\n{}",
                vector.slug,
                vector.wish,
                payment(&vector.operation.wish),
                reply.status,
                account(&vector.account_data)
            );
            seed("next", &format!("{}-{number}", vector.place), head, &reply.body);
        }
    }
    println!("seeds are in {}", corpus.display());
}
