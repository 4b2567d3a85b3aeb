//! The floor: what a handler does that keeps what it received with one durable write and answers; and, end to end, that
//! then posts it to the subscriber. No proof, no payment, no event, no record of the delivery. And what it could do at
//! best if writes that wait shared one commit.
//!
//! It writes with the bare drivers, past our own store, so that what our store costs shows.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use super::figures::FloorFigures;
use super::load::Load;
use super::{Stage, post};
use crate::delivery::outbound::Outbound;

/// Writes that wait, and that share one commit, at the most, if they may: as in the embedded store.
const WAITING_MAX: usize = 1024;
const BATCH_MAX: usize = 256;

/// The floors of a store.
pub(super) struct Floors {
    /// With a durable write for each notification.
    pub own: FloorFigures,
    /// With shared commits, where those make a difference: Redis syncs once for all commands that it read at once.
    pub shared: Option<FloorFigures>,
}

impl Floors {
    pub(super) async fn measure(stage: &Stage<'_>) -> anyhow::Result<Floors> {
        if let Some(url) = &stage.plan.store {
            return Ok(Floors {
                own: of(stage, Sink::redis(url, format!("{}:floor", stage.prefix)).await?).await?,
                shared: None,
            });
        }
        let own = Sink::sqlite(&stage.folder.join("floor.db"), 1)?;
        let shared = Sink::sqlite(&stage.folder.join("floor-shared.db"), BATCH_MAX)?;
        Ok(Floors { own: of(stage, own).await?, shared: Some(of(stage, shared).await?) })
    }
}

async fn of(stage: &Stage<'_>, sink: Sink) -> anyhow::Result<FloorFigures> {
    let Stage { plan, wire, .. } = stage;
    let intake_per_s = answers(stage, sink.clone()).await?;
    let subscriber = stage.subscriber()?;
    let forward = Some(((*wire).clone(), subscriber.url().to_owned()));
    let (url, server) = serve(Handler { sink, forward })?;
    let watch = crate::clock::Stopwatch::start();
    Load::new(wire, vec![url], 1).all(plan.count, plan.senders).await?;
    subscriber.wait_for(plan.count).await?;
    let end_to_end_per_s = super::per_second(plan.count, watch.elapsed());
    server.stop(false).await;
    subscriber.stop().await;
    Ok(FloorFigures { intake_per_s, end_to_end_per_s })
}

/// Answers per second of a handler that only keeps.
async fn answers(stage: &Stage<'_>, sink: Sink) -> anyhow::Result<f64> {
    let count = stage.plan.count;
    let (url, server) = serve(Handler { sink, forward: None })?;
    let elapsed = Load::new(stage.wire, vec![url], 1).all(count, stage.plan.senders).await?;
    server.stop(false).await;
    Ok(super::per_second(count, elapsed))
}

struct Handler {
    sink: Sink,
    forward: Option<(Outbound, String)>,
}

fn serve(handler: Handler) -> anyhow::Result<(String, ServerHandle)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let data = web::Data::from(Arc::new(handler));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(take)))
        .workers(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok((url, handle))
}

async fn take(handler: web::Data<Handler>, body: web::Bytes) -> HttpResponse {
    if handler.sink.keep(body.to_vec()).await.is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    if let Some((wire, url)) = handler.forward.clone() {
        // The event of a notification has about twice its size, and names the order.
        let text = String::from_utf8_lossy(&body);
        let order = text.split('&').find_map(|pair| pair.strip_prefix("InvId=")).unwrap_or("");
        let event = format!(r#"{{"payload":{{"InvId":"{order}"}},"body":"{text}","again":"{text}"}}"#);
        tokio::spawn(async move { post(&wire, &url, &[], event.into_bytes()).await });
    }
    HttpResponse::Ok().body("OK")
}

/// Where the floor writes.
#[derive(Clone)]
enum Sink {
    Sqlite(mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>),
    /// A stream and its key.
    Redis(redis::aio::MultiplexedConnection, String),
}

impl Sink {
    /// `batch_max`: writes that share a commit.
    fn sqlite(path: &Path, batch_max: usize) -> anyhow::Result<Sink> {
        let conn = rusqlite::Connection::open(path)?;
        let _: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.execute_batch("CREATE TABLE floor (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
        let (to, from) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("floor-writer".to_owned())
            .spawn(move || group_commit(&conn, from, batch_max))?;
        Ok(Sink::Sqlite(to))
    }

    async fn redis(url: &str, key: String) -> anyhow::Result<Sink> {
        crate::tls::install();
        let client = redis::Client::open(url).with_context(
            || "the floor is measured on one Redis: redis://host:port/db, no cluster, no Sentinel",
        )?;
        Ok(Sink::Redis(client.get_multiplexed_async_connection().await?, key))
    }

    async fn keep(&self, body: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Sink::Sqlite(to) => {
                let (reply, answer) = oneshot::channel();
                to.send((body, reply)).await?;
                Ok(answer.await?)
            }
            Sink::Redis(conn, key) => {
                let mut conn = conn.clone();
                let mut command = redis::cmd("XADD");
                command.arg(key).arg("MAXLEN").arg("~").arg(WAITING_MAX).arg("*");
                Ok(command.arg("body").arg(body).query_async::<()>(&mut conn).await?)
            }
        }
    }
}

fn group_commit(
    conn: &rusqlite::Connection,
    mut from: mpsc::Receiver<(Vec<u8>, oneshot::Sender<()>)>,
    batch_max: usize,
) {
    while let Some(first) = from.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < batch_max
            && let Ok(next) = from.try_recv()
        {
            batch.push(next);
        }
        // A write that fails is not answered, and the measurement ends with an error.
        if write(conn, &batch).is_ok() {
            for (_, reply) in batch {
                let _ = reply.send(());
            }
        }
    }
}

fn write(conn: &rusqlite::Connection, batch: &[(Vec<u8>, oneshot::Sender<()>)]) -> rusqlite::Result<()> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    for (body, _) in batch {
        conn.prepare_cached("INSERT INTO floor (body) VALUES (?1)")?.execute([body])?;
    }
    conn.execute_batch("COMMIT")
}
