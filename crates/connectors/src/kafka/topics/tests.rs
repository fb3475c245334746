use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn wanted() -> WantedTopic {
    WantedTopic {
        name: "customer.events".to_owned(),
        partitions: Some(PartitionCount::Exactly(12)),
        replication: Some(3),
        cleanup: Some(CleanupPolicy::Delete),
        retention: Some(Retention::Exactly(30 * DAY)),
        timestamps: Some(TimestampType::LogAppendTime),
        min_insync: Some(2),
        segment: Some(DAY),
        compaction_lag: None,
        largest_batch: Some(1_040_000),
        any_size: true,
        clean_election: true,
        is_theirs: false,
    }
}

fn described() -> DescribedTopic {
    let config = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "2592000000"),
        ("retention.bytes", "-1"),
        ("unclean.leader.election.enable", "false"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "2"),
        ("segment.ms", "3600000"),
        ("max.message.bytes", "1048588"),
    ];
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    DescribedTopic { partitions: 12, replication: 3, config }
}

fn found(wanted: WantedTopic, is: DescribedTopic) -> Vec<String> {
    let name = wanted.name.clone();
    check(&[wanted], &BTreeMap::from([(name, is)])).iter().map(ToString::to_string).collect()
}

fn with(key: &str, value: &str) -> DescribedTopic {
    let mut is = described();
    is.config.insert(key.to_owned(), value.to_owned());
    is
}

#[test]
fn a_topic_that_is_as_it_must_be_is_not_named() {
    assert_eq!(found(wanted(), described()), [""; 0]);
}

#[test]
fn more_replicas_are_no_mismatch_and_more_partitions_are() {
    assert_eq!(
        found(wanted(), DescribedTopic { replication: 5, ..with("min.insync.replicas", "3") }),
        [""; 0]
    );
    let is = DescribedTopic { partitions: 24, replication: 1, ..with("min.insync.replicas", "1") };
    let expected = [
        "customer.events: partitions must be 12, is 24",
        "customer.events: replication must be at least 3, is 1",
        "customer.events: min.insync.replicas must be at least 2, is 1",
    ];
    assert_eq!(found(wanted(), is), expected);
}

#[test]
fn every_configuration_is_named_with_both_values() {
    for (key, value, text) in [
        ("cleanup.policy", "compact", "cleanup.policy must be delete, is compact"),
        ("retention.ms", "-1", "retention.ms must be 2592000000, is -1"),
        ("retention.bytes", "1073741824", "retention.bytes must be -1, is 1073741824"),
        (
            "message.timestamp.type",
            "CreateTime",
            "message.timestamp.type must be LogAppendTime, is CreateTime",
        ),
        ("min.insync.replicas", "?", "min.insync.replicas must be at least 2, is ?"),
        ("segment.ms", "604800000", "segment.ms must be at most 86400000, is 604800000"),
        ("max.message.bytes", "1000000", "max.message.bytes must be at least 1040000, is 1000000"),
    ] {
        assert_eq!(found(wanted(), with(key, value)), [format!("customer.events: {text}")]);
    }
}

#[test]
fn a_leader_that_lacks_records_is_a_risk_and_not_a_refusal() {
    let name = wanted().name;
    let unclean = BTreeMap::from([(name, with(Mismatch::UNCLEAN, "true"))]);
    let found = check(&[wanted()], &unclean);
    let shown: Vec<_> = found.iter().map(|one| (one.to_string(), one.is_warning)).collect();
    let text = "customer.events: unclean.leader.election.enable must be false, is true";
    assert_eq!(shown, [(text.to_owned(), true)]);
}

#[test]
fn a_bound_of_retention_may_be_kept_below_but_not_for_ever() {
    let upstream = WantedTopic { retention: Some(Retention::AtMost(30 * DAY)), ..wanted() };
    assert_eq!(found(upstream.clone(), with("retention.ms", "1000")), [""; 0]);
    let text = "customer.events: retention.ms must be at most 2592000000, is -1";
    assert_eq!(found(upstream, with("retention.ms", "-1")), [text]);
}

#[test]
fn a_compacted_topic_is_held_to_the_retention_of_its_tombstones() {
    let compacted = WantedTopic { cleanup: Some(CleanupPolicy::Compact), ..wanted() };
    let mut is = with("cleanup.policy", "compact");
    is.config.remove("retention.ms");
    let text = "customer.events: delete.retention.ms must be 2592000000, is unknown";
    assert_eq!(found(compacted, is), [text]);
}

#[test]
fn a_compacted_topic_must_not_keep_what_was_erased() {
    let compacted = WantedTopic { compaction_lag: Some(30 * DAY), ..wanted() };
    let text = "customer.events: max.compaction.lag.ms must be at most 2592000000, is 9223372036854775807";
    assert_eq!(found(compacted, with("max.compaction.lag.ms", "9223372036854775807")), [text]);
}

#[test]
fn what_somebody_else_decides_is_a_warning_and_its_absence_is_not() {
    let theirs = WantedTopic {
        is_theirs: true,
        partitions: Some(PartitionCount::About(3)),
        retention: Some(Retention::AtMost(DAY)),
        ..wanted()
    };
    let is = BTreeMap::from([(theirs.name.clone(), described())]);
    let found = check(std::slice::from_ref(&theirs), &is);
    assert_eq!(
        found.iter().map(|one| (one.what, one.is_warning)).collect::<Vec<_>>(),
        [("retention.ms", true)]
    );
    assert!(!check(&[theirs], &BTreeMap::new())[0].is_warning);
}

#[test]
fn a_topic_is_created_as_it_is_checked() {
    let config: BTreeMap<_, _> =
        wanted().config().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    assert!(!config.contains_key("max.message.bytes"), "the default is enough");
    let large = WantedTopic { largest_batch: Some(5_000_000), ..wanted() };
    let config = large.config().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    assert_eq!(found(large, DescribedTopic { config, ..described() }), [""; 0]);
}

#[test]
fn a_missing_topic_is_named_once() {
    let missing = check(&[wanted()], &BTreeMap::new());
    assert_eq!(
        missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["customer.events: topic must be there, is missing"]
    );
}
