//! Names to addresses, with the forbidden ones left out: the addresses that were judged are the ones connected to.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{DnsFailure, Guard, UrlRefusal};

/// Addresses of one answer that are looked at.
pub const ANSWER_MAX: usize = 64;

/// Looks names up. Its own trait so that tests can answer as a hostile name server would.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Addresses of a name.
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.take(ANSWER_MAX).map(|address| address.ip()).collect())
    }
}

tokio::task_local! {
    /// Of the request of this task.
    pub(super) static DIALLED: Dialled;
}

/// Where a request goes.
#[derive(Default)]
pub(super) struct Dialled {
    /// The address, where there is only one that it can be.
    pub address: Cell<Option<IpAddr>>,
    /// The number under which the relay to the forward proxy tells how far it came.
    pub number: Cell<u64>,
}

/// Remembers where the request of this task goes to, for the record of an attempt that gets no answer.
pub(super) fn note_dialled(address: IpAddr) {
    // A connection that another task waits for is no news here.
    let _ = DIALLED.try_with(|dialled| dialled.address.set(Some(address.to_canonical())));
}

/// A resolver that keeps the rules.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    pub guard: Arc<Guard>,
    pub lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    /// The addresses of a name that may be used.
    pub async fn allowed(&self, name: &str) -> Result<Vec<IpAddr>, UrlRefusal> {
        let mut found = self
            .lookup
            .look_up(name)
            .await
            .map_err(|error| DnsFailure { name: name.to_owned(), why: error.to_string() })?;
        found.truncate(ANSWER_MAX);
        self.guard.pick(name, &found)
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.allowed(name.as_str()).await?;
            if let [only] = addresses.as_slice() {
                note_dialled(*only);
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}
