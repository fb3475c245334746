//! Rules, compiled, and what they write.

use super::file::{As, Conditions, Deletes, Fields, Rule, Rules, Wanted};
use super::find::{Finder, Found};
use super::formula::Formula;
use super::{ForeignError, is_nothing};
use crate::ingest::check::{Errors, describe};
use crate::ingest::json::{Json, Kind};
use catchment_contracts::dead_letter::ErrorCode;
use catchment_domain::time::{Millis, format_rfc3339};
use std::collections::BTreeMap;

/// What can be added up.
pub(super) const SUMMED: &str = "an amount: at most 18 digits on each side of the point";

/// Where a value is found: so many elements further out, at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    out: usize,
    place: usize,
}

impl Slot {
    /// `frames` are the element and what it stands in, the innermost first.
    pub(super) fn get<'a>(self, frames: &[&Found<'a>]) -> Json<'a> {
        frames.get(self.out).map(|frame| frame.get(self.place)).unwrap_or_default()
    }
}

/// Knows what is asked of an element, and of all that it stands in.
#[derive(Debug)]
pub(super) struct Compiler {
    finder: Finder,
    outer: Option<Box<Compiler>>,
}

impl Compiler {
    pub(super) fn root() -> Self {
        Compiler { finder: Finder::default(), outer: None }
    }

    pub(super) fn inside(outer: Compiler) -> Self {
        Compiler { finder: Finder::default(), outer: Some(Box::new(outer)) }
    }

    /// What is asked of the element, and who compiles what it stands in.
    pub(super) fn finish(self) -> (Finder, Compiler) {
        (self.finder, self.outer.map_or_else(Compiler::root, |outer| *outer))
    }

    fn depth(&self) -> usize {
        self.outer.as_ref().map_or(0, |outer| 1 + outer.depth())
    }

    /// The place of a path from the top of the payload on.
    fn top_slot(&mut self, at: &str, path: &str) -> Result<usize, ForeignError> {
        match &mut self.outer {
            Some(outer) => outer.top_slot(at, path),
            None => self.slot(at, path),
        }
    }

    /// The place of a path from the element on.
    pub(super) fn slot(&mut self, at: &str, path: &str) -> Result<usize, ForeignError> {
        let names: Vec<&str> = if path == "." { Vec::new() } else { path.split('.').collect() };
        if names.iter().any(|name| name.is_empty()) || path.is_empty() {
            return Err(ForeignError::Path { at: at.to_owned(), path: path.to_owned() });
        }
        Ok(self.finder.slot(path, &names))
    }

    /// As [`slot`](Self::slot), and `$.` leads from the top of the payload.
    fn anywhere(&mut self, at: &str, path: &str) -> Result<Slot, ForeignError> {
        match path.strip_prefix("$.") {
            None => Ok(Slot { out: 0, place: self.slot(at, path)? }),
            Some(path) => {
                let out = self.depth();
                Ok(Slot { out, place: self.top_slot(at, path)? })
            }
        }
    }

    pub(super) fn conditions(&mut self, at: &str, all: &Conditions) -> Result<Vec<Condition>, ForeignError> {
        let compiled = all.iter().map(|(path, wanted)| {
            let slot = self.anywhere(at, path)?;
            let wanted = match wanted {
                Wanted::Presence(wanted) => Test::Present(wanted.present),
                Wanted::Word(word) => Test::OneOf(vec![word.text()]),
                Wanted::Words(words) => Test::OneOf(words.iter().map(super::file::Word::text).collect()),
            };
            Ok(Condition { slot, wanted })
        });
        compiled.collect()
    }

    pub(super) fn object(&mut self, at: &str, fields: &Fields) -> Result<Object, ForeignError> {
        let mut object = Object::default();
        for (name, rules) in fields {
            let place = format!("{at}.{name}");
            let rules = match rules {
                Rules::Path(path) => vec![Rule { path: Some(path.clone()), ..Rule::default() }],
                Rules::One(rule) => vec![(**rule).clone()],
                Rules::Several(rules) => rules.clone(),
            };
            let rules = rules.iter().map(|rule| self.rule(&place, rule)).collect::<Result<Vec<_>, _>>()?;
            object.put(name, rules).map_err(|()| ForeignError::Clash(place))?;
        }
        Ok(object)
    }

