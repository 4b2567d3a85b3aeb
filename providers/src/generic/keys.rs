//! The account's secrets as the document says to use them.

use zeroize::Zeroizing;

use super::document::{Decode, Document, SecretRule};
use super::envelope::Failed;
use crate::digest;
use crate::outcome::RejectKind;
use crate::{Account, Secret, rsa};

/// Secrets by the names of the document.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    document: &'a Document<'a>,
    account: &'a Account,
}

impl<'a> Keys<'a> {
    pub(super) fn new(document: &'a Document<'a>, account: &'a Account) -> Keys<'a> {
        Keys { document, account }
    }

    /// Names of the secrets that may sign.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let secrets = self.document.secrets.iter();
        secrets.filter(|(_, rule)| !rule.public_key).map(|(name, _)| *name)
    }

    fn find(&self, name: &str) -> Result<(SecretRule, &'a Secret), Failed> {
        let unset = || Failed(RejectKind::WrongProof, format!("the credential {name} is not set"));
        let rule = self.document.secret(name).ok_or_else(unset)?;
        Ok((rule, self.account.secret(name).ok_or_else(unset)?))
    }

    /// The secret as bytes, decoded and derived.
    pub(super) fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let (rule, secret) = self.find(name)?;
        bytes(rule, secret)
            .map_err(|why| Failed(RejectKind::WrongProof, format!("the credential {name} {why}")))
    }

    /// The secret's text, as it was typed.
    pub(super) fn text(&self, name: &str) -> Result<&'a Secret, Failed> {
        self.find(name).map(|(_, secret)| secret)
    }

    /// RSA public keys.
    pub(super) fn public(&self, name: &str) -> Result<Vec<rsa::Key>, Failed> {
        let (_, secret) = self.find(name)?;
        rsa::read_pem(secret.expose())
            .map_err(|why| Failed(RejectKind::WrongProof, format!("the credential {name} {why}")))
    }
}

/// A secret as bytes, or what is wrong with it.
pub(super) fn bytes(rule: SecretRule, secret: &Secret) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = secret.expose();
    let plain = Zeroizing::new(match rule.decode {
        Decode::Utf8 => text.as_bytes().to_vec(),
        Decode::Hex => hex::decode(text).map_err(|_| "is not hex")?,
        Decode::Base64 => digest::from_base64_any(text).ok_or("is not base64")?,
    });
    if plain.is_empty() {
        return Err("is empty");
    }
    Ok(rule.derive.map_or_else(|| plain.clone(), |hash| Zeroizing::new(hash.digest(&plain))))
}
