//! Calls to a provider's API that a document describes: who is asked, with which key, what its refusals mean.

use super::envelope::Failed;
use super::keys::Keys;
use super::reader::{Node, Object, Read};
use crate::operation::Retry;
use crate::{Account, Call, Failure, Fault, Reply};

/// Largest reply that is read, bytes.
const REPLY_LEN_MAX: usize = 256 * 1024;

/// How we prove ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiAuth<'a> {
    None,
    Basic(&'a str, &'a str),
    Bearer(&'a str),
    Header(&'a str, &'a str),
}

impl<'a> ApiAuth<'a> {
    /// Reads the member `auth`.
    pub(super) fn read(object: &Object<'a, '_>) -> Read<ApiAuth<'a>> {
        object.or("auth", ApiAuth::None, |node| {
            let auth = node.object(&["basic", "bearer", "header"])?;
            match (auth.get("basic"), auth.get("bearer"), auth.get("header")) {
                (Some(node), None, None) => pair(node).map(|(user, password)| ApiAuth::Basic(user, password)),
                (None, Some(node), None) => node.text().map(ApiAuth::Bearer),
                (None, None, Some(node)) => {
                    let (name, secret) = pair(node)?;
                    super::reply::header_name(name).map_err(|why| node.problem(why))?;
                    Ok(ApiAuth::Header(name, secret))
                }
                _ => Err(node.problem("must have exactly one of basic, bearer, header")),
            }
        })
    }

    /// The secrets that it needs.
    pub(super) fn secrets(self) -> Vec<&'a str> {
        match self {
            ApiAuth::None => Vec::new(),
            ApiAuth::Basic(user, password) => vec![user, password],
            ApiAuth::Bearer(secret) | ApiAuth::Header(_, secret) => vec![secret],
        }
    }

    /// Puts the proof into a call.
    pub(super) fn apply(self, call: Call, keys: Keys<'_>) -> Result<Call, Failed> {
        Ok(match self {
            ApiAuth::None => call,
            ApiAuth::Basic(user, password) => {
                call.basic(keys.text(user)?.expose(), keys.text(password)?.expose())
            }
            ApiAuth::Bearer(secret) => {
                call.header("authorization", format!("Bearer {}", keys.text(secret)?.expose()))
            }
            ApiAuth::Header(name, secret) => {
                call.header(&name.to_ascii_lowercase(), keys.text(secret)?.expose())
            }
        })
    }
}

fn pair<'a>(node: Node<'a, '_>) -> Read<(&'a str, &'a str)> {
    match node.texts()?.as_slice() {
        [first, second] => Ok((first, second)),
        _ => Err(node.problem("must be a list of two texts")),
    }
}

/// The host of an `https://` URL without credentials in it.
pub(super) fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let port_fits = authority.len() == host.len()
        || authority.get(host.len().saturating_add(1)..).is_some_and(|port| port.parse::<u16>().is_ok());
    (!host.is_empty() && host.bytes().all(allowed) && port_fits).then_some(host)
}

/// The URL with the account's `api_base` in the place of its host.
pub(super) fn at_base(url: &str, account: &Account) -> String {
    let Some(base) = account.settings.api_base.as_deref() else { return url.to_owned() };
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let path = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or("");
    format!("{}{path}", base.trim_end_matches('/'))
}

/// Something of the account that does not fit the operation.
pub(super) fn failure(Failed(_, why): Failed, fault: Fault) -> Failure {
    Failure::never(fault, why)
}

/// A reply that may be read, or what its status means.
pub(super) fn usable(reply: &Reply, lost: Retry) -> Result<&[u8], Failure> {
    let words = |why: &str| format!("{why} (status {})", reply.status);
    if reply.is_success() {
        if reply.body.len() > REPLY_LEN_MAX {
            return Err(Failure::later(format!("the reply is longer than {REPLY_LEN_MAX} bytes")));
        }
        return Ok(&reply.body);
    }
    Err(match reply.status {
        401 | 403 => Failure::never(Fault::Merchant, words("the provider's API refuses the credentials")),
        404 => Failure::never(Fault::Caller, words("the provider's API does not know it")),
        429 => Failure::later(words("the provider's API is asked too often")),
        300..=399 => Failure::never(Fault::Merchant, words("the provider's API redirects; its URL is wrong")),
        400..=499 => Failure::never(Fault::Caller, words("the provider's API refuses the request")),
        _ => Failure { retry: lost, ..Failure::later(words("the provider's API fails")) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(host("https://api.example/v1?x"), Some("api.example"));
        assert_eq!(host("https://api.example:8443/v1"), Some("api.example"));
        for url in [
            "http://api.example/",
            "https://u:p@api.example/",
            "https://",
            "https://a b/",
            "https://a:x/",
            "https://[::1]/",
        ] {
            assert_eq!(host(url), None, "{url}");
        }
    }
}
