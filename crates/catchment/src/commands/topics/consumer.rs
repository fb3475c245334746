//! `topics check --consumer`: whether a consumer's properties file reads committed records only.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::out::Out;

const KEY: &str = "isolation.level";
const COMMITTED: &str = "read_committed";

pub(super) fn check<W: Write>(out: &mut Out<W>, file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    match isolation(&text).as_deref() {
        Some(COMMITTED) => out.line(format_args!("{}: {KEY}={COMMITTED}, as it must be.", file.display())),
        found => bail!(
            "{}: {KEY} is {}, and must be {COMMITTED}: else the consumer also gets records of transactions that are \
             aborted later, such as a trigger that is then written again",
            file.display(),
            found.map_or_else(
                || "missing (Java's default is read_uncommitted)".to_owned(),
                |level| format!("`{level}`")
            )
        ),
    }
}

/// The value of the last `isolation.level` in a Java properties file (`java.util.Properties`): `=`, `:` or white space
/// between key and value, comments behind `#` or `!`, a `\` at the end of a line that goes on.
fn isolation(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let mut found = None;
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.starts_with(['#', '!']) {
            continue;
        }
        while is_continued(&logical) {
            logical.pop();
            logical.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let end = logical.find(|c: char| c == '=' || c == ':' || c.is_whitespace()).unwrap_or(logical.len());
        let (key, rest) = logical.split_at(end);
        if key == KEY {
            let value = rest.trim_start();
            let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
            found = Some(value.trim_end_matches(['\r', '\n']).to_owned());
        }
    }
    found
}

/// An odd number of `\` at the end.
fn is_continued(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("isolation.level=read_committed\n", Some("read_committed")),
            ("group.id=x\r\nisolation.level = read_committed\r\n", Some("read_committed")),
            ("isolation.level: read_committed", Some("read_committed")),
            ("isolation.level read_committed", Some("read_committed")),
            ("isolation.level=\\\n  read_committed", Some("read_committed")),
            ("isolation.level=read_committed\nisolation.level=read_uncommitted", Some("read_uncommitted")),
            ("  # isolation.level=read_committed", None),
            ("! isolation.level=read_committed", None),
            ("x=a\\\nisolation.level=read_committed", None),
            ("isolation.levels=read_committed", None),
            ("isolation.level", Some("")),
            ("", None),
            ("x=\\", None),
        ] {
            assert_eq!(isolation(text).as_deref(), expected, "{text:?}");
        }
    }
}
