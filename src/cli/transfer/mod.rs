//! `kassir export` and `kassir import`: what is set up, as a file that round-trips.

pub(super) mod export;
pub(super) mod import;
mod passphrase;

use kassir_providers::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the file.
const VERSION: u32 = 1;
/// The member that holds it.
const VERSION_MEMBER: &str = "kassir_export";

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kassir_export: u32,
    /// How secrets are sealed; `null` when they are left out.
    secrets: Option<Sealing>,
    merchants: Vec<Value>,
}

/// How secrets are sealed under a passphrase.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealing {
    /// How the key is made of the passphrase.
    kdf: String,
    /// Rounds of it.
    iterations: u32,
    /// Salt, base64.
    salt: String,
}

/// Reads a passphrase: the first line of a file, or of standard input for `-`.
fn read_passphrase(path: &std::path::Path) -> Result<Secret, super::Failed> {
    passphrase::read(path).map_err(super::Failed::Usage)
}
