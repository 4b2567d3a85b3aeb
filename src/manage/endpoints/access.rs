//! How an endpoint's server lets us in: HTTP Basic authentication, a client certificate.

use kassir_providers::Secret;

use crate::delivery::outbound::{CERTIFICATE_MAX, ClientIdentity, PRIVATE_KEY_MAX};
use crate::delivery::{BASIC_AUTH, CLIENT_KEY};
use crate::domain::Endpoint;
use crate::domain::config::{BasicAuth, ClientCertificate, StoredCredential};
use crate::manage::integrations::hint;
use crate::manage::{Manager, Members, Result};
use crate::registry::endpoint_owner;

/// Longest user name and password, characters.
const BASIC_MAX: usize = 500;

/// The changes, checked; `Some(None)` takes away.
#[derive(Default)]
pub(super) struct Access {
    pub(super) basic: Option<Option<(String, Secret)>>,
    certificate: Option<Option<(String, Secret, ClientIdentity)>>,
}

/// Reads the changes. `own_authorization`: the endpoint has a custom header of that name then.
pub(super) fn read(endpoint: &Endpoint, body: &mut Members, own_authorization: bool) -> Access {
    let access = Access { basic: basic(body), certificate: certificate(body) };
    let has_basic = match &access.basic {
        None => endpoint.basic_auth.is_some(),
        Some(given) => given.is_some(),
    };
    if has_basic && own_authorization {
        let at = if access.basic.is_some() { "basic_auth" } else { "headers" };
        body.wrong(
            at,
            "an endpoint has either basic_auth or a custom header authorization: take one away with null first",
        );
    }
    access
}

fn basic(body: &mut Members) -> Option<Option<(String, Secret)>> {
    if body.cleared("basic_auth") {
        return Some(None);
    }
    body.object("basic_auth", |inner| {
        let username = inner.required_text("username", BASIC_MAX);
        let password = inner.required_text("password", BASIC_MAX);
        for (name, text, also) in [("username", &username, ":"), ("password", &password, "")] {
            let wrong = |c: char| c.is_control() || also.contains(c);
            if text.as_ref().is_some_and(|text| text.contains(wrong)) {
                inner
                    .wrong(name, "can't be sent: it holds a line feed, a tab, or (in the user name) a colon");
                return None;
            }
        }
        Some((username?, Secret::new(password?)))
    })
    .flatten()
    .map(Some)
}

fn certificate(body: &mut Members) -> Option<Option<(String, Secret, ClientIdentity)>> {
    if body.cleared("client_certificate") {
        return Some(None);
    }
    body.object("client_certificate", |inner| {
        let certificate = inner.required_text("certificate", CERTIFICATE_MAX);
        let key = inner.required_text("private_key", PRIVATE_KEY_MAX).map(Secret::new);
        let (certificate, key) = (certificate?, key?);
        match ClientIdentity::parse(&certificate, &key) {
            Ok(identity) => Some((certificate, key, identity)),
            Err(error) => {
                let at = if error.is_about_the_key() { "private_key" } else { "certificate" };
                inner.wrong(at, error.to_string());
                None
            }
        }
    })
    .flatten()
    .map(Some)
}

impl Manager {
    /// Puts the changes into the record, sealed.
    pub(super) fn put_access(&self, endpoint: &mut Endpoint, access: Access) -> Result<()> {
        if let Some(basic) = access.basic {
            endpoint.basic_auth = match basic {
                None => None,
                Some((username, password)) => {
                    let sealed =
                        self.vault.seal(&endpoint_owner(endpoint.id, BASIC_AUTH), password.expose())?;
                    let password = StoredCredential { sealed, hint: hint(&password) };
                    Some(BasicAuth { username, password })
                }
            };
        }
        if let Some(certificate) = access.certificate {
            endpoint.client_certificate = match certificate {
                None => None,
                Some((certificate, key, identity)) => {
                    let validity = identity.validity();
                    Some(ClientCertificate {
                        certificate,
                        key: self.vault.seal(&endpoint_owner(endpoint.id, CLIENT_KEY), key.expose())?,
                        fingerprint: identity.fingerprint().to_owned(),
                        not_before: validity.not_before,
                        not_after: validity.not_after,
                    })
                }
            };
        }
        Ok(())
    }
}
