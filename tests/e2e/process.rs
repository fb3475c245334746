//! A `catchment run` in a process of its own.

use crate::wait::until;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; it logs JSON into that file.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = command
            .args(["--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Process { child, log }
    }

    /// What it has logged so far, line by line.
    pub(crate) fn logged(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        // The last line may not be whole yet.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line whose message contains that text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> Value {
        let found = || {
            self.logged().into_iter().find(|line| line["message"].as_str().is_some_and(|m| m.contains(text)))
        };
        until(found, || format!("nothing is logged of {text:?} in:\n{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Asks its admin server; status and body. None while it does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let line = self.logged().into_iter().find(|line| line["address"].is_string())?;
        let address = line["address"].as_str()?.to_owned();
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until `/readyz` is green.
    #[track_caller]
    pub(crate) fn ready(&self) {
        let green = || self.get("/readyz").filter(|(status, _)| *status == 200);
        until(green, || format!("not ready: {:?}\n{}", self.get("/readyz"), self.text()));
    }

    /// Sum of a metric over the labels that contain all these texts; 0 if there is none.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of(&self.page(), name, |of| labels.iter().all(|label| of.contains(label)))
    }

    /// The page of metrics; empty if it can't be had.
    fn page(&self) -> String {
        self.get("/metrics").map(|(_, body)| body).unwrap_or_default()
    }

    /// How far it is behind what has come in, in offsets. The inbox is left out: what its tasks say there of the time, once
    /// a second, is always on its way.
    pub(crate) fn lag(&self) -> f64 {
        sum_of(&self.page(), "kafka_consumergroup_lag", |labels| !labels.contains("customer.inbox"))
    }

    /// Memory of it that is in RAM, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// `kill -9`: nothing of it can react.
    pub(crate) fn kill(mut self) {
        self.kill_now();
    }

    /// As [`kill`](Self::kill), of one that stays in its place to be replaced.
    pub(crate) fn kill_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) -> ExitStatus {
        self.end("TERM")
    }

    /// Asks it to stop for good, and waits.
    pub(crate) fn leave(self) -> ExitStatus {
        self.end("USR1")
    }

    #[track_caller]
    fn end(mut self, signal: &str) -> ExitStatus {
        self.end_now(signal)
    }

    /// Sends a signal that ends it, and waits; of one that stays in its place to be replaced.
    #[track_caller]
    pub(crate) fn end_now(&mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        until(|| self.child.try_wait().unwrap(), || "the process does not end".to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sum of a metric of a page, over the series whose labels are wanted.
fn sum_of(page: &str, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let lines = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && wanted(rest))
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
