//! The outbound client against real sockets.

mod addresses;
mod again;
mod mtls;
mod proxy;
mod receivers;
mod tls;

use std::time::Duration;

use kassir::delivery::outbound::{FailureKind, OutboundConfig, OutboundRequest, Outcome};
use kassir_providers::Method;

use crate::authority::Authority;

/// Bytes of an answer that are read.
const READ_MAX: usize = 64 * 1024;

/// Settings with which this machine may be asked, by https where there is an authority.
fn config(authority: Option<&Authority>) -> OutboundConfig {
    OutboundConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        ca_file: authority.map(Authority::ca_file),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        ..OutboundConfig::default()
    }
}

/// A small request.
fn request(url: &str) -> OutboundRequest {
    OutboundRequest {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![("x-a".to_owned(), "b".to_owned())],
        body: b"{}".to_vec(),
        timeout: None,
        response_max: READ_MAX,
    }
}

/// Why there was no answer.
fn failure(outcome: &Outcome) -> (FailureKind, &str) {
    let failure = outcome.failure.as_ref().unwrap();
    (failure.kind, failure.text.as_str())
}
