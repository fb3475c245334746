//! A broker of one's own: started, stopped, killed, frozen and started again on the same ports with the same data.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::fleet::Fleet;
use super::kafka::{self, CLUSTER, DENIED, MECHANISM, Node, Ports, TLS, USER};
use super::launch::{Launched, java, new_log, settle};
use super::ports::HOST;
use super::tls::{self, PASSWORD};

const PROPERTIES: &str = "server.properties";
const LIBS: &str = "libs";

/// What a broker is to be beside one that listens in plain text.
#[derive(Clone, Debug, Default)]
pub struct BrokerOptions {
    /// Further listeners, `SASL_SSL` and TLS with client certificates; see [`Broker::tls`].
    pub tls: bool,
    /// Where clients find a proxy, as `host:port`: a further listener tells them so. The proxy itself is to connect to
    /// [`Broker::behind_proxy`]. What connects to [`Broker::address`] goes around it.
    pub proxy: Option<String>,
    /// Further properties of the broker, which win over those it would have.
    pub properties: Vec<(String, String)>,
}

/// Apache Kafka on this machine. It is killed when this is dropped, and when the thread that started it ends: to the
/// kernel that is the end of its parent. So a test starts its own, and does not lend it to threads that outlive it.
#[derive(Debug)]
pub struct Broker {
    plan: Plan,
    ports: Ports,
    launched: Launched,
}

/// What does not change from start to start.
#[derive(Debug)]
struct Plan {
    fleet: Arc<Fleet>,
    directory: PathBuf,
    options: BrokerOptions,
    node: Node,
}

impl Broker {
    /// Starts one with the jars of a directory ([`super::kafka_libs`]), and waits until it answers. Its data,
    /// certificates and logs lie in `directory`, which is made if it is not there. Takes 3 to 10 seconds and 300 MB of
    /// memory.
    ///
    /// # Errors
    /// Java is missing, the directory can't be written, or the broker ended; then with the end of its log.
    pub fn start(libs: &Path, directory: &Path, options: BrokerOptions) -> Result<Self> {
        Self::start_in(&Arc::new(Fleet::default()), libs, directory, options)
    }

    pub(super) fn start_in(
        fleet: &Arc<Fleet>,
        libs: &Path,
        directory: &Path,
        options: BrokerOptions,
    ) -> Result<Self> {
        let node = Node::alone();
        let plan = Plan { fleet: Arc::clone(fleet), directory: directory.to_owned(), options, node };
        plan.prepare(libs, Ports::free()?)?;
        let mut ports = Ports::free()?;
        let first = plan.launch(ports)?;
        let launched = settle(fleet, first, || {
            ports = Ports::free()?;
            plan.launch(ports)
        })?;
        Ok(Broker { plan, ports, launched })
    }

