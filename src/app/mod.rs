//! The composition root: the only place that names a concrete store, the clock and the client, and that says in
//! which order things start and stop.

mod adapters;
mod first_start;
mod master_key;
mod steady;
mod store;
mod upkeep;

pub use first_start::{AdminToken, admin_token, admin_token_file, known_admin_token};
pub use master_key::{KeyError, KeyFit, key_fit, master_key, wrong_key};
pub use store::{file as store_file, look as look_at_store, missing as missing_store, open as open_store};
pub use upkeep::cutoffs;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App as ActixApp, HttpServer, web};
use anyhow::Context as _;
use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::config::Config;
use crate::delivery::outbound::{Outbound, OutboundConfig, Proxy};
use crate::delivery::schedule::Schedule;
use crate::delivery::send::ENDPOINT_TIMEOUT_MAX;
use crate::delivery::{DeliveryConfig, EndpointSource, LEASE_MARGIN, Parts, Worker};
use crate::intake::Intake;
use crate::intake::http::InboundState;
use crate::jobs::Jobs;
use crate::jobs::alert::{Alerts, Target};
use crate::jobs::confirm::Confirm;
use crate::jobs::poll::Poll;
use crate::jobs::refund::Refunds;
use crate::jobs::replay::Replayer;
use crate::jobs::trouble::Troubles;
use crate::ledger::Ledger;
use crate::limits::CONNECTIONS_MAX;
use crate::manage::Manager;
use crate::operations::Operations;
use crate::payments::Payments;
use crate::registry::Registry;
use crate::secrets::Vault;
use crate::store::Store;

/// A running router.
pub struct Router {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its worker, for tests that step it.
    pub worker: Arc<Worker>,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its services.
    pub services: Services,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    /// What runs beside the server until it is stopped, by name.
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    stop: watch::Sender<bool>,
}

/// What the parts of a router share.
#[derive(Clone)]
pub struct Services {
    /// The configuration.
    pub config: Arc<Config>,
    /// The clock.
    pub clock: SharedClock,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Secrets at rest.
    pub vault: Arc<Vault>,
    /// What is set up.
    pub registry: Arc<Registry>,
    /// From facts to durable steps.
    pub ledger: Arc<Ledger>,
    /// The HTTP client.
    pub outbound: Outbound,
    /// Our own operations on payments.
    pub payments: Arc<Payments>,
    /// Providers' operations.
    pub operations: Operations,
    /// Inbound notifications.
    pub intake: Arc<Intake>,
    /// What people do.
    pub manage: Arc<Manager>,
    /// Endpoints in trouble.
    pub troubles: Arc<Troubles>,
}

/// What a router is started with besides its configuration.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// The clock.
    pub clock: SharedClock,
    /// The store, opened.
    pub store: Arc<dyn Store>,
    /// Secrets at rest.
    pub vault: Arc<Vault>,
    /// SHA-256 of the admin token, hex.
    pub admin_token_hash: String,
    /// Whether the worker runs by itself; tests step it instead.
    pub run_worker: bool,
}

/// The client for subscribers and providers, as configured.
///
/// # Errors
/// When the CA file can't be read or no CA certificate is trusted.
pub fn outbound(config: &Config) -> anyhow::Result<Outbound> {
    let section = &config.outbound;
    Ok(Outbound::build(&OutboundConfig {
        allow_networks: section.allow_networks.clone(),
        allow_http: section.allow_http,
        ca_file: section.ca_file.clone(),
        timeout: section.timeout.0,
        connect_timeout: section.connect_timeout.0,
        proxy: section.proxy.as_ref().map(|url| Proxy::parse(url, &section.no_proxy)).transpose()?,
    })?)
}

