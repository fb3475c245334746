//! Foreign payloads, brought into the JSON form of a contract as a file says.
//!
//! A [`MappingFile`] is compiled once ([`Foreign::new`]): of a payload, one pass finds all values that the file names, as slices of
//! its text, and they are written, in the order of the file's names, as the JSON form that the built-in mappings read and check. So
//! there is one set of checks, whoever sends. CEL is asked only where the file has a formula.

mod file;
mod find;
mod formula;
mod rule;
#[cfg(test)]
mod tests;

pub use file::{As, Conditions, Deletes, Fields, MappingFile, Presence, Rule, Rules, Sum, Wanted, Word};

use super::check::Errors;
use super::json::{Json, Kind};
use super::source::Mapping;
use catchment_contracts::dead_letter::{ErrorCode, FieldError};
use find::{Finder, Found};
use rule::{Compiler, Condition, Desk, Object};

/// The most records that one payload may become.
const MAX_RECORDS: usize = 1_000;
/// What is written of a payload has at most so many times its bytes, and so many more.
const MOST_TIMES: usize = 16;
const SOME_BYTES: usize = 64 << 10;

/// Why a file is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// What it maps to has no form of its own to be mapped to.
    #[error("`to` must be segment, contact or catalog")]
    To,
    /// There are no elements that it could be asked of.
    #[error("`where` asks something of elements, and there is no `each`")]
    Where,
    /// Names joined by dots are expected.
    #[error(
        "{at}: `{path}` is no path: names joined by dots, after `$.` from the top of the payload, or `.` for the element itself"
    )]
    Path {
        /// Where it stands.
        at: String,
        /// What stands there.
        path: String,
    },
    /// A rule must say where its value comes from, once.
    #[error("{0}: a rule has one of `path`, `const`, `join`, `cel`, `each` with `fields`, and `sum`")]
    Rule(String),
    /// Two names of fields, of which one is inside of the other.
    #[error("{0}: it can't be a value and hold others")]
    Clash(String),
    /// A formula that can't be read.
    #[error("{at}: {reason}")]
    Formula {
        /// Where it stands.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A compiled mapping.
#[derive(Debug)]
pub struct Foreign {
    name: String,
    to: Mapping,
    /// What the whole payload is asked for.
    root: Finder,
    only_if: Vec<Condition>,
    /// The place of the list of elements among the values of the root, and what each of them is asked for.
    each: Option<(usize, Finder)>,
    /// What must hold of an element.
    elements: Vec<Condition>,
    object: Object,
}

/// A payload, taken apart.
#[derive(Debug)]
pub enum Brought {
    /// One text for each record that it becomes, in the form of the contract.
    Texts(Vec<String>),
    /// It is not what the mapping is about.
    Other,
}

impl Foreign {
    /// Compiles a file.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn new(file: &MappingFile) -> Result<Foreign, ForeignError> {
        if !matches!(file.to, Mapping::Segment | Mapping::Contact | Mapping::Catalog) {
            return Err(ForeignError::To);
        }
        let mut root = Compiler::root();
        let only_if = root.conditions("only_if", &file.only_if)?;
        let each = match &file.each {
            None => None,
            Some(path) => Some(root.slot("each", path)?),
        };
        // What is inside of an element can ask the element, and the whole payload.
        let mut elements = Vec::new();
        let (object, each) = match each {
            None if !file.elements.is_empty() => return Err(ForeignError::Where),
            None => (root.object("fields", &file.fields)?, None),
            Some(slot) => {
                let mut element = Compiler::inside(root);
                elements = element.conditions("where", &file.elements)?;
                let object = element.object("fields", &file.fields)?;
                let (finder, outer) = element.finish();
                root = outer;
                (object, Some((slot, finder)))
            }
        };
        let (root, _) = root.finish();
        Ok(Foreign { name: file.name.clone(), to: file.to, root, only_if, each, elements, object })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The built-in mapping that takes what it writes.
    #[must_use]
    pub fn to(&self) -> Mapping {
        self.to
    }

    /// Brings a payload into the form of the contract.
    ///
    /// # Errors
    /// What is wrong with the payload before it is held against the contract.
    pub fn bring(&self, text: &str) -> Result<Brought, Vec<FieldError>> {
        let mut errors = Errors::default();
        let found = match self.root.find_in_text(text) {
            Some(found) => found,
            None => self.root.find(Json::parse(text).map_err(|_| super::map::no_json(text))?),
        };
        if found.is_broken {
            return Err(super::map::no_json(text));
        }
        if !self.only_if.iter().all(|condition| condition.holds(&[&found])) {
            return Ok(Brought::Other);
        }
        let mut texts = Vec::new();
        let mut desk =
            Desk::new(&mut errors, text.len().saturating_mul(MOST_TIMES).saturating_add(SOME_BYTES));
        match &self.each {
            None => texts.push(self.write(&[&found], text.len(), &mut desk)),
            Some((list, finder)) => {
                let list = found.get(*list);
                let mut elements: Vec<Json<'_>> = Vec::new();
                if list.elements(|element| elements.push(element)) != Ok(Some(())) {
                    desk.errors.push(
                        ErrorCode::WrongType,
                        self.name_of_each(),
                        "an array",
                        &super::check::describe(list),
                    );
                }
                if elements.len() > MAX_RECORDS {
                    let (expected, actual) =
                        (format!("at most {MAX_RECORDS} elements"), format!("{} elements", elements.len()));
                    desk.errors.push(ErrorCode::OutOfRange, self.name_of_each(), &expected, &actual);
                    elements.clear();
                }
                for element in elements {
                    let inner = finder.find(element);
                    if inner.is_broken {
                        return Err(super::map::no_json(text));
                    }
                    if !self.elements.iter().all(|condition| condition.holds(&[&inner, &found])) {
                        continue;
                    }
                    if desk.is_full(0) {
                        break;
                    }
                    texts.push(self.write(&[&inner, &found], text.len(), &mut desk));
                }
            }
        }
        if desk.is_broken {
            return Err(super::map::no_json(text));
        }
        match (errors.is_empty(), texts.is_empty()) {
            (false, _) => Err(errors.into_vec()),
            (true, true) => Ok(Brought::Other),
            (true, false) => Ok(Brought::Texts(texts)),
        }
    }

    fn name_of_each(&self) -> String {
        let path = self.each.as_ref().map(|(slot, _)| self.root.path(*slot));
        path.unwrap_or_default().to_owned()
    }

    fn write(&self, frames: &[&Found<'_>], size: usize, desk: &mut Desk<'_>) -> String {
        let mut out = String::with_capacity(size.min(1 << 12));
        self.object.write(frames, &mut out, desk);
        if out.is_empty() {
            out.push_str("{}");
        }
        desk.is_full(out.len());
        desk.written = desk.written.saturating_add(out.len());
        out
    }

    /// The field of the payload that a field of the contract comes from, where that is one.
    #[must_use]
    pub fn origin(&self, field: &str) -> Option<String> {
        self.object.origin(field)
    }
}

/// True for what a payload may say nothing with.
fn is_nothing(json: Json<'_>) -> bool {
    matches!(json.kind(), Kind::Absent | Kind::Null)
}
