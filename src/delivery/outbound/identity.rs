//! A client certificate with its key, for servers that ask for one (mutual TLS).

use std::sync::Arc;

use kassir_providers::{Secret, digest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::validity::{Validity, validity};

/// Longest text of a certificate with its chain, bytes.
pub const CERTIFICATE_MAX: usize = 16 * 1024;
/// Longest text of a private key, bytes.
pub const PRIVATE_KEY_MAX: usize = 16 * 1024;
/// Certificates of one chain.
pub const CHAIN_MAX: usize = 8;

/// A certificate or key that can't be used. The key is never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate in the text.
    #[error("has no certificate: expected -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// Too many certificates.
    #[error("has more than {CHAIN_MAX} certificates")]
    Chain,
    /// A certificate can't be read.
    #[error("has a certificate that can't be read")]
    Certificate,
    /// No key in the text.
    #[error("has no private key without a password: expected -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// A key of a kind that is not known.
    #[error("has a kind of key that can't be used: RSA, ECDSA P-256 or P-384, or Ed25519 are needed")]
    Key,
    /// The key belongs to another certificate.
    #[error("does not belong to the first certificate")]
    Mismatch,
}

impl IdentityError {
    /// Whether the private key is what is wrong, and not the certificate.
    #[must_use]
    pub const fn is_about_the_key(&self) -> bool {
        matches!(self, IdentityError::NoKey | IdentityError::Key | IdentityError::Mismatch)
    }
}

/// A client certificate, read and checked. It has no `Debug`; cheap to clone.
#[derive(Clone)]
pub struct ClientIdentity {
    key: Arc<CertifiedKey>,
    fingerprint: String,
    pool_key: String,
    validity: Validity,
}

impl ClientIdentity {
    /// Reads a certificate (with its chain, its own first) and its private key (PKCS#8, PKCS#1 or SEC1), both PEM.
    ///
    /// # Errors
    /// [`IdentityError`] in words for the person who gave them; an end of validity in the past is none.
    pub fn parse(certificate: &str, private_key: &Secret) -> Result<ClientIdentity, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).take(CHAIN_MAX.saturating_add(1));
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|_| IdentityError::Certificate)?;
        let first = chain.first().ok_or(IdentityError::NoCertificate)?;
        if chain.len() > CHAIN_MAX {
            return Err(IdentityError::Chain);
        }
        let fingerprint = digest::Hash::Sha256.hex(first);
        let validity = validity(first).ok_or(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(private_key.expose().as_bytes())
            .map_err(|_| IdentityError::NoKey)?;
        let provider = rustls::crypto::ring::default_provider();
        let parts: Vec<&[u8]> = chain.iter().map(|one| one.as_ref()).chain([key.secret_der()]).collect();
        let pool_key = digest::Hash::Sha256.hex(&zeroize::Zeroizing::new(parts.concat()));
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
            TlsError::InvalidCertificate(_) => IdentityError::Certificate,
            _ => IdentityError::Key,
        })?;
        Ok(ClientIdentity { key: Arc::new(key), fingerprint, pool_key, validity })
    }

    /// SHA-256 of the certificate, hex: how people tell it from others.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// From when to when the certificate is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Certificates and key, for handshakes.
    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }

    /// What tells its clients from others: of the certificates and the key.
    pub(super) fn pool_key(&self) -> &str {
        &self.pool_key
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
