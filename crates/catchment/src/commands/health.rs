//! `catchment health`: what a container asks itself, as its image holds no other client for HTTP.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::UsageError;

/// Longest wait for each part of an answer. Orchestrators give up after five seconds or so.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most that is read of an answer.
const LIMIT: u64 = 64 << 10;

#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// What is asked: `/healthz` or `/readyz` at `admin.listen` of a process of `catchment run`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464/healthz")]
    pub(crate) url: String,
}

/// Succeeds if the answer is 200. Else the error has the answer, which says what is waited for.
pub(super) fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let url = &args.url;
    let (address, path) = parts(url)
        .ok_or_else(|| UsageError(format!("--url: expected `http://host:port/path`, got `{url}`")))?;
    let answer = ask(address, path).with_context(|| format!("{url} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => bail!("{url} answered {status}: {}", body.trim()),
        None => bail!("{url} did not answer in HTTP"),
    }
}

/// Address and path of a URL. TLS is not spoken: what is asked is in the same container.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty() && !path.contains(char::is_whitespace)).then_some((address, path))
}

/// The whole answer. HTTP 1.0, so that its end is the end of the connection, and it comes in one piece.
fn ask(address: &str, path: &str) -> anyhow::Result<String> {
    let socket = address.to_socket_addrs()?.next().context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&socket, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: a formatted write to a socket is one packet a part.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_url_has_an_address_and_a_path() {
        for (url, expected) in [
            ("http://127.0.0.1:9464/readyz", Some(("127.0.0.1:9464", "/readyz"))),
            ("http://[::1]:9464/readyz", Some(("[::1]:9464", "/readyz"))),
            ("http://localhost:9464", Some(("localhost:9464", "/"))),
            ("http://localhost/readyz", None),
            ("http://:9464/", None),
            ("https://localhost:9464/", None),
            ("localhost:9464", None),
            ("http://localhost:9464/a b", None),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    /// What is said of a server that answers so, and what it was asked.
    fn check(answer: &'static str) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let said = run(&HealthArgs { url: url.clone() });
        (said.map_err(|error| format!("{error:#}").replace(&url, "URL")), server.join().unwrap())
    }

    #[test]
    fn only_200_is_healthy_and_another_answer_is_quoted() {
        let (said, asked) = check("HTTP/1.1 200 OK\r\n\r\n{}");
        assert_eq!(said, Ok(()));
        assert!(asked.starts_with("GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked}");
        let (said, _) = check("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"waiting_for\":[\"kafka\"]}\n");
        assert_eq!(said, Err("URL answered 503: {\"waiting_for\":[\"kafka\"]}".to_owned()));
        assert_eq!(check("hello").0, Err("URL did not answer in HTTP".to_owned()));
    }

    #[test]
    fn nobody_who_listens_is_not_healthy() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = run(&HealthArgs { url: format!("http://{free}/healthz") }).unwrap_err();
        assert!(
            format!("{error:#}").starts_with(&format!("http://{free}/healthz does not answer: ")),
            "{error:#}"
        );
    }
}
