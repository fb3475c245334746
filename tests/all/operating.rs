//! The operator's commands on a real Kafka: `CATCHMENT_TEST_BROKERS=host:port`. Most topics have the same names in every
//! installation, so that these tests take turns, and begin only where none of the topics is there.

use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use catchment_connectors::kafka::{
    Cluster, Inspector, KafkaLane, LaneSettings, NamedPartition, PartitionCount, Place, Properties,
    RawProducer, RawRecord, Scan, Scanned, TimestampType, ToolWriter, TopicAdmin, View, WantedTopic,
};
use catchment_contracts::dead_letter::{DeadLetter, ErrorCode, FieldError};
use catchment_contracts::headers;
use catchment_runtime::TopicTable;
use catchment_runtime::record::{Cleanup, TopicSpec};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{catchment, finished};

const PATIENCE: Duration = Duration::from_secs(30);
const CONFIG: &str = "catchment.yaml";

/// An application with topics of its own, which go with it.
struct Shop {
    directory: TempDir,
    app: String,
    cluster: Cluster,
    admin: TopicAdmin,
    topics: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Shop {
    /// None: there is no Kafka, which is said past the capture of the test harness.
    fn new(test: &str) -> Option<Shop> {
        static TURN: Mutex<()> = Mutex::new(());
        let Ok(brokers) = std::env::var("CATCHMENT_TEST_BROKERS") else {
            let text = "skipped: CATCHMENT_TEST_BROKERS names no Kafka";
            writeln!(std::io::stderr(), "operating::{test}: {text}").unwrap();
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let time = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let app = format!("t{time}-{}", std::process::id());
        let directory = TempDir::new().unwrap();
        let config = format!(
            "app: {app}\npartitions: 2\nidentity: {{secret_file: secret}}\n\
             kafka: {{brokers: '{brokers}', session_timeout: 6s}}\n\
             topics: {{replication: 1, min_insync: 1, raw_partitions: 2}}\n\
             sources:\n  - {{name: crm, topic: {app}.contacts, mapping: contact}}\n"
        );
        fs::write(directory.path().join(CONFIG), config).unwrap();
        fs::write(directory.path().join("secret"), "07".repeat(32)).unwrap();
        let cluster = Cluster { brokers, properties: Properties::default() };
        let admin = TopicAdmin::new(&cluster, PATIENCE).unwrap();
        let mut shop = Shop { directory, app, cluster, admin, topics: Vec::new(), _turn: turn };
        let (code, planned, error) = shop.run(&["topics", "create", "--dry-run"]);
        assert_eq!(code, 0, "{error}");
        let names = planned.lines().skip(2).filter_map(|line| line.split_whitespace().next());
        let names: Vec<String> = names.map(str::to_owned).collect();
        assert!(planned.starts_with("17 topics would be created, 0 are there.\n"), "left over?\n{planned}");
        shop.topics = names;
        Some(shop)
    }

    /// A shop whose topics are there.
    fn created(test: &str) -> Option<Shop> {
        let shop = Shop::new(test)?;
        let (code, shown, error) = shop.run(&["topics", "create"]);
        assert_eq!((code, error.as_str()), (0, ""), "{shown}");
        Some(shop)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        finished(catchment(arguments).current_dir(self.directory.path()))
    }

    /// A command that is to succeed, and what it says.
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let (code, shown, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {error}\n{shown}");
        shown
    }

    /// A command that is to fail, and what it says of it.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let (code, shown, error) = self.run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {error}\n{shown}");
        format!("{shown}{error}")
    }

    fn contacts(&self) -> String {
        format!("{}.contacts", self.app)
    }

    fn produce(&self, records: &[RawRecord<'_>]) {
        let producer = RawProducer::new(&self.cluster).unwrap();
        for record in records {
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// A dead letter as ingest writes it.
    fn park(&self, partition: i32, offset: i64, code: ErrorCode, value: &str) {
        let errors = [FieldError::new(code, "contact.email", "a text", "nothing")];
        let topic = self.contacts();
        let (stage, role, contract, source) = ("map", "ingest", "crm_contact", "crm");
        let letter = DeadLetter {
            errors: &errors,
            topic: &topic,
            partition,
            offset,
            stage,
            role,
            contract,
            source,
            attempt: 3,
        };
        let mut headers = vec![("x-origin".to_owned(), b"crm".to_vec())];
        headers.extend(letter.headers());
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        self.produce(&[RawRecord {
            topic: "dlq.crm",
            partition: Some(partition),
            key: Some(b"key"),
            value: Some(value.as_bytes()),
            headers: &headers,
            time: None,
        }]);
    }

    fn read(&self, topic: &str) -> Vec<Scanned> {
        let of = [0, 1].map(|partition| NamedPartition::new(topic, partition));
        let mut scan = Scan::new(&self.cluster, &of, Place::Earliest, PATIENCE).unwrap();
        let mut records = Vec::new();
        while let Some(record) = scan.next_record().unwrap() {
            records.push(record);
        }
        records
    }

    /// Rows of `dlq list`: topic, code, state and number.
    fn letters(&self, more: &[&str]) -> Vec<(String, String, u64)> {
        let shown = self.says(&[&["dlq", "list", "--json"], more].concat());
        let rows: Vec<Value> = serde_json::from_str(&shown).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter()
            .map(|row| (text(row, "code"), text(row, "state"), row["letters"].as_u64().unwrap()))
            .collect()
    }

    /// Waits until the brokers have forgotten a topic that was deleted.
    fn delete(&self, topic: &str) {
        self.admin.delete(&[topic]).unwrap();
        let start = Instant::now();
        while !self.admin.describe([topic]).unwrap().is_empty() {
            assert!(start.elapsed() < PATIENCE, "{topic} is still there");
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        if names.is_empty() {
            return;
        }
        if let Err(error) = self.admin.delete(&names) {
            eprintln!("topics are left over: {error}");
            return;
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE
            && self.admin.describe(names.iter().copied()).is_ok_and(|left| !left.is_empty())
        {}
    }
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn topics_are_created_once_and_what_is_wrong_is_named() {
    let Some(shop) = Shop::new("topics") else { return };
    let missing = shop.fails(&["topics", "check"]);
    contains(
        &missing,
        &["dlq.crm, dlq.ingest", ": the topic is missing\n  `catchment topics create` makes it"],
    );
    contains(&shop.says(&["topics", "create"]), &["17 topics created, 0 were there.\n"]);
    assert_eq!(shop.says(&["topics", "create"]), "0 topics created, 17 were there.\n");
    contains(&shop.says(&["topics", "check"]), &["\nAll topics are as they must be.\n"]);

    shop.delete("customer.events");
    let wrong = WantedTopic {
        name: "customer.events".to_owned(),
        partitions: Some(PartitionCount::Exactly(3)),
        replication: Some(1),
        timestamps: Some(TimestampType::CreateTime),
        ..WantedTopic::default()
    };
    shop.admin.create(&[wrong]).unwrap();
    fs::write(shop.directory.path().join("secret"), "08".repeat(32)).unwrap();
    let expected = [
        "partitions: topics of one key disagree about partitions: 2 in customer.inbox, ",
        "; 3 in customer.events\n",
        "customer.events: must have 2 partitions, has 3\n",
        "customer.events: message.timestamp.type must be LogAppendTime, is CreateTime\n  kafka-configs ",
        "customer.events: retention.ms must be 2592000000, is 604800000\n",
        "identity.secret_file: the secret has the fingerprint ",
        "error: 6 things are not as they must be\n",
    ];
    contains(&shop.fails(&["topics", "check"]), &expected);

    let (code, _, error) = shop.run(&["topics", "create"]);
    assert_eq!(code, 2, "{error}");
    contains(&error, &["identity.secret_file: the secret has the fingerprint "]);
    shop.delete("dlq.crm");
    assert_eq!(shop.run(&["topics", "create"]).0, 2);
    assert!(shop.admin.describe(["dlq.crm"]).unwrap().is_empty(), "refused before anything is created");
    fs::write(shop.directory.path().join("secret"), "07".repeat(32)).unwrap();
    contains(&shop.fails(&["topics", "create"]), &["1 topics created", expected[2], expected[3]]);
}

#[test]
fn a_dead_letter_is_replayed_once_and_as_it_came() {
    let Some(shop) = Shop::created("dlq") else { return };
    shop.park(1, 40, ErrorCode::MissingField, "{\"a\":1}");
    shop.park(1, 41, ErrorCode::MissingField, "{\"a\":2}");
    shop.park(0, 9, ErrorCode::Oversize, "{\"a\":3}");
    let waiting = |code: &str, count| (code.to_owned(), "waiting".to_owned(), count);
    assert_eq!(shop.letters(&[]), [waiting("missing_field", 2), waiting("oversize", 1)]);
    assert_eq!(shop.letters(&["--source", "ingest"]), []);
    let shown = shop.says(&["dlq", "show", "--source", "crm", "--offset", "1:0"]);
    contains(
        &shown,
        &["dlq.crm 1:0", "from    ", ".contacts 1:40, source crm, contract crm_contact", "value   7 bytes"],
    );
    assert!(!shown.contains("{\"a\":1}"), "personal data without --values\n{shown}");
    contains(&shop.says(&["dlq", "show", "--values"]), &["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
    assert_eq!(shop.says(&["dlq", "show", "--raw", "--code", "oversize"]), "{\"a\":3}\n");

    let plan = shop.says(&["dlq", "replay", "--code", "missing_field"]);
    contains(
        &plan,
        &["within `dedup.window` (48h) only", "Nothing is done yet: add --yes to replay these 2."],
    );
    assert_eq!(shop.read(&shop.contacts()), []);
    let done = shop.says(&["dlq", "replay", "--code", "missing_field", "--yes"]);
    assert_eq!(done, "2 dead letters replayed.\n");
    let back = shop.read(&shop.contacts());
    let texts: Vec<_> =
        back.iter().map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap())).collect();
    assert_eq!(texts, ["{\"a\":1}", "{\"a\":2}"]);
    assert!(
        back.iter().all(|record| record.at.partition == 1 && record.key.as_deref() == Some(b"key")),
        "{back:?}"
    );
    let names: Vec<&str> = back[0].headers.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-origin", headers::ERROR_ATTEMPT, headers::SOURCE]);

    assert_eq!(
        shop.says(&["dlq", "replay", "--code", "missing_field", "--yes"]),
        "0 dead letters replayed.\n"
    );
    assert_eq!(shop.read(&shop.contacts()).len(), 2, "nothing is replayed twice");
    let dropped = shop.says(&["dlq", "drop", "--source", "crm", "--reason", "a test", "--yes"]);
    assert_eq!(dropped, "1 dead letters dropped.\n");
    assert_eq!(shop.letters(&[]), []);
    let all: Vec<_> = [("missing_field", "replayed", 2), ("oversize", "dropped", 1)]
        .map(|(code, state, count)| (code.to_owned(), state.to_owned(), count))
        .into();
    assert_eq!(shop.letters(&["--all"]), all);

    // What was done with letters of a topic is not done with those of a new one, though they have the same offsets.
    shop.delete("dlq.crm");
    shop.says(&["topics", "create"]);
    shop.park(1, 50, ErrorCode::MissingField, "{\"a\":4}");
    assert_eq!(shop.letters(&[]), [waiting("missing_field", 1)]);

    let marks = format!("{}.dlq.handled", shop.app);
    let newer =
        RawRecord { topic: &marks, key: Some(b"dlq.crm/1"), value: Some(b"{}"), ..RawRecord::default() };
    shop.produce(&[newer]);
    assert_eq!(shop.letters(&[]), [waiting("missing_field", 1)], "a list goes on");
    for work in [&["replay"][..], &["replay", "--yes"], &["drop", "--reason", "x", "--yes"]] {
        let refused = shop.fails(&[&["dlq"][..], work].concat());
        contains(&refused, &[&marks, "can't be read: letters that were dealt with already would be again"]);
    }
    assert_eq!(shop.read(&shop.contacts()).len(), 2);
}

/// The lag of a partition of a role's input: committed offset and lag.
fn lag(shop: &Shop, partition: u64) -> (Option<u64>, u64, Value) {
    let shown: Value = serde_json::from_str(&shop.says(&["lag", "--json"])).unwrap();
    let rows = shown["groups"][0]["partitions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["partition"] == partition).unwrap();
    (row["committed"].as_u64(), row["lag"].as_u64().unwrap(), row["owner"].clone())
}

#[test]
fn input_is_skipped_only_while_nobody_reads_it_and_leaves_a_record() {
    let Some(shop) = Shop::created("offsets") else { return };
    let topic = shop.contacts();
    let record = RawRecord { topic: &topic, partition: Some(0), value: Some(b"x"), ..RawRecord::default() };
    shop.produce(&[record; 5]);
    assert_eq!(lag(&shop, 0), (None, 5, Value::Null));
    let skip = |more: &[&str]| -> Vec<String> {
        let fixed = [
            "offsets",
            "skip",
            "--role",
            "ingest",
            "--topic",
            &topic,
            "--partition",
            "0",
            "--reason",
            "a test",
        ];
        fixed.iter().chain(more).map(|text| (*text).to_owned()).collect()
    };
    let run = |more: &[&str]| {
        let arguments = skip(more);
        shop.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, shown, _) = run(&["--to", "3"]);
    assert_eq!(code, 0);
    contains(
        &shown,
        &[
            "ingest begins at offset 3 of ",
            "of which nothing is committed. 3 before it are not read, 2 are.\nWhat ingest has done",
            "`dedup.window` (48h): records older than that may be counted again",
            "--yes",
        ],
    );
    assert_eq!(lag(&shop, 0), (None, 5, Value::Null), "nothing is done without --yes");

    let lane = join(&shop);
    let (_, _, owner) = lag(&shop, 0);
    contains(owner.as_str().unwrap(), &["the-lane (127.0.0.1)"]);
    let (code, _, error) = run(&["--to", "3", "--yes"]);
    assert_eq!(code, 1);
    contains(
        &error,
        &["is Stable with 1 members (the-lane): stop every process of the role `ingest` first", "(6s)"],
    );
    lane.leave().unwrap();

    let (code, shown, error) = run(&["--to", "3", "--yes"]);
    assert_eq!(code, 0, "{error}");
    contains(&shown, &["Done. ingest goes on at offset 3; recorded on dlq.ingest.\n"]);
    assert_eq!(lag(&shop, 0), (Some(3), 2, Value::Null));
    let (code, _, error) = run(&["--to", "2", "--yes"]);
    assert_eq!(code, 1);
    contains(&error, &["offset 2 lies before 3 (committed)"]);
    contains(&run(&["--to-earliest"]).2, &["offset 0 lies before 3"]);
    contains(&run(&["--to", "6"]).2, &["behind the end of the partition, 5"]);

    assert_eq!(shop.letters(&[]), [("skipped".to_owned(), "waiting".to_owned(), 1)]);
    let shown = shop.says(&["dlq", "show", "--source", "ingest", "--values"]);
    contains(&shown, &["offsets 0 to 2 skipped", r#""committed":null,"from":0,"to":3,"reason":"a test""#]);
    let replayed = shop.says(&["dlq", "replay", "--yes"]);
    assert_eq!(
        replayed,
        "0 dead letters replayed.\n1 can't be replayed: a note about skipped input is no record\n"
    );

    commit(&shop, &NamedPartition::new(&topic, 0), 70);
    contains(&shop.says(&["lag"]), &["cut off: ends before 70"]);
    assert_eq!(lag(&shop, 0), (Some(70), 5, Value::Null));
    let (code, shown, error) = run(&["--to-earliest", "--yes"]);
    assert_eq!(code, 0, "{error}");
    contains(
        &shown,
        &["which ends at 5, before the committed offset 70: the topic was made anew or cut off"],
    );
    assert_eq!(lag(&shop, 0), (Some(0), 5, Value::Null));

    let lines = |more: &[&str]| {
        let read = [&["read", topic.as_str()][..], more].concat();
        shop.says(&read).lines().filter(|line| line.contains(r#""value":"x""#)).count()
    };
    assert_eq!([lines(&[]), lines(&["--limit", "2"]), lines(&["--limit", "0"])], [5, 2, 0]);
    assert_eq!(lines(&["--partition", "1"]), 0);
    for wrong in [&["read", &topic, "--partition", "2"][..], &["read", "no.such.topic"]] {
        assert_eq!(shop.run(wrong).0, 2, "{wrong:?}");
    }
}

/// Commits an offset of ingest, as if the partition had once been longer.
fn commit(shop: &Shop, at: &NamedPartition, next: i64) {
    let group = format!("{}.ingest", shop.app);
    let inspector = Inspector::new(&shop.cluster, Some(&group), View::Committed, PATIENCE).unwrap();
    let id = format!("{}.operator.test", shop.app);
    let writer = ToolWriter::new(&shop.cluster, &id, 1_000_000, PATIENCE).unwrap();
    let done = writer.transaction(|writer| writer.send_offset(&inspector, at, next));
    done.unwrap();
}

/// A lane of ingest that has joined its group.
fn join(shop: &Shop) -> KafkaLane {
    let mut table = TopicTable::new();
    let cleanup = Cleanup::Delete { retention_ms: 1 };
    let contacts = table.add(TopicSpec { name: shop.contacts(), partitions: 2, cleanup });
    let mut settings = LaneSettings::new(shop.cluster.clone(), Arc::new(table), contacts);
    settings.group = format!("{}.ingest", shop.app);
    settings.instance = "the-lane".to_owned();
    settings.transactional_id = format!("{}.ingest.test", shop.app);
    settings.session_timeout = Duration::from_secs(6);
    KafkaLane::join(settings).unwrap()
}

/// Needs no Kafka: nothing listens at the port.
#[test]
fn a_kafka_that_is_away_is_said_to_be_and_nothing_hangs() {
    let directory = TempDir::new().unwrap();
    let config = "kafka: {brokers: '127.0.0.1:1', request_timeout: 1s}\nidentity: {secret_file: secret}\n\
                  sources: [{name: crm, topic: crm.contacts, mapping: contact}]\n";
    fs::write(directory.path().join(CONFIG), config).unwrap();
    fs::write(directory.path().join("secret"), "07".repeat(32)).unwrap();
    let skip = "offsets skip --role ingest --topic crm.contacts --partition 0 --to-earliest --reason x --yes";
    for command in ["topics check", "topics create", "lag", "dlq list", "dlq replay --yes", skip] {
        let start = Instant::now();
        let arguments: Vec<&str> = command.split(' ').collect();
        let (code, _, error) = finished(catchment(&arguments).current_dir(directory.path()));
        assert_eq!(code, 1, "{command}: {error}");
        contains(&error, &["error: Kafka can't be reached (", "Connection refused"]);
        assert!(start.elapsed() < Duration::from_secs(10), "{command}: {:?}", start.elapsed());
    }
}
