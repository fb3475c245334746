//! `dlq replay` and `dlq drop`: dealing with letters, and marking them in the same transaction.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::bail;
use catchment_connectors::kafka::{Inspector, NamedPartition, RawRecord, ToolWriter, View};
use catchment_contracts::handled::{Action, Handled};
use catchment_contracts::topics;

use super::letter::{Letter, plain};
use super::list::Tally;
use super::{Desk, Letters, handled};
use crate::commands::operator::{now, user};
use crate::commands::run::Role;
use crate::config::Span;
use crate::connect;
use crate::out::Out;

/// Most letters of a transaction, and most bytes: what is held at once.
const BATCH_LETTERS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// What is to be done.
pub(super) struct Work<'a> {
    pub(super) action: Action,
    pub(super) reason: Option<&'a str>,
    pub(super) limit: u64,
}

pub(super) fn run<W: Write>(out: &mut Out<W>, desk: &Desk, work: &Work<'_>, yes: bool) -> anyhow::Result<()> {
    let targets = Targets::ask(desk)?;
    if !yes {
        return plan(out, desk, work, &targets);
    }
    let id = connect::operator(&desk.config.app, "dlq");
    let limit = usize::try_from(desk.config.kafka.max_record.bytes())?;
    // Before the marks are read: another run that is still at work can't commit any more from here on, and all that it
    // has committed is seen.
    let writer = ToolWriter::new(&desk.cluster, &id, limit, desk.patience())?;
    let mut letters = desk.letters(handled::load(desk, handled::Unreadable::Refuse)?, false)?;
    let (mut done, mut left, mut aged) = (0, Left::default(), Aged::new(desk, work.action));
    loop {
        let batch = next_batch(&mut letters, work, work.limit - done, &targets, &mut left)?;
        if batch.is_empty() {
            break;
        }
        batch.iter().for_each(|job| aged.add(&job.letter));
        writer.transaction(|writer| write(writer, desk, work, &batch))?;
        done += u64::try_from(batch.len())?;
        tracing::debug!(done, "committed");
    }
    let verb = match work.action {
        Action::Replayed => "replayed",
        Action::Dropped => "dropped",
    };
    tracing::info!(action = verb, letters = done, reason = work.reason, "dead letters dealt with");
    out.line(format_args!("{done} dead letters {verb}."))?;
    aged.print(out)?;
    left.print(out)
}

/// Says what would be done.
fn plan<W: Write>(out: &mut Out<W>, desk: &Desk, work: &Work<'_>, targets: &Targets) -> anyhow::Result<()> {
    let mut letters = desk.letters(handled::load(desk, handled::Unreadable::Refuse)?, false)?;
    let (mut tally, mut left, mut aged) = (Tally::default(), Left::default(), Aged::new(desk, work.action));
    let mut count = 0;
    while count < work.limit
        && let Some((letter, _)) = letters.next_letter()?
    {
        match is_possible(&letter, work.action, targets) {
            Ok(_) => {
                tally.add(&letter, None);
                aged.add(&letter);
                count += 1;
            }
            Err(reason) => left.add(reason),
        }
    }
    tally.print(out)?;
    aged.print(out)?;
    left.print(out)?;
    let verb = match work.action {
        Action::Replayed => "replay",
        Action::Dropped => "drop",
    };
    if count == 0 {
        return Ok(());
    }
    if work.action == Action::Replayed {
        out.line(format_args!(
            "\nAn event that was taken from elsewhere meanwhile is recognised as a duplicate within `dedup.window` ({}) only.",
            desk.config.dedup.window
        ))?;
    }
    out.line(format_args!("\nNothing is done yet: add --yes to {verb} these {count}."))
}

/// Letters that are replayed and older than the window of deduplication.
#[derive(Debug)]
struct Aged {
    /// Letters from before then are counted, if any are.
    before: Option<i64>,
    window: Span,
    count: u64,
}

impl Aged {
    fn new(desk: &Desk, action: Action) -> Aged {
        let window = desk.config.dedup.window;
        let before = (action == Action::Replayed).then(|| now().saturating_sub(window.millis()));
        Aged { before, window, count: 0 }
    }

    fn add(&mut self, letter: &Letter) {
        self.count += u64::from(self.before.is_some_and(|before| letter.0.time < before));
    }

    fn print<W: Write>(&self, out: &mut Out<W>) -> anyhow::Result<()> {
        let Aged { window, count, .. } = self;
        if *count == 0 {
            return Ok(());
        }
        out.line(format_args!(
            "warning: {count} of them are older than `dedup.window` ({window}): an event that upstream has sent again since may \
             be counted twice."
        ))
    }
}

/// Letters that stay where they are, by reason.
#[derive(Debug, Default)]
struct Left(BTreeMap<String, u64>);

impl Left {
    fn add(&mut self, reason: String) {
        *self.0.entry(reason).or_default() += 1;
    }

    fn print<W: Write>(&self, out: &mut Out<W>) -> anyhow::Result<()> {
        for (reason, count) in &self.0 {
            out.line(format_args!("{count} can't be replayed: {reason}"))?;
        }
        Ok(())
    }
}

/// A letter, and where it goes if it is replayed.
struct Job {
    letter: Letter,
    target: Option<Target>,
}

/// Topic, and partition if the record keeps its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    topic: String,
    partition: Option<i32>,
}

/// The topics that roles read, with their numbers of partitions: letters go nowhere else.
#[derive(Debug)]
struct Targets(BTreeMap<String, u32>);

