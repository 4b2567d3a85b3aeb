//! Names: partitions, the prefix of a partition's keys, ids and links as bytes. `docs/redis-keys.md` has the table.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::ids::{self, IntegrationId, MerchantId};
use crate::domain::job::WorkId;
use crate::store::{Result, StoreError};

/// Partitions of a store. A record's partition never changes, so this number is part of the data.
pub(super) const PARTITIONS: u8 = 16;
/// The partition of what belongs to the router and to no merchant.
pub(super) const ROUTER_PARTITION: u8 = 0;
/// Bytes of an id.
pub(super) const ID_LEN: usize = 16;
/// The longest prefix of keys.
pub const PREFIX_MAX: usize = 40;

/// FNV-1a, 64 bits: the same in every version and on every machine.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn partition(bytes: &[u8]) -> u8 {
    // The high bits are the better mixed ones.
    u8::try_from((fnv(bytes) >> 32) % u64::from(PARTITIONS)).unwrap_or(0)
}

/// Where a merchant lives.
pub(super) fn of_merchant(merchant: MerchantId) -> u8 {
    partition(merchant.0.as_bytes())
}

/// Where the index entry of an inbound token lives.
pub(super) fn of_text(text: &str) -> u8 {
    partition(text.as_bytes())
}

/// The prefix of a partition's keys.
pub(super) fn base(prefix: &str, partition: u8) -> String {
    format!("{prefix}:{{k{partition:02}}}:")
}

/// Whether a text may be the prefix of keys: it must not hold another hash tag.
pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.chars().all(fits) {
        return Err(StoreError::Unusable(format!(
            "the prefix of the Redis keys must have 1 to {PREFIX_MAX} letters, digits or -_.:/"
        )));
    }
    Ok(())
}

/// A merchant as part of a key.
pub(super) fn merchant(id: MerchantId) -> String {
    ids::encode(id.0).to_string()
}

/// The merchant whose part of a key this is.
pub(super) fn merchant_of(text: &str) -> Result<MerchantId> {
    ids::decode(text).map(MerchantId).ok_or_else(|| damaged("a merchant's id"))
}

/// 16 bytes as an id.
pub(super) fn id(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| damaged("an id"))
}

/// A queue entry's name: `d` or `j` and the id.
pub(super) fn work(work: WorkId) -> Vec<u8> {
    let (letter, id) = match work {
        WorkId::Delivery(id) => (b'd', id.0),
        WorkId::Job(id) => (b'j', id.0),
    };
    [&[letter], id.as_bytes().as_slice()].concat()
}

/// What finds a payment by its provider's id: the first 16 bytes of SHA-256 of the integration and that id.
pub(super) fn link(integration: IntegrationId, provider_id: &str) -> Vec<u8> {
    short_digest(&[integration.0.as_bytes(), provider_id.as_bytes()])
}

/// What an idempotency key is kept under.
pub(super) fn idempotency(scope: &str, key: &str) -> Vec<u8> {
    short_digest(&[scope.as_bytes(), b"\0", key.as_bytes()])
}

/// Where an idempotency key is kept.
pub(super) fn of_digest(digest: &[u8]) -> u8 {
    partition(digest)
}

fn short_digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().copied().take(ID_LEN).collect()
}

/// A record that can't be what it should be.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} in Redis is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_what_they_were_and_evenly_used() {
        assert_eq!(of_merchant(MerchantId(Uuid::from_u128(1))), of_merchant(MerchantId(Uuid::from_u128(1))));
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c, "the published vector of FNV-1a");
        let mut used = [0_u32; PARTITIONS as usize];
        for n in 0..1600_u128 {
            used[usize::from(of_merchant(MerchantId(Uuid::from_u128(n << 64 | n))))] += 1;
        }
        assert!(used.iter().all(|count| *count > 50), "{used:?}");
    }

    #[test]
    fn a_prefix_has_no_hash_tag() {
        assert_eq!(base("kassir", 3), "kassir:{k03}:");
        assert!(check_prefix("kassir").is_ok());
        for wrong in ["", "a{b}", "a b", &"a".repeat(41)] {
            assert!(check_prefix(wrong).is_err(), "{wrong}");
        }
    }
}