    fn rule(&mut self, at: &str, rule: &Rule) -> Result<Compiled, ForeignError> {
        let when = self.conditions(at, &rule.when)?;
        let Rule { path, constant, join, cel, each, fields, sum, .. } = rule;
        let source = match (path, constant, join, cel, each.as_ref().zip(fields.as_ref()), sum) {
            _ if each.is_some() != fields.is_some() => return Err(ForeignError::Rule(at.to_owned())),
            (Some(path), None, None, None, None, None) => Source::Value(self.anywhere(at, path)?),
            (None, Some(word), None, None, None, None) => Source::Constant(word.json()),
            (None, None, Some(parts), None, None, None) => {
                let part = |part: &String| match part.strip_prefix('=') {
                    Some(text) => Ok(Part::Text(text.to_owned())),
                    None => self.anywhere(at, part).map(Part::Value),
                };
                Source::Joined(parts.iter().map(part).collect::<Result<_, _>>()?)
            }
            (None, None, None, Some(text), None, None) => {
                let formula = Formula::new(text, |name| {
                    let place = self.finder.slot(name, &[name]);
                    Slot { out: 0, place }
                });
                let formula =
                    formula.map_err(|reason| ForeignError::Formula { at: at.to_owned(), reason })?;
                Source::Formula(Box::new(formula))
            }
            (None, None, None, None, Some((list, fields)), None) => {
                let list = self.anywhere(at, list)?;
                let (finder, object) = self.element(|element| element.object(at, fields))?;
                Source::List { list, finder, object }
            }
            (None, None, None, None, None, Some(sum)) => {
                let list = self.anywhere(at, &sum.each)?;
                let (finder, (amount, when)) = self.element(|element| {
                    Ok((element.anywhere(at, &sum.path)?, element.conditions(at, &sum.when)?))
                })?;
                Source::Sum { list, finder, amount, when }
            }
            _ => return Err(ForeignError::Rule(at.to_owned())),
        };
        let words = rule.words.as_ref().map(|words| {
            words.iter().map(|(from, to)| (from.clone(), to.json())).collect::<BTreeMap<_, _>>()
        });
        // Of a list, that of the list; of a sum, that of its amounts.
        let summed = sum.as_ref().map(|sum| format!("{}.{}", sum.each, sum.path));
        let origin = path.as_deref().or(each.as_deref()).or(summed.as_deref()).unwrap_or_default();
        let origin = origin.strip_prefix("$.").unwrap_or(origin).to_owned();
        Ok(Compiled { source, when, kind: rule.kind, words, deletes: rule.deletes, origin })
    }

    /// Compiles what is asked of the elements of a list.
    fn element<T>(
        &mut self,
        compile: impl FnOnce(&mut Compiler) -> Result<T, ForeignError>,
    ) -> Result<(Finder, T), ForeignError> {
        let outer = std::mem::replace(self, Compiler::root());
        let mut element = Compiler::inside(outer);
        let compiled = compile(&mut element);
        let (finder, outer) = element.finish();
        *self = outer;
        Ok((finder, compiled?))
    }
}

/// What is wrong with a payload, and how much may be written of it. Values from the top may be repeated in every element of a list
/// in a list: without a limit a small payload could become a huge record.
pub(super) struct Desk<'e> {
    pub(super) errors: &'e mut Errors,
    /// Bytes of the records that are written already.
    pub(super) written: usize,
    /// Bytes that may be written in all.
    pub(super) limit: usize,
    is_over: bool,
    /// A part of the payload can't be read to its end.
    pub(super) is_broken: bool,
}

impl<'e> Desk<'e> {
    pub(super) fn new(errors: &'e mut Errors, limit: usize) -> Self {
        Desk { errors, written: 0, limit, is_over: false, is_broken: false }
    }

