use crate::embedded::{EmbeddedLane, EmbeddedLog};
use crate::lane::{Lane, LaneConfig, Order};
use crate::log::BatchLimits;
use crate::record::{
    Cleanup, Headers, Millis, Partition, Record, TopicId, TopicPartition, TopicSpec, TopicTable,
};
use crate::state::{Dedup, StateFormat, Stored, Table, TimerIndex, versioned};
use crate::task::{Step, Task, Unreadable};

pub(super) const IN: TopicId = TopicId(0);
pub(super) const OUT: TopicId = TopicId(1);
pub(super) const STATE: TopicId = TopicId(2);
pub(super) const DEDUP: TopicId = TopicId(3);

pub(super) fn partition(topic: TopicId, partition: Partition) -> TopicPartition {
    TopicPartition { topic, partition }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) total: u64,
    timers: Vec<Millis>,
}

impl Stored for Sum {
    fn encode(&self, _: StateFormat, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(&self.total.to_be_bytes());
        for due in &self.timers {
            out.extend_from_slice(&due.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (_, rest) = versioned("sum", &[1], bytes)?;
        let (words, []) = rest.as_chunks::<8>() else {
            return Err(Unreadable { reason: "sum: cut off".to_owned() });
        };
        let timers = words.iter().skip(1).map(|word| Millis::from_be_bytes(*word)).collect();
        Ok(Sum { total: words.first().map_or(0, |word| u64::from_be_bytes(*word)), timers })
    }
}

/// Value of a record: event id, key, amount, delay of a timer (0 = none).
#[derive(Debug)]
pub(super) struct Sums {
    number: Partition,
    pub(super) table: Table<u8, Sum>,
    timers: TimerIndex<u8>,
    dedup: Dedup,
    /// Bytes that each timer's output has in addition.
    pub(super) padding: usize,
}

impl Sums {
    pub(super) fn new(number: Partition) -> Self {
        let (table, timers, dedup) = (Table::new(), TimerIndex::new(), Dedup::new(8_000, 1_000));
        Sums { number, table, timers, dedup, padding: 0 }
    }

    fn say(&self, step: &mut Step<String>, key: u8, text: &str) {
        let (text, now) = (format!("{key}={text}"), step.now);
        let text = text.replace('@', &format!("@{now}"));
        step.emit(OUT, self.number, &[key], |value| {
            value.extend_from_slice(text.as_bytes());
        });
        step.effects.push(text);
    }

    fn fire(&mut self, step: &mut Step<String>) {
        while let Some(timer) = self.timers.pop_due(step.now) {
            let Some(sum) = self.table.get_mut(&timer.key).unwrap() else {
                continue;
            };
            sum.timers.retain(|due| *due != timer.due);
            sum.total += 1_000;
            let text = format!("{}@ timer{}", sum.total, " ".repeat(self.padding));
            self.say(step, timer.key, &text);
        }
    }
}

impl Task for Sums {
    type Effect = String;

    fn process(&mut self, record: &Record<'_>, step: &mut Step<String>) -> Result<(), Unreadable> {
        step.now = step.now.max(record.append_time);
        // Before the record is taken, so that it makes no difference whether a batch ended before it.
        self.fire(step);
        let Some([id, key, amount, delay]) = record.value.and_then(|value| value.first_chunk().copied())
        else {
            return Ok(());
        };
        if [id, key, amount, delay] == *b"bad!" {
            return Err(Unreadable { reason: "a bad record".to_owned() });
        }
        if !self.dedup.check_and_insert([id; 16], record.append_time) {
            return Ok(());
        }
        let sum = self.table.get_or_insert_with(key, Sum::default)?;
        sum.total += u64::from(amount);
        let due = step.now + Millis::from(delay);
        if delay > 0 && self.timers.set(due, key, 0) {
            sum.timers.push(due);
        }
        let text = format!("{}@", sum.total);
        self.say(step, key, &text);
        Ok(())
    }

    fn advance(&mut self, step: &mut Step<String>) {
        self.fire(step);
    }

    fn flush(&mut self, step: &mut Step<String>) {
        let number = self.number;
        self.table.encode_dirty(|key, form, _| {
            step.emit(STATE, number, &[*key], |out| out.extend_from_slice(form.unwrap()));
        });
        self.dedup.encode_step(StateFormat::FIRST, |ids| {
            step.emit(DEDUP, number, b"", |out| out.extend_from_slice(ids));
        });
    }

    fn committed(&mut self) {
        self.table.commit();
        self.timers.commit();
        self.dedup.commit();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.timers.undo();
        self.dedup.undo();
        self.table.undo();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        vec![partition(STATE, self.number), partition(DEDUP, self.number)]
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        if record.topic == DEDUP {
            return self.dedup.restore(record.value.unwrap());
        }
        let key = record.key.unwrap()[0];
        for due in self.table.get(&key)?.map(|sum| sum.timers.clone()).unwrap_or_default() {
            self.timers.cancel(due, key, 0);
        }
        self.table.restore(key, record.value)?;
        for due in self.table.get(&key)?.map(|sum| sum.timers.clone()).unwrap_or_default() {
            self.timers.set(due, key, 0);
        }
        self.timers.commit();
        Ok(())
    }
}

/// A log with the toy's topics, two partitions each.
pub(super) struct World {
    pub(super) log: EmbeddedLog,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    pub(super) fn with_limit(record_limit: usize) -> Self {
        let mut topics = TopicTable::new();
        for name in ["in", "out", "state", "dedup"] {
            let cleanup =
                if name == "state" { Cleanup::Compact } else { Cleanup::Delete { retention_ms: 1_000_000 } };
            topics.add(TopicSpec { name: name.to_owned(), partitions: 2, cleanup });
        }
        World { log: EmbeddedLog::with_record_limit(topics, record_limit) }
    }

    pub(super) fn say(&self, number: Partition, time: Millis, value: [u8; 4]) {
        let at = partition(IN, number);
        self.log.producer_append(at, time, None, Some(&value), Headers::default()).unwrap();
    }

    pub(super) fn unrestored(&self, limits: BatchLimits) -> Lane<EmbeddedLane, Sums> {
        let assignment = [partition(IN, 0), partition(IN, 1)];
        let log = self.log.lane("toy", "toy-0", &assignment).unwrap();
        let config = LaneConfig { limits, order: Order::Offset };
        let task_of = |at: TopicPartition| usize::try_from(at.partition).ok();
        Lane::new(log, vec![Sums::new(0), Sums::new(1)], task_of, config).unwrap()
    }

    pub(super) fn lane(&self, limits: BatchLimits) -> Lane<EmbeddedLane, Sums> {
        let mut lane = self.unrestored(limits);
        lane.restore().unwrap();
        lane
    }

    pub(super) fn outputs(&self, number: Partition) -> Vec<String> {
        let records = self.log.read_committed(partition(OUT, number)).unwrap();
        records.map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
    }

    /// Key and total of what the changelog holds.
    pub(super) fn state(&self, number: Partition) -> Vec<(u8, u64)> {
        let records = self.log.compacted(partition(STATE, number)).unwrap();
        let mut state: Vec<_> = records
            .map(|record| (record.key.unwrap()[0], Sum::decode(&record.value.unwrap()).unwrap().total))
            .collect();
        state.sort_unstable();
        state
    }
}