/// The delivery settings, as configured.
#[must_use]
pub fn delivery_config(config: &Config) -> DeliveryConfig {
    let section = &config.delivery;
    let defaults = DeliveryConfig::default();
    DeliveryConfig {
        schedule: Schedule {
            first: section.first_interval.0,
            multiplier: section.multiplier,
            max_interval: section.max_interval.0,
            jitter: section.jitter,
            max_age: section.max_age.0,
        },
        concurrency: section.concurrency,
        per_lane: section.max_in_flight,
        per_host: section.max_in_flight_per_host,
        lease: config.outbound.timeout.0.max(ENDPOINT_TIMEOUT_MAX) + LEASE_MARGIN,
        poll: defaults.poll,
        drain: section.drain.0,
    }
}

/// Where the operator is told of endpoints.
fn operator(config: &Config) -> anyhow::Result<Option<Target>> {
    let operator = config.alerts.operator().map_err(anyhow::Error::msg)?;
    Ok(operator.map(|(url, secret)| Target { url: url.as_str().to_owned(), secret: secret.clone() }))
}

/// Builds the services and the worker over a store.
///
/// # Errors
/// When the client can't be made or the delivery settings contradict each other.
pub fn assemble(start: &Start) -> anyhow::Result<(Services, Arc<Worker>)> {
    let Start { config, clock, store, vault, .. } = start;
    let outbound = outbound(config)?;
    let delivery = delivery_config(config);
    delivery.check(config.outbound.timeout.0).map_err(anyhow::Error::msg)?;
    let registry = Arc::new(Registry::new(Arc::clone(store), Arc::clone(vault), Arc::clone(clock)));
    let operations = Operations::new(Arc::new(adapters::ProviderCaller(outbound.clone())));
    // Who steps the worker steps the clock too, and must not wait for the real one.
    let operations = if start.run_worker { operations.paced() } else { operations };
    let hand_over = Arc::new(adapters::WorkerHandOver::new(&delivery));
    let ledger = Arc::new(Ledger {
        store: Arc::clone(store),
        registry: Arc::clone(&registry),
        clock: Arc::clone(clock),
        hand_over: hand_over.clone(),
    });
    let endpoints: Arc<dyn EndpointSource> = Arc::new(adapters::Endpoints::new(&registry, vault));
    let manage = Arc::new(Manager {
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        vault: Arc::clone(vault),
        registry: Arc::clone(&registry),
        config: Arc::new(config.clone()),
        outbound: outbound.clone(),
        endpoints: Arc::clone(&endpoints),
    });
    let troubles = Arc::new(Troubles {
        manage: Arc::clone(&manage),
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        limit_ms: config.delivery.disable_after.ms(),
    });
    let alerts = Alerts {
        outbound: outbound.clone(),
        registry: Arc::clone(&registry),
        vault: Arc::clone(vault),
        clock: Arc::clone(clock),
        operator: operator(config)?,
        max_age_ms: config.delivery.max_age.ms(),
    };
    let jobs = Jobs {
        confirm: Confirm {
            ledger: Arc::clone(&ledger),
            operations: operations.clone(),
            max_age_ms: config.intake.confirm_max_age.ms(),
        },
        poll: Poll { ledger: Arc::clone(&ledger), operations: operations.clone() },
        refunds: Refunds { ledger: Arc::clone(&ledger), operations: operations.clone() },
        replayer: Replayer {
            store: Arc::clone(store),
            registry: Arc::clone(&registry),
            clock: Arc::clone(clock),
        },
        troubles: Arc::clone(&troubles),
        alerts,
        schedule: delivery.schedule,
    };
    let worker = Worker::new(Parts {
        store: Arc::clone(store),
        outbound: outbound.clone(),
        endpoints,
        jobs: Arc::new(jobs),
        clock: Arc::clone(clock),
        owner: hand_over.owner(),
        config: delivery,
    });
    if start.run_worker {
        hand_over.attach(&worker);
    }
    let payments = Arc::new(Payments {
        ledger: Arc::clone(&ledger),
        operations: operations.clone(),
        vault: Arc::clone(vault),
        public_url: config.public_url(),
    });
    let intake = Arc::new(Intake::new(
        Arc::clone(&ledger),
        config.intake.refused_kept_per_minute,
        config.intake.answer_timeout.0,
    ));
    let services = Services {
        manage,
        troubles,
        config: Arc::new(config.clone()),
        clock: Arc::clone(clock),
        store: Arc::clone(store),
        vault: Arc::clone(vault),
        registry,
        ledger,
        outbound,
        payments,
        operations,
        intake,
    };
    Ok((services, worker))
}

