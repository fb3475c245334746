//! Formulas of mappings, in the Common Expression Language.

use super::find::Found;
use super::rule::Slot;
use cel::objects::{Key, Map};
use cel::{Context, Env, ExecutionError, Program, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A compiled formula.
pub(super) struct Formula {
    program: Program,
    env: Arc<Env>,
    /// Its variables: the names of fields.
    variables: Vec<(String, Slot)>,
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Formula").field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl Formula {
    /// Compiles a formula; `slot` says where the value of a variable is found.
    pub(super) fn new(text: &str, mut slot: impl FnMut(&str) -> Slot) -> Result<Self, String> {
        let program = Program::compile(text).map_err(|error| first_line(&error.to_string()))?;
        let mut names: Vec<String> =
            program.references().variables().into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        let variables = names.into_iter().map(|name| {
            let slot = slot(&name);
            (name, slot)
        });
        let variables = variables.collect();
        Ok(Formula { program, env: Arc::new(Env::stdlib()), variables })
    }

    /// What it gives, as JSON; `None` for null. A field that is not there is null.
    pub(super) fn value(&self, frames: &[&Found<'_>]) -> Result<Option<String>, String> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        for (name, slot) in &self.variables {
            let json = slot.get(frames).raw();
            let value = if json.is_empty() {
                serde_json::Value::Null
            } else {
                serde_json::from_str(json).map_err(|_| format!("`{name}` can't be read"))?
            };
            context.add_variable_from_value(name.as_str(), computable(value));
        }
        let value = self.program.execute(&context).map_err(|error| without_values(&error))?;
        match value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(value.to_string())),
            Value::Int(value) => Ok(Some(value.to_string())),
            Value::UInt(value) => Ok(Some(value.to_string())),
            Value::Float(value) if value.is_finite() => Ok(Some(value.to_string())),
            Value::String(text) => Ok(Some(serde_json::Value::from(text.as_str()).to_string())),
            other => Err(format!("it gives a value of type {}", other.type_of())),
        }
    }
}

/// A value to compute with. Whole numbers are integers, since the language does not mix them with others.
fn computable(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text)),
        serde_json::Value::Array(list) => Value::List(Arc::new(list.into_iter().map(computable).collect())),
        serde_json::Value::Object(object) => {
            let fields =
                object.into_iter().map(|(name, value)| (Key::String(Arc::new(name)), computable(value)));
            Value::Map(Map { map: Arc::new(fields.collect::<HashMap<Key, Value>>()) })
        }
    }
}

/// What went wrong, in words that quote nothing of the payload: they go into headers of dead letters.
fn without_values(error: &ExecutionError) -> String {
    match error {
        // Types alone.
        ExecutionError::NoSuchOverload(_) => error.to_string(),
        ExecutionError::NoSuchKey(_) => "a key is missing".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number is too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        _ => "it can't be computed".to_owned(),
    }
}

/// Messages of the library may quote what they are about in further lines.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
