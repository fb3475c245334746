//! The list of all contracts.

use std::fmt;

use serde_json::Value;

use crate::topics;
use crate::wire::SchemaId;

#[cfg(test)]
mod tests;

/// Who writes a contract, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// An upstream team writes it, ingest reads it.
    Source,
    /// Ingest writes it from any source; the other roles read it.
    Canonical,
    /// Catchment writes it for the public.
    Output,
    /// Catchment's own: state, or a header. Not registered.
    Internal,
}

impl Direction {
    /// How versions of such a contract may follow each other.
    #[must_use]
    pub const fn compatibility(self) -> Compatibility {
        match self {
            Self::Source => Compatibility::BackwardTransitive,
            // Old and new workers run side by side during a rolling restart, and a rollback must be able to
            // read what the newer release wrote.
            Self::Canonical | Self::Output | Self::Internal => Compatibility::FullTransitive,
        }
    }

    /// Name in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Canonical => "canonical",
            Self::Output => "output",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A compatibility level of the schema registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compatibility {
    /// A reader with the newest schema reads what was written with any older one.
    BackwardTransitive,
    /// As backward, and readers with any older schema read what is written with the newest.
    FullTransitive,
}

impl Compatibility {
    /// Name in the registry's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A JSON form in which a source may send what a contract describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonForm {
    /// Name of the format.
    pub name: &'static str,
    /// JSON Schema, draft 2020-12. `format` is to be asserted.
    pub schema: &'static str,
}

/// A contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Name, which is also the name of its file.
    pub name: &'static str,
    /// Version, from 1.
    pub version: u32,
    /// Who writes it.
    pub direction: Direction,
    /// The topic that carries it as value; none for internal contracts. A source's topic can be configured.
    pub topic: Option<&'static str>,
    /// Avro schema, as JSON text.
    pub schema: &'static str,
    /// JSON forms of a source contract.
    pub json_forms: &'static [JsonForm],
    place: u32,
}

impl Contract {
    /// The registry's subject of the topic's values.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.topic.map(topics::value_subject)
    }

    /// How versions may follow each other.
    #[must_use]
    pub const fn compatibility(&self) -> Compatibility {
        self.direction.compatibility()
    }

    /// The schema id where no registry runs.
    #[must_use]
    pub const fn builtin_id(&self) -> SchemaId {
        SchemaId(self.place)
    }

    /// All fields at every depth, in the order of the schema.
    ///
    /// # Errors
    ///
    /// If the schema is not JSON, which a test excludes.
    pub fn fields(&self) -> Result<Vec<FieldInfo>, serde_json::Error> {
        let schema: Value = serde_json::from_str(self.schema)?;
        let mut walk = Walk { named: Vec::new(), open: Vec::new(), fields: Vec::new() };
        walk.visit("", &schema);
        Ok(walk.fields)
    }
}

macro_rules! avro_schema {
    ($name:literal) => {
        include_str!(concat!("../schemas/", $name, ".avsc"))
    };
}

macro_rules! json_form {
    ($name:literal) => {
        JsonForm { name: $name, schema: include_str!(concat!("../schemas/json/", $name, ".schema.json")) }
    };
}

macro_rules! contract {
    ($(#[$doc:meta])* $constant:ident, $place:literal, $name:literal v $version:literal, $direction:ident, $topic:expr, $forms:expr) => {
        $(#[$doc])*
        pub static $constant: Contract = Contract {
            name: $name,
            version: $version,
            direction: Direction::$direction,
            topic: $topic,
            schema: avro_schema!($name),
            json_forms: $forms,
            place: $place,
        };
    };
}

contract!(
    /// A call of the Segment specification.
    BEHAVIOUR_EVENT, 1, "behaviour_event" v 1, Source, Some(topics::BEHAVIOUR_EVENTS), &[json_form!("segment")]
);
contract!(
    /// A contact of a CRM.
    CRM_CONTACT, 2, "crm_contact" v 2, Source, Some(topics::CRM_CONTACTS),
    &[json_form!("hubspot"), json_form!("salesforce"), json_form!("contact")]
);
contract!(
    /// A product with its variants, as the shop has it.
    CATALOG_ITEM_SNAPSHOT, 3, "catalog_item_snapshot" v 2, Source, Some(topics::CATALOG_ITEMS_RAW),
    &[json_form!("catalog")]
);
contract!(
    /// An event of any source, normalised.
    CUSTOMER_EVENT, 4, "customer_event" v 2, Canonical, Some(topics::CUSTOMER_EVENTS), &[]
);
contract!(
    /// A product with its variants, joined from all that was said of it. What is said is written in the same form.
    CATALOG_ITEM, 5, "catalog_item" v 2, Output, Some(topics::CATALOG_ITEMS), &[]
);
contract!(
    /// The unified profile of a customer.
    CUSTOMER_PROFILE, 6, "customer_profile" v 2, Output, Some(topics::CUSTOMER_PROFILES), &[]
);
contract!(
    /// A message to be sent.
    CAMPAIGN_TRIGGER, 7, "campaign_trigger" v 1, Output, Some(topics::CAMPAIGN_TRIGGERS), &[]
);
contract!(
    /// A decision, sent or not, and why.
    CAMPAIGN_DECISION, 8, "campaign_decision" v 1, Output, Some(topics::CAMPAIGN_DECISIONS), &[]
);
contract!(
    /// The private part of a node's state.
    NODE_STATE, 9, "node_state" v 2, Internal, None, &[]
);
contract!(
    /// The watermark header of `customer.events` and `customer.inbox`.
    WATERMARK, 10, "watermark" v 1, Internal, None, &[]
);
contract!(
    /// What nodes say to each other on `customer.inbox`.
    INBOX_MESSAGE, 11, "inbox_message" v 1, Internal, None, &[]
);
contract!(
    /// Two profile ids became one, or were kept apart.
    CUSTOMER_MERGE, 12, "customer_merge" v 1, Output, Some(topics::CUSTOMER_MERGES), &[]
);

/// All contracts, sources first. A place, once given, is kept: builtin ids follow from it.
pub static ALL: [&Contract; 12] = [
    &BEHAVIOUR_EVENT,
    &CRM_CONTACT,
    &CATALOG_ITEM_SNAPSHOT,
    &CUSTOMER_EVENT,
    &CATALOG_ITEM,
    &CUSTOMER_PROFILE,
    &CAMPAIGN_TRIGGER,
    &CAMPAIGN_DECISION,
    &NODE_STATE,
    &WATERMARK,
    &INBOX_MESSAGE,
    &CUSTOMER_MERGE,
];

/// The contract of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Contract> {
    ALL.into_iter().find(|contract| contract.name == name)
}

/// The contract whose values a topic carries.
#[must_use]
pub fn by_topic(topic: &str) -> Option<&'static Contract> {
    ALL.into_iter().find(|contract| contract.topic == Some(topic))
}

