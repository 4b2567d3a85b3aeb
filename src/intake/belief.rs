//! Whether a notification is believed: by its own proof, by the provider's API, or not at all.

use kassir_providers::account::Confirm;
use kassir_providers::{Proof, Provider};

use crate::domain::config::Integration;
use crate::domain::event::Proven;

/// How far a proof goes with an integration's settings.
pub(super) enum Belief {
    /// It takes effect.
    Proven(Proven),
    /// The provider's API must be asked first; says why.
    Ask(String),
    /// It has no effect, and nobody is asked; says why.
    No(String),
}

/// How far a proof goes.
pub(super) fn believe(provider: &dyn Provider, integration: &Integration, proof: &Proof) -> Belief {
    let can_ask = provider.about().capabilities.status;
    match (integration.settings.confirm, proof) {
        (Confirm::Always, _) if can_ask => Belief::Ask("confirmed by setting (confirm: always)".to_owned()),
        (_, Proof::Signed) => Belief::Proven(Proven::Signed),
        (Confirm::Never, Proof::Sourced) => Belief::Proven(Proven::Sourced),
        (Confirm::Never, Proof::Unproven(why)) => {
            Belief::No(format!("{why}; nobody is asked, by setting (confirm: never)"))
        }
        (_, Proof::Sourced) if can_ask => Belief::Ask("its network alone does not prove it".to_owned()),
        (_, Proof::Sourced) => Belief::Proven(Proven::Sourced),
        (_, Proof::Unproven(why)) if can_ask => Belief::Ask(why.clone()),
        (_, Proof::Unproven(why)) => Belief::No(format!("{why}; this provider's API can't be asked")),
    }
}

/// The word of the inbound log.
pub(super) const fn proof_word(proof: &Proof, proven: Proven) -> &'static str {
    match proof {
        Proof::Unproven(_) => "unproven",
        Proof::Signed | Proof::Sourced => proven.word(),
    }
}
