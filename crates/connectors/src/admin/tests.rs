use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

const ANYWHERE: &str = "127.0.0.1:0";

fn server(pages: &[Page]) -> AdminServer {
    serve(ANYWHERE.parse().unwrap(), pages).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The whole answer to a request, head and body, once the server has closed the connection.
fn ask(address: SocketAddr, request: &str) -> String {
    let start = Instant::now();
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(start.elapsed() < Duration::from_secs(8), "closed by the bound of its time: {answer}");
    answer
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n"))
}

fn health(status: &Arc<AtomicU16>) -> Page {
    let status = Arc::clone(status);
    Page::new("/health", "is it well?", move || Answer {
        status: status.load(Ordering::Relaxed),
        content_type: "application/json",
        body: "{}".to_owned(),
    })
}

#[test]
fn a_page_is_made_when_it_is_asked_for() {
    let status = Arc::new(AtomicU16::new(200));
    let server = server(&[health(&status)]);
    let answer = get(server.address(), "/health");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    status.store(503, Ordering::Relaxed);
    assert!(get(server.address(), "/health").starts_with("HTTP/1.1 503 "));
    let head = ask(server.address(), "HEAD /health HTTP/1.1\r\nhost: admin\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn the_list_names_all_pages() {
    let server =
        server(&[health(&Arc::new(AtomicU16::new(200))), Page::new("/m", "numbers", || unreachable!())]);
    let answer = get(server.address(), "/");
    assert!(answer.ends_with("/health  is it well?\n/m       numbers\n"), "{answer}");
}

#[test]
fn what_there_is_not_and_what_is_not_allowed_is_refused() {
    let server = server(&[health(&Arc::new(AtomicU16::new(200)))]);
    assert!(get(server.address(), "/secrets").starts_with("HTTP/1.1 404 "));
    let post = "POST /health HTTP/1.1\r\nhost: admin\r\ncontent-length: 2\r\n\r\n{}";
    let answer = ask(server.address(), post);
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET,HEAD\r\n"), "{answer}");
    let answer = ask(server.address(), "no HTTP at all\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = server(&[]);
    let error = serve(first.address(), &[]).unwrap_err().to_string();
    let expected = format!("can't listen on {}: ", first.address());
    assert!(error.starts_with(&expected) && error.contains("another process listens there"), "{error}");
}

#[test]
fn a_stopped_server_frees_its_port() {
    let server = server(&[]);
    let address = server.address();
    // A connection that says nothing does not hold the stop up for longer than its bound.
    let silent = connect(address);
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < LAST_ANSWERS + Duration::from_secs(2), "{:?}", start.elapsed());
    drop(silent);
    assert!(TcpStream::connect(address).is_err());
    drop(TcpListener::bind(address).unwrap());
}

/// What a stranger who opens connections and says nothing can do: keep others waiting for a moment.
#[test]
fn silent_connections_are_closed_and_make_room() {
    let listener = TcpListener::bind(ANYWHERE).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stop, stopped) = watch::channel(false);
    let thread = thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let listener = Connections::with_bounds(listener, 2, Duration::from_millis(100));
            let router = router(&[health(&Arc::new(AtomicU16::new(200)))]);
            axum::serve(listener, router).with_graceful_shutdown(requested(stopped)).await.unwrap();
        });
    });
    let mut silent: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
    assert!(get(address, "/health").starts_with("HTTP/1.1 200 "));
    for stream in &mut silent {
        let mut rest = Vec::new();
        // Closed, one way or the other, and not by our own timeout.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }
    stop.send_replace(true);
    thread.join().unwrap();
}