/// The contract of a builtin schema id.
#[must_use]
pub fn by_builtin_id(id: SchemaId) -> Option<&'static Contract> {
    ALL.into_iter().find(|contract| contract.builtin_id() == id)
}

/// A field of a contract, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Where it stands: `order.total`, `identifiers[].value`, `consents{}.status`.
    pub path: String,
    /// Its type in words.
    pub ty: String,
    /// Meaning and allowed values.
    pub doc: String,
    /// Unit, or `none`.
    pub unit: String,
    /// Whether it must be given.
    pub required: bool,
    /// `none`, `pseudonym`, `identifier` or `personal`.
    pub pii: String,
    /// How old a value may become: an ISO 8601 duration, or `none`.
    pub freshness: String,
}

/// Collects the fields of a schema, depth first.
struct Walk {
    /// Named types met so far; a later use is by name alone.
    named: Vec<(String, Value)>,
    /// Records that the walk is inside of, so that a schema that contains itself ends.
    open: Vec<String>,
    fields: Vec<FieldInfo>,
}

impl Walk {
    /// Adds the fields below `path` and says the type in words.
    fn visit(&mut self, path: &str, schema: &Value) -> String {
        match schema {
            Value::String(name) => match self.definition(name) {
                Some(definition) => self.visit(path, &definition),
                None => name.clone(),
            },
            Value::Array(branches) => {
                let words: Vec<String> =
                    branches.iter().rev().map(|branch| self.visit(path, branch)).collect();
                words.join(" or ")
            }
            _ => self.visit_complex(path, schema),
        }
    }

    fn visit_complex(&mut self, path: &str, schema: &Value) -> String {
        let name = text(schema, "name");
        match schema["type"].as_str().unwrap_or_default() {
            "array" => format!("array of {}", self.visit(&format!("{path}[]"), &schema["items"])),
            "map" => format!("map of {}", self.visit(&format!("{path}{{}}"), &schema["values"])),
            "record" => {
                self.define(&name, schema);
                if !self.open.contains(&name) {
                    self.open.push(name.clone());
                    self.visit_fields(path, schema);
                    self.open.pop();
                }
                name
            }
            "enum" => {
                self.define(&name, schema);
                let symbols = schema["symbols"].as_array().map(Vec::as_slice).unwrap_or_default();
                let symbols: Vec<&str> = symbols.iter().filter_map(Value::as_str).collect();
                format!("{name} ({})", symbols.join(", "))
            }
            "fixed" => {
                self.define(&name, schema);
                format!("{name} ({} bytes)", schema["size"])
            }
            primitive => schema["logicalType"].as_str().unwrap_or(primitive).to_owned(),
        }
    }

    fn visit_fields(&mut self, path: &str, record: &Value) {
        for field in record["fields"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let name = text(field, "name");
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            let place = self.fields.len();
            let ty = self.visit(&path, &field["type"]);
            let info = FieldInfo {
                ty,
                doc: text(field, "doc"),
                unit: text(field, "unit"),
                required: field["required"].as_bool().unwrap_or_default(),
                pii: text(field, "pii"),
                freshness: text(field, "freshness"),
                path,
            };
            // Before what stands inside of it.
            self.fields.insert(place, info);
        }
    }

    fn define(&mut self, name: &str, schema: &Value) {
        if self.definition(name).is_none() {
            self.named.push((name.to_owned(), schema.clone()));
        }
    }

    fn definition(&self, name: &str) -> Option<Value> {
        self.named.iter().find(|(other, _)| other == name).map(|(_, schema)| schema.clone())
    }
}

fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().to_owned()
}
