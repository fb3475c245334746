use crate::support::{Kafka, brokers};
use catchment_connectors::kafka::{
    CleanupPolicy, PartitionCount, Retention, TimestampType, TopicAdmin, WantedTopic, check,
};
use std::time::Duration;

#[test]
fn topics_are_created_as_wanted_and_differences_are_found() {
    let Some(brokers) = brokers("admin") else {
        return;
    };
    let kafka = Kafka::new(&brokers);
    let admin = TopicAdmin::new(&kafka.cluster, Duration::from_secs(30)).unwrap();
    let wanted = |name: &str, cleanup| WantedTopic {
        name: format!("{}.{name}", kafka.prefix),
        partitions: Some(PartitionCount::Exactly(3)),
        replication: Some(1),
        cleanup: Some(cleanup),
        retention: Some(Retention::Exactly(Duration::from_secs(3_600))),
        timestamps: Some(TimestampType::LogAppendTime),
        min_insync: Some(1),
        ..WantedTopic::default()
    };
    let mut topics =
        vec![wanted("events", CleanupPolicy::Delete), wanted("profiles", CleanupPolicy::Compact)];
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(check(&topics, &admin.describe(names.iter().copied()).unwrap()).len(), 2, "both are missing");
    assert_eq!(admin.create(&topics).unwrap(), names);
    assert_eq!(admin.create(&topics).unwrap(), [""; 0], "they are there");
    assert_eq!(check(&topics, &admin.describe(names.iter().copied()).unwrap()), []);
    topics[0].partitions = Some(PartitionCount::Exactly(4));
    topics[1].timestamps = Some(TimestampType::CreateTime);
    let found = check(&topics, &admin.describe(names.iter().copied()).unwrap());
    assert_eq!(
        found.iter().map(|mismatch| mismatch.what).collect::<Vec<_>>(),
        ["partitions", "message.timestamp.type"]
    );
    admin.delete(&names).unwrap();
    admin.delete(&names).unwrap();
}
