//! A subscriber that takes connections and never answers.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) struct Hanging {
    url: String,
    task: JoinHandle<()>,
}

impl Hanging {
    pub(super) async fn start() -> anyhow::Result<Hanging> {
        // Another host than the healthy one's: endpoints of one host share its places.
        let listener = TcpListener::bind("127.0.0.2:0").await?;
        let url = format!("http://{}/events", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut read = [0; 4096];
                    while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
                });
            }
        });
        Ok(Hanging { url, task })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}
