//! The forward proxy of `outbound.proxy`.
//!
//! The address rules hold through it: a name is looked up and judged here, and the proxy is told the judged **address**
//! (`CONNECT 203.0.113.7:443`), never the name, so that it can't look up another one. TLS goes through the tunnel to
//! the server itself, with its name, and is checked as without a proxy.
//!
//! All that goes wrong before a tunnel is open is the proxy's fault, not that of where the request goes.

pub(super) mod tunnel;

use std::net::IpAddr;

use ipnet::IpNet;
use kassir_providers::{Secret, digest};

use super::Url;
use super::guard::literal;

/// Names and networks that `outbound.no_proxy` may have.
pub const NO_PROXY_MAX: usize = 200;

/// A forward proxy, and what goes past it. It has no `Debug`: the password.
#[derive(Clone)]
pub struct Proxy {
    host: String,
    port: u16,
    credentials: Option<Secret>,
    past: Vec<Past>,
}

#[derive(Clone)]
enum Past {
    Name(String),
    Network(IpNet),
}

/// A proxy that can't be used as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The URL is none.
    #[error("outbound.proxy must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")]
    Form,
    /// Another scheme.
    #[error(
        "outbound.proxy must start with http://: what goes through it is encrypted from end to end anyway"
    )]
    Scheme,
    /// An exception is neither a name nor a network.
    #[error(
        "outbound.no_proxy: {0:?} is neither a name such as shop.example.com nor a network such as 10.0.0.0/8"
    )]
    NoProxy(String),
    /// Too many exceptions.
    #[error("outbound.no_proxy has more than {NO_PROXY_MAX} entries")]
    TooMany,
}

impl Proxy {
    /// Reads `http://USER:PASSWORD@HOST:PORT` and the exceptions: names (with all names below them), addresses and
    /// networks (for URLs whose host is an address).
    ///
    /// # Errors
    /// [`ProxyError`], without the password.
    pub fn parse(url: &Secret, no_proxy: &[String]) -> Result<Proxy, ProxyError> {
        let url = Url::parse(url.expose()).map_err(|_| ProxyError::Form)?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(ProxyError::Form)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Form);
        }
        if no_proxy.len() > NO_PROXY_MAX {
            return Err(ProxyError::TooMany);
        }
        let past = no_proxy.iter().map(|entry| Past::parse(entry)).collect::<Result<_, _>>()?;
        Ok(Proxy {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(80),
            credentials: credentials(&url)?,
            past,
        })
    }

    /// Its host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match literal(&self.host) {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether requests to this host go through it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = literal(&host);
        !self.past.iter().any(|past| match (past, address) {
            (Past::Network(network), Some(address)) => network.contains(&address.to_canonical()),
            (Past::Name(name), None) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => false,
        })
    }
}

impl Past {
    fn parse(entry: &str) -> Result<Past, ProxyError> {
        let text = entry.trim().trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Past::Network(network));
        }
        if let Some(address) = literal(&text) {
            return Ok(Past::Network(address.into()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_name = !text.is_empty() && text.bytes().all(plain);
        if is_name { Ok(Past::Name(text)) } else { Err(ProxyError::NoProxy(entry.to_owned())) }
    }
}

/// The value of `Proxy-Authorization` (RFC 7617).
fn credentials(url: &Url) -> Result<Option<Secret>, ProxyError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let part = |text: &str| decoded(text).ok_or(ProxyError::Form);
    let pair = Secret::new(format!("{}:{}", part(url.username())?, part(url.password().unwrap_or(""))?));
    Ok(Some(Secret::new(format!("Basic {}", digest::base64(pair.expose().as_bytes())))))
}

/// Percent-decoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, no_proxy: &[&str]) -> Result<Proxy, ProxyError> {
        let no_proxy: Vec<String> = no_proxy.iter().map(|entry| (*entry).to_owned()).collect();
        Proxy::parse(&Secret::new(url), &no_proxy)
    }

    #[test]
    fn what_is_read() {
        for (url, place, pair) in [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("http://proxy.example", "proxy.example:80", None),
            ("http://[::1]:8080/", "[::1]:8080", None),
            ("http://ann:s%3Acret%40@10.0.0.1:1", "10.0.0.1:1", Some("ann:s:cret@")),
            ("http://ann@10.0.0.1:1", "10.0.0.1:1", Some("ann:")),
        ] {
            let proxy = parse(url, &[]).unwrap();
            assert_eq!(proxy.place(), place, "{url}");
            let expected = pair.map(|pair| format!("Basic {}", digest::base64(pair.as_bytes())));
            assert_eq!(
                proxy.credentials.as_ref().map(|secret| secret.expose().to_owned()),
                expected,
                "{url}"
            );
        }
        for (url, error) in [
            ("proxy.example:3128", ProxyError::Scheme),
            ("", ProxyError::Form),
            ("https://proxy.example", ProxyError::Scheme),
            ("socks5://proxy.example", ProxyError::Scheme),
            ("http://proxy.example/path", ProxyError::Form),
            ("http://proxy.example/?a", ProxyError::Form),
            ("http://a%0d%0a:b@proxy.example", ProxyError::Form),
            ("http://a%ff:b@proxy.example", ProxyError::Form),
        ] {
            assert_eq!(parse(url, &[]).err(), Some(error), "{url}");
        }
        assert_eq!(parse("http://p", &["a b"]).err(), Some(ProxyError::NoProxy("a b".to_owned())));
        assert_eq!(parse("http://p", &["x"; NO_PROXY_MAX + 1]).err(), Some(ProxyError::TooMany));
    }

    #[test]
    fn what_goes_past_it() {
        let proxy = parse("http://p", &["Shop.example", "*.inner.example", "10.0.0.0/8", "::1"]).unwrap();
        for (host, through) in [
            ("shop.example", false),
            ("SHOP.example.", false),
            ("a.shop.example", false),
            ("myshop.example", true),
            ("inner.example", false),
            ("10.1.2.3", false),
            ("11.1.2.3", true),
            ("[::1]", false),
            ("[2606:4700::1]", true),
            ("other.example", true),
        ] {
            assert_eq!(proxy.is_for(host), through, "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text(url in ".{0,40}", entry in ".{0,20}", host in ".{0,20}") {
            if let Ok(proxy) = parse(&format!("http://{url}"), &[&entry]) {
                let _ = proxy.is_for(&host);
            }
        }
    }
}
