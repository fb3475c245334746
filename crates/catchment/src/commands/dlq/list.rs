//! `dlq list`: how many, of which kind, since when.

use std::collections::BTreeMap;
use std::io::Write;

use catchment_contracts::dead_letter::ErrorCode;
use catchment_contracts::handled::Action;
use catchment_domain::time::format_rfc3339;
use serde::Serialize;

use super::letter::{Letter, plain};
use super::{Desk, handled};
use crate::out::Out;

pub(super) fn run<W: Write>(out: &mut Out<W>, desk: &Desk, all: bool, json: bool) -> anyhow::Result<()> {
    let mut letters = desk.letters(handled::load(desk, handled::Unreadable::Warn)?, all)?;
    let mut tally = Tally::default();
    while let Some((letter, action)) = letters.next_letter()? {
        tally.add(&letter, action);
    }
    if json { out.line(serde_json::to_string(&tally.rows())?) } else { tally.print(out) }
}

/// What is known of a letter in lists.
pub(super) const fn state(action: Option<Action>) -> &'static str {
    match action {
        None => "waiting",
        Some(Action::Replayed) => "replayed",
        Some(Action::Dropped) => "dropped",
    }
}

/// Letters by topic, code and state. As many rows as there are kinds, whatever the number of letters: codes are a
/// closed list.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(String, String, &'static str), Count>);

#[derive(Debug)]
struct Count {
    letters: u64,
    oldest: i64,
    newest: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    topic: &'a str,
    code: &'a str,
    state: &'a str,
    letters: u64,
    oldest: String,
    newest: String,
}

impl Tally {
    pub(super) fn add(&mut self, letter: &Letter, action: Option<Action>) {
        let Letter(record) = letter;
        let code = letter.code().parse::<ErrorCode>().map_or("unknown", ErrorCode::as_str);
        let key = (record.at.topic.clone(), code.to_owned(), state(action));
        let time = record.time;
        let count = self.0.entry(key).or_insert(Count { letters: 0, oldest: time, newest: time });
        count.letters += 1;
        count.oldest = count.oldest.min(time);
        count.newest = count.newest.max(time);
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let rows = self.0.iter().map(|((topic, code, state), count)| Row {
            topic,
            code,
            state,
            letters: count.letters,
            oldest: format_rfc3339(count.oldest),
            newest: format_rfc3339(count.newest),
        });
        rows.collect()
    }

    pub(super) fn print<W: Write>(&self, out: &mut Out<W>) -> anyhow::Result<()> {
        if self.0.is_empty() {
            return out.line("No dead letters.");
        }
        let mut rows = vec![["topic", "code", "state", "letters", "oldest", "newest"].map(str::to_owned)];
        rows.extend(self.rows().into_iter().map(|row| {
            let letters = row.letters.to_string();
            [plain(row.topic), row.code.to_owned(), row.state.to_owned(), letters, row.oldest, row.newest]
        }));
        out.table("", &rows)?;
        let mut codes: Vec<&str> = self.0.keys().map(|(_, code, _)| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        out.line("")?;
        for code in codes.iter().filter_map(|code| code.parse::<ErrorCode>().ok()) {
            out.line(format_args!("{code}: {} {}", code.meaning(), code.remedy()))?;
        }
        Ok(())
    }
}