    /// Whether no more may be written, after so many bytes of the record in hand.
    pub(super) fn is_full(&mut self, bytes: usize) -> bool {
        if self.written.saturating_add(bytes) <= self.limit {
            return false;
        }
        if !self.is_over {
            self.is_over = true;
            let expected = format!("at most {} bytes once it is mapped", self.limit);
            self.errors.push(ErrorCode::OutOfRange, "", &expected, "more");
        }
        true
    }
}

/// What must hold of a value.
#[derive(Debug)]
pub(super) struct Condition {
    slot: Slot,
    wanted: Test,
}

#[derive(Debug)]
enum Test {
    Present(bool),
    OneOf(Vec<String>),
}

impl Condition {
    pub(super) fn holds(&self, frames: &[&Found<'_>]) -> bool {
        let value = self.slot.get(frames);
        match &self.wanted {
            Test::Present(present) => *present != is_nothing(value),
            Test::OneOf(words) => {
                let is_one = |value: Json<'_>| words.iter().any(|word| is_word(value, word));
                let mut any = is_one(value);
                let _ = value.elements(|element| any |= is_one(element));
                any
            }
        }
    }
}

fn is_word(value: Json<'_>, word: &str) -> bool {
    match value.kind() {
        Kind::Boolean => value.raw() == word,
        _ => value.scalar().ok().flatten().is_some_and(|text| text == word),
    }
}

/// An object that is written: fields by name.
#[derive(Debug, Default)]
pub(super) struct Object(Vec<Field>);

#[derive(Debug)]
struct Field {
    name: String,
    /// The name as JSON, with its colon.
    json: String,
    entry: Entry,
}

impl Field {
    fn new(name: &str, entry: Entry) -> Self {
        Field { name: name.to_owned(), json: format!("{}:", serde_json::Value::from(name)), entry }
    }
}

#[derive(Debug)]
enum Entry {
    Value(Vec<Compiled>),
    Object(Object),
}

#[derive(Debug)]
struct Compiled {
    source: Source,
    when: Vec<Condition>,
    kind: Option<As>,
    words: Option<BTreeMap<String, String>>,
    deletes: Option<Deletes>,
    /// The path of the value, where it is one, or of the list.
    origin: String,
}

#[derive(Debug)]
enum Source {
    Value(Slot),
    /// As JSON.
    Constant(String),
    Joined(Vec<Part>),
    Formula(Box<Formula>),
    List {
        list: Slot,
        finder: Finder,
        object: Object,
    },
    Sum {
        list: Slot,
        finder: Finder,
        amount: Slot,
        when: Vec<Condition>,
    },
}

/// A part of a text.
#[derive(Debug)]
enum Part {
    Text(String),
    Value(Slot),
}

impl Object {
    fn put(&mut self, name: &str, rules: Vec<Compiled>) -> Result<(), ()> {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        let known = self.0.iter_mut().find(|known| known.name == first).map(|known| &mut known.entry);
        match (known, rest) {
            (None, None) => self.0.push(Field::new(first, Entry::Value(rules))),
            (None, Some(rest)) => {
                let mut inner = Object::default();
                inner.put(rest, rules)?;
                self.0.push(Field::new(first, Entry::Object(inner)));
            }
            (Some(Entry::Object(inner)), Some(rest)) => inner.put(rest, rules)?,
            (Some(_), _) => return Err(()),
        }
        Ok(())
    }

