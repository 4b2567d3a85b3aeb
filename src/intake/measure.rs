//! What operators see of a notification: its metrics and its line in the log.

use kassir_providers::RejectKind;

use crate::clock::Stopwatch;
use crate::domain::ids::{EventId, IntegrationId, NotificationId};

pub(super) fn tell(notification: NotificationId, integration: IntegrationId, event: Option<EventId>) {
    let event = event.map(tracing::field::display);
    tracing::debug!(%notification, %integration, event, "a notification was kept");
}

pub(super) fn measure(provider: &'static str, outcome: &'static str, watch: Stopwatch) {
    metrics::counter!("kassir_notifications_total", "provider" => provider, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("kassir_notification_answer_seconds", "provider" => provider).record(watch.elapsed());
}

pub(super) const fn reason_word(kind: RejectKind) -> &'static str {
    match kind {
        RejectKind::Malformed => "malformed",
        RejectKind::MissingProof => "missing_proof",
        RejectKind::WrongProof => "wrong_proof",
        RejectKind::ForeignSource => "foreign_source",
        RejectKind::WrongAccount => "wrong_account",
        RejectKind::Unsupported => "unsupported",
    }
}
