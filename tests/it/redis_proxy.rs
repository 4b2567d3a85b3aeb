//! A man in the middle that speaks Redis's protocol: it answers scripts itself with an error, or passes them on and
//! then loses the answer.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What is done with each script call, one after the other; afterwards all are passed on.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Answer with this error instead of passing it on.
    Answer(&'static str),
    /// Pass it on, then close the connection instead of giving the answer.
    LoseAnswer,
    /// Pass it on.
    Pass,
}

/// The proxy.
#[derive(Clone)]
pub struct Proxy {
    port: u16,
    deeds: Arc<Mutex<Vec<Deed>>>,
    always: Arc<Mutex<Option<Deed>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy before a server's port; it lives as long as the test's runtime.
    pub async fn before(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            deeds: Arc::default(),
            always: Arc::default(),
            seen: Arc::default(),
        };
        let own = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                tokio::spawn(own.clone().serve(client, server));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What to do with the next script calls.
    pub fn plan(&self, deeds: Vec<Deed>) {
        self.seen.lock().unwrap().clear();
        *self.deeds.lock().unwrap() = deeds;
    }

    /// What to do with all script calls when the plan is done, until something else is said.
    pub fn always(&self, deed: Option<Deed>) {
        *self.always.lock().unwrap() = deed;
    }

    /// The commands that called scripts since the last plan.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn serve(self, client: TcpStream, server: TcpStream) -> Option<()> {
        let ((from_client, mut to_client), (from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let (mut from_client, mut from_server) = (BufReader::new(from_client), BufReader::new(from_server));
        loop {
            let (raw, verb) = command(&mut from_client).await?;
            let deed = if verb.starts_with("EVAL") { self.next(&verb) } else { Deed::Pass };
            match deed {
                Deed::Answer(words) => to_client.write_all(format!("-{words}\r\n").as_bytes()).await.ok()?,
                Deed::LoseAnswer => {
                    pass(&raw, &mut to_server, &mut from_server).await?;
                    return None;
                }
                Deed::Pass => {
                    let answer = pass(&raw, &mut to_server, &mut from_server).await?;
                    to_client.write_all(&answer).await.ok()?;
                }
            }
        }
    }

    fn next(&self, verb: &str) -> Deed {
        self.seen.lock().unwrap().push(verb.to_owned());
        let mut deeds = self.deeds.lock().unwrap();
        if deeds.is_empty() {
            self.always.lock().unwrap().clone().unwrap_or(Deed::Pass)
        } else {
            deeds.remove(0)
        }
    }
}

async fn pass(
    raw: &[u8],
    to_server: &mut OwnedWriteHalf,
    from_server: &mut BufReader<OwnedReadHalf>,
) -> Option<Vec<u8>> {
    to_server.write_all(raw).await.ok()?;
    value(from_server).await
}

/// One command as it came, and its first word.
async fn command(from: &mut BufReader<OwnedReadHalf>) -> Option<(Vec<u8>, String)> {
    let raw = value(from).await?;
    let text = String::from_utf8_lossy(&raw).into_owned();
    let verb = text.split("\r\n").nth(2).unwrap_or_default().to_ascii_uppercase();
    Some((raw, verb))
}

/// One value of the protocol, with all that is in it, as it came.
async fn value(from: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let (mut raw, mut wanted) = (Vec::new(), 1_i64);
    while wanted > 0 {
        wanted -= 1;
        let start = raw.len();
        if from.read_until(b'\n', &mut raw).await.ok()? == 0 {
            return None;
        }
        let line = std::str::from_utf8(&raw[start..]).ok()?.trim_end();
        let count = || line[1..].parse::<i64>().ok();
        match line.as_bytes().first()? {
            b'*' | b'~' | b'>' => wanted += count()?.max(0),
            b'%' => wanted += 2 * count()?.max(0),
            b'$' => {
                if let Ok(length) = usize::try_from(count()?) {
                    let body = raw.len();
                    raw.resize(body + length + 2, 0);
                    from.read_exact(&mut raw[body..]).await.ok()?;
                }
            }
            _ => {}
        }
    }
    Some(raw)
}
