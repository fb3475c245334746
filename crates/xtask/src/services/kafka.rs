//! Apache Kafka as one process that is broker and controller (`KRaft`), for tests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::fetch::{fetch, is_there, maven};
use super::fleet::Fleet;
use super::launch::Launched;
use super::ports::{self, HOST};

/// As it is called in what is shown.
pub(super) const NAME: &str = "Apache Kafka 4.1.1";

/// What is downloaded, with all that it depends on. Without a binding of slf4j the broker is silent, also about its
/// errors.
const ARTIFACTS: [&str; 2] = ["org.apache.kafka:kafka_2.13:4.1.1", "org.slf4j:slf4j-simple:1.7.36"];

/// Names the data directory's owner: 16 bytes in base64. Any will do, as each run has a data directory of its own.
const CLUSTER: &str = "Q2F0Y2htZW50VGVzdHMhIQ";

const FOLDER: &str = "kafka";
const PROPERTIES: &str = "server.properties";

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

/// Prepares a data directory in the directory of the run.
pub(super) fn format(fleet: &Fleet, run: &Path) -> Result<()> {
    fs::write(run.join(PROPERTIES), properties(1, 2))?;
    let mut command = java(run, "-Xmx64m");
    command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", PROPERTIES]);
    fleet.run(&command, &run.join("kafka-format.log"), Duration::from_secs(60))
}

/// Starts the broker on ports that are free now.
pub(super) fn launch(fleet: &Fleet, run: &Path) -> Result<Launched> {
    let [broker, controller] = ports::free()?;
    fs::write(run.join(PROPERTIES), properties(broker, controller))?;
    let mut command = java(run, "-Xmx512m");
    command.args([
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ]);
    command.args(["kafka.Kafka", PROPERTIES]);
    let log = run.join(format!("kafka-{broker}.log"));
    Ok(Launched {
        name: NAME,
        id: fleet.spawn(&command, &log)?,
        port: broker,
        log,
        started: "Kafka Server started",
        answers,
    })
}

/// Java in the directory of the run, with relative paths: in a classpath and in a file of properties some characters
/// of an absolute path would mean something else.
fn java(run: &Path, heap: &str) -> Command {
    let mut command = super::java(run, heap);
    command.args(["-cp", "../kafka/libs/*"]);
    command
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

/// The configuration of one node that is alone: internal topics have one replica, topics exist only when created,
/// and a group does not wait for more members.
fn properties(broker: u16, controller: u16) -> String {
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:{controller}
listeners=PLAINTEXT://{HOST}:{broker},CONTROLLER://{HOST}:{controller}
advertised.listeners=PLAINTEXT://{HOST}:{broker}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=kafka-data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
# A tenth of the default, which would be most of the memory of an idle broker.
log.cleaner.dedupe.buffer.size=13421772
"
    )
}

/// Whether the broker names itself as one of its cluster, and so takes topics.
fn answers(port: u16) -> Result<bool> {
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

    #[test]
    fn properties_name_only_ports_of_this_machine() {
        let text = properties(4001, 4002);
        assert!(text.contains("\nlisteners=PLAINTEXT://127.0.0.1:4001,CONTROLLER://127.0.0.1:4002\n"));
        assert!(text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:4001\n"));
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:4002\n"));
        for line in text.lines() {
            assert!(line.starts_with('#') || line.split_once('=').is_some(), "{line}");
        }
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