    /// Writes the object, or nothing if none of its fields has a value. True if it wrote.
    pub(super) fn write(&self, frames: &[&Found<'_>], out: &mut String, desk: &mut Desk<'_>) -> bool {
        let start = out.len();
        for Field { json, entry, .. } in &self.0 {
            let before = out.len();
            out.push(if before == start { '{' } else { ',' });
            out.push_str(json);
            let wrote = match entry {
                Entry::Object(inner) => inner.write(frames, out, desk),
                Entry::Value(rules) => rules.iter().enumerate().any(|(place, rule)| {
                    let is_last = place + 1 == rules.len();
                    rule.write(frames, is_last, out, desk)
                }),
            };
            if !wrote {
                out.truncate(before);
            }
        }
        if out.len() > start {
            out.push('}');
        }
        out.len() > start
    }

    /// The path that a field comes from, where it is one.
    pub(super) fn origin(&self, field: &str) -> Option<String> {
        let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
        let (name, place) = first.split_once('[').map_or((first, None), |(name, place)| (name, Some(place)));
        let known = self.0.iter().find(|known| known.name == name)?;
        match (&known.entry, rest) {
            (Entry::Object(inner), Some(rest)) => inner.origin(rest),
            (Entry::Value(rules), None) => {
                let [rule] = rules.as_slice() else { return None };
                Some(rule.origin.clone()).filter(|origin| !origin.is_empty())
            }
            (Entry::Value(rules), Some(rest)) => {
                let [Compiled { source: Source::List { object, .. }, origin, .. }] = rules.as_slice() else {
                    return None;
                };
                Some(format!("{origin}[{}.{}", place?, object.origin(rest)?))
            }
            (Entry::Object(_), None) => None,
        }
    }
}

impl Compiled {
    /// True if it gave a value, and wrote it. Where another rule follows, an empty text is none.
    fn write(&self, frames: &[&Found<'_>], is_last: bool, out: &mut String, desk: &mut Desk<'_>) -> bool {
        if !self.when.iter().all(|condition| condition.holds(frames)) {
            return false;
        }
        match &self.source {
            Source::Constant(json) => out.push_str(json),
            Source::Value(slot) => return self.write_value(slot.get(frames), is_last, out),
            Source::Joined(parts) => match joined(parts, frames) {
                Some(text) => out.push_str(&serde_json::Value::from(text).to_string()),
                None => return false,
            },
            Source::Formula(formula) => match formula.value(frames) {
                Ok(None) => return false,
                Ok(Some(json)) => out.push_str(&json),
                Err(reason) => {
                    desk.errors.push(
                        ErrorCode::BadFormula,
                        "",
                        "a payload that the mapping's formula can take",
                        &reason,
                    );
                    return false;
                }
            },
            Source::List { list, finder, object } => {
                return write_list(list.get(frames), finder, object, frames, out, desk);
            }
            Source::Sum { list, finder, amount, when } => {
                let mut sum = Decimal::default();
                let (mut counted, mut refused) = (false, None);
                let _ = list.get(frames).elements(|element| {
                    let inner = finder.find(element);
                    desk.is_broken |= inner.is_broken;
                    let all = nested(&inner, frames);
                    let value = amount.get(&all);
                    if is_nothing(value) || !when.iter().all(|condition| condition.holds(&all)) {
                        return;
                    }
                    match sum.add(value.spelled_number().raw()) {
                        true => counted = true,
                        false => refused = Some(describe(value)),
                    }
                });
                if let Some(actual) = refused {
                    // Without it the sum would be another one.
                    desk.errors.push(ErrorCode::WrongType, self.origin.clone(), SUMMED, &actual);
                    return false;
                }
                if !counted {
                    return false;
                }
                out.push_str(&sum.text());
            }
        }
        true
    }

    fn write_value(&self, value: Json<'_>, is_last: bool, out: &mut String) -> bool {
        let is_empty = value.raw() == "\"\"";
        let deletes = match self.deletes {
            None => false,
            Some(Deletes::Null) => value.kind() == Kind::Null,
            Some(Deletes::NullOrEmpty) => value.kind() == Kind::Null || is_empty,
        };
        if deletes {
            out.push_str("null");
            return true;
        }
        if is_nothing(value) || is_empty && !is_last {
            return false;
        }
        if let Some(words) = &self.words {
            let word = match value.kind() {
                Kind::Boolean => Some(value.raw().into()),
                _ => value.scalar().ok().flatten(),
            };
            let Some(json) = word.and_then(|word| words.get(&*word)) else { return false };
            out.push_str(json);
            return true;
        }
        match self.kind {
            None => out.push_str(value.raw()),
            Some(kind) => write_as(kind, value, out),
        }
        true
    }
}

fn joined(parts: &[Part], frames: &[&Found<'_>]) -> Option<String> {
    let mut joined = String::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            joined.push('/');
        }
        match part {
            Part::Text(text) => joined.push_str(text),
            Part::Value(slot) => joined.push_str(&slot.get(frames).scalar().ok()??),
        }
    }
    Some(joined)
}

/// The element and all that it stands in.
fn nested<'s, 'a>(inner: &'s Found<'a>, frames: &[&'s Found<'a>]) -> smallvec::SmallVec<[&'s Found<'a>; 4]> {
    std::iter::once(inner).chain(frames.iter().copied()).collect()
}

fn write_list(
    list: Json<'_>,
    finder: &Finder,
    object: &Object,
    frames: &[&Found<'_>],
    out: &mut String,
    desk: &mut Desk<'_>,
) -> bool {
    if list.kind() != Kind::Array {
        if is_nothing(list) {
            return false;
        }
        // What it is, is for the checks of the form to say.
        out.push_str(list.raw());
        return true;
    }
    out.push('[');
    let start = out.len();
    let _ = list.elements(|element| {
        if desk.is_full(out.len()) {
            return;
        }
        if out.len() > start {
            out.push(',');
        }
        let inner = finder.find(element);
        desk.is_broken |= inner.is_broken;
        if !object.write(&nested(&inner, frames), out, desk) {
            out.push_str("{}");
        }
    });
    out.push(']');
    true
}

/// What can't be made into what is asked for is written as it is: the checks of the form say what is wrong with it.
fn write_as(kind: As, value: Json<'_>, out: &mut String) {
    let per_milli = match kind {
        As::Text => {
            match value.kind() {
                Kind::Number | Kind::Boolean => {
                    out.push('"');
                    out.push_str(value.raw());
                    out.push('"');
                }
                _ => out.push_str(value.raw()),
            }
            return;
        }
        As::Number => return out.push_str(value.spelled_number().raw()),
        As::Boolean => {
            return out.push_str(match value.raw() {
                "\"true\"" => "true",
                "\"false\"" => "false",
                other => other,
            });
        }
        As::Seconds => (1_000, 1),
        As::Millis => (1, 1),
        As::Micros => (1, 1_000),
    };
    let (times, by) = per_milli;
    let number = value.spelled_number();
    let moment = number.raw().parse::<i64>().ok().and_then(|number| number.checked_mul(times));
    let moment: Option<Millis> = moment.map(|number| number.div_euclid(by));
    match moment.filter(|at| (-62_135_596_800_000..=253_402_300_799_999).contains(at)) {
        Some(at) => {
            out.push('"');
            out.push_str(&format_rfc3339(at));
            out.push('"');
        }
        None => out.push_str(value.raw()),
    }
}

/// A sum of decimal numbers, without rounding.
#[derive(Clone, Copy, Debug, Default)]
struct Decimal {
    digits: i128,
    decimals: usize,
}

impl Decimal {
    /// Adds a number as JSON has it, without an exponent and of at most 18 digits on each side; false if it is none.
    fn add(&mut self, text: &str) -> bool {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = !whole.is_empty() && whole.len() <= 18 && fraction.len() <= 18;
        let digits = format!("{whole}{fraction}");
        let Some(mut digits) = digits.parse::<i128>().ok().filter(|_| is_number) else { return false };
        let mut decimals = fraction.len();
        while decimals < self.decimals {
            (digits, decimals) = (digits.saturating_mul(10), decimals + 1);
        }
        while self.decimals < decimals {
            (self.digits, self.decimals) = (self.digits.saturating_mul(10), self.decimals + 1);
        }
        self.digits = self.digits.saturating_add(digits);
        true
    }

    fn text(self) -> String {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = self.decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.decimals);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}
