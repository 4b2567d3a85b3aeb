//! The floor: what a handler could do at best that makes one durable write in the same kind of store and answers.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};

use super::load::drive;
use super::{Plan, per_second, post};
use crate::app::open_store;
use crate::clock::{SharedClock, SystemClock};
use crate::config::from_parts;
use crate::delivery::outbound::Outbound;
use crate::store::Store;

pub(super) async fn measure(plan: &Plan, folder: &Path, wire: &Outbound) -> anyhow::Result<f64> {
    let clock: SharedClock = Arc::new(SystemClock);
    let embedded = format!("sqlite:{}", folder.join("floor.db").display());
    let url = plan.store.clone().unwrap_or(embedded);
    let prefix = format!("floor-{}", uuid::Uuid::new_v4().simple());
    let variables =
        [("KASSIR__STORE__URL".to_owned(), url), ("KASSIR__STORE__KEY_PREFIX".to_owned(), prefix)];
    let config = from_parts(None, "bench", &variables.into_iter().collect())?;
    let store = open_store(&config, &clock).await?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let data = web::Data::from(Arc::clone(&store));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(write)))
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    let elapsed = drive(plan.count, plan.senders, |_| {
        let (wire, url) = (wire.clone(), url.clone());
        async move { post(&wire, &url, &[], vec![b'x'; 300]).await == Some(200) }
    })
    .await?;
    handle.stop(false).await;
    store.close().await;
    Ok(per_second(plan.count, elapsed))
}

async fn write(store: web::Data<dyn Store>, _body: web::Bytes) -> HttpResponse {
    match store.ready().await {
        Ok(()) => HttpResponse::Ok().body("OK"),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}
