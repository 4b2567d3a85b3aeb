//! LiqPay's signature: base64 of the raw digest of `private_key + data + private_key`
//! (<https://www.liqpay.ua/documentation/en/api/data_signature>).

use serde_json::{Map, Value};

use crate::account::Account;
use crate::digest::{Hash, base64, same};

/// First API version whose requests are signed with SHA3-256 (<https://github.com/liqpay/sdk-php/pull/40>).
const SHA3_SINCE: u32 = 7;
/// The version of our requests when the account does not say one: that of every official sample.
const VERSION_DEFAULT: u32 = 3;

/// The two fields that travel together.
pub(super) struct Envelope {
    /// Standard base64 of a JSON object.
    pub data: String,
    /// Standard base64 of a digest.
    pub signature: String,
}

/// The signature of `data`.
pub(super) fn signature(hash: Hash, private_key: &str, data: &str) -> String {
    base64(&hash.digest([private_key, data, private_key].concat().as_bytes()))
}

/// Which hash a signature of that length comes from.
pub(super) fn hash_of_length(signature: &str) -> Option<Hash> {
    match signature.len() {
        28 => Some(Hash::Sha1),
        44 => Some(Hash::Sha3_256),
        _ => None,
    }
}

/// Whether an envelope was signed with this key, under the hash that the signature's length tells.
pub(super) fn is_signed(envelope: &Envelope, private_key: &str) -> bool {
    hash_of_length(&envelope.signature).is_some_and(|hash| {
        let expected = signature(hash, private_key, &envelope.data);
        !private_key.is_empty() && same(expected.as_bytes(), envelope.signature.as_bytes())
    })
}

/// The API version of the account's requests.
fn version(account: &Account) -> u32 {
    account.setting("api_version").and_then(|version| version.parse().ok()).unwrap_or(VERSION_DEFAULT)
}

/// The beginning of every request: version, public key, action.
pub(super) fn request(action: &str, account: &Account) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("version".to_owned(), version(account).into());
    request.insert("public_key".to_owned(), account.text("public_key").into());
    request.insert("action".to_owned(), action.into());
    request
}

/// Wraps and signs a request or a notification.
pub(super) fn seal(object: Map<String, Value>, account: &Account) -> Envelope {
    let hash = if version(account) >= SHA3_SINCE { Hash::Sha3_256 } else { Hash::Sha1 };
    let data = base64(Value::Object(object).to_string().as_bytes());
    let key = account.secret("private_key").map_or("", |key| key.expose());
    Envelope { signature: signature(hash, key, &data), data }
}
