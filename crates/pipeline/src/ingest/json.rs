//! JSON, one level at a time: an object's known names, with the texts of their values.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The text of a JSON value; nothing of it has been looked at, except that it is JSON. Empty: absent.
///
/// `serde_json` finds the end of a value without recursion and without reading numbers, so depth and size of what
/// stands here are nobody's problem until somebody asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Json<'a>(&'a str);

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Absent,
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

/// Why a value is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is something else.
    Type,
    /// It is a string with half a surrogate pair (`"\ud800"`), which no Unicode text is, or an object with such a name.
    Broken,
}

/// A value that may be absent (or null, which is the same).
pub(super) type Field<T> = Result<Option<T>, Fault>;

/// Names of an object that somebody wants.
pub(super) trait Shape<'a>: Default {
    /// Where the value of that name goes; `None` if nobody wants it.
    fn slot(&mut self, name: &str) -> Option<&mut Json<'a>>;
}

/// Declares a [`Shape`]: fields and the names they have in JSON.
macro_rules! shape {
    ($(#[$doc:meta])* $shape:ident { $($field:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $shape<'a> {
            $($field: $crate::ingest::json::Json<'a>,)*
        }

        impl<'a> $crate::ingest::json::Shape<'a> for $shape<'a> {
            #[inline]
            fn slot(&mut self, name: &str) -> Option<&mut $crate::ingest::json::Json<'a>> {
                match name {
                    $($name => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use shape;

impl<'a> Json<'a> {
    /// A text that is one JSON value, with white space around it.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(super) fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            None => Kind::Absent,
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'"') => Kind::Text,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(_) => Kind::Number,
        }
    }

    /// Absent or null.
    pub(super) fn is_none(self) -> bool {
        matches!(self.kind(), Kind::Absent | Kind::Null)
    }

    /// The text as it was sent.
    pub(super) fn raw(self) -> &'a str {
        self.0
    }

    pub(super) fn text(self) -> Field<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => unquote(self.0).map(Some).ok_or(Fault::Broken),
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Boolean | Kind::Number | Kind::Array | Kind::Object => Err(Fault::Type),
        }
    }

    /// The digits of a number.
    pub(super) fn number(self) -> Field<&'a str> {
        match self.kind() {
            Kind::Number => Ok(Some(self.0)),
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Boolean | Kind::Text | Kind::Array | Kind::Object => Err(Fault::Type),
        }
    }

    /// A text that spells a number, as that number; anything else as it is.
    pub(super) fn spelled_number(self) -> Self {
        let inner = self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
        match Json::parse(inner) {
            // White space around it would be passed over.
            Ok(number) if number.kind() == Kind::Number && number.0.len() == inner.len() => number,
            _ => self,
        }
    }

    pub(super) fn boolean(self) -> Field<bool> {
        match self.kind() {
            Kind::Boolean => Ok(Some(self.0 == "true")),
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Number | Kind::Text | Kind::Array | Kind::Object => Err(Fault::Type),
        }
    }

    /// A string, or the digits of a number: ids that some send quoted and some not.
    pub(super) fn scalar(self) -> Field<Cow<'a, str>> {
        match self.kind() {
            Kind::Number => Ok(Some(Cow::Borrowed(self.0))),
            _ => self.text(),
        }
    }

    pub(super) fn object<S: Shape<'a>>(self) -> Field<S> {
        match self.kind() {
            Kind::Object => read_object(self.0).map(Some).map_err(|_| Fault::Broken),
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Boolean | Kind::Number | Kind::Text | Kind::Array => Err(Fault::Type),
        }
    }

    /// Names and values of an object whose names are not known beforehand, in the order in which they stand there.
    pub(super) fn entries(self, mut each: impl FnMut(Cow<'a, str>, Json<'a>)) -> Field<()> {
        match self.kind() {
            Kind::Object => {
                let mut input = serde_json::Deserializer::from_str(self.0);
                input.deserialize_map(Entries(&mut each, PhantomData)).map(Some).map_err(|_| Fault::Broken)
            }
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Boolean | Kind::Number | Kind::Text | Kind::Array => Err(Fault::Type),
        }
    }

    /// Elements of an array.
    pub(super) fn elements(self, mut each: impl FnMut(Json<'a>)) -> Field<()> {
        match self.kind() {
            Kind::Array => {
                let mut input = serde_json::Deserializer::from_str(self.0);
                input.deserialize_seq(Elements(&mut each, PhantomData)).map(Some).map_err(|_| Fault::Broken)
            }
            Kind::Absent | Kind::Null => Ok(None),
            Kind::Boolean | Kind::Number | Kind::Text | Kind::Object => Err(Fault::Type),
        }
    }

    /// The value without the white space between its tokens.
    pub(super) fn compact(self) -> Cow<'a, str> {
        let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        if !self.0.contains(white) {
            return Cow::Borrowed(self.0);
        }
        let (mut quoted, mut escaped) = (false, false);
        let mut out = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            if quoted || !white(c) {
                out.push(c);
            }
            match c {
                '"' if !escaped => quoted = !quoted,
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        Cow::Owned(out)
    }
}

/// The text between the quotes, borrowed where nothing is escaped.
fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.get(1..raw.len() - 1)?;
    if inner.as_bytes().contains(&b'\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Reads the known names of a text that is a JSON object and nothing else.
pub(super) fn read_object<'a, S: Shape<'a>>(text: &'a str) -> Result<S, serde_json::Error> {
    serde_json::from_str::<Shaped<S>>(text).map(|shaped| shaped.0)
}

impl<'de> Deserialize<'de> for Json<'de> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(input).map(|raw| Json(raw.get()))
    }
}

