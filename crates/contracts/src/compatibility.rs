//! What breaks between two versions of a schema: every change, with its field and who can't read what.
//!
//! The rules are those of schema resolution, and how a schema registry applies them (a union must take every branch, an
//! enum every symbol unless it has a default). One is added: a logical type that changes (milliseconds to microseconds)
//! is a breaking change, since every byte can still be read and means something else.
//!
//! Standard: Apache Avro 1.12 specification, "Schema Resolution".

mod types;

use crate::catalogue::Compatibility;
use apache_avro::Schema;
use apache_avro::schema::{EnumSchema, RecordField, RecordSchema};
use std::collections::HashSet;
use std::fmt;
use std::slice;
use types::{Names, Type};

#[cfg(test)]
mod tests;

/// Who can't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Readers with the new schema can't read what was written with the old one.
    New,
    /// Readers with the old schema can't read what is written with the new one.
    Old,
    /// Both.
    Both,
}

/// A change that a level of compatibility does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breaking {
    /// Where it is, such as `order.total`, `identifiers[].type`; empty: the schema as a whole.
    pub path: String,
    /// What changed.
    pub change: String,
    /// Who can't read.
    pub reader: Reader,
}

impl fmt::Display for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        let who = match self.reader {
            Reader::New => "the new schema can't read old records",
            Reader::Old => "readers with the old schema can't read new records",
            Reader::Both => "neither schema can read the other's records",
        };
        write!(f, "{}: {who}", self.change)
    }
}

/// A text that is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {which} schema is no Avro schema: {reason}")]
pub struct NotASchema {
    /// `old` or `new`.
    pub which: &'static str,
    /// What the parser says.
    pub reason: String,
}

/// All changes from `old` to `new` that the level does not allow, in the order of the schema.
///
/// # Errors
///
/// If one of them is no Avro schema.
pub fn breaking(old: &str, new: &str, level: Compatibility) -> Result<Vec<Breaking>, NotASchema> {
    let parse = |which, text: &str| {
        Schema::parse_str(text).map_err(|error| NotASchema { which, reason: error.to_string() })
    };
    let (old, new) = (parse("old", old)?, parse("new", new)?);
    let (old_names, new_names) = (Names::of(&old), Names::of(&new));
    let mut found = Walk::new(Reader::New, &old_names, &new_names).run(&old, &new);
    if level == Compatibility::FullTransitive {
        for change in Walk::new(Reader::Old, &new_names, &old_names).run(&new, &old) {
            match found.iter_mut().find(|known| known.path == change.path && known.change == change.change) {
                Some(known) => known.reader = Reader::Both,
                None => found.push(change),
            }
        }
    }
    Ok(found)
}

/// One direction: a reader with one schema reads what was written with the other.
struct Walk<'s> {
    reader: Reader,
    written: &'s Names<'s>,
    read: &'s Names<'s>,
    path: Vec<String>,
    /// Pairs of records that were met: a schema may contain itself.
    met: HashSet<(String, String)>,
    found: Vec<Breaking>,
}

impl<'s> Walk<'s> {
    fn new(reader: Reader, written: &'s Names<'s>, read: &'s Names<'s>) -> Self {
        Walk { reader, written, read, path: Vec::new(), met: HashSet::new(), found: Vec::new() }
    }

    fn run(mut self, written: &'s Schema, read: &'s Schema) -> Vec<Breaking> {
        self.compare(written, read);
        self.found
    }

    fn say(&mut self, change: String) {
        let mut path = String::new();
        for part in &self.path {
            if !path.is_empty() && !part.starts_with(['[', '{']) {
                path.push('.');
            }
            path.push_str(part);
        }
        self.found.push(Breaking { path, change, reader: self.reader });
    }

    /// The two as what was and what is.
    fn in_time<T>(&self, written: T, read: T) -> (T, T) {
        if self.reader == Reader::New { (written, read) } else { (read, written) }
    }

    fn below(&mut self, part: &str, compare: impl FnOnce(&mut Self)) {
        self.path.push(part.to_owned());
        compare(self);
        self.path.pop();
    }

