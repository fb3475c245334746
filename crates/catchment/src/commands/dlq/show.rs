//! `dlq show`: letters one by one.

use std::fmt::Write as _;
use std::io::Write;

use apache_avro::Schema;
use catchment_contracts::handled::Action;
use catchment_contracts::render::render_json;
use catchment_contracts::{catalogue, headers, wire};
use catchment_domain::time::format_rfc3339;

use super::letter::{Letter, plain};
use super::list::state;
use super::{Desk, handled};
use crate::out::Out;

/// Most bytes of a key or value that are shown; `--raw` shows all.
const MOST_BYTES: usize = 4_096;

/// How much of a letter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// What was wrong, and nothing personal.
    Reasons,
    /// Key, value and header values as well.
    Values,
    /// The bytes of the value alone.
    Raw,
}

pub(super) fn run<W: Write>(
    out: &mut Out<W>,
    desk: &Desk,
    all: bool,
    limit: u64,
    shown: Shown,
) -> anyhow::Result<()> {
    let mut letters = desk.letters(handled::load(desk, handled::Unreadable::Warn)?, all)?;
    let mut count = 0;
    while count < limit
        && let Some((letter, action)) = letters.next_letter()?
    {
        if shown == Shown::Raw {
            out.bytes(letter.0.value.as_deref().unwrap_or_default())?;
            out.text("\n")?;
        } else {
            out.text(&describe(&letter, action, shown == Shown::Values))?;
        }
        count += 1;
    }
    if shown == Shown::Raw {
        return Ok(());
    }
    if count == 0 {
        return out.line("No dead letters.");
    }
    if letters.next_letter()?.is_some() {
        out.line(format_args!("There are more; --limit is {limit}."))?;
    }
    if shown == Shown::Reasons {
        out.line("Key, value and header values are personal data: --values shows them.")?;
    }
    Ok(())
}

fn describe(letter: &Letter, action: Option<Action>, values: bool) -> String {
    let Letter(record) = letter;
    let mut text = format!(
        "{} {}:{}  {}  {}  attempt {}  {}\n",
        record.at.topic,
        record.at.partition,
        record.offset,
        format_rfc3339(record.time),
        plain(letter.code()),
        plain(letter.header(headers::ERROR_ATTEMPT)),
        state(action),
    );
    line(&mut text, "from", &origin(letter));
    let errors = letter.errors();
    for error in &errors {
        line(&mut text, "error", &plain(&error.to_string()));
    }
    if errors.is_empty() {
        line(&mut text, "error", &plain(letter.header(headers::STREAMS_MESSAGE)));
    }
    for (name, value) in letter.original_headers() {
        if name != headers::ERROR_ATTEMPT {
            line(&mut text, "header", &format!("{} {}", plain(name), bytes(Some(value), values)));
        }
    }
    line(&mut text, "key", &bytes(record.key.as_deref(), values));
    let avro = values.then(|| avro_of_ours(letter)).flatten();
    line(&mut text, "value", &avro.unwrap_or_else(|| bytes(record.value.as_deref(), values)));
    text.push('\n');
    text
}

fn line(text: &mut String, name: &str, content: &str) {
    // A text takes what is written to it.
    let _ = writeln!(text, "  {name:<8}{content}");
}

fn origin(letter: &Letter) -> String {
    let header = |name| plain(letter.header(name));
    let mut parts = vec![match letter.origin() {
        Some(at) => {
            format!("{} {}:{}", plain(&at.topic), at.partition, header(headers::STREAMS_OFFSET))
        }
        None => "unknown: the record has no headers of a dead letter".to_owned(),
    }];
    for (name, header_name) in [
        ("source", headers::SOURCE),
        ("contract", headers::ERROR_CONTRACT),
        ("role", headers::ERROR_ROLE),
        ("stage", headers::ERROR_STAGE),
        ("release", headers::ERROR_VERSION),
    ] {
        let value = header(header_name);
        if !value.is_empty() {
            parts.push(format!("{name} {value}"));
        }
    }
    parts.join(", ")
}

/// Bytes as text, if they are text; else as hex. Without `values` only how many there are.
fn bytes(bytes: Option<&[u8]>, values: bool) -> String {
    let Some(bytes) = bytes else { return "none".to_owned() };
    if !values {
        return format!("{} bytes", bytes.len());
    }
    let shown = &bytes[..bytes.len().min(MOST_BYTES)];
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => plain(&text.chars().take(MOST_BYTES).collect::<String>()),
        Err(_) => shown.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    if bytes.len() > MOST_BYTES {
        let _ = write!(text, "… ({} bytes; --raw shows all)", bytes.len());
    }
    text
}

/// A value that we wrote ourselves, as JSON. The schema is that of this release: the registry is not asked.
fn avro_of_ours(letter: &Letter) -> Option<String> {
    let contract = catalogue::by_topic(&letter.origin()?.topic)?;
    let (_, datum) = wire::split(letter.0.value.as_deref()?).ok()?;
    let schema = Schema::parse_str(contract.schema).ok()?;
    let mut json = String::new();
    render_json(&schema, datum, &mut json).ok()?;
    Some(plain(&json))
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn nothing_personal_is_shown_unless_it_is_asked_for() {
        let shown = describe(&letter(), None, false);
        let expected = "dlq.crm 1:7  1970-01-01T00:00:01.000Z  missing_field  attempt 2  waiting\n\
            \x20 from    crm.contacts 1:40, source crm, contract crm_contact, role ingest, stage map, release ";
        assert!(shown.starts_with(expected), "{shown}");
        for part in [
            "  error   missing_field: contact.email: expected a text, found nothing\n",
            "  header  traceparent 4 bytes\n",
            "  key     1 bytes\n",
            "  value   14 bytes\n",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        let shown = describe(&letter(), Some(Action::Dropped), true);
        assert!(shown.contains("  value   {\"email\":null}\n") && shown.contains("  dropped\n"), "{shown}");
    }

    #[test]
    fn bytes_that_are_no_text_are_hex_and_long_ones_are_cut() {
        assert_eq!(bytes(Some(&[0xff, 0]), true), "0xff00");
        assert_eq!(bytes(None, true), "none");
        let long = bytes(Some(&vec![b'x'; 5_000]), true);
        assert!(long.ends_with("x… (5000 bytes; --raw shows all)"), "{long}");
    }
}
