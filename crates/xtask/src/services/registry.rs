//! Apicurio Registry, a schema registry with the interface of Confluent's, for tests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::fetch::{fetch, is_there, maven};
use super::fleet::Fleet;
use super::launch::{Launched, java, new_log, settle};
use super::ports::{self, HOST};

/// As it is called in what is shown.
pub(super) const NAME: &str = "Apicurio Registry 3.0.9";

/// What is downloaded: an archive that has all it needs.
const ARTIFACT: &str = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all";
const ARCHIVE: &str = "apicurio-registry-app-3.0.9-all.tar.gz";
const JAR: &str = "apicurio-registry-app-3.0.9-runner.jar";

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

/// Where it lies once it is downloaded.
pub(super) fn home(services: &Path) -> PathBuf {
    services.join(FOLDER)
}

/// Apicurio Registry on this machine, with its schemas in a file. It is killed when this is dropped, and when the thread
/// that started it ends.
#[derive(Debug)]
pub struct Registry {
    plan: Plan,
    launched: Launched,
}

/// What does not change from start to start.
#[derive(Debug)]
struct Plan {
    fleet: Arc<Fleet>,
    directory: PathBuf,
    home: PathBuf,
}

impl Registry {
    /// Starts one from the directory of its download ([`super::registry_home`]), and waits until it answers. Its data
    /// and logs lie in `directory`, which is made if it is not there. Takes 3 to 10 seconds and 240 MB of memory.
    ///
    /// # Errors
    /// Java is missing, the directory can't be written, or the registry ended; then with the end of its log.
    pub fn start(home: &Path, directory: &Path) -> Result<Self> {
        Self::launch(&Arc::new(Fleet::default()), home, directory)?.settled()
    }

    /// Starts one, and does not wait.
    pub(super) fn launch(fleet: &Arc<Fleet>, home: &Path, directory: &Path) -> Result<Self> {
        let home = std::path::absolute(home)?;
        let plan = Plan { fleet: Arc::clone(fleet), directory: directory.to_owned(), home };
        fs::create_dir_all(directory.join("tmp"))
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let launched = plan.launch(free_port()?)?;
        Ok(Registry { plan, launched })
    }

    /// Waits until it answers.
    pub(super) fn settled(mut self) -> Result<Self> {
        let again = || self.plan.launch(free_port()?);
        self.launched = settle(&self.plan.fleet, self.launched.clone(), again)?;
        Ok(self)
    }

    /// Its URL, with the path of the interface that is Confluent's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address())
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.launched.address()
    }

    /// Stops it in order, and waits for its end.
    pub fn stop(&mut self) {
        self.plan.fleet.stop(self.launched.id);
    }

    /// Kills it, as a loss of power would.
    pub fn kill(&mut self) {
        self.plan.fleet.kill(self.launched.id);
    }

    /// Keeps it from running, while its port stays open: clients connect and hear nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.plan.fleet.signal(self.launched.id, "STOP")
    }

    /// Lets it run on after [`Registry::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&mut self) -> Result<()> {
        self.plan.fleet.signal(self.launched.id, "CONT")
    }

    /// Starts it again on the same port with the same schemas, and waits until it answers. One that runs is stopped first.
    ///
    /// # Errors
    /// It ended; with the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let again = || self.plan.launch(self.launched.port);
        self.launched = settle(&self.plan.fleet, again()?, again)?;
        Ok(())
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&self) -> Result<()> {
        self.launched.check(&self.plan.fleet)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Plan {
    fn launch(&self, port: u16) -> Result<Launched> {
        let mut command = java(&self.directory, "-Xmx256m");
        // It would not say that it listens.
        command.arg("-Dquarkus.log.category.\"io.quarkus\".level=INFO");
        command.arg("-jar").arg(self.home.join(JAR));
        command.env("QUARKUS_HTTP_HOST", HOST.to_string()).env("QUARKUS_HTTP_PORT", port.to_string());
        command.env("APICURIO_DATASOURCE_URL", "jdbc:h2:file:./registry-data");
        let log = new_log(&self.directory, "registry");
        let id = self.fleet.spawn(&command, &log)?;
        Ok(Launched { name: NAME, id, port, log, started: "Listening on", answers })
    }
}

fn free_port() -> Result<u16> {
    let [port] = ports::free()?;
    Ok(port)
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
        assert_eq!(JAR, format!("{name}-{version}-runner.jar"));
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
