//! Conditions in the Common Expression Language, compiled and tried once when a campaign is loaded.

use crate::id::IdentifierType;
use crate::profile::Profile;
use cel::common::ast::Expr;
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Variables of a condition, with what they are.
pub const VARIABLES: [(&str, &str); 5] = [
    ("score", "map from the name of a model to its newest score for the customer (double, 0 to 1)"),
    ("orders", "number of orders (int)"),
    ("cart_items", "number of products in the open cart (int)"),
    ("known", "true if the customer has a user id (bool)"),
    ("traits", "map from the name of a trait to its text"),
];

/// Why a condition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It can't be read.
    #[error("can't be read: {0}")]
    Syntax(String),
    /// It names a variable that there is not.
    #[error("`{name}` is not known; known are {}", VARIABLES.map(|(name, _)| name).join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// It asks for the score of a model that is not configured.
    #[error("score.{0}: no model of that name is configured")]
    UnknownModel(String),
    /// It gives no truth value, or fails on a customer that has everything.
    #[error("must give true or false: {0}")]
    NotABool(String),
}

/// What a condition says of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It asks for something that is not known of this customer, such as a score that there is none of.
    Missing,
}

/// A compiled condition.
pub struct Condition {
    program: Program,
    env: Arc<Env>,
    /// Which of [`VARIABLES`] it uses: only those are handed to it.
    uses: Vec<&'static str>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("uses", &self.uses).finish_non_exhaustive()
    }
}

impl Condition {
    /// Compiles a condition, and tries it on a customer of whom everything is known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str, models: &[&str]) -> Result<Condition, ConditionError> {
        let program =
            Program::compile(text).map_err(|error| ConditionError::Syntax(first_line(&error.to_string())))?;
        let mut uses = Vec::new();
        for name in program.references().variables() {
            let known = VARIABLES.iter().find(|(known, _)| *known == name);
            let (known, _) = known.ok_or_else(|| ConditionError::Unknown { name: name.to_owned() })?;
            uses.push(*known);
        }
        uses.sort_unstable();
        check_models(program.expression(), models)?;
        let condition = Condition { program, env: Arc::new(Env::stdlib()), uses };
        condition.try_out(models)?;
        Ok(condition)
    }

    fn try_out(&self, models: &[&str]) -> Result<(), ConditionError> {
        let mut profile = Profile::default();
        for model in models {
            profile.predict(model, "1", 0.5, 0);
        }
        match self.execute(&profile) {
            Ok(Value::Bool(_)) | Err(ExecutionError::NoSuchKey(_)) => Ok(()),
            Ok(other) => {
                Err(ConditionError::NotABool(format!("it gives a value of type {}", other.type_of())))
            }
            Err(error) => Err(ConditionError::NotABool(error.to_string())),
        }
    }

    /// Asks the condition about a customer.
    #[must_use]
    pub fn check(&self, profile: &Profile) -> Verdict {
        match self.execute(profile) {
            Ok(Value::Bool(true)) => Verdict::Holds,
            Ok(_) => Verdict::Fails,
            Err(_) => Verdict::Missing,
        }
    }

    /// Names of the models whose scores it may ask for.
    #[must_use]
    pub fn uses_scores(&self) -> bool {
        self.uses.contains(&"score")
    }

    fn execute(&self, profile: &Profile) -> Result<Value, ExecutionError> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        for name in &self.uses {
            context.add_variable_from_value(*name, value(name, profile));
        }
        self.program.execute(&context)
    }
}

fn value(name: &str, profile: &Profile) -> Value {
    match name {
        "score" => map(profile.predictions.iter().map(|p| (p.model.as_str(), Value::Float(p.score)))),
        "orders" => {
            let older: u64 = profile.older_orders.iter().map(|sum| sum.orders).sum();
            Value::Int(i64::try_from(older).unwrap_or(i64::MAX).saturating_add(count(profile.orders.len())))
        }
        "cart_items" => Value::Int(count(profile.cart.iter().filter(|item| !item.removed).count())),
        "known" => Value::Bool(profile.identifier(IdentifierType::UserId).is_some()),
        "traits" => map(profile.traits.iter().filter_map(|known| {
            let text = known.value.as_deref()?;
            Some((known.name.as_str(), Value::String(Arc::new(text.to_owned()))))
        })),
        _ => Value::Null,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let entries: HashMap<Key, Value> =
        entries.map(|(key, value)| (Key::String(Arc::new(key.to_owned())), value)).collect();
    Value::Map(cel::objects::Map { map: Arc::new(entries) })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Finds `score.<model>` for models that are not configured: at run time that would look like a missing score for
/// ever.
fn check_models(expression: &cel::common::ast::IdedExpr, models: &[&str]) -> Result<(), ConditionError> {
    match &expression.expr {
        Expr::Select(select) => {
            let of_score = matches!(&select.operand.expr, Expr::Ident(name) if name == "score");
            if of_score && !models.contains(&select.field.as_str()) {
                return Err(ConditionError::UnknownModel(select.field.clone()));
            }
            check_models(&select.operand, models)
        }
        Expr::Call(call) => {
            call.target.iter().try_for_each(|target| check_models(target, models))?;
            call.args.iter().try_for_each(|argument| check_models(argument, models))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|element| check_models(element, models)),
        _ => Ok(()),
    }
}
