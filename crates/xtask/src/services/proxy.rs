//! A network that can be made bad: toxiproxy, between clients and a broker.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::fetch::{fetch, is_there};
use super::fleet::Fleet;
use super::in_ci;
use super::launch::{Launched, settle};
use super::ports::{self, HOST};
use crate::target;

/// What is installed, by Go. It calls the program `server`, so that it has a folder of its own.
const MODULE: &str = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0";

/// The one proxy that each server has.
const PROXY: &str = "broker";

/// A way to a server that can be made slow, cut and broken off. It ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    fleet: Arc<Fleet>,
    launched: Launched,
    address: String,
}

impl Proxy {
    /// A way that leads nowhere yet ([`Proxy::lead_to`]); its log lies in `directory`. None, said on stderr in the name of
    /// the test, if this machine has no Go, or can't download.
    ///
    /// # Errors
    /// The program does not start; in CI, where nothing may be left out that can be had, also if it can't be installed
    /// though there is Go.
    pub fn start(test: &str, directory: &Path) -> Result<Option<Self>> {
        let Some(program) = installed(test)? else { return Ok(None) };
        let fleet = Arc::new(Fleet::default());
        let launch = || launch(&fleet, &program, directory);
        let launched = settle(&fleet, launch()?, launch)?;
        let mut proxy = Proxy { fleet, launched, address: String::new() };
        let body = format!("{{\"name\":\"{PROXY}\",\"listen\":\"{HOST}:0\",\"upstream\":\"{HOST}:1\"}}");
        let answer = proxy.ask("POST", "/proxies", &body)?;
        let address = answer.split("\"listen\":\"").nth(1).and_then(|rest| rest.split('"').next());
        proxy.address = address.with_context(|| format!("no address in {answer}"))?.to_owned();
        Ok(Some(proxy))
    }

    /// Where clients connect to, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// From now on what connects gets to that server, as `host:port`.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn lead_to(&self, server: &str) -> Result<()> {
        self.change(&format!("{{\"upstream\":\"{server}\"}}"))
    }

    /// Everything takes so much longer, each way.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn delay(&self, time: Duration) -> Result<()> {
        for stream in ["upstream", "downstream"] {
            self.poison("latency", stream, &format!("{{\"latency\":{}}}", time.as_millis()))?;
        }
        Ok(())
    }

    /// Connections are broken off with a reset, those that are there and each new one.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn reset(&self) -> Result<()> {
        self.poison("reset_peer", "downstream", "{\"timeout\":0}")
    }

    /// Nothing gets through any more, neither way, and nobody is told.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn silence(&self) -> Result<()> {
        self.poison("timeout", "upstream", "{\"timeout\":0}")?;
        self.swallow_answers()
    }

    /// Requests get through, answers do not.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn swallow_answers(&self) -> Result<()> {
        self.poison("timeout", "downstream", "{\"timeout\":0}")
    }

    /// Connections are closed, and new ones refused.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn close(&self) -> Result<()> {
        self.change("{\"enabled\":false}")
    }

    /// All is well again.
    ///
    /// # Errors
    /// The program does not answer.
    pub fn heal(&self) -> Result<()> {
        self.ask("POST", "/reset", "").map(drop)
    }

    fn poison(&self, kind: &str, stream: &str, attributes: &str) -> Result<()> {
        let name = format!("{kind}-{stream}");
        let body = format!(
            "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"stream\":\"{stream}\",\"attributes\":{attributes}}}"
        );
        self.ask("POST", &format!("/proxies/{PROXY}/toxics"), &body).map(drop)
    }

    fn change(&self, body: &str) -> Result<()> {
        self.ask("POST", &format!("/proxies/{PROXY}"), body).map(drop)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        self.launched.check(&self.fleet)?;
        ask(self.launched.port, method, path, body)
    }
}

fn launch(fleet: &Fleet, program: &Path, directory: &Path) -> Result<Launched> {
    let [port] = ports::free()?;
    let mut command = Command::new(program);
    command.args(["-host", &HOST.to_string(), "-port", &port.to_string()]);
    let log = super::launch::new_log(directory, "toxiproxy");
    Ok(Launched {
        name: "toxiproxy",
        id: fleet.spawn(&command, &log)?,
        port,
        log,
        started: "Starting HTTP server",
        answers: |port| ask(port, "GET", "/version", "").map(|_| true),
    })
}

/// A request of HTTP; the body of the answer, which must be a success.
fn ask(port: u16, method: &str, path: &str, body: &str) -> Result<String> {
    let wait = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((HOST, port)), wait)?;
    stream.set_read_timeout(Some(wait))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}\n{body}");
    Ok(body.to_owned())
}

/// The program, installed once.
fn installed(test: &str) -> Result<Option<PathBuf>> {
    let tools = target().join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    // Tests of several processes may want it at once.
    let lock = fs::File::create(tools.join("toxiproxy.lock"))?;
    lock.lock()?;
    let folder = tools.join("toxiproxy");
    if is_there(&folder, MODULE) {
        return Ok(Some(folder.join("server")));
    }
    let skipped = |why: &str| {
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{test}: skipped for want of toxiproxy: {why}");
        Ok(None)
    };
    let mut version = Command::new("go");
    version.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        return skipped("this machine lacks Go, 1.24 or newer, from https://go.dev/dl");
    }
    match fetch(&folder, MODULE, install) {
        Ok(()) => Ok(Some(folder.join("server"))),
        Err(error) if in_ci(std::env::var_os("CI").as_deref()) => {
            Err(error.context(format!("{test} needs toxiproxy")))
        }
        Err(error) => skipped(&format!("{error:#}")),
    }
}

fn install(folder: &Path) -> Result<()> {
    let mut command = Command::new("go");
    command.args(["install", MODULE]).env("GOBIN", folder).env("GOFLAGS", "").stdin(Stdio::null());
    let output = command.output().context("go can't be started")?;
    if !output.status.success() {
        bail!("go install {MODULE}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
