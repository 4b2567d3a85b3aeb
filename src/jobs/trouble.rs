//! Endpoints that want no more, or that have failed for long: warned of, turned off, and their owners told. Each is
//! seen to by one job, whose id follows from what it is about, so that many answers or routers that notice it make one
//! audit entry and one notice.

use std::sync::Arc;

use crate::clock::SharedClock;
use crate::domain::alert::{Alert, AlertKind, AlertTo, Trouble};
use crate::domain::config::Endpoint;
use crate::domain::health::{Health, Stage};
use crate::domain::ids::EndpointId;
use crate::domain::job::{Job, Lane, Task};
use crate::manage::endpoints::host_of;
use crate::manage::{ManageError, Manager, time};
use crate::store::{Commit, HealthChange, Store, StoreError};

/// Sees to endpoints.
pub struct Troubles {
    /// Turns them off.
    pub manage: Arc<Manager>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: SharedClock,
    /// After how long of failures an endpoint is turned off, milliseconds; `None`: never.
    pub limit_ms: Option<i64>,
}

impl Troubles {
    /// Looks at all endpoints that fail, queues what is to be seen to, and gives how many fail.
    ///
    /// # Errors
    /// [`StoreError`]: the next look finds the rest.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let failing = self.store.failing(None).await?;
        let now = self.clock.now();
        for row in &failing {
            let Some(stage) =
                row.health.stage(self.limit_ms).filter(|stage| stage.number() > row.health.told)
            else {
                continue;
            };
            let trouble = Trouble::Failing { since: row.health.failing_since, stage };
            let jobs = vec![(Job::about(row.merchant, row.endpoint, trouble, now), 0)];
            match self.store.commit(Commit { jobs, ..Commit::of(row.merchant) }).await {
                // Deleted meanwhile.
                Ok(_) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(failing.len())
    }

    /// Sees to one. Done again after a crash it goes on where it stopped.
    ///
    /// # Errors
    /// [`ManageError`]: it is to be tried again.
    pub async fn see_to(&self, job: &Job, id: EndpointId, trouble: &Trouble) -> Result<(), ManageError> {
        match trouble {
            Trouble::Gone { endpoint_at, at, how } => {
                let reason = format!("{}: {how}", time::show(*at));
                let fits = |endpoint: &Endpoint| endpoint.updated_at == *endpoint_at;
                let off = self.manage.disable_endpoint(job.merchant, id, &reason, fits).await?;
                let Some(endpoint) = off else { return Ok(()) };
                self.tell(job, AlertKind::EndpointDisabled, &endpoint, reason, None).await?;
                count_disabled("gone");
            }
            Trouble::Failing { since, stage } => self.failing(job, id, *since, *stage).await?,
        }
        Ok(())
    }

    async fn failing(&self, job: &Job, id: EndpointId, since: i64, stage: Stage) -> Result<(), ManageError> {
        let merchant = job.merchant;
        let rows = self.store.failing(Some(merchant)).await?;
        let health = rows.into_iter().find(|row| row.endpoint == id).map(|row| row.health);
        let Some(health) =
            health.filter(|health| health.failing_since == since && health.told < stage.number())
        else {
            return Ok(());
        };
        let told = HealthChange::Told { since, stage: stage.number() };
        if stage == Stage::Off {
            let reason = format!("it failed since {} without a success between", time::show(since));
            let off = self.manage.disable_endpoint(merchant, id, &reason, |_| true).await?;
            if let Some(endpoint) = off {
                self.tell(job, AlertKind::EndpointDisabled, &endpoint, reason, Some(&health)).await?;
                count_disabled("failing");
            }
        } else {
            let view = self.manage.merchant(merchant).await?;
            if let Some(endpoint) = view.config.endpoint(id).filter(|endpoint| endpoint.enabled) {
                let reason = format!("it fails since {}", time::show(since));
                self.tell(job, AlertKind::EndpointFailing, endpoint, reason, Some(&health)).await?;
            }
        }
        Ok(self.store.change_health(merchant, id, told).await?)
    }

    /// Queues the notices, one for each who is to be told, and says it in the log.
    async fn tell(
        &self,
        job: &Job,
        kind: AlertKind,
        endpoint: &Endpoint,
        reason: String,
        health: Option<&Health>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let merchant = job.merchant;
        let off = kind == AlertKind::EndpointDisabled;
        let ends = |health: &Health| Some(health.failing_since.saturating_add(self.limit_ms?));
        let jobs = AlertTo::ALL.into_iter().map(|to| {
            let alert = Alert {
                kind,
                to,
                endpoint: endpoint.id,
                host: host_of(&endpoint.url),
                at: now,
                reason: reason.clone(),
                failing_since: health.map(|health| health.failing_since),
                disables_at: health.filter(|_| !off).and_then(ends),
                last_error: health.map(|health| health.last_error.clone()),
            };
            let task = Task::Alert(Box::new(alert));
            let (id, lane) = (to.job(job.id, job.created_at), Lane::Merchant(merchant));
            (Job { id, merchant, lane, task, attempts: 0, created_at: now }, 0)
        });
        self.store.commit(Commit { jobs: jobs.collect(), ..Commit::of(merchant) }).await?;
        tracing::warn!(kind = kind.word(), %merchant, endpoint = %endpoint.id, reason, "an endpoint's owner is told");
        Ok(())
    }
}

fn count_disabled(why: &'static str) {
    metrics::counter!("kassir_endpoints_disabled_total", "why" => why).increment(1);
}
