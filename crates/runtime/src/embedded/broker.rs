//! The state behind the handles: partitions, producers, groups.

use super::partition::{Append, PartitionLog, TxnId};
use crate::log::{Batch, BatchLimits, End, Fence, LogError, Restoring, record_size};
use crate::outbox::Outbox;
use crate::record::{Cleanup, Headers, Millis, NextOffset, Offset, TopicPartition, TopicTable};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

/// What goes wrong with a commit, for tests and simulation. See [`super::EmbeddedLog::fail_commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The transaction is aborted, and the lane is told so.
    Abort,
    /// It is committed, but the answer is lost.
    LostAnswer,
    /// The request to commit is lost: the transaction stays open until the producer is initialised again.
    LostRequest,
    /// The connection is lost after that many records, before the offsets: the transaction stays open.
    Cut {
        /// Records that arrived; no more than there are.
        after: usize,
    },
    /// It is committed: the coordinator has decided. But its markers are not written yet, neither to the partitions nor
    /// to the offsets; [`super::EmbeddedLog::deliver_marker`] writes them. Readers stand still at the first record of the
    /// transaction, and its offsets can't be read. Its producer can't go on before: its next transaction, or a new
    /// producer of that id, waits for them.
    DelayedMarkers {
        /// Whether the lane is told; else the answer is lost, too.
        answered: bool,
    },
}

/// A transactional producer, as its owner knows it. Stale once the epoch at the broker is higher.
#[derive(Clone, Debug)]
pub(super) struct ProducerHandle {
    pub(super) id: String,
    epoch: u32,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u32,
    open: Option<Transaction>,
    faults: VecDeque<Fault>,
}

#[derive(Debug)]
struct Transaction {
    id: TxnId,
    partitions: BTreeSet<TopicPartition>,
    offsets: Vec<(String, TopicPartition, NextOffset)>,
}

/// A committed transaction of which markers are still to be written.
#[derive(Debug)]
struct Decided {
    producer: String,
    transaction: Transaction,
}

#[derive(Debug, Default)]
struct Group {
    offsets: BTreeMap<TopicPartition, NextOffset>,
    owners: BTreeMap<TopicPartition, u64>,
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) topics: Arc<TopicTable>,
    pub(super) record_limit: usize,
    partitions: Vec<Vec<PartitionLog>>,
    producers: BTreeMap<String, Producer>,
    groups: BTreeMap<String, Group>,
    /// In the order they were decided.
    decided: Vec<Decided>,
    next_seq: u64,
    next_txn: u64,
    next_member: u64,
}

impl Broker {
    pub(super) fn new(topics: TopicTable, record_limit: usize) -> Self {
        let partitions = topics
            .iter()
            .map(|(topic, spec)| {
                (0..spec.partitions)
                    .map(|partition| PartitionLog::new(TopicPartition { topic, partition }))
                    .collect()
            })
            .collect();
        Broker {
            topics: Arc::new(topics),
            record_limit,
            partitions,
            producers: BTreeMap::new(),
            groups: BTreeMap::new(),
            decided: Vec::new(),
            next_seq: 0,
            next_txn: 0,
            next_member: 0,
        }
    }

    pub(super) fn partition(&self, at: TopicPartition) -> Result<&PartitionLog, LogError> {
        let topic = self.partitions.get(usize::from(at.topic.0));
        let partition = usize::try_from(at.partition).ok();
        topic.zip(partition).and_then(|(topic, at)| topic.get(at)).ok_or(LogError::UnknownPartition { at })
    }

    fn partition_mut(&mut self, at: TopicPartition) -> Result<&mut PartitionLog, LogError> {
        let topic = self.partitions.get_mut(usize::from(at.topic.0));
        let partition = usize::try_from(at.partition).ok();
        topic
            .zip(partition)
            .and_then(|(topic, at)| topic.get_mut(at))
            .ok_or(LogError::UnknownPartition { at })
    }

    // ---- writing ----

    fn check_size(&self, at: TopicPartition, bytes: usize) -> Result<(), LogError> {
        self.partition(at)?;
        let limit = self.record_limit;
        if bytes > limit { Err(LogError::TooLarge { at, bytes, limit }) } else { Ok(()) }
    }

