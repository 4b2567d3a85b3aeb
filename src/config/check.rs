//! Rules that other parts of the router know, asked here too: what `serve` would not start with, or could not work
//! with, is no valid configuration.

use std::time::Duration;

use kassir_providers::Secret;

use super::{AlertsSection, Config, Span, Url};
use crate::delivery::signature::SigningKey;

/// Shortest timeout: with less nothing would ever be done in time.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Longest timeout of the store: a lease that its owner does not know of for ten seconds ends, and a claim or a commit
/// must be answered before that.
const STORE_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// Shortest retention. None at all would remove all history at the next sweep.
const RETENTION_MIN: Duration = Duration::from_secs(1);

pub(super) fn check(config: &Config) -> Result<(), String> {
    spans(config)?;
    config.alerts.operator()?;
    crate::telemetry::check(config)
}

fn spans(config: &Config) -> Result<(), String> {
    let retention = &config.retention;
    let least = [
        ("store.timeout", config.store.timeout, TIMEOUT_MIN),
        ("intake.read_timeout", config.intake.read_timeout, TIMEOUT_MIN),
        ("intake.answer_timeout", config.intake.answer_timeout, TIMEOUT_MIN),
        ("outbound.connect_timeout", config.outbound.connect_timeout, TIMEOUT_MIN),
        ("retention.notifications", retention.notifications, RETENTION_MIN),
        ("retention.refused", retention.refused, RETENTION_MIN),
        ("retention.events", retention.events, RETENTION_MIN),
        ("retention.payments", retention.payments, RETENTION_MIN),
        ("retention.tallies", retention.tallies, RETENTION_MIN),
        ("retention.idempotency", retention.idempotency, RETENTION_MIN),
    ];
    if config.store.timeout.0 > STORE_TIMEOUT_MAX {
        return Err(format!("store.timeout must be at most {STORE_TIMEOUT_MAX:?}"));
    }
    let short = |(_, span, least): &&(&str, Span, Duration)| span.0 < *least;
    least
        .iter()
        .find(short)
        .map_or(Ok(()), |(key, _, least)| Err(format!("{key} must be at least {least:?}")))
}

impl AlertsSection {
    /// Where the operator is told of endpoints, and the secret that signs it; `None` when nobody is to be told.
    ///
    /// # Errors
    /// Words when there is no secret, or it is none.
    pub fn operator(&self) -> Result<Option<(&Url, &Secret)>, String> {
        let Some(url) = &self.url else { return Ok(None) };
        let secret = self.secret.as_ref().ok_or("alerts.url needs an alerts.secret that signs")?;
        SigningKey::parse(secret.expose()).map_err(|error| format!("alerts.secret: {error}"))?;
        Ok(Some((url, secret)))
    }
}
