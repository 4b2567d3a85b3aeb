//! Source addresses: is the sender inside the networks that the provider publishes?

use std::net::IpAddr;

use ipnet::IpNet;

use crate::about::About;
use crate::account::{Account, SourceIps};
use crate::http::Request;
use crate::outcome::{Reject, RejectKind};

/// What the sender's address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Inside the provider's networks.
    Inside,
    /// Outside them, or unknown; the text is for the inbound log.
    Outside(String),
    /// The provider publishes no list, or the setting says not to look.
    Unchecked,
}

/// Looks at the sender's address as the setting `source_ips` says.
///
/// # Errors
/// [`RejectKind::ForeignSource`] when the setting is `enforce` and the address is not the provider's.
pub fn check(about: &About, request: &Request, account: &Account) -> Result<Source, Reject> {
    let default = if about.sources.is_empty() { SourceIps::Off } else { SourceIps::Log };
    let rule = account.settings.source_ips.unwrap_or(default);
    if rule == SourceIps::Off || about.sources.is_empty() {
        return Ok(Source::Unchecked);
    }
    let outside = match request.peer {
        Some(address) if contains(about.sources, address) => return Ok(Source::Inside),
        Some(address) => format!("came from {}, which is not in the networks of {}", address, about.title.en),
        None => "the sender's address is not known".to_owned(),
    };
    if rule == SourceIps::Enforce {
        return Err(Reject::new(RejectKind::ForeignSource, outside).diagnosed(Some(
            "if a proxy stands before Kassir, list it in trusted_proxies, so that the real address is seen"
                .to_owned(),
        )));
    }
    Ok(Source::Outside(outside))
}

/// Whether an address is in a list of networks (CIDR) or single addresses. An IPv4 address mapped into IPv6 counts as
/// the IPv4 address.
#[must_use]
pub fn contains(networks: &[&str], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| {
        network.parse::<IpNet>().is_ok_and(|network| network.contains(&address))
            || network.parse::<IpAddr>().is_ok_and(|single| single == address)
    })
}
