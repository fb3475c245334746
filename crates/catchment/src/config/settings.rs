//! What can be configured. The doc comments are the reference page: write them for who edits the file.

use std::path::PathBuf;

use super::keys::{Kind, Rule, choices, sections};
use super::units::{Size, Span};

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
        identity: Identity = Identity { secret_file: None } => Kind::Section(Identity::KEYS),
        /// Where events come from.
        sources: Vec<Source> => Kind::Sections(Source::KEYS),
        /// How much a step takes at once: the larger, the fewer transactions and the longer a step.
        batch: Batch = Batch { max_records: 10_000, max_bytes: Size(4 << 20) } => Kind::Section(Batch::KEYS),
        /// How repeated deliveries of one event are recognised.
        dedup: Dedup = Dedup { window: Span::hours(48), max_entries: 1_000_000 } => Kind::Section(Dedup::KEYS),
        /// How decisions wait.
        timers: Timers = Timers { grace: Span::of_millis(5_000) } => Kind::Section(Timers::KEYS),
        /// How profiles are published.
        profiles: Profiles = Profiles { publish: Publish::Step } => Kind::Section(Profiles::KEYS),
        /// Files of the models that score profiles.
        models: Vec<PathBuf> = Vec::new() => Kind::Files,
        /// Files of the campaigns that decide on triggers.
        campaigns: Vec<PathBuf> = Vec::new() => Kind::Files,
        /// What is logged, and how. The flags `--log-level` and `--log-format` have the last word.
        log: Log = Log { level: LogLevel::Info, format: LogFormat::Human } => Kind::Section(Log::KEYS),
    }

    /// Who an event is about.
    Identity {
        /// File with the secret that identifiers are hashed with: 32 bytes as 64 hex digits. Fixed like the
        /// partition count: with another secret every customer is a new one. Demo and sandbox use a published
        /// secret where the key is absent.
        secret_file: Option<PathBuf> = None => Kind::File,
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
        max_records: u32 = 10_000 => Kind::Integer { least: 1, most: 1_000_000 },
        /// Most bytes of records. A record that is larger by itself is taken alone.
        max_bytes: Size = Size(4 << 20) => Kind::Size { least: Size(1 << 10), most: Size(256 << 20) },
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
        /// How long a decision that waits for an exception (`after … unless …`) waits at least from when its event was
        /// read, for what arrives right behind it: a phone that was offline sends a cart and its order together.
        grace: Span = Span::of_millis(5_000) => Kind::Span { least: Span::of_millis(0), most: Span::hours(24) },
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
}
