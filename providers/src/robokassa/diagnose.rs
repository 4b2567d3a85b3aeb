//! Why a ResultURL's hash does not fit: the usual mistakes, tried one after the other.

use super::result::{ResultForm, Shp, base};
use super::shop::HASHES;
use crate::account::{Account, Secret};
use crate::digest::{self, Hash};

/// Longest signed text whose variants are tried, bytes: diagnosis must stay cheap for whoever sends rubbish.
const BASE_LEN_MAX: usize = 4 * 1024;

const PASSWORDS: [(&str, &str); 5] = [
    ("password1", "password #1 instead of #2 (is this SuccessURL, or are the two passwords swapped?)"),
    ("test_password1", "the test password #1 instead of #2"),
    ("password3", "password #3 instead of #2"),
    ("password2", "password #2"),
    ("test_password2", "the test password #2"),
];

/// The mistake that fits, in words.
pub(super) fn wrong(result: &ResultForm, account: &Account, hash: Hash) -> Option<String> {
    let signed =
        result.shp().into_iter().map(|shp| shp.name.len() + shp.raw_value.len().max(shp.value.len()) + 2);
    if signed.sum::<usize>() > BASE_LEN_MAX {
        return None;
    }
    let Ok(claimed) = hex::decode(&result.signature) else {
        return Some("SignatureValue is not hex".to_owned());
    };
    let fitting: Vec<Hash> =
        HASHES.iter().map(|(_, hash)| *hash).filter(|hash| length(*hash) == claimed.len()).collect();
    let passwords = || PASSWORDS.iter().filter_map(|(key, words)| Some((account.secret(key)?, *words)));
    for (password, words) in passwords() {
        for other in fitting.iter().copied().filter(|other| *other == hash) {
            if result.fits(password, other) {
                return Some(format!("matches with {words}"));
            }
        }
    }
    for (password, words) in passwords() {
        for other in fitting.iter().copied().filter(|other| *other != hash) {
            if result.fits(password, other) {
                return Some(format!(
                    "the shop signs with {}, this integration says {}; it matches with {words}",
                    other.name(),
                    hash.name()
                ));
            }
        }
    }
    for (password, words) in passwords() {
        for (base, mistake) in bases(result, account, password) {
            if fitting.iter().any(|hash| digest::same(&claimed, &hash.digest(base.as_bytes()))) {
                return Some(format!("matches {mistake}, with {words}"));
            }
        }
    }
    (!fitting.contains(&hash)).then(|| match fitting.as_slice() {
        [] => format!("SignatureValue has {} hex digits, as no algorithm of Robokassa", result.signature.len()),
        some => {
            let names: Vec<_> = some.iter().map(|hash| hash.name()).collect();
            format!(
                "SignatureValue is as long as {}, this integration says {}: set hash as in «Алгоритм расчёта хеша»",
                names.join(" or "),
                hash.name()
            )
        }
    })
}

/// Length of a digest, bytes.
const fn length(hash: Hash) -> usize {
    match hash {
        Hash::Md5 => 16,
        Hash::Ripemd160 | Hash::Sha1 => 20,
        Hash::Sha224 => 28,
        Hash::Sha256 | Hash::Sha3_256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    }
}

/// Texts that somebody may have signed instead, each with its mistake.
fn bases(result: &ResultForm, account: &Account, password: &Secret) -> Vec<(String, &'static str)> {
    let (sum, invoice, secret) = (result.out_sum.as_str(), result.invoice.as_str(), password.expose());
    let mut shp = result.shp();
    shp.sort_by_key(|shp| shp.name.to_ascii_lowercase());
    let plain = |sum: &str, secret: &str| base(sum, invoice, secret, &shp, false);
    let login = account.text("merchant_login");
    let mut bases = Vec::new();
    for (changed, mistake) in sums(sum) {
        bases.push((plain(&changed, secret), mistake));
    }
    if !shp.is_empty() {
        bases.push((
            base(sum, invoice, secret, &[], false),
            "without the Shp_ parameters, which belong to the signed text",
        ));
        bases.push((
            base(sum, invoice, secret, &changed_names(&shp, &lower(&shp)), false),
            "with the names of the Shp_ parameters in lower case: something on the way changed them",
        ));
    }
    bases.push((
        format!("{login}:{}", plain(sum, secret)),
        "with the shop's login before the sum, as a pay link has it",
    ));
    bases.push((base(invoice, sum, secret, &shp, false), "with OutSum and InvId swapped"));
    bases.push((plain(sum, secret.trim()), "without the white space around the password"));
    bases.push((plain(sum, &secret.to_lowercase()), "with the password in lower case"));
    bases.push((plain(sum, &secret.to_uppercase()), "with the password in upper case"));
    bases.push((plain(sum, "").replace("::", ":"), "without any password"));
    let reencoded: Vec<String> = shp.iter().map(|shp| crate::form::encode(shp.value)).collect();
    let spaced: Vec<String> = shp.iter().map(|shp| crate::form::encode_percent(shp.value)).collect();
    let decoded: Vec<String> = shp
        .iter()
        .map(|shp| crate::form::decode(shp.value, crate::form::Plus::Space).unwrap_or_default())
        .collect();
    for values in [&reencoded, &spaced, &decoded] {
        bases.push((
            base(sum, invoice, secret, &changed_values(&shp, values), false),
            "after re-encoding the Shp_ values: a proxy re-encoded the body",
        ));
    }
    bases
}

/// The sum as software that reads numbers writes it again.
fn sums(sum: &str) -> Vec<(String, &'static str)> {
    const TRIMMED: &str = "with the sum written in another way: something on the way reformatted OutSum";
    let (whole, decimals) = sum.split_once('.').unwrap_or((sum, ""));
    let short = decimals.trim_end_matches('0');
    let mut texts = vec![whole.to_owned(), format!("{whole}.{short}"), format!("{whole}.0")];
    texts.extend([2_usize, 6].map(|width| format!("{whole}.{short:0<width$}")));
    texts.push(format!("{whole},{decimals}"));
    texts.into_iter().filter(|text| text != sum).map(|text| (text, TRIMMED)).collect()
}

fn lower(shp: &[Shp<'_>]) -> Vec<String> {
    shp.iter().map(|shp| shp.name.to_ascii_lowercase()).collect()
}

fn changed_names<'a>(shp: &[Shp<'a>], names: &'a [String]) -> Vec<Shp<'a>> {
    shp.iter().zip(names).map(|(shp, name)| Shp { name, ..*shp }).collect()
}

fn changed_values<'a>(shp: &[Shp<'a>], values: &'a [String]) -> Vec<Shp<'a>> {
    shp.iter().zip(values).map(|(shp, value)| Shp { value, ..*shp }).collect()
}
