//! The rules of where a request may go: scheme, host, port and address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Url;
use super::address::forbidden;

/// Longest URL, bytes.
pub const URL_MAX: usize = 2_048;

/// Ports where something else than HTTP lives: those that browsers refuse
/// (<https://fetch.spec.whatwg.org/#port-blocking>), and those of common databases.
const PORTS_REFUSED: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513,
    514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433,
    1521, 1719, 1720, 1723, 2049, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672, 6000,
    6379, 6380, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 10080, 11211, 16379, 26379,
    27017, 27018, 27019,
];

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Longer than [`URL_MAX`].
    #[error("the URL is longer than {URL_MAX} bytes")]
    TooLong,
    /// It can't be read as a URL.
    #[error("this is not a URL: {0}")]
    Syntax(String),
    /// Neither https nor, where that is allowed, http.
    #[error("the URL must start with {0}")]
    Scheme(&'static str),
    /// A name or password before the host.
    #[error("the URL must not contain a user name or password")]
    UserInfo,
    /// A port where no web server is.
    #[error("port {0} is not used for HTTP")]
    Port(u16),
    /// The host is an address, or a name of the host itself, where no request may go.
    #[error("{host} is {why}; outbound.allow_networks can allow it")]
    Address {
        /// The host as it was understood.
        host: String,
        /// What it is.
        why: &'static str,
    },
    /// All addresses of the name are forbidden.
    #[error("{0}")]
    Name(#[from] ForbiddenName),
    /// The name has no address now.
    #[error("{0}")]
    Unresolved(#[from] DnsFailure),
}

/// A name whose addresses are all forbidden.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} leads to {address}, {why}; outbound.allow_networks can allow it")]
pub struct ForbiddenName {
    /// The name.
    pub name: String,
    /// One of its addresses.
    pub address: IpAddr,
    /// What that is.
    pub why: &'static str,
}

/// A name without an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {name} was not found: {why}")]
pub struct DnsFailure {
    /// The name.
    pub name: String,
    /// The resolver's words.
    pub why: String,
}

/// The rules with what is excepted from them.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Networks that may be used although they are not the public internet.
    pub allow_networks: Vec<IpNet>,
    /// Whether `http://` is fine.
    pub allow_http: bool,
}

impl Guard {
    /// Reads a URL and judges all that can be judged without asking for its host's addresses.
    ///
    /// # Errors
    /// [`UrlRefusal`] in words for the person who gave it.
    pub fn check_url(&self, text: &str) -> Result<Url, UrlRefusal> {
        if text.len() > URL_MAX {
            return Err(UrlRefusal::TooLong);
        }
        // URL readers drop or turn these around, each in its own way.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(UrlRefusal::Syntax(
                "it contains spaces, control characters or backslashes".to_owned(),
            ));
        }
        // Browsers find a host in `https:host` and `https:///host` too; nobody means it.
        if text.split_once(':').is_some_and(|(_, rest)| !rest.starts_with("//") || rest.starts_with("///")) {
            return Err(UrlRefusal::Syntax("it must be of the form https://host/path".to_owned()));
        }
        let authority = text.split(['/', '?', '#']).nth(2).unwrap_or_default();
        // Also an empty name, of which the URL's reader leaves no trace.
        if authority.contains('@') {
            return Err(UrlRefusal::UserInfo);
        }
        let mut url = Url::parse(text).map_err(|error| UrlRefusal::Syntax(error.to_string()))?;
        url.set_fragment(None);
        self.check(&url)?;
        Ok(url)
    }

    /// Judges a URL that was read already.
    ///
    /// # Errors
    /// [`UrlRefusal`].
    pub fn check(&self, url: &Url) -> Result<(), UrlRefusal> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ if self.allow_http => return Err(UrlRefusal::Scheme("https:// or http://")),
            _ => return Err(UrlRefusal::Scheme("https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefusal::UserInfo);
        }
        if let Some(port) = url.port().filter(|port| PORTS_REFUSED.contains(port)) {
            return Err(UrlRefusal::Port(port));
        }
        let host = url.host_str().unwrap_or_default();
        if let Some(address) = literal(host) {
            return self
                .check_address(address)
                .map_err(|why| UrlRefusal::Address { host: host.to_owned(), why });
        }
        if host.trim_end_matches('.').is_empty() {
            return Err(UrlRefusal::Syntax("it has no host".to_owned()));
        }
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        if is_local_name(host) && loopback.iter().all(|address| self.check_address(*address).is_err()) {
            return Err(UrlRefusal::Address { host: host.to_owned(), why: "a name of this host itself" });
        }
        Ok(())
    }

    /// Judges an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), &'static str> {
        let plain = address.to_canonical();
        match forbidden(address) {
            Some(_) if self.allow_networks.iter().any(|network| network.contains(&plain)) => Ok(()),
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// The addresses of a name that may be used. The rule for mixed answers: the good part is used, the rest is as if
    /// it were not there; a name of which nothing is left is refused.
    ///
    /// # Errors
    /// [`ForbiddenName`] when all are forbidden; [`DnsFailure`] when there are none.
    pub fn pick(&self, name: &str, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, UrlRefusal> {
        let good: Vec<IpAddr> =
            addresses.iter().copied().filter(|address| self.check_address(*address).is_ok()).collect();
        if !good.is_empty() {
            return Ok(good);
        }
        let Some(address) = addresses.first().copied() else {
            return Err(DnsFailure { name: name.to_owned(), why: "it has no address".to_owned() }.into());
        };
        let why = self.check_address(address).err().unwrap_or_default();
        Err(ForbiddenName { name: name.to_owned(), address, why }.into())
    }
}

/// The address that a host of a URL is, if it is one. The URL's reader has turned every notation (decimal, octal,
/// hexadecimal, short, with other digits) into the usual one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').parse().ok()
}

fn is_local_name(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let known = ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"];
    known.contains(&name.as_str()) || name.ends_with(".localhost")
}
