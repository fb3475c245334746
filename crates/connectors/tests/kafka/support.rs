//! A Kafka of its own for each test: topics and groups by a prefix that nobody else has.

use catchment_connectors::kafka::{
    CleanupPolicy, Cluster, KafkaLane, LaneSettings, PartitionCount, Properties, RawProducer, RawRecord,
    TopicAdmin, WantedTopic, read_committed,
};
use catchment_runtime::conformance::{Harness, IN, STATE, topics};
use catchment_runtime::record::{Cleanup, TopicSpec};
use catchment_runtime::{
    Batch, Headers, Log, LogError, Millis, Outbox, OwnedRecord, Partition, TopicId, TopicPartition,
    TopicTable,
};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
const LIMIT: usize = 100_000;

/// The brokers of the test run. None: says so, past the capture of the test harness.
pub(crate) fn brokers(test: &str) -> Option<String> {
    let brokers = std::env::var("CATCHMENT_TEST_BROKERS").ok();
    if brokers.is_none() {
        let text = "skipped: CATCHMENT_TEST_BROKERS names no Kafka";
        writeln!(std::io::stderr(), "kafka::{test}: {text}").unwrap();
    }
    brokers
}

pub(crate) fn cluster(brokers: &str, properties: &[(&str, &str)]) -> Cluster {
    let properties: BTreeMap<_, _> =
        properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Cluster { brokers: brokers.to_owned(), properties: Properties::new(properties).unwrap() }
}

pub(crate) struct Kafka {
    pub(crate) cluster: Cluster,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) prefix: String,
    producer: RawProducer,
    dead: Vec<BaseProducer>,
    admin: TopicAdmin,
}

impl Kafka {
    /// The topics of the conformance suite, under a prefix.
    pub(crate) fn new(brokers: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let prefix = format!("test-{time}-{}-{number}", std::process::id());
        let mut table = TopicTable::new();
        let mut wanted = Vec::new();
        for (_, spec) in topics().iter() {
            let name = format!("{prefix}.{}", spec.name);
            let cleanup = match spec.cleanup {
                Cleanup::Delete { .. } => CleanupPolicy::Delete,
                Cleanup::Compact => CleanupPolicy::Compact,
            };
            // Segments that close at once, and a cleaner that has to come, are what compaction can be waited for with.
            let soon = matches!(spec.cleanup, Cleanup::Compact).then_some(Duration::from_millis(10));
            wanted.push(WantedTopic {
                segment: soon,
                compaction_lag: soon,
                name: name.clone(),
                partitions: Some(PartitionCount::Exactly(spec.partitions)),
                replication: Some(1),
                cleanup: Some(cleanup),
                ..WantedTopic::default()
            });
            table.add(TopicSpec { name, ..spec.clone() });
        }
        let cluster = cluster(brokers, &[]);
        let admin = TopicAdmin::new(&cluster, Duration::from_secs(30)).unwrap();
        assert_eq!(admin.create(&wanted).unwrap().len(), wanted.len());
        let producer = RawProducer::new(&cluster).unwrap();
        Kafka { cluster, topics: Arc::new(table), prefix, producer, dead: Vec::new(), admin }
    }

    pub(crate) fn name(&self, topic: TopicId) -> &str {
        &self.topics.spec(topic).name
    }

    /// Settings of a lane of this test's one group.
    pub(crate) fn settings(&self, id: &str, instance: &str) -> LaneSettings {
        let mut settings = LaneSettings::new(self.cluster.clone(), Arc::clone(&self.topics), IN);
        settings.group = self.prefix.clone();
        settings.instance = format!("{}-{instance}", self.prefix);
        settings.transactional_id = format!("{}-{id}", self.prefix);
        settings.session_timeout = Duration::from_secs(6);
        settings.record_limit = LIMIT;
        settings
    }

    pub(crate) fn say(&mut self, partition: Partition, value: &str) {
        self.append(partition, 0, None, Some(value.as_bytes())).unwrap();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let names: Vec<&str> = self.topics.iter().map(|(_, spec)| spec.name.as_str()).collect();
        if let Err(error) = self.admin.delete(&names) {
            eprintln!("topics are left over: {error}");
        }
    }
}

impl Harness for Kafka {
    type Log = KafkaLane;

