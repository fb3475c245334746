//! Apicurio Registry, a schema registry with the interface of Confluent's, for tests. It keeps schemas in memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::fetch::{fetch, is_there, maven};
use super::fleet::Fleet;
use super::launch::Launched;
use super::ports::{self, HOST};

/// As it is called in what is shown.
pub(super) const NAME: &str = "Apicurio Registry 3.0.9";

/// What is downloaded: an archive that has all it needs.
const ARTIFACT: &str = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all";
const ARCHIVE: &str = "apicurio-registry-app-3.0.9-all.tar.gz";
const JAR: &str = "../registry/apicurio-registry-app-3.0.9-runner.jar";

const FOLDER: &str = "registry";

/// Where it stands in for Confluent's.
pub(super) const PATH: &str = "/apis/ccompat/v7";

/// Whether all is downloaded.
pub(super) fn is_fetched(services: &Path) -> bool {
    is_there(&services.join(FOLDER), ARTIFACT)
}

/// Downloads and unpacks it.
pub(super) fn get(fleet: &Fleet, services: &Path) -> Result<()> {
    fetch(&services.join(FOLDER), ARTIFACT, |partial| {
        maven(fleet, partial, "copy", &[&format!("-Dartifact={ARTIFACT}"), "-DoutputDirectory=."])?;
        let mut unpack = Command::new("tar");
        unpack.current_dir(partial).args(["xzf", ARCHIVE]);
        fleet.run(&unpack, &partial.join("tar.log"), Duration::from_secs(120))?;
        Ok(fs::remove_file(partial.join(ARCHIVE))?)
    })
}

/// Starts the registry on a port that is free now.
pub(super) fn launch(fleet: &Fleet, run: &Path) -> Result<Launched> {
    let [port] = ports::free()?;
    let mut command = super::java(run, "-Xmx256m");
    // It would not say that it listens.
    command.args(["-Dquarkus.log.category.\"io.quarkus\".level=INFO", "-jar", JAR]);
    command.env("QUARKUS_HTTP_HOST", HOST.to_string()).env("QUARKUS_HTTP_PORT", port.to_string());
    let log = run.join(format!("registry-{port}.log"));
    let id = fleet.spawn(&command, &log)?;
    Ok(Launched { name: NAME, id, port, log, started: "Listening on", answers })
}

/// Whether a list of subjects is answered with success.
fn answers(port: u16) -> Result<bool> {
    let wait = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((HOST, port)), wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    stream.write_all(request(port).as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}

fn request(port: u16) -> String {
    format!("GET {PATH}/subjects HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_artifact() {
        let mut parts = ARTIFACT.split(':').skip(1);
        let [name, version, ending, kind] = [(); 4].map(|()| parts.next().unwrap());
        assert_eq!(ARCHIVE, format!("{name}-{version}-{kind}.{ending}"));
        assert_eq!(JAR, format!("../{FOLDER}/{name}-{version}-runner.jar"));
        assert!(NAME.ends_with(version));
    }

    #[test]
    fn request_is_complete() {
        assert_eq!(
            request(8081),
            "GET /apis/ccompat/v7/subjects HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nConnection: close\r\n\r\n"
        );
    }
}
