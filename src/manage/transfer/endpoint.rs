//! An endpoint of a document: what would be written.

use kassir_providers::Secret;
use serde_json::{Map, Value};

use super::import::{Made, Planned, required_id};
use super::slot::{Pair, Timed, change, changes, timed};
use crate::delivery::signature::SigningKey;
use crate::delivery::{BASIC_AUTH, CLIENT_KEY};
use crate::domain::config::{MerchantConfig, SigningSecret};
use crate::domain::ids::EndpointId;
use crate::domain::{Endpoint, Sealed};
use crate::limits;
use crate::manage::endpoints::blank;
use crate::manage::whereto::Secrets;
use crate::manage::{InputError, ManageError, Manager, Members, Result};
use crate::registry::endpoint_owner;

/// Longest reason, characters.
const REASON_MAX: usize = 1_000;

impl Manager {
    /// Checks an endpoint of a document against what will be set up; pointers are relative to it.
    pub(super) async fn plan_endpoint(
        &self,
        config: &MerchantConfig,
        mut map: Map<String, Value>,
    ) -> Result<Planned<Endpoint>> {
        let id = map.get("id").and_then(|id| id.as_str()?.parse::<EndpointId>().ok());
        let present = id.and_then(|id| config.endpoint(id));
        let mut there: Vec<(String, Secret)> = Vec::new();
        for (name, sealed) in present.iter().flat_map(|present| &present.headers) {
            let owner = endpoint_owner(id.unwrap_or(EndpointId(uuid::Uuid::nil())), name);
            there.push((name.clone(), self.vault.open(&owner, sealed)?));
        }
        let mut errors = changes(&mut map, "headers", &there);
        let (basic, certificate) = self.pairs(present)?;
        errors.extend(change(&mut map, "basic_auth", "password", basic.as_ref()));
        errors.extend(change(&mut map, "client_certificate", "private_key", certificate.as_ref()));
        let mut body = Members::of(map, String::new());
        errors.into_iter().for_each(|error| body.error(error));

        let now = self.clock.now();
        let id = required_id::<EndpointId>(&mut body);
        let created_at = body.time("created_at");
        let reason = body.text("disabled_reason", REASON_MAX);
        let given = timed(&mut body, ("secrets", "secret"), limits::SIGNING_SECRETS_MAX * 2, now);
        let id = id.unwrap_or(EndpointId(uuid::Uuid::nil()));
        let (secrets, fresh) = self.signing_secrets(id, present, given, &mut body)?;
        let blank = blank(id, config.merchant.id, secrets, now);
        let mut endpoint = match present {
            None => blank,
            // What a document does not carry stays as it is.
            Some(present) => Endpoint {
                url: present.url.clone(),
                headers: present.headers.clone(),
                basic_auth: present.basic_auth.clone(),
                client_certificate: present.client_certificate.clone(),
                ..blank
            },
        };
        endpoint.created_at = created_at.or(present.map(|present| present.created_at)).unwrap_or(now);
        self.apply_endpoint(config, &mut endpoint, body, Secrets::Follow).await?;
        endpoint.disabled_reason = reason.filter(|_| !endpoint.enabled);
        let before = present.map(|present| super::export::endpoint(present, true, now));
        let after = super::export::endpoint(&endpoint, true, now);
        let made = fresh.map(|secret| Made::Secret(secret.expose().to_owned()));
        Ok(Planned::of("endpoint", id, endpoint.url.clone(), (before, after), made, endpoint))
    }

    /// User name with password, and client certificate with private key, as they are there.
    fn pairs(&self, present: Option<&Endpoint>) -> Result<(Option<Pair>, Option<Pair>)> {
        let Some(present) = present else { return Ok((None, None)) };
        let open = |what: &str, sealed: &Sealed| self.vault.open(&endpoint_owner(present.id, what), sealed);
        let basic = match &present.basic_auth {
            None => None,
            Some(basic) => {
                let secret = open(BASIC_AUTH, &basic.password.sealed)?;
                Some(Pair { text: ("username", basic.username.clone()), secret })
            }
        };
        let certificate = match &present.client_certificate {
            None => None,
            Some(stored) => {
                let secret = open(CLIENT_KEY, &stored.key)?;
                Some(Pair { text: ("certificate", stored.certificate.clone()), secret })
            }
        };
        Ok((basic, certificate))
    }

    /// The signing secrets, and the current one if it was made just now.
    fn signing_secrets(
        &self,
        id: EndpointId,
        present: Option<&Endpoint>,
        given: Option<Vec<Timed>>,
        body: &mut Members,
    ) -> Result<(Vec<SigningSecret>, Option<Secret>)> {
        let there = present.map_or(&[][..], |present| &present.secrets);
        let owner = endpoint_owner(id, "secret");
        let Some(given) = given else {
            if !there.is_empty() {
                return Ok((there.to_vec(), None));
            }
            let (secret, stored) = self.fresh_secret(id)?;
            return Ok((vec![stored], Some(secret)));
        };
        let opened: std::result::Result<Vec<_>, _> =
            there.iter().map(|secret| Ok((self.vault.open(&owner, &secret.sealed)?, secret))).collect();
        let opened = opened.map_err(|error: crate::secrets::SecretError| ManageError::from(error))?;
        let mut secrets: Vec<SigningSecret> = Vec::with_capacity(given.len());
        for one in given {
            let public = match SigningKey::parse(one.text.expose()) {
                Ok(key) => key.public().map(|public| public.text()),
                Err(error) => {
                    body.error(InputError::at(one.at, error.to_string()));
                    continue;
                }
            };
            let kept = opened.iter().find(|(secret, _)| secret.same(one.text.expose()));
            let (sealed, created_at) = match kept {
                Some((_, kept)) => (kept.sealed.clone(), kept.created_at),
                None => (self.vault.seal(&owner, one.text.expose())?, self.clock.now()),
            };
            let created_at = one.created_at.unwrap_or(created_at);
            secrets.push(SigningSecret { sealed, public, created_at, expires_at: one.expires_at });
        }
        Ok((secrets, None))
    }
}
