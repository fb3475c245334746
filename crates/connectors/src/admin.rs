//! A small HTTP server for operators: pages that are made when they are asked for.
//!
//! It knows nothing of what the pages say. It runs in a thread of its own, so that it answers also while the lanes are
//! busy, and while Kafka is away. A stranger can't hold it up: connections are few and short, one request each, and no
//! body is read.

mod connection;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connection::Connections;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::watch;

/// How long requests that are being answered may still take when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code of HTTP. One that there is not becomes 500.
    pub status: u16,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
}

/// A page of the server.
#[derive(Clone)]
pub struct Page {
    path: &'static str,
    about: &'static str,
    answer: Arc<dyn Fn() -> Answer + Send + Sync>,
}

impl Page {
    /// A page at that path, said in a few words in the list at `/`. `answer` is called for each request, one at a time,
    /// and must be quick.
    pub fn new(
        path: &'static str,
        about: &'static str,
        answer: impl Fn() -> Answer + Send + Sync + 'static,
    ) -> Self {
        Page { path, about, answer: Arc::new(answer) }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody can listen there.
    #[error("can't listen on {address}: {source}{}", hint(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The operating system gives no thread, or no way to wait for connections.
    #[error("the admin server can't start: {0}")]
    Start(#[source] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another process listens there: stop it, or choose another port)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege: choose another one)",
        io::ErrorKind::AddrNotAvailable => " (no interface of this machine has that address)",
        _ => "",
    }
}

/// The running server. Dropped, it stops.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Where it listens: with the port that the operating system chose, if port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and waits until those at hand are answered, for at most two seconds.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Serves the pages, and a list of them at `/`. It listens when this returns.
///
/// # Errors
/// See [`AdminError`].
pub fn serve(address: SocketAddr, pages: &[Page]) -> Result<AdminServer, AdminError> {
    let failed = |source| AdminError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(AdminError::Start)?;
    let router = router(pages);
    let (stop, stopped) = watch::channel(false);
    let work = move || runtime.block_on(run(listener, router, stopped));
    let thread = thread::Builder::new().name("admin".to_owned()).spawn(work).map_err(AdminError::Start)?;
    tracing::debug!(%address, "admin server listens");
    Ok(AdminServer { address, stop, thread: Some(thread) })
}

async fn run(listener: TcpListener, router: Router, stopped: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => Connections::new(listener),
        Err(error) => return tracing::error!(%error, "the admin server can't wait for connections"),
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(requested(stopped.clone()));
    let serving = tokio::spawn(serving.into_future());
    requested(stopped).await;
    if tokio::time::timeout(LAST_ANSWERS, serving).await.is_err() {
        tracing::debug!("the admin server stops before all requests are answered");
    }
}

/// Ends when the stop is requested, or when nobody is left who could.
async fn requested(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn router(pages: &[Page]) -> Router {
    let width = pages.iter().map(|page| page.path.len()).max().unwrap_or(0);
    let list: String = pages.iter().map(|page| format!("{:width$}  {}\n", page.path, page.about)).collect();
    let plain = move |body: String| Answer { status: 200, content_type: "text/plain; charset=utf-8", body };
    let list = Page::new("/", "this list", move || plain(list.clone()));
    let mut router = Router::new();
    for page in pages.iter().chain([&list]) {
        let answer = Arc::clone(&page.answer);
        router = router.route(page.path, get(move || std::future::ready(respond(answer()))));
    }
    // 405 and HEAD are axum's.
    let router = router.fallback(|| {
        let body = "not found: / lists what there is\n".to_owned();
        std::future::ready(respond(Answer { status: 404, content_type: "text/plain; charset=utf-8", body }))
    });
    router.layer(map_response(|response| std::future::ready(last(response))))
}

/// One request a connection, so that the bound of a connection's time is one of a request's.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, answer.body).into_response()
}
