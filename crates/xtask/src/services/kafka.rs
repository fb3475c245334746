//! Apache Kafka as one process that is broker and controller (`KRaft`): what is downloaded, what it is told, and how it
//! is asked whether it is up.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::BrokerOptions;
use super::fetch::{fetch, is_there, maven};
use super::fleet::Fleet;
use super::ports::{self, HOST};
use super::tls;

/// As it is called in what is shown.
pub(super) const NAME: &str = "Apache Kafka 4.1.1";

/// What is downloaded, with all that it depends on. Without a binding of slf4j the broker is silent, also about its
/// errors.
const ARTIFACTS: [&str; 2] = ["org.apache.kafka:kafka_2.13:4.1.1", "org.slf4j:slf4j-simple:1.7.36"];

/// Names the data directory's owner: 16 bytes in base64. Any will do, as each run has a data directory of its own.
pub(super) const CLUSTER: &str = "Q2F0Y2htZW50VGVzdHMhIQ";

/// Who may do everything, over SASL and by the name in a certificate.
pub(super) const USER: &str = "catchment";
/// Who may do what no ACL forbids.
pub(super) const DENIED: &str = "denied";
pub(super) const MECHANISM: &str = "SCRAM-SHA-512";

/// In the directory of a broker: certificates, and data.
pub(super) const TLS: &str = "tls";
const DATA: &str = "kafka-data";

const FOLDER: &str = "kafka";

/// Whether all is downloaded.
pub(super) fn is_fetched(services: &Path) -> bool {
    is_there(&services.join(FOLDER), &pom())
}

/// Downloads the jars.
pub(super) fn get(fleet: &Fleet, services: &Path) -> Result<()> {
    fetch(&services.join(FOLDER), &pom(), |partial| {
        fs::write(partial.join("pom.xml"), pom())?;
        maven(fleet, partial, "copy-dependencies", &["-DincludeScope=runtime", "-DoutputDirectory=libs"])
    })
}

/// Where the jars are.
pub(super) fn libs(services: &Path) -> PathBuf {
    services.join(FOLDER).join("libs")
}

/// A project that depends on the artifacts. It is the stamp of the download too, as it has all versions.
fn pom() -> String {
    let mut dependencies = String::new();
    for artifact in ARTIFACTS {
        let mut parts = artifact.split(':');
        let [group, name, version] = [(); 3].map(|()| parts.next().unwrap_or_default());
        dependencies += &format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{name}</artifactId>\n      \
             <version>{version}</version>\n    </dependency>\n"
        );
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>catchment</groupId>\n  <artifactId>test-broker</artifactId>\n  <version>0</version>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

/// Ports of the listeners of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) plaintext: u16,
    pub(super) controller: u16,
    pub(super) sasl_ssl: u16,
    pub(super) mtls: u16,
    pub(super) proxied: u16,
}

impl Ports {
    /// Some that are free now.
    pub(super) fn free() -> Result<Self> {
        let [ports] = Self::free_for()?;
        Ok(ports)
    }

    /// Some for each of so many brokers, that are free now.
    pub(super) fn free_for<const N: usize>() -> Result<[Self; N]> {
        // All at once, so that none comes twice.
        let numbers: [[u16; 5]; N] = ports::free_in_groups()?;
        Ok(numbers.map(|[plaintext, controller, sasl_ssl, mtls, proxied]| Ports {
            plaintext,
            controller,
            sasl_ssl,
            mtls,
            proxied,
        }))
    }
}

/// A node among those of its cluster, each of which is broker and controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// From 1.
    pub(super) number: usize,
    /// Ports of the controllers of all nodes, in the order of their numbers; empty for one that is alone.
    pub(super) controllers: Vec<u16>,
}

impl Node {
    /// The one node of a cluster.
    pub(super) fn alone() -> Self {
        Node { number: 1, controllers: Vec::new() }
    }

    /// Who votes, and how many copies internal topics have and must have.
    fn quorum(&self, controller: u16) -> (String, usize, usize) {
        let own = [controller];
        let controllers = if self.controllers.is_empty() { &own } else { &self.controllers[..] };
        let voter = |(index, port): (usize, &u16)| format!("{}@{HOST}:{port}", index + 1);
        let voters: Vec<String> = controllers.iter().enumerate().map(voter).collect();
        let copies = voters.len().min(3);
        (voters.join(","), copies, copies.saturating_sub(1).max(1))
    }
}

/// The configuration of a node: topics exist only when created,
/// and a group does not wait for more members. Everybody may do everything, until an ACL for a topic says otherwise;
/// then those who are named as super users still may. Paths are relative to the directory of the broker: in a file of
/// properties some characters of an absolute one would mean something else.
pub(super) fn properties(node: &Node, ports: Ports, options: &BrokerOptions) -> String {
    let Ports { plaintext, controller, sasl_ssl, mtls, proxied } = ports;
    let (number, (voters, copies, in_sync)) = (node.number, node.quorum(controller));
    let mut listeners = format!("PLAINTEXT://{HOST}:{plaintext}");
    if options.tls {
        listeners += &format!(",SASL_SSL://{HOST}:{sasl_ssl},MTLS://{HOST}:{mtls}");
    }
    let mut advertised = listeners.clone();
    if let Some(proxy) = &options.proxy {
        listeners += &format!(",PROXIED://{HOST}:{proxied}");
        advertised += &format!(",PROXIED://{proxy}");
    }
    let mut text = format!(
        "\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://{HOST}:{controller}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,MTLS:SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={DATA}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
# Tests write records with old times, which retention would take away while they are read.
log.retention.check.interval.ms=3600000
log.initial.task.delay.ms=3600000
# A broker that was killed is let in again only when its session has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A tenth of the default, which would be most of the memory of an idle broker.
log.cleaner.dedupe.buffer.size=13421772
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS;User:{USER};User:CN={USER}
"
    );
    if options.tls {
        text += &format!(
            "\
sasl.enabled.mechanisms={MECHANISM}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={TLS}/{server}
ssl.truststore.type=PEM
ssl.truststore.location={TLS}/{ca}
listener.name.mtls.ssl.client.auth=required
",
            server = tls::SERVER,
            ca = tls::CA,
        );
    }
    for (key, value) in &options.properties {
        text += &format!("{key}={value}\n");
    }
    text
}