    /// Appends one record, of an open transaction or of a plain producer.
    pub(super) fn append(
        &mut self,
        at: TopicPartition,
        time: Millis,
        bytes: (Option<&[u8]>, Option<&[u8]>, Headers),
        txn: Option<TxnId>,
    ) -> Result<Offset, LogError> {
        let (key, value, headers) = bytes;
        self.check_size(at, record_size(key, value, &headers))?;
        let seq = self.next_seq;
        self.next_seq += 1;
        Ok(self.partition_mut(at)?.append(Append { seq, append_time: time, txn, key, value, headers }))
    }

    /// A new producer of that id: aborts what a former one left open, and fences it.
    pub(super) fn init_producer(&mut self, id: &str) -> ProducerHandle {
        self.deliver_markers_of(id);
        self.abort_open(id);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        ProducerHandle { id: id.to_owned(), epoch: producer.epoch }
    }

    /// Aborts the open transaction of a producer, if there is one.
    pub(super) fn abort_open(&mut self, id: &str) -> bool {
        let open = self.producers.get_mut(id).and_then(|producer| producer.open.take());
        let aborted = open.is_some();
        if let Some(transaction) = open {
            self.finish(transaction, false);
        }
        aborted
    }

    fn live(&mut self, handle: &ProducerHandle) -> Result<&mut Producer, Fence> {
        let producer = self.producers.get_mut(&handle.id).ok_or(Fence::Producer)?;
        if producer.epoch == handle.epoch { Ok(producer) } else { Err(Fence::Producer) }
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self, handle: &ProducerHandle) -> Result<(), Fence> {
        self.live(handle)?;
        self.deliver_markers_of(&handle.id);
        let id = TxnId(self.next_txn);
        self.next_txn += 1;
        let producer = self.live(handle)?;
        producer.open = Some(Transaction { id, partitions: BTreeSet::new(), offsets: Vec::new() });
        Ok(())
    }

    /// The open transaction of a producer, after adding a partition to it.
    pub(super) fn enlist(
        &mut self,
        handle: &ProducerHandle,
        at: TopicPartition,
    ) -> Result<Option<TxnId>, Fence> {
        let open = self.live(handle)?.open.as_mut();
        Ok(open.map(|transaction| {
            transaction.partitions.insert(at);
            transaction.id
        }))
    }

    /// Adds offsets to the open transaction, if all their partitions belong to that member of the group.
    pub(super) fn add_offsets(
        &mut self,
        handle: &ProducerHandle,
        member: &Member,
        offsets: &[(TopicPartition, NextOffset)],
    ) -> Result<(), Fence> {
        if !offsets.iter().all(|(at, _)| self.owns(member, *at)) {
            return Err(Fence::Group);
        }
        if let Some(transaction) = self.live(handle)?.open.as_mut() {
            let added = offsets.iter().map(|(at, offset)| (member.group.clone(), *at, *offset));
            transaction.offsets.extend(added);
        }
        Ok(())
    }

    /// Ends the open transaction of a producer.
    pub(super) fn end(&mut self, handle: &ProducerHandle, committed: bool) -> Result<(), Fence> {
        if let Some(transaction) = self.live(handle)?.open.take() {
            self.finish(transaction, committed);
        }
        Ok(())
    }

    /// Decides that the open transaction of a producer is committed, and leaves its markers for later.
    pub(super) fn decide(&mut self, handle: &ProducerHandle) -> Result<(), Fence> {
        if let Some(transaction) = self.live(handle)?.open.take() {
            self.decided.push(Decided { producer: handle.id.clone(), transaction });
        }
        Ok(())
    }

    fn finish(&mut self, mut transaction: Transaction, committed: bool) {
        while let Some(at) = transaction.partitions.pop_first() {
            self.mark(transaction.id, at, committed);
        }
        if committed {
            self.commit_offsets(transaction.offsets);
        }
    }

    fn mark(&mut self, transaction: TxnId, at: TopicPartition, committed: bool) {
        if let Ok(partition) = self.partition_mut(at) {
            partition.end_transaction(transaction, committed);
        }
    }

    fn commit_offsets(&mut self, offsets: Vec<(String, TopicPartition, NextOffset)>) {
        for (group, at, offset) in offsets {
            self.groups.entry(group).or_default().offsets.insert(at, offset);
        }
    }

