//! A broker of one's own goes, and comes back with what it had: what tests of outages rest on.

use crate::support::{PATIENCE, cluster, wanted};
use catchment_connectors::kafka::TopicAdmin;
use std::io::Write as _;
use std::time::Duration;
use xtask::services::{Broker, BrokerOptions, KAFKA_LIBS, kafka_libs};

#[test]
fn a_broker_comes_back_on_its_port_with_its_data() {
    let Some(libs) = kafka_libs() else {
        writeln!(std::io::stderr(), "kafka::outages: skipped: {KAFKA_LIBS} names no jars").unwrap();
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&libs, directory.path(), BrokerOptions::default()).unwrap();
    let cluster = cluster(&broker.address(), &[]);
    TopicAdmin::new(&cluster, PATIENCE).unwrap().create(&[wanted("kept", 3)]).unwrap();
    let partitions = |patience| {
        let described = TopicAdmin::new(&cluster, patience).unwrap().describe(["kept"]);
        described.ok().map(|topics| topics["kept"].partitions)
    };
    let soon = Duration::from_secs(1);
    broker.freeze().unwrap();
    assert_eq!(partitions(soon), None, "frozen");
    broker.thaw().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "thawed");
    broker.kill();
    assert_eq!(partitions(soon), None, "killed");
    broker.restart().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "after a kill");
    broker.stop();
    assert_eq!(partitions(soon), None, "stopped");
    broker.restart().unwrap();
    assert_eq!(partitions(PATIENCE), Some(3), "after a stop");
}
