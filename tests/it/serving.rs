//! A web server in the tests' own process.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::{App, FromRequest, Handler, HttpServer, Responder, web};

/// Lets one handler take every request that comes to a listener, with what it shares as `web::Data`; for as long as the
/// test's runtime lives.
pub fn serve<T, H, Args>(listener: TcpListener, shared: &Arc<T>, handler: H)
where
    T: Send + Sync + 'static,
    H: Handler<Args> + Send,
    H::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    let data = web::Data::from(Arc::clone(shared));
    let application = move || App::new().app_data(data.clone()).default_service(web::to(handler.clone()));
    let server = HttpServer::new(application).workers(1).disable_signals().shutdown_timeout(0);
    tokio::spawn(server.listen(listener).unwrap().run());
}
