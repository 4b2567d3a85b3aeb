//! A certificate authority of the tests' own.

use std::io::Write as _;
use std::sync::Arc;

use kassir_providers::Secret;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A CA whose certificate lies in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Authority {
        kassir::tls::install();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Authority { issuer, file }
    }

    /// For `outbound.ca_file`.
    pub fn ca_file(&self) -> std::path::PathBuf {
        self.file.path().to_path_buf()
    }

    /// A server's side with a valid certificate for a name or address.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.signed(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// The same, but with so many certificates beside its own.
    pub fn server_with_chain(
        &self,
        name: &str,
        beside: usize,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let chain = std::iter::once(own).chain(std::iter::repeat_n(self.issuer.der().clone(), beside));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let building = ServerConfig::builder_with_protocol_versions(versions).with_no_client_auth();
        Arc::new(building.with_single_cert(chain.collect(), key).unwrap())
    }

    /// A server's side that asks for a client certificate, and goes on without one.
    pub fn asking(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let building = ServerConfig::builder_with_protocol_versions(versions);
        let building = building.with_client_cert_verifier(verifier.build().unwrap());
        Arc::new(building.with_single_cert(chain, key).unwrap())
    }

    /// The same as text: certificate and key, for servers that are no part of this process.
    pub fn server_pem(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The same, but the certificate ended years ago.
    pub fn expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.signed(params)
    }

    /// A server's side with a certificate that nobody else signed.
    pub fn self_signed(name: &str) -> Arc<ServerConfig> {
        kassir::tls::install();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        config(&params.self_signed(&key).unwrap(), &key)
    }

    /// A server's side that asks for a client certificate of this authority.
    pub fn demanding(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let building = ServerConfig::builder_with_protocol_versions(versions);
        Arc::new(building.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
    }

    /// A client certificate and its private key, PEM, valid in these years.
    pub fn client(&self, from: i32, to: i32) -> (String, Secret) {
        let mut params = CertificateParams::new(vec!["kassir.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), Secret::new(key.serialize_pem()))
    }

    fn signed(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        config(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

fn config(certificate: &Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let chain = vec![certificate.der().clone()];
    Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap())
}
