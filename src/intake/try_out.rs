//! The dry run: what would become of a request. Stores and sends nothing.

use std::sync::Arc;

use kassir_providers::{Answer, Fact, Outcome, Proof, Reject, Request};
use serde_json::value::RawValue;

use super::{Belief, believe, verdict};
use crate::domain::apply::{self, Decision, Happened};
use crate::domain::config::Endpoint;
use crate::domain::event::Proven;
use crate::domain::fanout::{self, Making};
use crate::domain::ids::{EndpointId, EventId, IntegrationId};
use crate::domain::payment::Payment;
use crate::ledger::{self, Ledger, LedgerError};
use crate::registry::{MerchantView, Registry};
use crate::store::LookUp;

/// What would become of a request.
#[derive(Debug)]
pub struct Trial {
    /// Proved and read, or refused with the reason and the diagnosis.
    pub result: Result<Taken, Reject>,
    /// What the provider would be answered.
    pub answer: Answer,
}

/// What would become of a request that was read.
#[derive(Debug)]
pub struct Taken {
    /// How it proves itself.
    pub proof: Proof,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What it says.
    pub facts: Vec<Fact>,
    /// Its body as JSON.
    pub payload: Box<RawValue>,
    /// Whether the provider's API would be asked first; says why.
    pub asks_api: Option<String>,
    /// What would be decided, fact by fact (as if the API had confirmed it).
    pub decisions: Vec<Decision>,
    /// The bodies that endpoints would get. A payment not seen before has the number 0 in them.
    pub events: Vec<(EndpointId, String)>,
}

/// Tries a request out.
///
/// # Errors
/// The store's.
pub async fn try_out(
    ledger: &Ledger,
    view: &Arc<MerchantView>,
    id: IntegrationId,
    request: &Request,
) -> Result<Trial, LedgerError> {
    let (integration, account) = view.integration(id)?.ok_or(LedgerError::Gone)?;
    let provider = Registry::provider(integration).ok_or(LedgerError::Gone)?;
    let received = match provider.receive(request, account) {
        Ok(received) => received,
        Err(reject) => {
            let answer = provider.answer(request, &Outcome::Rejected(&reject), account);
            return Ok(Trial { result: Err(reject), answer });
        }
    };
    let (proven, asks_api) = match believe(provider, integration, &received.proof) {
        Belief::Proven(proven) => (proven, None),
        Belief::Ask(why) | Belief::No(why) => (Proven::Confirmed, Some(why)),
    };
    let rules = ledger::rules(integration, provider, ledger.clock.now());
    let mut decisions = Vec::new();
    let mut events = Vec::new();
    for fact in &received.facts {
        let reference = fact.payment();
        let ask = LookUp {
            merchant: view.config.merchant.id,
            integration: id,
            provider_ids: reference.provider_id.iter().cloned().collect(),
            numbers: apply::number_of(reference).into_iter().collect(),
        };
        let found = ledger.store.look_up(&ask).await?;
        let mut decision = apply::apply(&rules, ledger::chosen(&rules, fact, &found), fact);
        if let Some(change) = decision.change.as_mut().filter(|change| change.is_new) {
            fanout::fill_from_payload(integration, &received.payload, &mut change.payment);
        }
        if let (Some(change), Some(happened)) = (&decision.change, &decision.happened) {
            let making = Making {
                config: &view.config,
                integration,
                proven,
                notification: None,
                payload: Some(&received.payload),
                at: rules.now,
            };
            events.extend(bodies(&making, &change.payment, happened));
        }
        decisions.push(decision);
    }
    let outcome = decisions.split_last().map(|(last, earlier)| ledger::outcome(verdict(earlier, last)));
    // What waits for the API is answered at once.
    let outcome = if asks_api.is_some() { None } else { outcome };
    let answer = provider.answer(request, &outcome.unwrap_or(Outcome::Accepted), account);
    let taken = Taken {
        proof: received.proof,
        warnings: received.warnings,
        facts: received.facts,
        payload: received.payload,
        asks_api,
        decisions,
        events,
    };
    Ok(Trial { result: Ok(taken), answer })
}

fn bodies(making: &Making<'_>, payment: &Payment, happened: &Happened) -> Vec<(EndpointId, String)> {
    let event = fanout::event(making, EventId(uuid::Uuid::nil()), payment, happened);
    let wants = |endpoint: &&Endpoint| endpoint.enabled && endpoint.wants(event.state, making.integration);
    making.config.endpoints.iter().filter(wants).map(|endpoint| (endpoint.id, event.body())).collect()
}
