//! The HTTP client's parts: one for all requests without a client certificate, and one for each certificate in use, so
//! that no connection of one endpoint's certificate ever serves another.

use std::sync::{Arc, Mutex, PoisonError};

use super::client::{ANSWER_HEAD_MAX, ANSWER_HEADERS_MAX, BuildError, IDLE_FOR, IDLE_MAX, OutboundConfig};
use super::identity::ClientIdentity;
use super::proxy::relay::Relay;
use super::resolver::{DIALLED, GuardedResolver};

/// Client certificates whose clients are kept; of more, the one that was not used for the longest time goes (and is
/// made again when it is needed).
pub const IDENTITIES_MAX: usize = 64;

/// All clients of an [`super::Outbound`].
pub(super) struct Clients {
    maker: Maker,
    plain: reqwest::Client,
    /// By certificate; the last one was used last.
    kept: Mutex<Vec<(String, reqwest::Client)>>,
}

struct Maker {
    config: OutboundConfig,
    resolver: GuardedResolver,
    certificates: Vec<reqwest::Certificate>,
    relay: Option<Arc<Relay>>,
}

impl Clients {
    pub fn build(
        config: &OutboundConfig,
        resolver: GuardedResolver,
        relay: Option<Arc<Relay>>,
    ) -> Result<Clients, BuildError> {
        let certificates = extra_certificates(config)?;
        let maker = Maker { config: config.clone(), resolver, certificates, relay };
        let plain = maker.make(None)?;
        Ok(Clients { maker, plain, kept: Mutex::default() })
    }

    /// The client for a request with this certificate, or with none.
    pub fn get(&self, identity: Option<&ClientIdentity>) -> Result<reqwest::Client, BuildError> {
        let Some(identity) = identity else { return Ok(self.plain.clone()) };
        if let Some(client) = self.used(identity.pool_key()) {
            return Ok(client);
        }
        // Made outside of the lock: that takes milliseconds. Two at once make two, and one of them stays.
        let made = self.maker.make(Some(identity))?;
        if let Some(client) = self.used(identity.pool_key()) {
            return Ok(client);
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

    fn used(&self, key: &str) -> Option<reqwest::Client> {
        self.with(|kept| {
            let at = kept.iter().position(|(found, _)| found == key)?;
            let entry = kept.remove(at);
            let client = entry.1.clone();
            kept.push(entry);
            Some(client)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<(String, reqwest::Client)>) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Maker {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
    fn make(&self, identity: Option<&ClientIdentity>) -> Result<reqwest::Client, BuildError> {
        let wrong = |error: reqwest::Error| BuildError::Client(format!("{error:?}"));
        let mut building = reqwest::Client::builder()
            .dns_resolver(self.resolver.clone())
            // A proxy from the environment would resolve names itself, past the rules.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.config.connect_timeout)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_FOR)
            .http1_max_headers(ANSWER_HEADERS_MAX)
            .http2_max_header_list_size(ANSWER_HEAD_MAX)
            .tls_certs_merge(self.certificates.clone());
        if let Some(identity) = identity {
            let pem = identity.pem().expose().as_bytes();
            building = building.identity(reqwest::Identity::from_pem(pem).map_err(wrong)?);
        }
        if let Some(relay) = self.relay.clone() {
            building = building.proxy(reqwest::Proxy::custom(move |target| {
                // The number of the request whose connection this is: it is made within that request's task.
                let number = DIALLED.try_with(|dialled| dialled.number.get()).unwrap_or_default();
                relay.url_for(target, number)
            }));
        }
        building.build().map_err(wrong)
    }
}

fn extra_certificates(config: &OutboundConfig) -> Result<Vec<reqwest::Certificate>, BuildError> {
    let Some(path) = &config.ca_file else { return Ok(Vec::new()) };
    let wrong = |why: String| BuildError::CaFile { path: path.display().to_string(), why };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let list = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
    if list.is_empty() { Err(wrong("it contains no certificate".to_owned())) } else { Ok(list) }
}