    /// Starts as many as the array is long, as one cluster: topics may have that many copies, up to three, and internal
    /// ones do. As [`Broker::start`], in a directory each. While less than half
    /// are down, the others go on.
    ///
    /// # Errors
    /// As [`Broker::start`]; also if a port was taken by somebody else meanwhile.
    pub fn start_cluster<const N: usize>(
        libs: &Path,
        directory: &Path,
        options: &BrokerOptions,
    ) -> Result<[Self; N]> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let ports: [Ports; N] = Ports::free_for()?;
        let controllers: Vec<u16> = ports.iter().map(|ports| ports.controller).collect();
        let mut brokers = Vec::with_capacity(N);
        for (index, ports) in ports.into_iter().enumerate() {
            let number = index + 1;
            let plan = Plan {
                fleet: Arc::new(Fleet::default()),
                directory: directory.join(number.to_string()),
                options: options.clone(),
                node: Node { number, controllers: controllers.clone() },
            };
            plan.prepare(libs, ports)?;
            brokers.push((plan, ports));
        }
        // None answers before most are there.
        let launched = brokers.into_iter().map(|(plan, ports)| {
            let launched = plan.launch(ports)?;
            Ok(Broker { plan, ports, launched })
        });
        let mut brokers = launched.collect::<Result<Vec<Broker>>>()?;
        for broker in &mut brokers {
            let again = || broker.plan.launch(broker.ports);
            broker.launched = settle(&broker.plan.fleet, broker.launched.clone(), again)?;
        }
        brokers.try_into().map_err(|_| anyhow::anyhow!("not {N} brokers"))
    }

    /// Where it listens in plain text, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{HOST}:{}", self.ports.plaintext)
    }

    /// Where it listens with `SASL_SSL`, as `host:port`. Nothing listens there without the option `tls`.
    #[must_use]
    pub fn sasl_ssl(&self) -> String {
        format!("{HOST}:{}", self.ports.sasl_ssl)
    }

    /// Where it listens with TLS and wants a certificate of the client, as `host:port`. Nothing listens there without the
    /// option `tls`.
    #[must_use]
    pub fn mtls(&self) -> String {
        format!("{HOST}:{}", self.ports.mtls)
    }

    /// Where a proxy is to connect to. Nothing listens there without the option `proxy`.
    #[must_use]
    pub fn behind_proxy(&self) -> String {
        format!("{HOST}:{}", self.ports.proxied)
    }

    /// The directory with certificates and passwords:
    ///
    /// - `ca.pem`: the authority that signed the server's certificate, and the first two clients';
    /// - `client.pem`, `client.key`: a client that may do everything, also where an ACL forbids it to others;
    /// - `expired-client.pem`, `expired-client.key`: the same, too late;
    /// - `stranger-client.pem`, `stranger-client.key`, `stranger-ca.pem`: of an authority that nobody trusts;
    /// - `user`, `password`: for SCRAM-SHA-512, who may do everything;
    /// - `denied-user`, `denied-password`: likewise, who may do what no ACL forbids, see [`super::deny`].
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.plan.directory.join(TLS)
    }

    /// Stops it in order, and waits for its end.
    pub fn stop(&mut self) {
        self.plan.fleet.stop(self.launched.id);
    }

    /// Kills it, as a loss of power would.
    pub fn kill(&mut self) {
        self.plan.fleet.kill(self.launched.id);
    }

    /// Keeps it from running, while its ports stay open: clients connect and hear nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.plan.fleet.signal(self.launched.id, "STOP")
    }

    /// Lets it run on after [`Broker::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&mut self) -> Result<()> {
        self.plan.fleet.signal(self.launched.id, "CONT")
    }

    /// Starts it again, on the same ports with the same data, and waits until it answers. One that runs is stopped first.
    ///
    /// # Errors
    /// It ended; with the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let again = || self.plan.launch(self.ports);
        self.launched = settle(&self.plan.fleet, again()?, again)?;
        Ok(())
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&self) -> Result<()> {
        self.launched.check(&self.plan.fleet)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Plan {
    /// Makes the directory: a way to the jars, certificates, and formatted data with the users in it.
    fn prepare(&self, libs: &Path, ports: Ports) -> Result<()> {
        let directory = &self.directory;
        fs::create_dir_all(directory.join("tmp"))
            .with_context(|| format!("cannot create {}", directory.display()))?;
        symlink(std::path::absolute(libs)?, directory.join(LIBS))
            .with_context(|| format!("{} is already a broker's", directory.display()))?;
        if self.options.tls {
            fs::create_dir(directory.join(TLS))?;
            tls::write(&directory.join(TLS))?;
        }
        fs::write(directory.join(PROPERTIES), kafka::properties(&self.node, ports, &self.options))?;
        let mut command = self.java("-Xmx64m");
        command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", PROPERTIES]);
        if self.options.tls {
            for user in [USER, DENIED] {
                command.args(["--add-scram", &format!("{MECHANISM}=[name={user},password={PASSWORD}]")]);
            }
        }
        self.fleet.run(&command, &directory.join("kafka-format.log"), Duration::from_secs(60))
    }

    fn launch(&self, ports: Ports) -> Result<Launched> {
        fs::write(self.directory.join(PROPERTIES), kafka::properties(&self.node, ports, &self.options))?;
        let mut command = self.java("-Xmx512m");
        command.args([
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ]);
        command.args(["kafka.Kafka", PROPERTIES]);
        let log = new_log(&self.directory, "kafka");
        Ok(Launched {
            name: kafka::NAME,
            id: self.fleet.spawn(&command, &log)?,
            port: ports.plaintext,
            log,
            started: "Kafka Server started",
            answers: kafka::answers,
        })
    }

    /// Java with a relative path to the jars: in a classpath some characters of an absolute one would mean something else.
    fn java(&self, heap: &str) -> Command {
        let mut command = java(&self.directory, heap);
        command.args(["-cp", &format!("{LIBS}/*")]);
        command
    }
}
