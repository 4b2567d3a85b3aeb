//! The sender's address behind trusted proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// The sender's address: the connection's peer; where that is a trusted proxy, the last address of
/// `X-Forwarded-For` that is no trusted proxy. What an untrusted sender writes into the header does not count.
#[must_use]
pub fn sender(peer: Option<IpAddr>, forwarded_for: &[&str], trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted =
        |address: IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut sender = peer?.to_canonical();
    let hops = forwarded_for.iter().flat_map(|line| line.split(',')).map(str::trim).collect::<Vec<_>>();
    for hop in hops.into_iter().rev() {
        if !is_trusted(sender) {
            break;
        }
        // Some proxies write a port: 1.2.3.4:5678 or [::1]:5678.
        let address =
            hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|at| at.ip()));
        match address {
            Some(address) => sender = address.to_canonical(),
            None => return None,
        }
    }
    Some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_count() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        for (peer, header, expected) in [
            ("1.2.3.4", vec!["185.71.76.1"], "1.2.3.4"),
            ("10.0.0.1", vec!["185.71.76.1"], "185.71.76.1"),
            ("10.0.0.1", vec!["6.6.6.6, 185.71.76.1, 10.0.0.2"], "185.71.76.1"),
            ("10.0.0.1", vec!["6.6.6.6", "185.71.76.1:443"], "185.71.76.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec!["::ffff:185.71.76.1"], "185.71.76.1"),
        ] {
            assert_eq!(sender(ip(peer), &header, &trusted), ip(expected), "{peer} {header:?}");
        }
        assert_eq!(sender(ip("10.0.0.1"), &["nonsense"], &trusted), None);
        assert_eq!(sender(None, &["1.1.1.1"], &trusted), None);
    }
}