struct Shaped<S>(S);

impl<'de, S: Shape<'de>> Deserialize<'de> for Shaped<S> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(ShapeVisitor(PhantomData)).map(Shaped)
    }
}

struct ShapeVisitor<S>(PhantomData<S>);

impl<'de, S: Shape<'de>> Visitor<'de> for ShapeVisitor<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S, A::Error> {
        let mut shape = S::default();
        while let Some(slot) = map.next_key_seed(Slot(&mut shape, PhantomData))? {
            match slot {
                Some(slot) => *slot = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(shape)
    }
}

/// Finds the slot of a name without keeping the name.
struct Slot<'s, 'de, S>(&'s mut S, PhantomData<&'de ()>);

impl<'s, 'de: 's, S: Shape<'de>> DeserializeSeed<'de> for Slot<'s, 'de, S> {
    type Value = Option<&'s mut Json<'de>>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'s, 'de: 's, S: Shape<'de>> Visitor<'de> for Slot<'s, 'de, S> {
    type Value = Option<&'s mut Json<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.slot(name))
    }
}

/// A name, borrowed where nothing is escaped.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        input.deserialize_str(NameVisitor)
    }
}

struct Entries<'f, 'de, F>(&'f mut F, PhantomData<&'de ()>);

impl<'de, F: FnMut(Cow<'de, str>, Json<'de>)> Visitor<'de> for Entries<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Name<'de>, Json<'de>>()? {
            (self.0)(name.0, value);
        }
        Ok(())
    }
}

struct Elements<'f, 'de, F>(&'f mut F, PhantomData<&'de ()>);

impl<'de, F: FnMut(Json<'de>)> Visitor<'de> for Elements<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            (self.0)(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    shape!(Pair {
        left = "left",
        right = "right",
    });

    #[track_caller]
    fn check(text: &str, left: &str, right: &str) {
        let pair: Pair<'_> = read_object(text).unwrap();
        assert_eq!((pair.left.raw(), pair.right.raw()), (left, right), "{text}");
    }

    #[test]
    fn known_names_keep_the_text_of_their_values() {
        check("{}", "", "");
        check(r#" {"left" : 1e400 , "right":[ 1, {"x":null}] } "#, "1e400", r#"[ 1, {"x":null}]"#);
        check(r#"{"other":{"left":1},"right":"a\"b"}"#, "", r#""a\"b""#);
        check(r#"{"l\u0065ft":1}"#, "1", "");
    }

    #[test]
    fn the_last_of_two_equal_names_wins() {
        check(r#"{"left":1,"left":2,"right":{},"left":null}"#, "null", "{}");
    }

    #[test]
    fn what_rfc_8259_forbids_is_no_object() {
        for text in [
            "",
            "{",
            "{}{}",
            "{} x",
            r#"{"left":NaN}"#,
            r#"{"left":01}"#,
            r#"{"left":1,}"#,
            "{'left':1}",
            "\u{feff}{}",
            "{\"left\":\"a\nb\"}",
            r#"{"left":"\x"}"#,
            r#"{"x":+1}"#,
            r#"{"x":1.}"#,
            "// no\n{}",
        ] {
            assert!(read_object::<Pair<'_>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_are_borrowed_unless_something_is_escaped() {
        let text = |raw| Json::parse(raw).unwrap().text();
        assert!(matches!(text(r#""mia""#), Ok(Some(Cow::Borrowed("mia")))));
        assert_eq!(text(r#""m\u00efa \ud83d\ude00""#), Ok(Some(Cow::Owned("mïa 😀".to_owned()))));
        assert_eq!(text(r#""\ud800""#), Err(Fault::Broken));
        assert_eq!(text("1"), Err(Fault::Type));
        assert_eq!(text("null"), Ok(None));
        assert_eq!(Json::default().text(), Ok(None));
    }

    #[test]
    fn a_text_that_spells_a_number_is_one() {
        let spelled = |raw| Json::parse(raw).unwrap().spelled_number().raw();
        assert_eq!(spelled(r#""119.95""#), "119.95");
        assert_eq!(spelled(r#""-1e3""#), "-1e3");
        for raw in [
            r#""""#,
            r#"" 1""#,
            r#""1 ""#,
            r#""01""#,
            r#""1,5""#,
            r#""true""#,
            r#""1\u0030""#,
            "7",
            "null",
            "[1]",
        ] {
            assert_eq!(spelled(raw), raw);
        }
        assert_eq!(Json::default().spelled_number(), Json::default());
    }

    #[test]
    fn compact_takes_out_white_space_between_tokens_only() {
        let compact = |raw| Json::parse(raw).unwrap().compact().into_owned();
        assert_eq!(
            compact("{ \"a b\" : [ 1 ,\n2 ], \"c\\\" d\": \"\\\\\" }"),
            r#"{"a b":[1,2],"c\" d":"\\"}"#
        );
    }

    #[test]
    fn entries_and_elements_come_in_their_order() {
        let mut seen = Vec::new();
        let object = Json::parse(r#"{"b":1,"a\n":[2],"b":3}"#).unwrap();
        object.entries(|name, value| seen.push((name.into_owned(), value.raw()))).unwrap();
        let expected = [("b", "1"), ("a\n", "[2]"), ("b", "3")].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(seen, expected);
        let mut seen = Vec::new();
        Json::parse(r#"[1, "x", [], {}]"#).unwrap().elements(|value| seen.push(value.raw())).unwrap();
        assert_eq!(seen, ["1", "\"x\"", "[]", "{}"]);
    }
}
