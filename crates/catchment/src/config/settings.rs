//! What can be configured. The doc comments are the reference page: write them for who edits the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::{Kind, Rule, choices, sections};
use super::units::{Size, Span};
use catchment_pipeline::profile::{DEFAULT_FORMAT, NEWEST_FORMAT, OLDEST_FORMAT};

choices! {
    /// What time it is for timers, windows and quiet hours.
    Clock {
        /// The time of day.
        "wall" => Wall,
        /// The arrival time of the records read so far: for replays, and always so in demo and sandbox.
        "event" => Event,
    }

    /// How the records of a source are written.
    Format {
        /// A JSON document a record.
        "json" => Json,
        /// An Avro datum behind the id of its schema in the registry: a zero byte, then four bytes. The header
        /// `__value_schema_id` is read, too. Field names are those of the JSON form.
        "avro" => Avro,
    }

    /// What the records of a source say.
    Mapping {
        /// Calls of Segment's specification: identify, track, page, screen, group, alias.
        "segment" => Segment,
        /// Contacts of HubSpot's CRM.
        "hubspot" => Hubspot,
        /// Change events of Salesforce contacts.
        "salesforce" => Salesforce,
        /// Contacts as Catchment's own contract `crm_contact` has them.
        "contact" => Contact,
        /// Items of the catalog, as the contract `catalog_item_snapshot` has them.
        "catalog" => Catalog,
    }

    /// What to do with a record without a value.
    Tombstone {
        /// To the dead letters, with the code `null_value`.
        "dead_letter" => DeadLetter,
        /// Nothing.
        "ignore" => Ignore,
    }

    /// What stands behind a `+` in the name of an e-mail address. It is a part of node keys: fixed like the secret.
    PlusAddressing {
        /// It stays: whether it is one mailbox is for its provider to say.
        "keep" => Keep,
        /// It goes: `mia+shoes@example.com` is `mia@example.com`.
        "strip" => Strip,
    }

    /// What becomes of an event that knows only a device which several customers use.
    SharedDevices {
        /// It counts for the customer who was seen with the device last.
        "route" => Route,
        /// It counts for the customer who had the device first, as any of her devices.
        "first" => First,
    }

    /// When a changed profile is published.
    Publish {
        /// Once a step, with the last state: a customer with many events costs one record a batch.
        "step" => Step,
        /// After every event.
        "event" => Event,
    }

    /// How much is logged.
    LogLevel {
        /// What needs a person.
        "error" => Error,
        /// Also what a person should know.
        "warn" => Warn,
        /// Also what goes on.
        "info" => Info,
        /// Also why.
        "debug" => Debug,
        /// Everything.
        "trace" => Trace,
    }

    /// How log lines are written.
    LogFormat {
        /// For a terminal.
        "human" => Human,
        /// A JSON document a line, for a log store.
        "json" => Json,
    }
}

const APP: Rule = Rule {
    expected: "small letters, digits and `-`, at most 64",
    short: "text of `a-z 0-9 -`",
    holds: |text| is_word(text, '-'),
    unique: false,
};

const SOURCE_NAME: Rule = Rule {
    expected: "small letters, digits and `_`, at most 64",
    short: "text of `a-z 0-9 _`, unique",
    holds: |text| is_word(text, '_'),
    unique: true,
};

/// What Kafka takes as the name of a topic; 200 of its 249 characters, to leave room for `dlq.` and the like.
const TOPIC: Rule = Rule {
    expected: "a topic name: letters, digits, `.`, `_` and `-`, at most 200",
    short: "topic name",
    holds: |text| {
        (1..=200).contains(&text.len())
            && text != "."
            && text != ".."
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    },
    unique: false,
};

const CURRENCY: Rule = Rule {
    expected: "the code of a currency in capitals, such as `USD`",
    short: "ISO 4217 code",
    holds: |text| {
        catchment_domain::money::Currency::from_code(text).is_some_and(|currency| currency.code() == text)
    },
    unique: false,
};

const BROKERS: Rule = Rule {
    expected: "`host:port`, several with commas between them",
    short: "`host:port`, …",
    holds: |text| {
        text.split(',').all(|broker| {
            let parts = broker.trim().rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        })
    },
    unique: false,
};

const URL: Rule = Rule {
    expected: "a URL that begins with `http://` or `https://`",
    short: "URL",
    holds: |text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains('@'))
    },
    unique: false,
};

