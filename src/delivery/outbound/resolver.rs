//! Names to addresses, with the forbidden ones left out: the addresses that were judged are the ones connected to.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::guard::{DnsFailure, Guard, UrlRefusal};
use super::lookups::Lookups;

/// Addresses of one answer that are looked at.
pub const ANSWER_MAX: usize = 64;

/// Looks names up. Its own trait so that tests can answer as a hostile name server would.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Addresses of a name.
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Default)]
pub struct SystemLookup(Lookups);

#[async_trait]
impl Lookup for SystemLookup {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let look_up = |name: &str| {
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.take(ANSWER_MAX).map(|address| address.ip()).collect())
        };
        self.0.run(name, look_up).await
    }
}

tokio::task_local! {
    /// Of the request of this task.
    pub(super) static DIALLED: Dialled;
}

/// Where a request goes, while its connection is being made.
#[derive(Default)]
pub(super) struct Dialled {
    /// The address, where there is only one that it can be.
    pub address: Cell<Option<IpAddr>>,
    /// What the forward proxy is waited for, in words.
    waits_for: RefCell<Option<String>>,
    /// Whether the server asked for a client certificate, and there was none.
    asked_in_vain: Cell<bool>,
}

/// Remembers where the request of this task goes to, for the record of an attempt that gets no answer.
pub(super) fn note_dialled(address: IpAddr) {
    // A connection that another task waits for is no news here.
    let _ = DIALLED.try_with(|dialled| dialled.address.set(Some(address.to_canonical())));
}

/// Remembers what the request of this task waits for at the forward proxy, should that take too long.
pub(super) fn note_waiting(words: Option<String>) {
    let _ = DIALLED.try_with(|dialled| dialled.waits_for.replace(words));
}

/// What the request of this task waits for at the forward proxy, in words.
pub(super) fn waits_for() -> Option<String> {
    DIALLED.try_with(|dialled| dialled.waits_for.borrow().clone()).ok().flatten()
}

/// Remembers that the server of this task's request asked for a client certificate, and there was none.
pub(super) fn note_asked_in_vain() {
    let _ = DIALLED.try_with(|dialled| dialled.asked_in_vain.set(true));
}

/// Whether the server of this task's request asked for a client certificate, and there was none.
pub(super) fn asked_in_vain() -> bool {
    DIALLED.try_with(|dialled| dialled.asked_in_vain.get()).unwrap_or_default()
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

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = UrlRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, UrlRefusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UrlRefusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.allowed(name.as_str()).await?;
            if let [only] = addresses.as_slice() {
                note_dialled(*only);
            }
            let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}
