//! The table of keys: one row a key, made from the same lines as the structs.

use super::units::{Size, Span};

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its name in its section.
    pub name: &'static str,
    /// What it means: the lines of its doc comment.
    pub doc: &'static [&'static str],
    /// What may stand there.
    pub kind: Kind,
    /// The value where the key is absent, as it would be written. Absent where the key must be given.
    pub default: Option<fn() -> String>,
}

/// What may stand at a key.
#[derive(Debug)]
pub enum Kind {
    /// Keys of its own.
    Section(&'static [Key]),
    /// A list of sections, at least one.
    Sections(&'static [Key]),
    /// A text of which the rule says what it must look like.
    Text(&'static Rule),
    /// The path of a field in a JSON document, as `context.traits`.
    FieldPath,
    /// One of these words, each with its meaning.
    Choice(&'static [(&'static str, &'static [&'static str])]),
    /// A whole number.
    Integer {
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A number of bytes.
    Size {
        /// The least allowed.
        least: Size,
        /// The most allowed.
        most: Size,
    },
    /// A length of time.
    Span {
        /// The least allowed.
        least: Span,
        /// The most allowed.
        most: Span,
    },
    /// A file that must exist, by a path from the directory of the configuration file.
    File,
    /// A list of such files.
    Files,
    /// A list of texts.
    Texts,
    /// A directory, which need not exist, by a path from the directory of the configuration file.
    Directory,
    /// Properties of the Kafka client by name. Those that are not a user's business are refused.
    Properties,
    /// As [`Properties`](Self::Properties), with a file for each value.
    PropertyFiles,
}

/// What a text must look like.
#[derive(Debug)]
pub struct Rule {
    /// In words, after "expected".
    pub expected: &'static str,
    /// For the reference page.
    pub short: &'static str,
    /// Whether a text does.
    pub holds: fn(&str) -> bool,
    /// Whether no two entries of a list may have the same.
    pub unique: bool,
}

impl Key {
    /// The value where the key is absent, as it would be written.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        self.default.map(|default| default())
    }
}

/// Declares sections of the configuration: for each a struct that serde reads, and its rows of the table. That both
/// come from the same lines is what keeps the documentation true.
///
/// A field is `name: Type => Kind`, with `= default` before the arrow unless the key must be given.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        $section:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $type:ty $(= $default:expr)? => $kind:expr,
            )+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $section {
            $(
                $(#[doc = $doc])+
                pub $field: $type,
            )+
        }

        impl $section {
            /// Its rows of the table of keys.
            pub const KEYS: &'static [$crate::config::keys::Key] = &[$(
                $crate::config::keys::Key {
                    name: stringify!($field),
                    doc: &[$($doc),+],
                    kind: $kind,
                    default: sections!(@text $type $(, $default)?),
                },
            )+];
        }

        impl<'de> serde::Deserialize<'de> for $section {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Given {
                    $($field: Option<$type>,)+
                }
                let given = Given::deserialize(deserializer)?;
                Ok($section {
                    $($field: sections!(@value D, given, $field $(, $default)?),)+
                })
            }
        }
    )+};
    (@text $type:ty, $default:expr) => {
        Some(|| {
            let default: $type = $default;
            $crate::config::keys::as_written(&default)
        })
    };
    (@text $type:ty) => {
        None
    };
    (@value $de:ident, $given:ident, $field:ident, $default:expr) => {
        $given.$field.unwrap_or_else(|| $default)
    };
    (@value $de:ident, $given:ident, $field:ident) => {
        $given
            .$field
            .ok_or_else(|| <$de::Error as serde::de::Error>::missing_field(stringify!($field)))?
    };
}

/// Declares the words that a key may have, each with its meaning.
macro_rules! choices {
    ($(
        $(#[doc = $about:literal])+
        $choice:ident {
            $(
                $(#[doc = $doc:literal])+
                $word:literal => $variant:ident,
            )+
        }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
        pub enum $choice {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $word)]
                #[value(name = $word)]
                $variant,
            )+
        }

        impl $choice {
            /// The words, each with its meaning.
            pub const WORDS: &'static [(&'static str, &'static [&'static str])] = &[$(($word, &[$($doc),+]),)+];

            /// The word in a file.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($choice::$variant => $word,)+
                }
            }
        }
    )+};
}

pub(crate) use {choices, sections};

/// A value in one line of YAML. Empty for what is absent or a section.
pub(crate) fn as_written(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null | serde_json::Value::Object(_)) | Err(_) => String::new(),
        Ok(other) => other.to_string(),
    }
}
