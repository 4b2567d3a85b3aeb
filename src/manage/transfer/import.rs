//! A merchant's document written: everything is checked first, then record by record, only what differs.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::alert::Said;
use crate::domain::config::MerchantConfig;
use crate::domain::ids::MerchantId;
use crate::domain::{Endpoint, Integration, Merchant};
use crate::limits;
use crate::manage::endpoints::URL_MAX;
use crate::manage::{Actor, InputError, ManageError, Manager, Members, NAME_MAX, Result, is_config_conflict};
use crate::registry::MerchantView;
use crate::store::ConfigChange;

/// What an import does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is new.
    Create,
    /// It differs.
    Update,
    /// It is as it is.
    Same,
}

/// What was made because the document left it out; it is shown this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A new inbound URL: the provider has to be told.
    WebhookUrl(String),
    /// A new signing secret: the subscriber has to be told.
    Secret(String),
}

/// What an import does, or would do, to a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Change {
    /// `merchant`, `integration` or `endpoint`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name or URL.
    pub name: String,
    /// What is done.
    pub deed: Deed,
    /// Which members differ.
    pub members: Vec<String>,
    /// What was made because the document left it out; not in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

/// A record that is checked and ready.
pub(super) struct Planned<T> {
    pub record: T,
    pub change: Change,
}

impl<T> Planned<T> {
    pub(super) fn of(
        kind: &'static str,
        id: impl std::fmt::Display,
        name: String,
        (before, after): (Option<Value>, Value),
        made: Option<Made>,
        record: T,
    ) -> Planned<T> {
        let members = differing(before.as_ref(), &after);
        let deed = match (&before, members.is_empty()) {
            (None, _) => Deed::Create,
            (Some(_), true) => Deed::Same,
            (Some(_), false) => Deed::Update,
        };
        Planned { record, change: Change { kind, id: id.to_string(), name, deed, members, made } }
    }
}

fn differing(before: Option<&Value>, after: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (before.and_then(Value::as_object), after.as_object()) else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// The record's own id, which must be there.
pub(super) fn required_id<T: FromStr>(body: &mut Members) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let missing = !body.has("id");
    let id = body.parsed("id");
    if missing {
        body.wrong("id", "is required");
    }
    id
}

/// A document's parts.
struct Parts {
    merchant: Merchant,
    alert: Option<Said>,
    integrations: Vec<Map<String, Value>>,
    endpoints: Vec<Map<String, Value>>,
}

/// Everything that is to be written.
struct Plan {
    version: Option<u64>,
    merchant: Planned<Merchant>,
    integrations: Vec<Planned<Integration>>,
    endpoints: Vec<Planned<Endpoint>>,
}

impl Manager {
    /// Writes a merchant's document as [`super::export`] makes it, secrets as texts or left out; gives what was done
    /// to each record, or would be in a dry run. Nothing is written unless all of it is right. Doing it again
    /// changes nothing more.
    ///
    /// # Errors
    /// [`ManageError`]; [`ManageError::Invalid`] with everything that is wrong.
    pub async fn import(&self, actor: &Actor, body: Members, dry_run: bool) -> Result<Vec<Change>> {
        let plan = self.plan(body).await?;
        if !dry_run {
            self.write(actor, &plan).await?;
        }
        let mut changes = vec![plan.merchant.change];
        changes.extend(plan.integrations.into_iter().map(|planned| planned.change));
        changes.extend(plan.endpoints.into_iter().map(|planned| planned.change));
        if dry_run {
            changes.iter_mut().for_each(|change| change.made = None);
        }
        Ok(changes)
    }