    fn append(
        &mut self,
        partition: Partition,
        _: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), LogError> {
        let partition = i32::try_from(partition).ok();
        let topic = self.topics.spec(IN).name.as_str();
        self.producer.send(&RawRecord { topic, partition, key, value, ..RawRecord::default() })?;
        self.producer.flush(PATIENCE)
    }

    /// The share names the instance, as it must.
    fn lane(&mut self, id: &str, assignment: &[TopicPartition]) -> Result<KafkaLane, LogError> {
        let share: Vec<_> = assignment.iter().map(|at| format!("{}-{}", at.topic.0, at.partition)).collect();
        KafkaLane::assigned(self.settings(id, &share.join("+")), assignment)
    }

    fn die_in_transaction(&mut self, id: &str, partition: Partition, value: &[u8]) -> Result<(), LogError> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.cluster.brokers)
            .set("transactional.id", format!("{}-{id}", self.prefix))
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        let partition = i32::try_from(partition).unwrap();
        let record = BaseRecord::<[u8], [u8]>::to(self.name(IN)).partition(partition).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        self.dead.push(producer);
        Ok(())
    }

    fn delete_before(&mut self, partition: Partition, offset: u64) -> Result<(), LogError> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.cluster.brokers).create().unwrap();
        let (topic, partition) = (self.name(IN), i32::try_from(partition).unwrap());
        let offset = i64::try_from(offset).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        // Served by the client's own thread: waiting for the effect is enough.
        drop(admin.delete_records(&list, &AdminOptions::new()));
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.cluster.brokers).create().unwrap();
        let start = Instant::now();
        while consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().0 != offset {
            assert!(start.elapsed() < PATIENCE, "records are still there");
        }
        Ok(())
    }

    /// The cleaner looks for work every 15 seconds.
    fn compact(&mut self, partition: Partition) -> Result<(), LogError> {
        let (at, start) = (at(STATE, partition), Instant::now());
        loop {
            let records = self.read_committed(at)?;
            let keys: BTreeSet<_> = records.iter().map(|record| &record.key).collect();
            if keys.len() == records.len() {
                return Ok(());
            }
            assert!(start.elapsed() < 3 * PATIENCE, "not cleaned: {records:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn read_committed(&mut self, at: TopicPartition) -> Result<Vec<OwnedRecord>, LogError> {
        read_committed(&self.cluster, &self.topics, at, PATIENCE)
    }

    fn record_limit(&self) -> usize {
        LIMIT
    }

    fn wait(&mut self, attempt: u32) -> bool {
        std::thread::sleep(Duration::from_millis(20));
        attempt < 50
    }
}

pub(crate) fn at(topic: TopicId, partition: Partition) -> TopicPartition {
    TopicPartition { topic, partition }
}

pub(crate) fn outbox(records: &[(TopicPartition, &[u8])]) -> Outbox {
    let mut outbox = Outbox::default();
    for (at, value) in records {
        let to = catchment_runtime::outbox::To { topic: at.topic, partition: at.partition, time: 0 };
        outbox.push(to, Some(b"key"), Some(value), Headers::default());
    }
    outbox
}

pub(crate) fn text(record: &OwnedRecord) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"(none)")).into_owned()
}

/// Polls until the condition holds, and takes up every change of the assignment on the way; values that came.
#[track_caller]
pub(crate) fn drive(lanes: &mut [&mut KafkaLane], until: impl Fn(&[&mut KafkaLane]) -> bool) -> Vec<String> {
    let (start, mut batch, mut values) = (Instant::now(), Batch::default(), Vec::new());
    while !until(lanes) {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {lanes:?}");
        for lane in lanes.iter_mut() {
            match lane.poll(&catchment_runtime::BatchLimits::default(), &mut batch) {
                Ok(()) => values.extend(batch.iter().map(|record| text(&record.into()))),
                Err(LogError::Reassigned) => {
                    lane.reassign().unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    values
}

/// A topic of which only the number of partitions matters.
pub(crate) fn wanted(name: &str, partitions: u32) -> WantedTopic {
    WantedTopic {
        name: name.to_owned(),
        partitions: Some(PartitionCount::Exactly(partitions)),
        replication: Some(1),
        ..WantedTopic::default()
    }
}
