//! What one event costs in the role `profile`, transport left out: decode, deduplicate, fold, score, encode; and what its
//! snapshot costs and saves.
//!
//! The events have the shape of a shop's stream: 100,000 customers by Zipf's law (s = 0.9), 70 % views, 15 % additions
//! to the cart, 5 % orders, 10 % identify calls.

#![allow(missing_docs, reason = "benchmarks are no public items")]
#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "the data are made here")]

use catchment_contracts::wire::{self, SchemaIds};
use catchment_contracts::{
    CustomerEvent, EventType, Identifier, IdentifierType, LineItem, OrderTotal, TraitChange,
};
use catchment_domain::identity::Rules;
use catchment_domain::model::{Model, ModelFile};
use catchment_domain::{IdentifierType as Kind, KeySecret, Profile};
use catchment_pipeline::profile::{
    Expiry, NEWEST_FORMAT, ProfileTask, Publish, Shared, SharedSettings, event,
};
use catchment_pipeline::topology::{Shape, Topology};
use catchment_runtime::snapshot::format::{
    BlockReader, Chain, Entry, Kind as BlockKind, entries, write_block, write_entry, write_preamble,
};
use catchment_runtime::{Headers, Offset, Record, Step, Task};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;

const EVENTS: usize = 50_000;
const CUSTOMERS: u64 = 100_000;
/// Events of one step: what a lane takes under load.
const BATCH: usize = 1_000;

/// Splitmix64: the same stream on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Ranks with weight 1 / rank^0.9, by inverting the sum of weights.
fn zipf(count: u64) -> Vec<f64> {
    let mut sum = 0.0;
    (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-0.9);
            sum
        })
        .collect()
}

fn stream() -> Vec<([u8; 16], Vec<u8>)> {
    let (mut random, weights) = (Random(7), zipf(CUSTOMERS));
    let total = weights.last().copied().unwrap_or(1.0);
    (0..EVENTS as i64).map(|at| record(&mut random, &weights, total, at)).collect()
}

