//! The generated parts of the pages in `docs/`.
//!
//! What code decides (codes, reasons, features, topics, contracts, metrics, keys) is listed by that code. What people
//! have to be told beside it is written by hand on the same page. A page marks each generated part:
//!
//! ```text
//! <!-- generated: name -->
//! …
//! <!-- end -->
//! ```

mod campaigns;
mod contracts;
mod errors;
mod metrics;
mod models;
mod topics;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::config;
use crate::out::Out;

/// Writes a part, or a whole page.
type Writer = fn() -> anyhow::Result<String>;

/// A page with something generated in it.
struct Page {
    /// Name of its file in `docs/`.
    file: &'static str,
    content: Content,
}

enum Content {
    /// Nothing on the page is written by hand.
    Whole(Writer),
    /// Parts by their names, in the order in which they stand on the page.
    Parts(&'static [(&'static str, Writer)]),
}

static PAGES: [Page; 7] = [
    Page { file: "configuration.md", content: Content::Whole(|| Ok(config::markdown())) },
    Page { file: "errors.md", content: Content::Parts(&[("codes", errors::codes)]) },
    Page {
        file: "campaigns.md",
        content: Content::Parts(&[
            ("keys", campaigns::keys),
            ("scopes", campaigns::scopes),
            ("channels", campaigns::channels),
            ("variables", campaigns::variables),
            ("outcomes", campaigns::outcomes),
            ("reasons", campaigns::reasons),
        ]),
    },
    Page {
        file: "models.md",
        content: Content::Parts(&[("keys", models::keys), ("features", models::features)]),
    },
    Page { file: "topics.md", content: Content::Parts(&[("topics", topics::topics)]) },
    Page {
        file: "contracts.md",
        content: Content::Parts(&[("list", contracts::list), ("fields", contracts::fields)]),
    },
    Page { file: "metrics.md", content: Content::Parts(&[("metrics", metrics::metrics)]) },
];

/// Names of the pages in `directory` whose generated parts are not what the code says.
///
/// # Errors
/// A page that can't be read, or whose marks are not those of its parts.
pub fn stale(directory: &Path) -> anyhow::Result<Vec<&'static str>> {
    let mut stale = Vec::new();
    for page in &PAGES {
        let (before, now) = page.refreshed(directory)?;
        if before != now {
            stale.push(page.file);
        }
    }
    Ok(stale)
}

/// Writes the generated parts of the pages in `directory`. With `check`, nothing is written, and a stale page is an
/// error.
pub(crate) fn run(directory: &Path, check: bool) -> anyhow::Result<()> {
    let stale = stale(directory)?;
    if check && !stale.is_empty() {
        bail!("stale in {}: {}; run `cargo xtask docs`", directory.display(), stale.join(", "));
    }
    for page in PAGES.iter().filter(|page| stale.contains(&page.file)) {
        let (_, now) = page.refreshed(directory)?;
        let path = directory.join(page.file);
        fs::write(&path, now).with_context(|| format!("cannot write {}", path.display()))?;
        Out::stdout().line(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}

impl Page {
    /// The page as it is, and as it should be.
    fn refreshed(&self, directory: &Path) -> anyhow::Result<(String, String)> {
        let path = directory.join(self.file);
        let before = match (fs::read_to_string(&path), &self.content) {
            (Ok(text), _) => text,
            (Err(_), Content::Whole(_)) => String::new(),
            (Err(error), Content::Parts(_)) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let now = match self.content {
            Content::Whole(write) => write()?,
            Content::Parts(parts) => fill(&before, parts).with_context(|| path.display().to_string())?,
        };
        Ok((before, now))
    }
}

const BEGIN: &str = "<!-- generated: ";
const CLOSE: &str = " -->\n";
const END: &str = "<!-- end -->";

/// The text with every part written anew.
fn fill(text: &str, parts: &[(&str, Writer)]) -> anyhow::Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    for (name, write) in parts {
        let mark = format!("{BEGIN}{name}{CLOSE}");
        let Some((head, tail)) = rest.split_once(&mark) else {
            bail!("no part `{name}` where it is expected");
        };
        let Some((_, tail)) = tail.split_once(END) else {
            bail!("part `{name}` has no end");
        };
        if head.contains(BEGIN) {
            bail!("a part before `{name}` that no code writes");
        }
        filled.push_str(head);
        filled.push_str(&mark);
        filled.push('\n');
        filled.push_str(write()?.trim_end());
        filled.push_str("\n\n");
        filled.push_str(END);
        rest = tail;
    }
    if rest.contains(BEGIN) {
        bail!("a part at the end that no code writes");
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A table in Markdown.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&head.map(str::to_owned));
    text.push_str(&"|---".repeat(N));
    text.push_str("|\n");
    for row in rows {
        text.push_str(&line(&row));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A text that ends a sentence.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// A key of a file, written by hand; a test holds the list against what is read.
struct FileKey {
    path: &'static str,
    value: &'static str,
    default: &'static str,
    meaning: &'static str,
}

fn file_keys(keys: &[FileKey]) -> String {
    let rows = keys
        .iter()
        .map(|key| [code(key.path), key.value.to_owned(), key.default.to_owned(), key.meaning.to_owned()]);
    table(["key", "value", "default", "meaning"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: (&str, Writer) = ("part", || Ok("new\n".to_owned()));

    #[test]
    fn what_is_written_by_hand_stays() {
        let page = "before\n<!-- generated: part -->\n\nold\n\n<!-- end -->\nafter\n";
        let filled = fill(page, &[PART]).unwrap();
        assert_eq!(filled, "before\n<!-- generated: part -->\n\nnew\n\n<!-- end -->\nafter\n");
        assert_eq!(fill(&filled, &[PART]).unwrap(), filled);
    }

    #[test]
    fn marks_that_do_not_fit_are_named() {
        let error = |page: &str| fill(page, &[PART]).unwrap_err().to_string();
        assert_eq!(error("nothing"), "no part `part` where it is expected");
        assert_eq!(error("<!-- generated: part -->\nold"), "part `part` has no end");
        let other = "<!-- generated: other -->\n<!-- end -->\n";
        let part = "<!-- generated: part -->\n<!-- end -->\n";
        assert_eq!(error(&format!("{other}{part}")), "a part before `part` that no code writes");
        assert_eq!(error(&format!("{part}{other}")), "a part at the end that no code writes");
    }

    /// Names that serde expects where an unknown one stands, out of its message.
    pub(super) fn expected<T: serde::de::DeserializeOwned>(text: &str) -> Vec<String> {
        let Err(error) = serde_json::from_str::<T>(text) else { panic!("{text} is read") };
        let message = error.to_string();
        let (_, expected) = message.split_once(", expected ").unwrap_or_else(|| panic!("{message}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The last parts of the keys below a prefix, in order, each once.
    pub(super) fn below(keys: &[FileKey], prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for key in keys {
            let Some(rest) = key.path.strip_prefix(prefix) else { continue };
            let name = rest.split(['.', '[']).next().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