impl Router {
    /// Starts a router; it listens when this returns.
    ///
    /// # Errors
    /// When the address can't be listened on, or the configuration can't work.
    pub async fn start(mut start: Start) -> anyhow::Result<Router> {
        let listen = start.config.listen;
        let listener = TcpListener::bind(listen).with_context(|| {
            format!("can't listen on {listen}: is another program using it? Set listen, or KASSIR__LISTEN")
        })?;
        let address = listener.local_addr()?;
        // Port 0 is the kernel's choice; inbound URLs must name the port it chose.
        start.config.listen = address;
        let (services, worker) = assemble(&start)?;
        let inbound = InboundState {
            intake: Arc::clone(&services.intake),
            clock: Arc::clone(&services.clock),
            read_timeout: start.config.intake.read_timeout.0,
            trusted_proxies: Arc::new(start.config.trusted_proxies.clone()),
            bodies: Arc::default(),
        };
        let pay = crate::pay::PayState { store: Arc::clone(&services.store) };
        let api = adapters::api_state(&services, &start.admin_token_hash)?;
        let workers = match start.config.workers {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            workers => workers,
        };
        let server = HttpServer::new(move || {
            ActixApp::new()
                .wrap(actix_web::middleware::from_fn(crate::telemetry::requests::identify))
                .configure(|service| crate::intake::http::configure(service, inbound.clone()))
                .configure(|service| crate::pay::configure(service, pay.clone()))
                .configure(|service| crate::api::configure(service, api.clone()))
                .default_service(web::to(crate::api::no_route))
        })
        .workers(workers)
        .max_connections(CONNECTIONS_MAX.div_ceil(workers.max(1)))
        .shutdown_timeout(start.config.delivery.drain.0.as_secs().max(1))
        .client_request_timeout(start.config.intake.read_timeout.0)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        let serving = tokio::spawn(server);
        let (stop, stopped) = watch::channel(false);
        let working = start.run_worker.then(|| tokio::spawn(Arc::clone(&worker).run(stopped.clone())));
        let upkeep = upkeep::start(&services, &stopped, upkeep::Rhythm::USUAL).map(|task| ("upkeep", task));
        let tasks = working.map(|working| ("worker", working)).into_iter().chain(upkeep).collect();
        let store = Arc::clone(&services.store);
        Ok(Router { address, worker, store, services, server: handle, serving, tasks, stop })
    }

    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a part of the router ends by itself. None does, unless its socket fails or there is a defect in it:
    /// a router without its worker would accept and not deliver, so that it is better ended and started anew.
    ///
    /// # Errors
    /// What ended.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let tasks = select_all(self.tasks.iter_mut().map(|(_, task)| task));
        tokio::select! {
            served = &mut self.serving => Ok(served??),
            (ended, index, _) = tasks => {
                let (name, _) = self.tasks.remove(index);
                let why = ended.err().map_or_else(|| "nobody stopped it".to_owned(), |error| error.to_string());
                anyhow::bail!("the {name} ended ({why}); this is a defect in the router, which stops: start it again")
            }
        }
    }

    /// Stops in order: no new requests, no new work, what is under way is finished or given back, the store closed.
    pub async fn stop(self) {
        self.server.stop(true).await;
        let _ = self.stop.send(true);
        for (name, task) in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the {name} did not end in order");
            }
        }
        self.store.close().await;
    }
}
