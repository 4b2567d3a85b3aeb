//! An account's settings in Robokassa's terms: hash, passwords, country, hosts.

use super::about::ABOUT;
use crate::Secret;
use crate::account::Account;
use crate::digest::Hash;
use crate::money::Currency;
use crate::operation::{Failure, Fault};

/// Base URL of the refund service; the setting `api_base` replaces it.
const SERVICES: &str = "https://services.robokassa.ru";
const AUTH_KZ: &str = "https://auth.robokassa.kz";

/// Hash algorithms by the setting's words.
pub(super) const HASHES: [(&str, Hash); 6] = [
    ("md5", Hash::Md5),
    ("ripemd160", Hash::Ripemd160),
    ("sha1", Hash::Sha1),
    ("sha256", Hash::Sha256),
    ("sha384", Hash::Sha384),
    ("sha512", Hash::Sha512),
];

/// The shop's algorithm, MD5 unless it says otherwise; `None` for a word that is none.
pub(super) fn hash(account: &Account) -> Option<Hash> {
    let word = account.setting("hash").unwrap_or("md5");
    HASHES.iter().find(|(name, _)| *name == word).map(|(_, hash)| *hash)
}

/// Whether the account is Robokassa Kazakhstan's: the setting `country`, else the host of `api_base`.
pub(super) fn is_kz(account: &Account) -> bool {
    match account.setting("country") {
        Some(country) => country == "kz",
        None => host(account.settings.api_base.as_deref().unwrap_or_default()).ends_with(".kz"),
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}

/// No notification has a currency: it is the account's.
pub(super) fn currency(account: &Account) -> Currency {
    if is_kz(account) { Currency::KZT } else { Currency::RUB }
}

/// Base URL of pay page, OpStateExt, holds and recurring charges.
pub(super) fn auth(account: &Account) -> &str {
    account.base(if is_kz(account) { AUTH_KZ } else { ABOUT.api_base })
}

/// Base URL of the refund service. Kazakhstan's is not published.
pub(super) fn services(account: &Account) -> Result<&str, Failure> {
    if is_kz(account) && account.settings.api_base.is_none() {
        return Err(Failure::unsupported(
            "refund (Robokassa Kazakhstan publishes none: give the money back in the cabinet)",
        ));
    }
    Ok(account.base(SERVICES))
}

/// A password that an operation needs.
pub(super) fn password<'a>(account: &'a Account, key: &str, label: &str) -> Result<&'a Secret, Failure> {
    account.secret(key).ok_or_else(|| Failure::never(Fault::Merchant, format!("{label} ({key}) is not set")))
}

/// The hash of an outgoing request, in lower-case hex.
pub(super) fn sign(account: &Account, base: &str) -> Result<String, Failure> {
    let hash = hash(account)
        .ok_or_else(|| Failure::never(Fault::Merchant, "the setting hash names no algorithm of Robokassa"))?;
    Ok(hash.hex(base.as_bytes()))
}
