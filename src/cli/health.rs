//! `kassir health`: whether the router on this machine is ready, for health checks of containers.

use std::time::Duration;

use kassir_providers::Method;

use super::{Failed, print};
use crate::client::{ClientError, unguarded};
use crate::config::Config;
use crate::delivery::outbound::OutboundRequest;

/// What came of asking.
pub(super) struct Asked {
    /// What was asked.
    pub(super) url: String,
    /// The answer.
    pub(super) said: Said,
}

/// A router's answer.
pub(super) enum Said {
    /// It could keep a notification now.
    Ready {
        /// How long that took, milliseconds.
        ms: u32,
    },
    /// It could not, or it is no router.
    NotReady {
        /// HTTP status.
        status: u16,
        /// As it came.
        body: Vec<u8>,
    },
    /// Nobody answers.
    Nothing {
        /// Why.
        why: String,
    },
}

/// Asks the router at the configured address whether it is ready.
pub(super) async fn ask(config: &Config, timeout: Option<Duration>) -> Result<Asked, ClientError> {
    // A router that listens everywhere is asked on this machine.
    let ip = config.listen.ip();
    let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("http://{host}:{}/health/ready", config.listen.port());
    let request = OutboundRequest {
        method: Method::Get,
        url: url.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout,
        response_max: 16 * 1024,
    };
    let outcome = unguarded()?.send(request).await;
    let said = match outcome.status {
        Some(200) => Said::Ready { ms: outcome.duration_ms },
        Some(status) => Said::NotReady { status, body: outcome.body.to_vec() },
        None => {
            Said::Nothing { why: outcome.failure.map_or_else(String::new, |failure| failure.to_string()) }
        }
    };
    Ok(Asked { url, said })
}

pub(super) async fn run(config: Config) -> Result<(), Failed> {
    let Asked { url, said } = ask(&config, None).await?;
    match said {
        Said::Ready { .. } => {
            print::line("ready");
            Ok(())
        }
        Said::NotReady { status, body } => {
            let words = String::from_utf8_lossy(&body);
            Err(Failed::Work(format!("{url} answers {status}: {words}")))
        }
        Said::Nothing { why } => Err(Failed::Work(format!("no router answers at {url}: {why}"))),
    }
}