fn record(random: &mut Random, weights: &[f64], total: f64, at: i64) -> ([u8; 16], Vec<u8>) {
    let draw = (random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
    let customer = weights.partition_point(|weight| *weight <= draw);
    let (user, device) = (format!("u{customer:08}"), format!("an-{:016x}", customer as u64 * 0x9E37_79B9));
    let email = format!("anna.keller{customer}@example.com");
    let id = format!("{:016x}-{:016x}", random.next(), random.next());
    let key = |kind, value: &str| KeySecret::PUBLISHED.node_key(kind, value).0;
    let mut identifiers = vec![
        Identifier { r#type: IdentifierType::UserId, value: &user, key: key(Kind::UserId, &user) },
        Identifier {
            r#type: IdentifierType::AnonymousId,
            value: &device,
            key: key(Kind::AnonymousId, &device),
        },
    ];
    let kind = random.below(100);
    let (product, category) =
        (format!("p-{:06}", random.below(20_000)), format!("category-{}", random.below(20)));
    let price = 199 + random.below(30_000) as i64;
    let item = LineItem {
        product_id: &product,
        sku: None,
        category: Some(&category),
        variant: None,
        price: Some(price),
        quantity: 1,
    };
    let order_id = format!("o-{:012x}", random.next() >> 16);
    let identify = kind >= 90;
    if identify {
        identifiers.push(Identifier {
            r#type: IdentifierType::Email,
            value: &email,
            key: key(Kind::Email, &email),
        });
    }
    let traits = ["firstName", "lastName", "city", "plan", "marketingOptIn"];
    let time = 1_767_225_600_000 + at * 200;
    let event = CustomerEvent {
        event_id: &id,
        source: "behaviour",
        source_partition: 0,
        source_offset: at,
        r#type: if identify { EventType::Identify } else { EventType::Track },
        event: match kind {
            0..70 => Some("Product Viewed"),
            70..85 => Some("Product Added"),
            85..90 => Some("Order Completed"),
            _ => None,
        },
        occurred_at: time,
        received_at: time,
        identifiers,
        traits: if identify {
            traits.iter().map(|name| TraitChange { name, value: Some("Keller") }).collect()
        } else {
            Vec::new()
        },
        consents: Vec::new(),
        currency: (!identify).then_some("EUR"),
        items: if identify { Vec::new() } else { vec![item] },
        order: (85..90).contains(&kind).then_some(OrderTotal {
            order_id: &order_id,
            total: Some(price),
            units: 1,
        }),
        survey: None,
        local_hour: None,
    };
    let mut value = Vec::new();
    wire::write_header(&mut value, SchemaIds::builtin().customer_event);
    event.encode(&mut value);
    (key(Kind::UserId, &user), value)
}

/// A model of eight features, as the job of the peers asks for.
const MODEL: &str = "
format: 1
name: churn
version: '1'
kind: linear
description: eight features
currency: EUR
output: {kind: probability, link: logistic}
intercept: -2.6
features:
  - {name: views_7d_log, coefficient: 0.55, missing: no_score}
  - {name: adds_7d_log, coefficient: 0.9, missing: no_score}
  - {name: orders_30d_log, coefficient: -0.35, missing: no_score}
  - {name: revenue_30d_log, coefficient: 0.08, missing: no_score}
  - {name: hours_since_seen_log, coefficient: -0.12, missing: no_score}
  - {name: top_affinity_share, coefficient: 0.8, missing: no_score}
  - {name: has_email, coefficient: 0.4, missing: no_score}
  - {name: adds_per_view, coefficient: 0.6, missing: no_score}
golden:
  - inputs: {views_7d_log: 0, adds_7d_log: 0, orders_30d_log: 0, revenue_30d_log: 0, hours_since_seen_log: 0, top_affinity_share: 0, has_email: 0, adds_per_view: 0}
    score: 0.06913842034334682
";

fn model() -> Model {
    let file: ModelFile = serde_saphyr::from_str(MODEL).unwrap();
    Model::new(file).unwrap()
}

fn task(publish: Publish) -> ProfileTask {
    let sources = vec![("behaviour", "behaviour.events")];
    let topology = Topology::new(&Shape {
        app: "bench",
        partitions: 1,
        sources,
        raw_partitions: 1,
        existing: &BTreeMap::new(),
        dedup_window: 172_800_000,
    })
    .unwrap();
    let shared = Shared {
        models: vec![model()],
        campaigns: Vec::new(),
        settings: SharedSettings {
            sources: vec![("behaviour".to_owned(), 1)],
            profiles: topology.profiles,
            state: topology.profile_state,
            dedup: topology.profile_dedup,
            triggers: topology.triggers,
            decisions: topology.decisions,
            inbox: topology.inbox,
            merges: topology.merges,
            partitions: 1,
            identity: Rules::default(),
            expiry: Expiry::default(),
            schemas: SchemaIds::builtin(),
            state_format: NEWEST_FORMAT,
            dedup_key: [7; 32],
            dedup_window: 172_800_000,
            timer_grace: 5_000,
            dedup_limit: 10_000_000,
            publish,
            event_clock: false,
            reads_by_arrival: false,
        },
    };
    ProfileTask::new(0, Arc::new(shared))
}

/// Takes the whole stream through a task, in steps of a batch, and returns the bytes it wrote.
fn run(task: &mut ProfileTask, stream: &[([u8; 16], Vec<u8>)]) -> usize {
    let (mut step, headers, mut bytes) = (Step::new(), Headers::default(), 0);
    for (batch, records) in stream.chunks(BATCH).enumerate() {
        for (at, (key, value)) in records.iter().enumerate() {
            let offset = Offset((batch * BATCH + at) as u64);
            step.now = 1_767_225_600_000 + 200 * offset.0 as i64;
            let topic = catchment_runtime::TopicId(0);
            let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
            let record =
                Record { topic, partition: 0, offset, append_time: step.now, key, value, headers: &headers };
            task.process(&record, &mut step).unwrap();
        }
        task.advance(&mut step);
        task.flush(&mut step);
        bytes += step.outbox.bytes();
        task.committed();
        step.clear();
    }
    bytes
}

fn whole(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("profile");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(10);
    for (name, publish) in [("publish_step", Publish::Step), ("publish_event", Publish::Event)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || task(publish),
                |task| black_box(run(task, &stream)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Decodes and folds the whole stream into profiles, and asks for something after each event.
fn fold(stream: &[([u8; 16], Vec<u8>)], mut then: impl FnMut(&Profile, i64)) -> usize {
    let mut profiles: HashMap<[u8; 16], Profile> = HashMap::new();
    for (key, value) in stream {
        let (_, datum) = wire::split(value).unwrap();
        let event = event(CustomerEvent::decode(datum).unwrap());
        let profile = profiles.entry(*key).or_default();
        profile.apply(&event);
        then(profile, event.received_at);
    }
    profiles.len()
}

fn parts(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("profile_parts");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(10);
    group.bench_function("decode_event", |b| {
        b.iter(|| {
            for (_, value) in &stream {
                let (_, datum) = wire::split(value).unwrap();
                black_box(CustomerEvent::decode(datum).unwrap());
            }
        });
    });
    group.bench_function("fold", |b| b.iter(|| black_box(fold(&stream, |_, _| ()))));
    let model = model();
    group.bench_function("fold_and_score", |b| {
        b.iter(|| {
            black_box(fold(&stream, |profile, now| {
                black_box(model.score(profile, now));
            }))
        });
    });
    group.finish();
}

/// The changelog records of a million events, in steps of 10,000: (topic, key, value).
type Changelog = Vec<(u16, Vec<u8>, Vec<u8>)>;

fn changelog() -> Changelog {
    const MILLION: i64 = 1_000_000;
    let (mut random, weights) = (Random(7), zipf(CUSTOMERS));
    let total = weights.last().copied().unwrap_or(1.0);
    let (mut task, mut step, headers) = (task(Publish::Step), Step::new(), Headers::default());
    let (mut records, topics) = (Changelog::new(), task.changelogs());
    for at in 0..MILLION {
        let (key, value) = record(&mut random, &weights, total, at);
        step.now = 1_767_225_600_000 + 20 * at;
        let (topic, offset) = (catchment_runtime::TopicId(0), Offset(at.unsigned_abs()));
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        let record =
            Record { topic, partition: 0, offset, append_time: step.now, key, value, headers: &headers };
        task.process(&record, &mut step).unwrap();
        if at % 10_000 == 9_999 {
            task.flush(&mut step);
            for out in step.outbox.records() {
                if let Some(place) = topics.iter().position(|of| of.topic == out.topic) {
                    let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
                    let (key, value) = (bytes(step.outbox.key(out)), bytes(step.outbox.value(out)));
                    records.push((u16::try_from(place).unwrap(), key, value));
                }
            }
            task.committed();
            step.clear();
        }
    }
    records
}

/// Hands records to blocks of a snapshot, as a lane does.
fn copy<'a>(
    records: impl IntoIterator<Item = &'a (u16, Vec<u8>, Vec<u8>)>,
    block: &mut Vec<u8>,
    mut full: impl FnMut(&[u8]),
) {
    for (changelog, key, value) in records {
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        write_entry(block, &Entry { changelog: *changelog, append_time: 0, key, value });
        if block.len() >= 256 << 10 {
            full(block);
            block.clear();
        }
    }
}

/// A snapshot's file with these records.
fn file<'a>(records: impl IntoIterator<Item = &'a (u16, Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let (mut file, mut chain, mut block) = (Vec::new(), Chain::default(), Vec::new());
    write_preamble(&mut file);
    copy(records, &mut block, |block| write_block(&mut file, &mut chain, BlockKind::Records, block));
    write_block(&mut file, &mut chain, BlockKind::Records, &block);
    file
}

/// What a restart does: checks the file (which another thread does, at the same time), and restores from it.
fn restore(file: &[u8]) -> ProfileTask {
    let mut task = task(Publish::Step);
    let (topics, headers) = (task.changelogs(), Headers::default());
    let mut blocks = BlockReader::new(file).unwrap();
    while let Some((_, payload)) = blocks.next_block().unwrap() {
        for entry in entries(payload) {
            let Entry { changelog, append_time, key, value } = entry.unwrap();
            let (topic, offset) = (topics[usize::from(changelog)].topic, Offset(0));
            let record = Record { topic, partition: 0, offset, append_time, key, value, headers: &headers };
            task.restore(&record).unwrap();
        }
    }
    task
}

/// A million events of 100,000 customers: what copying costs a lane, and what a restart from the copy takes.
fn snapshot(c: &mut Criterion) {
    let all = changelog();
    let last: HashMap<_, _> =
        all.iter().enumerate().map(|(at, (topic, key, _))| ((topic, key), at)).collect();
    let is_last = |(at, record): &(usize, &(u16, Vec<u8>, Vec<u8>))| {
        record.0 == 2 || last.get(&(&record.0, &record.1)) == Some(at)
    };
    let alive: Vec<_> = all.iter().enumerate().filter(is_last).map(|(_, record)| record).collect();
    let compacted = file(alive.iter().copied());
    let twice = file(alive.iter().filter(|record| record.0 != 2).chain(&alive).copied());
    let held = restore(&compacted);
    let counts = format!("{}_profiles_{}_ids", held.customers().len(), held.dedup().len());
    let mut group = c.benchmark_group("snapshot");
    group.sample_size(10);
    group.throughput(Throughput::Elements(all.len() as u64));
    let mut block = Vec::with_capacity(512 << 10);
    group.bench_function("copy", |b| b.iter(|| copy(&all, &mut block, |block| _ = black_box(block))));
    group.throughput(Throughput::Bytes(compacted.len() as u64));
    group.bench_function(format!("restore_{counts}"), |b| b.iter_with_large_drop(|| restore(&compacted)));
    group.throughput(Throughput::Bytes(twice.len() as u64));
    group.bench_function("restore_half_garbage", |b| b.iter_with_large_drop(|| restore(&twice)));
    group.finish();
}

criterion_group!(benches, whole, parts, snapshot);
criterion_main!(benches);