impl Targets {
    fn ask(desk: &Desk) -> anyhow::Result<Targets> {
        let inspector = Inspector::new(&desk.cluster, None, View::Committed, desk.patience())?;
        let inputs: Vec<&str> = Role::ALL.iter().flat_map(|role| role.inputs(&desk.config)).collect();
        let marks = topics::dlq_handled(&desk.config.app);
        let mut counts = inspector.partitions(inputs.iter().copied().chain([marks.as_str()]))?;
        if counts.remove(&marks).is_none() {
            bail!("topic {marks} does not exist; `catchment topics create` makes it");
        }
        Ok(Targets(counts))
    }

    /// Where a letter goes back to, or why it can't.
    fn of(&self, letter: &Letter) -> Result<Target, String> {
        use catchment_contracts::dead_letter::ErrorCode;
        if letter.code() == ErrorCode::Skipped.as_str() {
            return Err("a note about skipped input is no record".to_owned());
        }
        let Some(NamedPartition { topic, partition }) = letter.origin() else {
            return Err("it does not say where it came from".to_owned());
        };
        match self.0.get(&topic) {
            Some(count) => {
                let keeps = u32::try_from(partition).is_ok_and(|number| number < *count);
                Ok(Target { topic, partition: keeps.then_some(partition) })
            }
            None => Err(format!("topic {} is not read by any role, or does not exist", plain(&topic))),
        }
    }
}

fn is_possible(letter: &Letter, action: Action, targets: &Targets) -> Result<Option<Target>, String> {
    match action {
        Action::Dropped => Ok(None),
        Action::Replayed => targets.of(letter).map(Some),
    }
}

/// The next letters for one transaction; none at the end.
fn next_batch(
    letters: &mut Letters<'_>,
    work: &Work<'_>,
    limit: u64,
    targets: &Targets,
    left: &mut Left,
) -> anyhow::Result<Vec<Job>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let most = usize::try_from(limit).unwrap_or(usize::MAX).min(BATCH_LETTERS);
    while batch.len() < most && bytes < BATCH_BYTES {
        let Some((letter, _)) = letters.next_letter()? else { break };
        match is_possible(&letter, work.action, targets) {
            Ok(target) => {
                let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
                bytes += size(&letter.0.key) + size(&letter.0.value);
                batch.push(Job { letter, target });
            }
            Err(reason) => left.add(reason),
        }
    }
    Ok(batch)
}

/// Writes the records back, and the marks.
fn write(writer: &ToolWriter, desk: &Desk, work: &Work<'_>, batch: &[Job]) -> anyhow::Result<()> {
    let mut marks: BTreeMap<&NamedPartition, Handled> = BTreeMap::new();
    for Job { letter, target } in batch {
        let Letter(record) = letter;
        if let Some(Target { topic, partition }) = target {
            writer.send(&RawRecord {
                topic,
                partition: *partition,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &letter.original_headers(),
                // Now: with the time of before, retention could take the record before it is read.
                time: None,
            })?;
        }
        let mark = marks.entry(&record.at).or_insert_with(|| Handled {
            action: work.action,
            letters: Vec::new(),
            newest: i64::MIN,
            at: now(),
            by: user(),
            reason: work.reason.map(str::to_owned),
        });
        mark.add(record.offset, record.time);
    }
    let topic = topics::dlq_handled(&desk.config.app);
    for (at, mark) in marks {
        writer.send(&RawRecord {
            topic: &topic,
            partition: Some(0),
            key: Some(Handled::key(&at.topic, at.partition).as_bytes()),
            value: Some(&mark.encode()?),
            ..RawRecord::default()
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use catchment_contracts::headers;

    #[test]
    fn a_letter_goes_back_to_its_partition_where_that_still_exists() {
        let targets = |count| Targets(BTreeMap::from([("crm.contacts".to_owned(), count)]));
        let target = |partition| Ok(Target { topic: "crm.contacts".to_owned(), partition });
        assert_eq!(targets(2).of(&letter()), target(Some(1)));
        assert_eq!(targets(1).of(&letter()), target(None), "by its key");
        let none = Targets(BTreeMap::new()).of(&letter());
        assert_eq!(none, Err("topic crm.contacts is not read by any role, or does not exist".to_owned()));
    }

    #[test]
    fn letters_from_before_the_window_are_warned_of() {
        let said = |before| {
            let mut aged = Aged { before, window: Span::hours(48), count: 0 };
            // Written at 1,000.
            aged.add(&letter());
            let mut bytes = Vec::new();
            aged.print(&mut Out::new(&mut bytes)).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert!(said(Some(1_001)).starts_with("warning: 1 of them are older than `dedup.window` (48h)"));
        assert_eq!(said(Some(1_000)), "");
        assert_eq!(said(None), "", "nothing is counted twice by giving letters up");
    }

    #[test]
    fn what_is_no_record_stays() {
        let targets = Targets(BTreeMap::from([("crm.contacts".to_owned(), 2)]));
        let mut note = letter();
        note.0.headers.push(headers::ERROR_CODE, *b"skipped");
        assert_eq!(targets.of(&note), Err("a note about skipped input is no record".to_owned()));
        let mut foreign = letter();
        foreign.0.headers.0.clear();
        assert_eq!(targets.of(&foreign), Err("it does not say where it came from".to_owned()));
        assert!(is_possible(&foreign, Action::Dropped, &targets).is_ok(), "but it can be dropped");
    }
}