    /// How many markers are still to be written: one for each partition of a decided transaction, and one for its
    /// offsets.
    pub(super) fn pending_markers(&self) -> usize {
        self.decided.iter().map(Decided::markers).sum()
    }

    /// Writes one of the markers that are still to be written, by its place among them.
    pub(super) fn deliver_marker(&mut self, mut place: usize) -> bool {
        for index in 0..self.decided.len() {
            let markers = self.decided[index].markers();
            if place < markers {
                self.deliver(index, place);
                return true;
            }
            place -= markers;
        }
        false
    }

    fn deliver(&mut self, index: usize, place: usize) {
        let transaction = &mut self.decided[index].transaction;
        let id = transaction.id;
        match transaction.partitions.iter().nth(place).copied() {
            Some(at) => {
                transaction.partitions.remove(&at);
                self.mark(id, at, true);
            }
            None => {
                let offsets = std::mem::take(&mut transaction.offsets);
                self.commit_offsets(offsets);
            }
        }
        if self.decided[index].markers() == 0 {
            self.decided.remove(index);
        }
    }

    fn deliver_markers_of(&mut self, id: &str) {
        while let Some(index) = self.decided.iter().position(|decided| decided.producer == id) {
            self.deliver(index, 0);
        }
    }

    pub(super) fn has_open(&self, handle: &ProducerHandle) -> bool {
        self.producers.get(&handle.id).is_some_and(|producer| producer.open.is_some())
    }

    pub(super) fn plan_fault(&mut self, id: &str, fault: Fault) {
        self.producers.entry(id.to_owned()).or_default().faults.push_back(fault);
    }

    pub(super) fn take_fault(&mut self, handle: &ProducerHandle) -> Option<Fault> {
        self.producers.get_mut(&handle.id)?.faults.pop_front()
    }

    /// Refuses an outbox of which one record can't be appended, before any of it is.
    pub(super) fn check_outbox(&self, outbox: &Outbox) -> Result<(), LogError> {
        for record in outbox.records() {
            let at = TopicPartition { topic: record.topic, partition: record.partition };
            let size = record_size(outbox.key(record), outbox.value(record), &record.headers);
            self.check_size(at, size)?;
        }
        Ok(())
    }

    // ---- groups ----

    /// A new member of a group takes these partitions over from whoever had them.
    pub(super) fn join(&mut self, group: &str, assignment: &[TopicPartition]) -> Member {
        let id = self.next_member;
        self.next_member += 1;
        let member = Member { group: group.to_owned(), id };
        self.take_over(&member, assignment);
        member
    }

    /// These partitions are that member's from now on.
    pub(super) fn take_over(&mut self, member: &Member, partitions: &[TopicPartition]) {
        let owners = &mut self.groups.entry(member.group.clone()).or_default().owners;
        owners.extend(partitions.iter().map(|at| (*at, member.id)));
    }

    /// These partitions are nobody's, if they were that member's.
    pub(super) fn release(&mut self, member: &Member, partitions: &[TopicPartition]) {
        if let Some(group) = self.groups.get_mut(&member.group) {
            group.owners.retain(|at, owner| *owner != member.id || !partitions.contains(at));
        }
    }

    pub(super) fn owns(&self, member: &Member, at: TopicPartition) -> bool {
        self.groups.get(&member.group).and_then(|group| group.owners.get(&at)) == Some(&member.id)
    }

    pub(super) fn committed(&self, group: &str, at: TopicPartition) -> Result<Option<NextOffset>, LogError> {
        self.partition(at)?;
        let open = self.producers.values().filter_map(|producer| producer.open.as_ref());
        let decided = self.decided.iter().map(|decided| &decided.transaction);
        let mut pending = open.chain(decided).flat_map(|transaction| &transaction.offsets);
        if pending.any(|(of, partition, _)| of == group && *partition == at) {
            return Err(LogError::Retry { reason: "an open transaction commits this offset".to_owned() });
        }
        Ok(self.groups.get(group).and_then(|group| group.offsets.get(&at)).copied())
    }

    // ---- reading ----

