//! How long `receive` takes: one typical notification of each provider, from its fixtures (the first good one with
//! the exact answer to success, else the first good one).
//!
//! `cargo bench -p kassir-providers`; the aim is 30 µs or less.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{Fixture, fixtures, providers};

fn typical(slug: &str) -> Option<&'static Fixture> {
    let good = || fixtures().iter().filter(|fixture| fixture.slug == slug && fixture.is_good());
    good().find(|fixture| fixture.answers.accepted.is_some()).or_else(|| good().next())
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    for (slug, provider) in providers() {
        let Some(fixture) = typical(slug) else { continue };
        let name = format!("{slug} ({}, {} bytes)", fixture.stem, fixture.request.body.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| provider.receive(&fixture.request, &fixture.account));
        });
    }
    group.finish();
}

criterion_group!(benches, receive);
criterion_main!(benches);