    async fn plan(&self, mut body: Members) -> Result<Plan> {
        let now = self.clock.now();
        let parts = parts(&mut body, now);
        body.finish()?;
        let Some(mut parts) = parts else { return Err(ManageError::invalid("/id", "is required")) };
        let id = parts.merchant.id;
        let view = match self.merchant(id).await {
            Ok(view) => Some(view),
            Err(ManageError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut errors = doubles("integrations", &parts.integrations);
        errors.extend(doubles("endpoints", &parts.endpoints));
        let present = view.as_ref().and_then(|view| view.config.merchant.alert.as_ref());
        let (alert, fresh) = self.plan_alert(id, present, parts.alert.take(), &mut errors).await?;
        parts.merchant.alert = alert;

        let mut integrations = Vec::with_capacity(parts.integrations.len());
        for (index, map) in std::mem::take(&mut parts.integrations).into_iter().enumerate() {
            let planned = self.plan_integration(id, view.as_deref(), map).await;
            integrations.extend(collect(planned, &format!("/integrations/{index}"), &mut errors)?);
        }
        let config = planned_config(view.as_deref(), &parts.merchant, &integrations);
        let mut endpoints = Vec::with_capacity(parts.endpoints.len());
        for (index, map) in std::mem::take(&mut parts.endpoints).into_iter().enumerate() {
            let planned = self.plan_endpoint(&config, map).await;
            endpoints.extend(collect(planned, &format!("/endpoints/{index}"), &mut errors)?);
        }
        let created = endpoints.iter().filter(|planned| planned.change.deed == Deed::Create).count();
        too_many("integrations", config.integrations.len(), limits::INTEGRATIONS_MAX, &mut errors);
        too_many(
            "endpoints",
            config.endpoints.len().saturating_add(created),
            limits::ENDPOINTS_MAX,
            &mut errors,
        );
        if !errors.is_empty() {
            return Err(ManageError::Invalid(errors));
        }
        let before =
            view.as_ref().map(|view| Value::Object(super::export::merchant(&view.config.merchant, true)));
        let after = Value::Object(super::export::merchant(&parts.merchant, true));
        let name = parts.merchant.name.clone();
        let made = fresh.map(|secret| Made::Secret(secret.expose().to_owned()));
        Ok(Plan {
            version: view.map(|view| view.config.version),
            merchant: Planned::of("merchant", id, name, (before, after), made, parts.merchant),
            integrations,
            endpoints,
        })
    }

    async fn write(&self, actor: &Actor, plan: &Plan) -> Result<()> {
        let merchant = &plan.merchant.record;
        let mut version = plan.version;
        let head = match version {
            None => ConfigChange::CreateMerchant(merchant.clone()),
            Some(_) => ConfigChange::UpdateMerchant(merchant.clone()),
        };
        let mut writes = vec![(&plan.merchant.change, head)];
        writes.extend(plan.integrations.iter().map(|planned| {
            (&planned.change, ConfigChange::PutIntegration(Box::new(planned.record.clone())))
        }));
        writes.extend(
            plan.endpoints.iter().map(|planned| {
                (&planned.change, ConfigChange::PutEndpoint(Box::new(planned.record.clone())))
            }),
        );
        for (change, write) in writes.into_iter().filter(|(change, _)| change.deed != Deed::Same) {
            let done = if change.deed == Deed::Create { "create" } else { "update" };
            // The router's own log while the merchant does not exist yet.
            let whose = version.map(|_| merchant.id);
            let detail = format!("import {}", change.members.join(", "));
            self.note(actor, whose, &format!("{}.{done}", change.kind), &change.id, detail).await?;
            let written = self.store.change_config(merchant.id, write, version).await;
            self.registry.forget(merchant.id);
            version = match written {
                Ok(next) => Some(next),
                Err(error) if is_config_conflict(&error) => {
                    return Err(ManageError::NotNow(
                        "Somebody changed this merchant meanwhile. Import again: what is written stays as it is."
                            .to_owned(),
                    ));
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }
}

fn parts(body: &mut Members, now: i64) -> Option<Parts> {
    let id = required_id::<MerchantId>(body);
    let name = body.required_text("name", NAME_MAX);
    let first_payment = body.count("first_payment", 1..=limits::PAYMENT_NUMBER_MAX).unwrap_or(1);
    let alert_url = body.text("alert_url", URL_MAX);
    let secret = body.value("alert_secret");
    let alert = alert_url.map(|url| Said { url, secret });
    let created_at = body.time("created_at").unwrap_or(now);
    let record = |item: &Value| {
        let found = item.as_object().cloned();
        found.ok_or_else(|| format!("must be an object, not {}", crate::manage::kind(item)))
    };
    let integrations = body.list("integrations", limits::INTEGRATIONS_MAX, record).unwrap_or_default();
    let endpoints = body.list("endpoints", limits::ENDPOINTS_MAX, record).unwrap_or_default();
    Some(Parts {
        merchant: Merchant { id: id?, name: name?, first_payment, alert: None, created_at },
        alert,
        integrations,
        endpoints,
    })
}

/// Ids that occur twice.
fn doubles(list: &str, records: &[Map<String, Value>]) -> Vec<InputError> {
    let mut seen = BTreeSet::new();
    let ids = records.iter().enumerate().filter_map(|(index, map)| Some((index, map.get("id")?.as_str()?)));
    ids.filter(|(_, id)| !seen.insert(*id))
        .map(|(index, _)| InputError::at(format!("/{list}/{index}/id"), "is there twice"))
        .collect()
}

fn too_many(list: &str, count: usize, most: usize, errors: &mut Vec<InputError>) {
    if count > most {
        errors.push(InputError::at(
            format!("/{list}"),
            format!("with these there would be {count}, at most {most}"),
        ));
    }
}

/// What is set up once the integrations are written.
fn planned_config(
    view: Option<&MerchantView>,
    merchant: &Merchant,
    integrations: &[Planned<Integration>],
) -> MerchantConfig {
    let mut config = view.map_or_else(
        || MerchantConfig {
            version: 0,
            merchant: merchant.clone(),
            integrations: Vec::new(),
            endpoints: Vec::new(),
        },
        |view| view.config.clone(),
    );
    for planned in integrations {
        config.integrations.retain(|present| present.id != planned.record.id);
        config.integrations.push(planned.record.clone());
    }
    config
}

/// Takes what is right, and notes what is wrong under the record's pointer, once for each place.
fn collect<T>(
    planned: Result<Planned<T>>,
    at: &str,
    errors: &mut Vec<InputError>,
) -> Result<Option<Planned<T>>> {
    match planned {
        Ok(planned) => Ok(Some(planned)),
        Err(ManageError::Invalid(found)) => {
            let mut seen = BTreeSet::new();
            for error in found.into_iter().filter(|error| seen.insert(error.pointer.clone())) {
                errors.push(InputError::at(format!("{at}{}", error.pointer), error.detail));
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
