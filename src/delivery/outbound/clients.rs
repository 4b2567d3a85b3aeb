//! The HTTP client's parts: one for all requests without a client certificate, and one for each certificate in use, so
//! that no connection of one endpoint's certificate ever serves another.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};

use super::client::{ANSWER_HEAD_MAX, ANSWER_HEADERS_MAX, BuildError, IDLE_FOR, IDLE_MAX, OutboundConfig};
use super::connector::Connector;
use super::identity::ClientIdentity;
use super::proxy::tunnel::Tunnels;
use super::resolver::{GuardedResolver, note_asked_in_vain};
use super::wire::Content;

/// Client certificates whose clients are kept; of more, the one that was not used for the longest time goes (and is
/// made again when it is needed).
pub const IDENTITIES_MAX: usize = 64;

/// Two clients with one certificate, or with none. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pair {
    /// Keeps connections open, and uses them again.
    pub kept: Client<Connector, Content>,
    /// Makes a connection for each request.
    pub fresh: Client<Connector, Content>,
}

/// All clients of an [`super::Outbound`].
pub(super) struct Clients {
    maker: Maker,
    plain: Pair,
    /// By certificate; the last one was used last.
    kept: Mutex<Vec<(String, Pair)>>,
}

struct Maker {
    config: OutboundConfig,
    resolver: GuardedResolver,
    trusted: Arc<RootCertStore>,
    tunnels: Option<Arc<Tunnels>>,
}

impl Clients {
    pub fn build(
        config: &OutboundConfig,
        resolver: GuardedResolver,
        tunnels: Option<Arc<Tunnels>>,
    ) -> Result<Clients, BuildError> {
        let trusted = Arc::new(trusted(config.ca_file.as_deref())?);
        let maker = Maker { config: config.clone(), resolver, trusted, tunnels };
        let plain = maker.make(None)?;
        Ok(Clients { maker, plain, kept: Mutex::default() })
    }

    /// The clients for a request with this certificate, or with none.
    pub fn get(&self, identity: Option<&ClientIdentity>) -> Result<Pair, BuildError> {
        let Some(identity) = identity else { return Ok(self.plain.clone()) };
        if let Some(pair) = self.used(identity.pool_key()) {
            return Ok(pair);
        }
        // Made outside of the lock. Two at once make two, and one of them stays.
        let made = self.maker.make(Some(identity))?;
        if let Some(pair) = self.used(identity.pool_key()) {
            return Ok(pair);
        }
        self.with(|kept| {
            if kept.len() >= IDENTITIES_MAX {
                kept.remove(0);
            }
            kept.push((identity.pool_key().to_owned(), made.clone()));
        });
        Ok(made)
    }

    /// How many certificates have a client.
    pub fn kept(&self) -> usize {
        self.with(|kept| kept.len())
    }

    fn used(&self, key: &str) -> Option<Pair> {
        self.with(|kept| {
            let at = kept.iter().position(|(found, _)| found == key)?;
            let entry = kept.remove(at);
            let pair = entry.1.clone();
            kept.push(entry);
            Some(pair)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<(String, Pair)>) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Maker {
    fn make(&self, identity: Option<&ClientIdentity>) -> Result<Pair, BuildError> {
        let tls = Arc::new(self.tls(identity)?);
        let (resolver, tunnels) = (self.resolver.clone(), self.tunnels.clone());
        let connector = Connector::new(resolver, tunnels, tls, self.config.connect_timeout);
        let kept = client(connector.clone(), IDLE_MAX);
        Ok(Pair { kept, fresh: client(connector, 0) })
    }

    fn tls(&self, identity: Option<&ClientIdentity>) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let building = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError::Client(error.to_string()))?
            .with_root_certificates(Arc::clone(&self.trusted));
        let mut tls = match identity {
            None => building.with_client_cert_resolver(Arc::new(NoCertificate)),
            Some(identity) => {
                building.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key())))
            }
        };
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(tls)
    }
}

/// The part of a client certificate where there is none: notes that one was asked for.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        note_asked_in_vain();
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// `idle`: how many connections are kept open to one host; 0 means that none is ever used again.
#[allow(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
fn client(connector: Connector, idle: usize) -> Client<Connector, Content> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_FOR)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http2_max_header_list_size(ANSWER_HEAD_MAX)
        .build(connector)
}

/// The certificates of this machine, and those of the file.
fn trusted(file: Option<&Path>) -> Result<RootCertStore, BuildError> {
    let mut trusted = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // A machine may have certificates that can't be read; nothing is trusted because of them.
    trusted.add_parsable_certificates(system.certs);
    if let Some(file) = file {
        add_from(file, &mut trusted)?;
    }
    if trusted.is_empty() {
        let why = system.errors.first().map(ToString::to_string);
        return Err(BuildError::Client(why.unwrap_or_else(|| "no CA certificate was found".to_owned())));
    }
    Ok(trusted)
}

fn add_from(file: &Path, trusted: &mut RootCertStore) -> Result<(), BuildError> {
    let wrong = |why: String| BuildError::CaFile { path: file.display().to_string(), why };
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        trusted.add(certificate).map_err(|error| wrong(error.to_string()))?;
        count = count.saturating_add(1);
    }
    if count == 0 { Err(wrong("it contains no certificate".to_owned())) } else { Ok(()) }
}
