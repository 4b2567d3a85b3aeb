//! TLS for the whole process: rustls with ring.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Makes ring the process's provider of cryptography. Must be called before anything speaks TLS; calling it again does
/// nothing.
pub fn install() {
    // An error only says that it is done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A CA, and a certificate for localhost signed by it, for a server that lives as long as this process; the CA's
/// certificate goes into a file, PEM.
///
/// # Errors
/// When the file can't be written or no certificate can be made.
pub fn for_localhost(ca_file: &Path) -> anyhow::Result<rustls::ServerConfig> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(ca_file, ca.pem())?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &ca)?;
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    Ok(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private)?)
}
