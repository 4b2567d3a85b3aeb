//! The only HTTP client of the router: for subscribers and for providers' APIs.
//!
//! A merchant chooses where we connect to, and whoever owns that place chooses what we read. So: `https` only, no
//! redirects, no proxy from the environment, no forbidden address (judged as it is connected to, not before), one
//! deadline over connecting, head and body, a bounded read, and nothing inflated.

pub mod address;
mod client;
mod clients;
mod connector;
mod excerpt;
mod failure;
mod guard;
mod identity;
mod lookups;
mod proxy;
mod resolver;
mod validity;
mod wire;

pub use client::{BuildError, Outbound, OutboundConfig, OutboundRequest, Outcome};
pub use clients::IDENTITIES_MAX;
pub use excerpt::harmless;
pub use failure::{Failure, FailureKind};
pub use guard::{DnsFailure, ForbiddenName, Guard, URL_MAX, UrlRefusal};
pub use identity::{CERTIFICATE_MAX, ClientIdentity, IdentityError, PRIVATE_KEY_MAX};
pub use proxy::{Proxy, ProxyError};
pub use resolver::{Lookup, SystemLookup};
pub use url::Url;
pub use validity::Validity;
