//! The two proofs and how they combine.

use super::diagnose;
use crate::digest::{from_base64, same};
use crate::outcome::{Reject, RejectKind};
use crate::{Account, Request, rsa};

/// Header of the RSA signature.
pub(super) const SIGNATURE: &str = "content-signature";

/// Longest signature, characters: a key of 8192 bits.
const SIGNATURE_LEN_MAX: usize = 2048;

/// What HTTP Basic says.
pub(super) enum Basic {
    /// The shop's id and secret key.
    Right,
    /// There is none.
    Missing,
    /// Something else; who and what is for the diagnosis only.
    Wrong(Option<(Vec<u8>, Vec<u8>)>),
}

/// Proves a notification; gives what a person should know of the proof. Where `Content-Signature` and the public key
/// are there, the signature decides, else HTTP Basic does; `require_signature` wants both.
///
/// # Errors
/// [`Reject`] with a diagnosis.
pub(super) fn prove(request: &Request, account: &Account) -> Result<Vec<String>, Reject> {
    let strict = account.switch("require_signature");
    let claimed = request.header(SIGNATURE).filter(|text| !text.trim().is_empty());
    let key = account.secret("public_key");
    match (claimed, key) {
        (Some(claimed), Some(key)) => {
            let wrong = |reason: String| Reject::new(RejectKind::WrongProof, reason);
            let key = rsa::read_bare(key.expose()).map_err(|why| {
                wrong(format!("public_key {why}")).diagnosed(Some(
                    "copy the public key from the shop's settings again: one long line that begins with MII"
                        .to_owned(),
                ))
            })?;
            let signature = decoded(claimed);
            if !signature.is_some_and(|signature| key.verifies(&request.body, &signature)) {
                return Err(wrong("Content-Signature does not fit the body and public_key".to_owned())
                    .diagnosed(diagnose::signature(claimed, &key, request, account)));
            }
            if strict { by_basic(request, account) } else { Ok(Vec::new()) }
        }
        (None, _) if strict => {
            Err(Reject::new(RejectKind::MissingProof, "Content-Signature is missing (require_signature)"))
        }
        (Some(_), None) if strict => Err(Reject::new(
            RejectKind::WrongProof,
            "public_key is not set, so Content-Signature can't be checked (require_signature)",
        )),
        (claimed, _) => {
            by_basic(request, account)?;
            Ok(vec![match claimed {
                Some(_) => "proved by HTTP Basic only: set public_key, so that Content-Signature is checked"
                    .to_owned(),
                None => "proved by HTTP Basic only: it has no Content-Signature".to_owned(),
            }])
        }
    }
}

/// The signature's bytes.
pub(super) fn decoded(claimed: &str) -> Option<Vec<u8>> {
    Some(claimed.trim()).filter(|text| text.len() <= SIGNATURE_LEN_MAX).and_then(from_base64)
}

fn by_basic(request: &Request, account: &Account) -> Result<Vec<String>, Reject> {
    match basic(request, account) {
        Basic::Right => Ok(Vec::new()),
        Basic::Missing => Err(Reject::new(
            RejectKind::MissingProof,
            "neither a Content-Signature that can be checked nor HTTP Basic is there",
        )
        .diagnosed(diagnose::missing(request))),
        Basic::Wrong(told) => {
            Err(Reject::new(RejectKind::WrongProof, "HTTP Basic is not the shop's id and secret key")
                .diagnosed(told.and_then(|(user, password)| diagnose::basic(&user, &password, account))))
        }
    }
}

/// Reads and compares HTTP Basic (RFC 7617): the user name ends at the first colon, the password may hold others.
pub(super) fn basic(request: &Request, account: &Account) -> Basic {
    let Some(header) = request.header("authorization") else { return Basic::Missing };
    let credentials = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, text)| from_base64(text.trim()));
    let Some(credentials) = credentials else { return Basic::Wrong(None) };
    let Some(colon) = credentials.iter().position(|byte| *byte == b':') else { return Basic::Wrong(None) };
    let (user, password) = credentials.split_at(colon);
    let password = password.get(1..).unwrap_or_default();
    let secret = account.secret("secret_key").map_or("", |secret| secret.expose());
    let user_fits = same(user, account.text("shop_id").as_bytes());
    let password_fits = same(password, secret.as_bytes());
    if user_fits & password_fits {
        Basic::Right
    } else {
        Basic::Wrong(Some((user.to_vec(), password.to_vec())))
    }
}
