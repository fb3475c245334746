//! Which dead letters are meant.

use std::path::PathBuf;

use catchment_contracts::dead_letter::ErrorCode;
use catchment_contracts::topics;
use catchment_domain::time::parse_rfc3339;

use super::letter::Letter;
use crate::commands::operator::now;
use crate::config::{Config, Span};
use crate::wiring;

#[derive(Debug, clap::Args)]
pub(crate) struct FilterArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
    pub(super) config: PathBuf,
    /// Letters of this source, or of this role; may be given several times
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Letters on this topic of dead letters, such as `dlq.crm`; may be given several times
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Letters whose first error has this code; may be given several times
    #[arg(long, value_name = "CODE", value_parser = code)]
    code: Vec<ErrorCode>,
    /// Letters whose first error is at this field, or below it: `properties.products` also takes
    /// `properties.products[3].price`
    #[arg(long, value_name = "PATH")]
    field: Option<String>,
    /// Letters written since then: a time such as 2026-03-05T09:00:00Z, or a length of time such as `2h`, before now
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Letters written before then
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// The letter at this place of its topic, as `show` prints it; may be given several times
    #[arg(long, value_name = "PARTITION:OFFSET", value_parser = place)]
    offset: Vec<(i32, i64)>,
}

fn code(text: &str) -> Result<ErrorCode, String> {
    text.parse().map_err(|_| {
        let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        format!("expected one of {}", codes.join(", "))
    })
}

fn time(text: &str) -> Result<i64, String> {
    let ago = || text.parse::<Span>().ok().map(|span| now().saturating_sub(span.millis()));
    parse_rfc3339(text)
        .or_else(ago)
        .ok_or_else(|| "expected a time such as 2026-03-05T09:00:00Z, or a length such as 2h".to_owned())
}

fn place(text: &str) -> Result<(i32, i64), String> {
    let parts = text.split_once(':').and_then(|(partition, offset)| {
        Some((partition.parse().ok()?, offset.parse().ok()?)).filter(|(partition, _)| *partition >= 0)
    });
    parts.ok_or_else(|| "expected PARTITION:OFFSET, such as 0:17".to_owned())
}

/// [`FilterArgs`], held against the configuration.
#[derive(Debug)]
pub(super) struct Filter {
    /// Topics of dead letters, in the order of the configuration.
    pub(super) topics: Vec<String>,
    pub(super) since: Option<i64>,
    codes: Vec<ErrorCode>,
    field: Option<String>,
    until: Option<i64>,
    places: Vec<(i32, i64)>,
}

impl Filter {
    /// The filter, or what is wrong with it.
    pub(super) fn new(args: &FilterArgs, config: &Config) -> Result<Filter, String> {
        let topology = wiring::topology(config, 1, &std::collections::BTreeMap::new())
            .map_err(|clash| clash.to_string())?;
        let all: Vec<String> = topology
            .table
            .iter()
            .map(|(_, spec)| spec.name.clone())
            .filter(|name| topics::dlq_source(name).is_some())
            .collect();
        let named = args.source.iter().map(|name| topics::dlq(name)).chain(args.topic.iter().cloned());
        let mut chosen: Vec<String> = Vec::new();
        for topic in named {
            if !all.contains(&topic) {
                return Err(format!(
                    "`{topic}` is no topic of dead letters here; there are {}",
                    all.join(", ")
                ));
            }
            if !chosen.contains(&topic) {
                chosen.push(topic);
            }
        }
        let topics = if chosen.is_empty() { all } else { chosen };
        if !args.offset.is_empty() && topics.len() != 1 {
            return Err("--offset needs --source or --topic, since offsets are counted by topic".to_owned());
        }
        Ok(Filter {
            topics,
            since: args.since,
            codes: args.code.clone(),
            field: args.field.clone(),
            until: args.until,
            places: args.offset.clone(),
        })
    }

    /// Whether the letter is meant; its topic has been chosen already.
    pub(super) fn takes(&self, letter: &Letter) -> bool {
        let Letter(record) = letter;
        (self.codes.is_empty() || self.codes.iter().any(|code| code.as_str() == letter.code()))
            && self.field.as_deref().is_none_or(|field| is_at_or_below(letter.field(), field))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && (self.places.is_empty() || self.places.contains(&(record.at.partition, record.offset)))
    }
}

/// Whether a path is another one, or a part of what stands there.
fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    fn filter() -> Filter {
        Filter {
            topics: vec!["dlq.crm".to_owned()],
            since: None,
            codes: Vec::new(),
            field: None,
            until: None,
            places: Vec::new(),
        }
    }

    #[test]
    fn a_letter_is_taken_if_it_fits_everything_that_is_asked_for() {
        // Code missing_field at `contact.email`, partition 1, offset 7, written at 1,000.
        let letter = letter();
        assert!(filter().takes(&letter));
        let takes = |change: &dyn Fn(&mut Filter)| {
            let mut filter = filter();
            change(&mut filter);
            filter.takes(&letter)
        };
        assert!(takes(&|f| f.codes = vec![ErrorCode::Oversize, ErrorCode::MissingField]));
        assert!(!takes(&|f| f.codes = vec![ErrorCode::Oversize]));
        for (field, expected) in
            [("contact.email", true), ("contact", true), ("cont", false), ("email", false)]
        {
            assert_eq!(takes(&|f| f.field = Some(field.to_owned())), expected, "{field}");
        }
        assert!(takes(&|f| (f.since, f.until) = (Some(1_000), Some(1_001))));
        assert!(!takes(&|f| f.since = Some(1_001)));
        assert!(!takes(&|f| f.until = Some(1_000)));
        assert!(takes(&|f| f.places = vec![(0, 7), (1, 7)]));
        assert!(!takes(&|f| f.places = vec![(1, 8)]));
    }

    #[test]
    fn places_and_times_are_read() {
        assert_eq!(place("3:17"), Ok((3, 17)));
        for text in ["3", "3:", "-1:2", "a:b", ""] {
            assert!(place(text).is_err(), "{text}");
        }
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(1_000));
        let then = time("2h").unwrap();
        let ago = now() - then;
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        assert!(time("yesterday").is_err());
    }
}