    fn compare(&mut self, written: &'s Schema, read: &'s Schema) {
        let (written, read) = (self.written.resolve(written), self.read.resolve(read));
        match (written, read) {
            (Schema::Union(written), Schema::Union(read)) => {
                written.variants().iter().for_each(|branch| self.branch(branch, read.variants()));
            }
            (Schema::Union(written), read) => {
                written.variants().iter().for_each(|branch| self.branch(branch, slice::from_ref(read)));
            }
            (written, Schema::Union(read)) => self.branch(written, read.variants()),
            (Schema::Record(written), Schema::Record(read)) => self.records(written, read),
            (Schema::Enum(written), Schema::Enum(read)) => self.enums(written, read),
            (Schema::Array(written), Schema::Array(read)) => {
                self.below("[]", |walk| walk.compare(&written.items, &read.items));
            }
            (Schema::Map(written), Schema::Map(read)) => {
                self.below("{}", |walk| walk.compare(&written.types, &read.types));
            }
            (written, read) => self.simple(&Type::of(written), &Type::of(read)),
        }
    }

    /// A branch of a union, read as one of these: one of the same type, else the first that takes it.
    fn branch(&mut self, written: &'s Schema, read: &'s [Schema]) {
        let ty = Type::of(self.written.resolve(written));
        let types = || read.iter().map(|branch| (branch, Type::of(self.read.resolve(branch))));
        let same = types().find(|(_, read)| read.is_alike(&ty));
        let found = same.or_else(|| types().find(|(_, read)| ty.becomes(read)));
        match found {
            Some((branch, _)) => self.compare(written, branch),
            None => self.say(match self.reader {
                Reader::New => format!("{ty} is no longer allowed"),
                _ => format!("{ty} is allowed now"),
            }),
        }
    }

    fn records(&mut self, written: &'s RecordSchema, read: &'s RecordSchema) {
        if !self.met.insert((written.name.fullname(None), read.name.fullname(None))) {
            return;
        }
        if !types::same_name(&written.name, &read.name, read.aliases.as_deref()) {
            return self.renamed("record", written.name.name(), read.name.name());
        }
        for field in &read.fields {
            match written_field(written, field) {
                Some(found) => self.below(&field.name, |walk| walk.compare(&found.schema, &field.schema)),
                None if field.default.is_some() => {}
                None => self.below(&field.name, |walk| {
                    walk.say(match walk.reader {
                        Reader::New => "a new field without a default".to_owned(),
                        _ => "a field without a default was removed".to_owned(),
                    });
                }),
            }
        }
    }

    fn enums(&mut self, written: &EnumSchema, read: &EnumSchema) {
        if !types::same_name(&written.name, &read.name, read.aliases.as_deref()) {
            return self.renamed("enum", written.name.name(), read.name.name());
        }
        let missing = written.symbols.iter().filter(|symbol| !read.symbols.contains(symbol));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        if missing.is_empty() || read.default.is_some() {
            return;
        }
        let symbols = missing.join(", ");
        self.say(match self.reader {
            Reader::New => format!("symbols removed from an enum without a default: {symbols}"),
            _ => format!("symbols added to an enum that had no default: {symbols}"),
        });
    }

    fn renamed(&mut self, kind: &str, written: &str, read: &str) {
        let (old, new) = self.in_time(written, read);
        self.say(format!("the {kind} was {old} and is {new}"));
    }

    fn simple(&mut self, written: &Type<'_>, read: &Type<'_>) {
        let (old, new) = self.in_time(written, read);
        if !written.becomes(read) {
            self.say(format!("type changed from {old} to {new}"));
        } else if written.logical != read.logical {
            self.say(format!("meaning changed from {old} to {new}"));
        }
    }
}

/// The field of a written record that a reader's field takes its value from.
fn written_field<'s>(written: &'s RecordSchema, read: &RecordField) -> Option<&'s RecordField> {
    let named = |name: &str| written.fields.iter().find(|field| field.name == name);
    named(&read.name).or_else(|| read.aliases.iter().find_map(|alias| named(alias)))
}
