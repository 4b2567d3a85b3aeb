//! A network before a server that a test makes slow, narrow or broken.

use std::sync::Arc;
use std::time::Duration;

use kassir::clock::Stopwatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// Longest piece that is passed on at once.
const PIECE: usize = 16 * 1024;
/// What passes in a second where bandwidth is limited comes in so many parts.
const PARTS_PER_S: usize = 10;

/// What the network does with what goes through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    Fine,
    /// Everything comes so much later.
    Latency(Duration),
    /// So many bytes in a second, each way.
    Bandwidth(usize),
    /// Answers come in pieces of so many bytes.
    Sliced(usize),
    /// A connection is cut after so many bytes of answers, that is, somewhere within one.
    CutWithin(usize),
    /// What is asked arrives; instead of the answer the connection is cut.
    CutBeforeAnswer,
    /// Connections are accepted, and nothing comes back.
    Silent,
}

/// The network.
pub struct Network {
    port: u16,
    pub weather: watch::Sender<Weather>,
}

impl Network {
    /// One before the server at this port; it lives as long as the test's runtime.
    pub async fn before(port: u16) -> Arc<Network> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = Arc::new(Network {
            port: listener.local_addr().unwrap().port(),
            weather: watch::Sender::new(Weather::Fine),
        });
        let weather = network.weather.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((asks, replies), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(through(asks, to_server, weather.subscribe(), false));
                tokio::spawn(through(from_server, replies, weather.subscribe(), true));
            }
        });
        network
    }

    /// The URL of the Redis behind it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

/// Passes on what comes, each piece at its time; an end that is cut takes the other way's end with it.
async fn through(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    answers: bool,
) {
    let (queue, pieces) = mpsc::channel::<(Stopwatch, Duration, Vec<u8>)>(1_024);
    tokio::spawn(write(to, pieces, weather.clone(), answers));
    let mut buffer = vec![0; PIECE];
    while let Ok(read) = from.read(&mut buffer).await {
        let later = match *weather.borrow() {
            Weather::Latency(later) => later,
            _ => Duration::ZERO,
        };
        if read == 0 || queue.send((Stopwatch::start(), later, buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut pieces: mpsc::Receiver<(Stopwatch, Duration, Vec<u8>)>,
    mut weather: watch::Receiver<Weather>,
    answers: bool,
) -> Option<()> {
    let mut passed = 0;
    loop {
        let (since, later, piece) = pieces.recv().await?;
        tokio::time::sleep(later.saturating_sub(since.elapsed())).await;
        let now = *weather.borrow_and_update();
        match now {
            Weather::Bandwidth(per_s) => {
                // A narrow line is nothing but the time that each part takes: there is no condition to wait for.
                for part in piece.chunks(per_s.div_ceil(PARTS_PER_S)) {
                    tokio::time::sleep(Duration::from_secs(1) / PARTS_PER_S as u32).await;
                    to.write_all(part).await.ok()?;
                }
            }
            Weather::Sliced(length) if answers => {
                for part in piece.chunks(length) {
                    to.write_all(part).await.ok()?;
                    to.flush().await.ok()?;
                    tokio::task::yield_now().await;
                }
            }
            Weather::CutWithin(most) if answers => {
                let left = most.saturating_sub(passed).min(piece.len());
                passed += left;
                to.write_all(&piece[..left]).await.ok()?;
                if passed >= most {
                    return None;
                }
            }
            Weather::CutBeforeAnswer if answers => return None,
            Weather::Silent if answers => {
                // The connection stays open and says nothing; what was to come is gone when the weather clears.
                let _ = weather.wait_for(|weather| *weather != Weather::Silent).await;
                return None;
            }
            _ => to.write_all(&piece).await.ok()?,
        }
    }
}
