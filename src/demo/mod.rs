//! `kassir demo`: the whole job in one go, with real sockets, real TLS and a real (throw-away) store. Everything in
//! it is done as a user and as the providers would do it: through the REST API and the inbound URLs.

mod bank;
mod stage;
mod story;
mod subscriber;

use std::time::Duration;

/// Longest wait for anything that the demo waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the demo is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Stay up at the end.
    pub keep: bool,
}

/// Plays the demo; each step is a line given to `say`.
///
/// # Errors
/// What went wrong, and in which step.
pub async fn play(options: Options, say: &(dyn Fn(&str) + Send + Sync)) -> anyhow::Result<()> {
    let stage = stage::Stage::set(say).await?;
    let result = story::tell(&stage, say).await;
    if result.is_ok() && options.keep {
        say("");
        say(&format!("The router stays up at {} until Ctrl-C.", stage.router.url()));
        say(&format!(
            "API documentation: {}/api/docs   admin token: {}",
            stage.router.url(),
            stage.token.expose()
        ));
        tokio::signal::ctrl_c().await?;
    }
    stage.strike().await;
    result
}