const ADDRESS: Rule = Rule {
    expected: "an address to listen on, such as `127.0.0.1:9464`",
    short: "`ip:port`",
    holds: |text| text.parse::<std::net::SocketAddr>().is_ok(),
    unique: false,
};

const INSTANCE: Rule = Rule {
    expected: "letters, digits, `.`, `_` and `-`, at most 128",
    short: "text of letters, digits and `. _ -`",
    holds: |text| {
        (1..=128).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    },
    unique: false,
};

const ANY_TEXT: Rule =
    Rule { expected: "a text", short: "text", holds: |text| !text.is_empty(), unique: false };

fn is_word(text: &str, mark: char) -> bool {
    (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == mark)
}

sections! {
    /// The configuration, checked: files exist, numbers are in range, paths are resolved.
    Config {
        /// First part of the names of internal topics and consumer groups, as in `catchment.profile.state`. Two
        /// deployments in one Kafka cluster need two.
        app: String = "catchment".to_owned() => Kind::Text(&APP),
        /// What time it is for timers, windows and quiet hours.
        clock: Clock = Clock::Wall => Kind::Choice(Clock::WORDS),
        /// Partitions of every topic that is keyed by node key. Fixed when the topics are created: it decides where
        /// a customer's state lives.
        partitions: u16 = 8 => Kind::Integer { least: 1, most: 1024 },
        /// Who an event is about.
        identity: Identity = Identity::default() => Kind::Section(Identity::KEYS),
        /// Where events come from.
        sources: Vec<Source> => Kind::Sections(Source::KEYS),
        /// How much a step takes at once: the larger, the fewer transactions and the longer a step.
        batch: Batch = Batch { max_records: 60_000, max_bytes: Size(32 << 20) } => Kind::Section(Batch::KEYS),
        /// How repeated deliveries of one event are recognised.
        dedup: Dedup = Dedup { window: Span::hours(48), max_entries: 1_000_000 } => Kind::Section(Dedup::KEYS),
        /// How decisions wait.
        timers: Timers = Timers { grace: Span::of_millis(5_000) } => Kind::Section(Timers::KEYS),
        /// How long what is known of customers is kept.
        expiry: Expiry = Expiry { anonymous: Span::hours(90 * 24), known: Span::of_millis(0) } => Kind::Section(Expiry::KEYS),
        /// How profiles are published.
        profiles: Profiles = Profiles { publish: Publish::Step } => Kind::Section(Profiles::KEYS),
        /// Files of the models that score profiles.
        models: Vec<PathBuf> = Vec::new() => Kind::Files,
        /// Files of the campaigns that decide on triggers.
        campaigns: Vec<PathBuf> = Vec::new() => Kind::Files,
        /// Name of this process among those of the same role: part of what Kafka knows its lanes by. Two living
        /// processes must not share one, and a restarted process must keep its own. The host's name where the key is
        /// absent, which is the pod's in Kubernetes.
        instance: Option<String> = None => Kind::Text(&INSTANCE),
        /// How many lanes a process runs of each role. A lane is a thread with its own place in the consumer group.
        lanes: Lanes = Lanes { ingest: 1, profile: 1, catalog: 1 } => Kind::Section(Lanes::KEYS),
        /// How often a lane commits.
        commit: Commit = Commit { min_interval: Span::of_millis(10) } => Kind::Section(Commit::KEYS),
        /// Which Kafka `run` works on, and how it is spoken to.
        kafka: Kafka = Kafka::default() => Kind::Section(Kafka::KEYS),
        /// What `topics create` makes, and `topics check` wants at least.
        topics: Topics = Topics::default() => Kind::Section(Topics::KEYS),
        /// Where the schemas of our records are registered, and those of Avro sources are found.
        registry: Registry = Registry::default() => Kind::Section(Registry::KEYS),
        /// Where metrics and health can be asked for.
        admin: Admin = Admin { listen: "127.0.0.1:9464".to_owned() } => Kind::Section(Admin::KEYS),
        /// Where traces go.
        traces: Traces = Traces { endpoint: None, one_in: 0 } => Kind::Section(Traces::KEYS),
        /// Where state is kept that a restart is to find. Truth stays in Kafka: what is lost here costs time alone.
        state: State = State { dir: None, snapshot_interval: Span::of_millis(30_000), format: u16::from(DEFAULT_FORMAT.0) } => Kind::Section(State::KEYS),
        /// What is logged, and how. The flags `--log-level` and `--log-format` have the last word.
        log: Log = Log { level: LogLevel::Info, format: LogFormat::Human } => Kind::Section(Log::KEYS),
    }

    /// Who an event is about.
    Identity {
        /// File with the secret that identifiers are hashed with: 32 bytes as 64 hex digits. Fixed like the
        /// partition count: with another secret every customer is a new one. Demo and sandbox use a published
        /// secret where the key is absent.
        secret_file: Option<PathBuf> = None => Kind::File,
        /// Values that identify nobody, besides those that never do (`null`, `undefined`, ...): the shop's own address, a
        /// number that clerks type when there is none. In their one spelling, as `customer.profiles` would show them.
        blocked: Vec<String> = Vec::new() => Kind::Texts,
        /// What stands behind a `+` in the name of an e-mail address.
        plus_addressing: PlusAddressing = PlusAddressing::Keep => Kind::Choice(PlusAddressing::WORDS),
        /// The most identifiers that a customer may have. What would join more than that stays apart, and is recorded on
        /// `customer.merges`.
        limits: IdentityLimits = IdentityLimits::default() => Kind::Section(IdentityLimits::KEYS),
        /// After so long, identifiers that were kept apart are tried again when an event names both.
        retry_after: Span = Span::hours(24) => Kind::Span { least: Span::of_millis(60_000), most: Span::hours(365 * 24) },
        /// What becomes of an event that knows only a device which several customers use.
        shared_devices: SharedDevices = SharedDevices::Route => Kind::Choice(SharedDevices::WORDS),
    }

    /// How large a customer may become. A person has one account and a few addresses; what joins hundreds is a shared device,
    /// or a value that means nothing.
    IdentityLimits {
        /// Ids of users.
        user_id: u16 = 1 => Kind::Integer { least: 1, most: 1_000 },
        /// Ids of contacts in a CRM.
        crm_id: u16 = 1 => Kind::Integer { least: 1, most: 1_000 },
        /// E-mail addresses.
        email: u16 = 5 => Kind::Integer { least: 1, most: 1_000 },
        /// Telephone numbers.
        phone: u16 = 5 => Kind::Integer { least: 1, most: 1_000 },
        /// Devices.
        anonymous_id: u16 = 5 => Kind::Integer { least: 1, most: 1_000 },
        /// All of them together.
        members: u16 = 100 => Kind::Integer { least: 2, most: 100 },
    }

    /// Where events come from: a topic, and how its records are to be read.
    Source {
        /// Name in metrics, dead letters and event ids.
        name: String => Kind::Text(&SOURCE_NAME),
        /// Topic it is read from.
        topic: String => Kind::Text(&TOPIC),
        /// How its records are written.
        format: Format = Format::Json => Kind::Choice(Format::WORDS),
        /// What its records say.
        mapping: Mapping => Kind::Choice(Mapping::WORDS),
        /// File that brings a foreign payload into the form that `mapping` takes, where it has not that form itself.
        via: Option<PathBuf> = None => Kind::File,
        /// Field with the time at which a record arrived, such as `receivedAt`. The record's Kafka timestamp where
        /// the key is absent.
        arrival: Option<String> = None => Kind::FieldPath,
        /// Largest record; a larger one goes to the dead letters.
        max_bytes: Size = Size(32 << 10) => Kind::Size { least: Size(1), most: Size(1 << 20) },
        /// What to do with a record without a value.
        tombstone: Tombstone = Tombstone::DeadLetter => Kind::Choice(Tombstone::WORDS),
        /// Currency of amounts that name none.
        default_currency: String = "USD".to_owned() => Kind::Text(&CURRENCY),
    }

    /// How much a step takes at once.
    Batch {
        /// Most records.
        max_records: u32 = 60_000 => Kind::Integer { least: 1, most: 1_000_000 },
        /// Most bytes of records. A record that is larger by itself is taken alone.
        max_bytes: Size = Size(32 << 20) => Kind::Size { least: Size(1 << 10), most: Size(256 << 20) },
    }

    /// How repeated deliveries of one event are recognised.
    Dedup {
        /// How long an event id is remembered, counted from when it was read.
        window: Span = Span::hours(48) => Kind::Span { least: Span::of_millis(60_000), most: Span::hours(3_650 * 24) },
        /// Most event ids remembered in a partition; beyond, the oldest are forgotten early. An id takes about 24
        /// bytes.
        max_entries: u64 = 1_000_000 => Kind::Integer { least: 1, most: 1_000_000_000 },
    }

    /// How decisions wait.
    Timers {
        /// How long a decision that waits for an exception (`after … unless …`) waits at least from when its event
        /// arrived, for what arrives right behind it: a phone that was offline sends a cart and its order together.
        grace: Span = Span::of_millis(5_000) => Kind::Span { least: Span::of_millis(0), most: Span::hours(24) },
    }

    /// How long what is known of customers is kept, counted from their newest event.
    Expiry {
        /// Of customers who are known by devices alone. `0s`: for good.
        anonymous: Span = Span::hours(90 * 24) => Kind::Span { least: Span::of_millis(0), most: Span::hours(3_650 * 24) },
        /// Of all others. `0s`: for good.
        known: Span = Span::of_millis(0) => Kind::Span { least: Span::of_millis(0), most: Span::hours(3_650 * 24) },
    }

    /// How profiles are published.
    Profiles {
        /// When a changed profile is published.
        publish: Publish = Publish::Step => Kind::Choice(Publish::WORDS),
    }

    /// What is logged, and how.
    Log {
        /// How much is logged.
        level: LogLevel = LogLevel::Info => Kind::Choice(LogLevel::WORDS),
        /// How log lines are written.
        format: LogFormat = LogFormat::Human => Kind::Choice(LogFormat::WORDS),
    }

    /// Where state is kept that a restart is to find.
    State {
        /// Directory of the snapshots, of this process alone, on a local disk: up to three times the size of its
        /// changelogs once compacted. Files are for their owner alone (0600), since they hold personal data. Without it
        /// a restart reads the changelogs from their beginning.
        dir: Option<PathBuf> = None => Kind::Directory,
        /// How often a snapshot is marked: what was committed since the last mark is read from the changelogs after a
        /// crash.
        snapshot_interval: Span = Span::of_millis(30_000) => Kind::Span { least: Span::of_millis(1_000), most: Span::hours(1) },
        /// Versions in which stored records are written. Every release reads all that earlier ones wrote, and its default is
        /// what the release before it can read, so that one can go back. To be raised, on every process, once nobody wants to.
        format: u16 = u16::from(DEFAULT_FORMAT.0) => Kind::Integer { least: OLDEST_FORMAT.0 as u64, most: NEWEST_FORMAT.0 as u64 },
    }

    /// How many lanes a process runs of each role.
    Lanes {
        /// Of `ingest`. With `clock: event`, one in the whole deployment.
        ingest: u16 = 1 => Kind::Integer { least: 1, most: 64 },
        /// Of `profile`. More than partitions are idle.
        profile: u16 = 1 => Kind::Integer { least: 1, most: 64 },
        /// Of `catalog`, where a source has the catalog. More than partitions are idle.
        catalog: u16 = 1 => Kind::Integer { least: 1, most: 64 },
    }

    /// How often a lane commits.
    Commit {
        /// At least so long between two commits of a lane. Every transaction costs the brokers about 2 ms of CPU.
        min_interval: Span = Span::of_millis(10) => Kind::Span { least: Span::of_millis(0), most: Span::of_millis(10_000) },
    }

    /// Which Kafka, and how to speak to it.
    Kafka {
        /// Some of its brokers, from which the others are learnt. Needed by `run` and by all that looks into Kafka.
        brokers: Option<String> = None => Kind::Text(&BROKERS),
        /// Properties of librdkafka, passed through: `security.protocol`, `sasl.mechanism`, `ssl.ca.location` and so on.
        /// What would break exactly-once is refused.
        properties: BTreeMap<String, String> = BTreeMap::new() => Kind::Properties,
        /// Properties whose value is a file's content, such as `sasl.password`. A file is read again whenever a
        /// client is made, so that a new password is found without a restart.
        secret_files: BTreeMap<String, PathBuf> = BTreeMap::new() => Kind::PropertyFiles,
        /// A lane that Kafka has not heard from for so long loses its partitions. Longer than a restart takes, so
        /// that a restart moves nothing.
        session_timeout: Span = Span::of_millis(15_000) => Kind::Span { least: Span::of_millis(6_000), most: Span::hours(1) },
        /// After so long Kafka aborts the transaction of a lane that died and does not come back. Readers of what it
        /// wrote wait until then.
        transaction_timeout: Span = Span::of_millis(10_000) => Kind::Span { least: Span::of_millis(1_000), most: Span::of_millis(900_000) },
        /// Longest wait for an answer of a broker.
        request_timeout: Span = Span::of_millis(10_000) => Kind::Span { least: Span::of_millis(100), most: Span::of_millis(300_000) },
        /// What a lane may have fetched ahead.
        fetch_ahead: Size = Size(4 << 20) => Kind::Size { least: Size(64 << 10), most: Size(1 << 30) },
        /// The largest record that is written: key, value and headers. Below `max.message.bytes` of the topics.
        max_record: Size = Size(1_000_000) => Kind::Size { least: Size(64 << 10), most: Size(64 << 20) },
        /// How often the client tells its statistics, which become metrics.
        statistics_interval: Span = Span::of_millis(10_000) => Kind::Span { least: Span::of_millis(500), most: Span::of_millis(300_000) },
    }

    /// What `topics create` makes, and `topics check` wants at least.
    Topics {
        /// Copies of each partition.
        replication: u16 = 3 => Kind::Integer { least: 1, most: 32 },
        /// Copies that must have a record before it counts as written (`min.insync.replicas`).
        min_insync: u16 = 2 => Kind::Integer { least: 1, most: 32 },
        /// Partitions of a raw topic that does not exist yet. Those that exist belong to upstream and stay as they are.
        raw_partitions: u16 = 8 => Kind::Integer { least: 1, most: 1024 },
    }

    /// Where schemas are registered.
    Registry {
        /// Its URL, with the path of its Confluent-compatible interface. Needed by `run`.
        url: Option<String> = None => Kind::Text(&URL),
        /// User of basic authentication.
        username: Option<String> = None => Kind::Text(&ANY_TEXT),
        /// File with its password.
        password_file: Option<PathBuf> = None => Kind::File,
        /// File with a bearer token, instead of user and password.
        token_file: Option<PathBuf> = None => Kind::File,
        /// File with the certificates (PEM) of authorities to trust, besides those of the system.
        ca_file: Option<PathBuf> = None => Kind::File,
        /// Longest wait for an answer.
        timeout: Span = Span::of_millis(5_000) => Kind::Span { least: Span::of_millis(100), most: Span::of_millis(60_000) },
    }

    /// Where metrics and health can be asked for.
    Admin {
        /// Address of `/metrics`, `/healthz` and `/readyz`. In a container `0.0.0.0:9464`.
        listen: String = "127.0.0.1:9464".to_owned() => Kind::Text(&ADDRESS),
    }

    /// Where traces go.
    Traces {
        /// URL of an OTLP receiver over HTTP, such as `http://collector:4318`. No traces where the key is absent.
        endpoint: Option<String> = None => Kind::Text(&URL),
        /// Of the steps that no traced record is part of, one in so many is traced; 0: none.
        one_in: u32 = 0 => Kind::Integer { least: 0, most: 1_000_000_000 },
    }
}

impl Default for Identity {
    fn default() -> Self {
        Identity {
            secret_file: None,
            blocked: Vec::new(),
            plus_addressing: PlusAddressing::Keep,
            limits: IdentityLimits::default(),
            retry_after: Span::hours(24),
            shared_devices: SharedDevices::Route,
        }
    }
}

impl Default for IdentityLimits {
    fn default() -> Self {
        IdentityLimits { user_id: 1, crm_id: 1, email: 5, phone: 5, anonymous_id: 5, members: 100 }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka {
            brokers: None,
            properties: BTreeMap::new(),
            secret_files: BTreeMap::new(),
            session_timeout: Span::of_millis(15_000),
            transaction_timeout: Span::of_millis(10_000),
            request_timeout: Span::of_millis(10_000),
            fetch_ahead: Size(4 << 20),
            max_record: Size(1_000_000),
            statistics_interval: Span::of_millis(10_000),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Topics { replication: 3, min_insync: 2, raw_partitions: 8 }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Registry {
            url: None,
            username: None,
            password_file: None,
            token_file: None,
            ca_file: None,
            timeout: Span::of_millis(5_000),
        }
    }
}