/// Whether the broker names itself as one of its cluster, and so takes topics.
pub(super) fn answers(port: u16) -> Result<bool> {
    let wait = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((HOST, port)), wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    stream.write_all(&METADATA)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(brokers(head)? > 0)
}

/// A request for metadata, version 1, without topics: <https://kafka.apache.org/protocol#The_Messages_Metadata>.
const METADATA: [u8; 18] = [
    0, 0, 0, 14, // length of what follows
    0, 3, 0, 1, // Metadata, version 1
    0, 0, 0, 7, // correlation id
    255, 255, // no client id
    0, 0, 0, 0, // no topic
];

/// The number of brokers in the answer to [`METADATA`], which begins with length, correlation id and that number.
fn brokers(head: [u8; 12]) -> Result<i32> {
    let [_, _, _, _, c0, c1, c2, c3, n0, n1, n2, n3] = head;
    ensure!([c0, c1, c2, c3] == [0, 0, 0, 7], "not the answer to what was asked");
    Ok(i32::from_be_bytes([n0, n1, n2, n3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports =
        Ports { plaintext: 4001, controller: 4002, sasl_ssl: 4003, mtls: 4004, proxied: 4005 };

    #[track_caller]
    fn check(options: &BrokerOptions, listeners: &str, advertised: &str) {
        let text = properties(&Node::alone(), PORTS, options);
        assert!(text.contains(&format!("\nlisteners={listeners}\n")), "{text}");
        assert!(text.contains(&format!("\nadvertised.listeners={advertised}\n")), "{text}");
        for line in text.lines() {
            assert!(line.starts_with('#') || line.split_once('=').is_some(), "{line}");
        }
    }

    #[test]
    fn listeners_are_those_that_the_options_want_and_on_this_machine_only() {
        let plain = BrokerOptions::default();
        check(&plain, "PLAINTEXT://127.0.0.1:4001,CONTROLLER://127.0.0.1:4002", "PLAINTEXT://127.0.0.1:4001");
        let tls = BrokerOptions { tls: true, ..BrokerOptions::default() };
        let shown = "PLAINTEXT://127.0.0.1:4001,SASL_SSL://127.0.0.1:4003,MTLS://127.0.0.1:4004";
        check(&tls, &format!("{shown},CONTROLLER://127.0.0.1:4002"), shown);
        let proxied = BrokerOptions { proxy: Some("127.0.0.1:5001".into()), ..BrokerOptions::default() };
        check(
            &proxied,
            "PLAINTEXT://127.0.0.1:4001,PROXIED://127.0.0.1:4005,CONTROLLER://127.0.0.1:4002",
            "PLAINTEXT://127.0.0.1:4001,PROXIED://127.0.0.1:5001",
        );
    }

    #[test]
    fn further_properties_come_last_and_so_win() {
        let properties_of_test = vec![("message.max.bytes".to_owned(), "2000".to_owned())];
        let options = BrokerOptions { properties: properties_of_test, ..BrokerOptions::default() };
        assert!(properties(&Node::alone(), PORTS, &options).ends_with("\nmessage.max.bytes=2000\n"));
    }

    #[test]
    fn nodes_of_a_cluster_know_each_other_and_keep_copies() {
        let one = properties(&Node::alone(), PORTS, &BrokerOptions::default());
        assert!(one.contains("\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:4002\n"), "{one}");
        assert!(one.contains("\noffsets.topic.replication.factor=1\n"), "{one}");
        let node = Node { number: 2, controllers: vec![4002, 5002, 6002] };
        let two = properties(&node, PORTS, &BrokerOptions::default());
        let voters = "1@127.0.0.1:4002,2@127.0.0.1:5002,3@127.0.0.1:6002";
        assert!(two.contains(&format!("\nnode.id=2\ncontroller.quorum.voters={voters}\n")), "{two}");
        let copies = "transaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\n";
        assert!(two.contains(copies), "{two}");
    }

    #[test]
    fn pom_names_each_artifact() {
        let pom = pom();
        assert_eq!(pom.matches("<dependency>").count(), ARTIFACTS.len());
        assert!(
            pom.contains("<groupId>org.apache.kafka</groupId>\n      <artifactId>kafka_2.13</artifactId>")
        );
        assert!(pom.contains("<version>4.1.1</version>"));
        assert!(NAME.ends_with("4.1.1"));
    }

    #[test]
    fn length_of_the_request_is_right() {
        assert_eq!(usize::from(METADATA[3]), METADATA.len() - 4);
    }

    #[test]
    fn brokers_are_counted_in_an_answer_only() {
        assert_eq!(brokers([0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 1]).unwrap(), 1);
        assert_eq!(brokers([0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0]).unwrap(), 0);
        brokers(*b"HTTP/1.1 400").unwrap_err();
    }
}
