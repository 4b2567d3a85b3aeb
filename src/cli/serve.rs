//! `kassir serve`.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failed, print};
use crate::app::{KeyError, Router, Start, admin_token, master_key, open_store};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, TOKEN_LEN_SAFE};
use crate::secrets::{Vault, token_hash};
use crate::store::Store;

pub(super) async fn run(config: Config) -> Result<(), Failed> {
    let telemetry = crate::telemetry::start(&config).map_err(Failed::Usage)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let store = open_store(&config, &clock).await.map_err(|error| Failed::Work(error.to_string()))?;
    let (vault, made_key) = key(&config, store.as_ref()).await?;
    let admin = admin_token(&config)?;
    let description = store.describe();
    print::line(format!("kassir {}", env!("CARGO_PKG_VERSION")));
    let made = if made_key { " (made now: keep a copy, without it credentials are lost)" } else { "" };
    print::line(format!("master key   {}{made}", config.secrets.master_key_file.display()));
    match &admin.file {
        Some(file) if admin.made => print::line(format!("admin token  {} (made now)", file.display())),
        Some(file) => print::line(format!("admin token  {}", file.display())),
        None => print::line("admin token  from the configuration"),
    }
    if admin.token.expose().len() < TOKEN_LEN_SAFE {
        print::line(format!(
            "  warning:   the admin token is shorter than {TOKEN_LEN_SAFE} characters; it may be guessed"
        ));
    }
    print::line(format!("store        {} {}", description.kind, description.place));
    print::line(format!("             {}", description.promise));
    for warning in &description.warnings {
        print::line(format!("  warning:   {warning}"));
    }
    if config.outbound.allow_http {
        print::line("  warning:   outbound.allow_http is on: events may go out unencrypted; for tests only");
    }
    let start = Start {
        config,
        clock,
        store,
        vault: Arc::new(vault),
        admin_token_hash: token_hash(admin.token.expose()),
        run_worker: true,
    };
    // Before anybody is told that it listens: from then on a signal must stop it in good order.
    let mut stop = Stop::new()?;
    let mut router = Router::start(start).await?;
    print::line(format!("listening    {}   API documentation: {0}/api/docs", router.url()));
    let ended = tokio::select! {
        ended = router.ended() => ended,
        signal = stop.wait() => {
            print::line(format!("{}: stopping; what is under way is finished or given back", signal));
            Ok(())
        }
    };
    router.stop().await;
    telemetry.end().await;
    ended?;
    print::line("stopped");
    Ok(())
}

/// The master key. One that opens none of the store's secrets is refused: every merchant would fail to load.
async fn key(config: &Config, store: &dyn Store) -> Result<(Vault, bool), Failed> {
    match master_key(config, store).await {
        Ok(key) => Ok(key),
        Err(error) => {
            store.close().await;
            let words = error.to_string();
            Err(if matches!(error, KeyError::Wrong(_)) { Failed::Usage(words) } else { Failed::Work(words) })
        }
    }
}

/// SIGTERM or SIGINT.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on neither ends the process by itself.
    pub(super) fn new() -> Result<Stop, Failed> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them and gives its name.
    pub(super) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
