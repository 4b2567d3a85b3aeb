//! What the demo plays on: a router, a subscriber with its own CA, and a provider's API.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kassir_providers::Secret;

use super::bank::Bank;
use super::subscriber::Subscriber;
use crate::app::{Router, Start, open_store};
use crate::client::Client;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, from_parts};
use crate::secrets::{Vault, new_token, token_hash};

/// The demo's intervals: a failure is retried after a blink.
const CONFIG: &str = r#"
listen = "127.0.0.1:0"
[outbound]
allow_networks = ["127.0.0.0/8", "::1/128"]
allow_http = true
timeout = "5s"
connect_timeout = "2s"
[delivery]
first_interval = "300ms"
drain = "2s"
[log]
level = "warn"
"#;

pub(super) struct Stage {
    pub router: Router,
    pub subscriber: Subscriber,
    pub bank: Bank,
    pub client: Client,
    pub token: Secret,
    folder: std::path::PathBuf,
}

impl Stage {
    pub(super) async fn set(say: &(dyn Fn(&str) + Send + Sync)) -> anyhow::Result<Stage> {
        let clock: SharedClock = Arc::new(SystemClock);
        let folder = std::env::temp_dir().join(format!("kassir-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let subscriber = Subscriber::start(&folder)?;
        let bank = Bank::start()?;
        let config = config(&folder)?;
        crate::telemetry::start_log(&config.log).map_err(anyhow::Error::msg)?;
        let (vault, _) = Vault::open_or_create(&config.secrets.master_key_file)?;
        let token = new_token("kas_")?;
        let store = open_store(&config, &clock).await?;
        let start = Start {
            config,
            clock,
            store,
            vault: Arc::new(vault),
            admin_token_hash: token_hash(token.expose()),
            run_worker: true,
        };
        let router = Router::start(start).await?;
        let client = Client::new(&router.url(), token.clone())?;
        say(&format!("router      {}  (embedded store in {})", router.url(), folder.display()));
        say(&format!("subscriber  {}  (HTTPS, certificate of its own CA)", subscriber.url()));
        Ok(Stage { router, subscriber, bank, client, token, folder })
    }

    pub(super) async fn strike(self) {
        self.router.stop().await;
        self.subscriber.stop().await;
        self.bank.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn config(folder: &std::path::Path) -> anyhow::Result<Config> {
    let path = |name: &str| folder.join(name).display().to_string();
    let variables = [
        ("KASSIR__STORE__URL", format!("sqlite:{}", path("kassir.db"))),
        ("KASSIR__SECRETS__MASTER_KEY_FILE", path("master.key")),
        ("KASSIR__OUTBOUND__CA_FILE", path("ca.pem")),
    ];
    let variables: BTreeMap<String, String> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(from_parts(Some(CONFIG), "the demo's configuration", &variables)?)
}
