//! `kassir health`: whether the router on this machine is ready, for health checks of containers.

use kassir_providers::Method;

use super::{Failed, print};
use crate::client::unguarded;
use crate::config::Config;
use crate::delivery::outbound::OutboundRequest;

pub(super) async fn run(config: Config) -> Result<(), Failed> {
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
        timeout: None,
        response_max: 16 * 1024,
    };
    let outbound = unguarded().map_err(|error| Failed::Work(error.to_string()))?;
    let outcome = outbound.send(request).await;
    match outcome.status {
        Some(200) => {
            print::line("ready");
            Ok(())
        }
        Some(status) => {
            let words = String::from_utf8_lossy(&outcome.body).into_owned();
            Err(Failed::Work(format!("{url} answers {status}: {words}")))
        }
        None => {
            let why = outcome.failure.map_or_else(String::new, |failure| failure.to_string());
            Err(Failed::Work(format!("no router answers at {url}: {why}")))
        }
    }
}