    /// Reads the partitions that are not held, merged in the order of their appends, so that what a reader of several
    /// partitions sees depends on the log alone and no partition starves. Positions move over what was read and what
    /// never shows.
    pub(super) fn fetch(
        &self,
        cursors: &mut [Cursor],
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        batch.clear();
        let mut heads = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter_mut().enumerate().filter(|(_, cursor)| !cursor.held) {
            let partition = self.partition(cursor.at)?;
            let (at, position, earliest) = (cursor.at, cursor.next, partition.earliest());
            if position < earliest {
                return Err(LogError::OutOfRange { at, position, earliest });
            }
            push_head(&mut heads, partition, &mut cursor.next, index);
        }
        while let Some(Reverse((_, index))) = heads.pop() {
            let cursor = &mut cursors[index];
            let partition = self.partition(cursor.at)?;
            let Ok((offset, stored)) = partition.next_visible(cursor.next) else {
                continue;
            };
            if !batch.has_room(limits, stored.size()) {
                break;
            }
            let place = partition.place(offset, stored);
            batch.push(place, stored.key(), stored.value(), stored.headers.clone());
            cursor.next = offset.next();
            push_head(&mut heads, partition, &mut cursor.next, index);
        }
        Ok(())
    }

    /// True if [`fetch`](Self::fetch) would not come back empty.
    pub(super) fn has_something(&self, cursors: &[Cursor]) -> Result<bool, LogError> {
        for cursor in cursors.iter().filter(|cursor| !cursor.held) {
            let partition = self.partition(cursor.at)?;
            if cursor.next < partition.earliest() || partition.next_visible(cursor.next).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn end_of(&self, cursor: &Cursor) -> Result<End, LogError> {
        let partition = self.partition(cursor.at)?;
        let passed = match partition.next_visible(cursor.next) {
            Err(end) if cursor.next >= partition.earliest() => end.position,
            _ => cursor.next,
        };
        let (high_watermark, decided) = (partition.high_watermark(), partition.last_stable());
        Ok(End { high_watermark, decided, passed })
    }

    pub(super) fn restore(
        &self,
        at: TopicPartition,
        from: NextOffset,
        limits: &BatchLimits,
        batch: &mut Batch,
    ) -> Result<Restoring, LogError> {
        batch.clear();
        let partition = self.partition(at)?;
        let (mut position, earliest) = (from, partition.earliest());
        if position < earliest {
            return Err(LogError::OutOfRange { at, position, earliest });
        }
        loop {
            let (offset, stored) = match partition.next_visible(position) {
                Ok(found) => found,
                Err(end) => return Ok(end),
            };
            if !batch.has_room(limits, stored.size()) {
                return Ok(Restoring { position, at_end: false });
            }
            batch.push(partition.place(offset, stored), stored.key(), stored.value(), stored.headers.clone());
            position = offset.next();
        }
    }

    pub(super) fn delete_before(&mut self, at: TopicPartition, offset: NextOffset) -> Result<(), LogError> {
        self.partition_mut(at)?.drop_before(offset);
        Ok(())
    }

    pub(super) fn compact(&mut self, tombstones_before: Millis) -> usize {
        let compacted = self.topics.iter().filter(|(_, spec)| spec.cleanup == Cleanup::Compact);
        let mut gone = 0;
        for (topic, _) in compacted {
            for partition in &mut self.partitions[usize::from(topic.0)] {
                gone += partition.compact(tombstones_before);
            }
        }
        gone
    }

    pub(super) fn drop_expired(&mut self, now: Millis) -> usize {
        let mut dropped = 0;
        for (topic, spec) in self.topics.iter() {
            let Cleanup::Delete { retention_ms } = spec.cleanup else {
                continue;
            };
            let before = now.saturating_sub_unsigned(retention_ms);
            for partition in &mut self.partitions[usize::from(topic.0)] {
                dropped += partition.drop_older(before);
            }
        }
        dropped
    }
}

impl Decided {
    fn markers(&self) -> usize {
        self.transaction.partitions.len() + usize::from(!self.transaction.offsets.is_empty())
    }
}

/// Where a lane stands in a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) at: TopicPartition,
    pub(super) next: NextOffset,
    pub(super) held: bool,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) group: String,
    id: u64,
}

type Heads = BinaryHeap<Reverse<(u64, usize)>>;

fn push_head(heads: &mut Heads, partition: &PartitionLog, position: &mut NextOffset, index: usize) {
    match partition.next_visible(*position) {
        Ok((_, stored)) => heads.push(Reverse((stored.seq, index))),
        // Over markers and aborted records, so that they are not passed again and again.
        Err(end) => *position = end.position,
    }
}
