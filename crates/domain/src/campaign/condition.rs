//! Conditions in the Common Expression Language.
//!
//! The library has no types of its own to check by, so a condition is tried when its campaign is loaded: on nobody, on a
//! customer without scores, and on one of whom everything is known, and each of its parts that must be true or false by
//! itself too, also those that no such customer reaches.

use crate::event::{Event, EventKind, LineItem, OrderTotal, TraitChange, names};
use crate::id::IdentifierType;
use crate::model::Score;
use crate::profile::{Profile, ProfileIdentifier, Text};
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
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
    /// It does not say whose score it asks for.
    #[error("`score` must be followed by the name of a model, as in `score.churn`")]
    NoModel,
    /// It gives no truth value, or fails on a customer that it was tried on.
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
    /// It can't be computed, such as a number from a trait that is none.
    Error,
    /// It asks for a score or a trait that there is none of for this customer.
    Missing,
}

/// A compiled condition.
pub struct Condition {
    program: Program,
    env: Arc<Env>,
    names: Names,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Condition {
    /// Compiles a condition and tries it. `models` are the names of the models whose scores it may use.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str, models: &[&str]) -> Result<Condition, ConditionError> {
        let program =
            Program::compile(text).map_err(|error| ConditionError::Syntax(first_line(&error.to_string())))?;
        let mut names = Names::default();
        names.find(program.expression(), &mut Vec::new())?;
        if let Some(unknown) = names.scores.iter().find(|name| !models.contains(&name.as_str())) {
            return Err(ConditionError::UnknownModel(unknown.clone()));
        }
        let condition = Condition { program, env: Arc::new(Env::stdlib()), names };
        condition.try_out()?;
        Ok(condition)
    }

    /// Asks the condition about a customer.
    #[must_use]
    pub fn check(&self, profile: &Profile) -> Verdict {
        match self.execute(self.program.expression(), profile) {
            Ok(Value::Bool(true)) => Verdict::Holds,
            Ok(Value::Bool(false)) => Verdict::Fails,
            Err(ExecutionError::NoSuchKey(_)) => Verdict::Missing,
            Ok(_) | Err(_) => Verdict::Error,
        }
    }

    /// Names of the models whose scores it asks for.
    #[must_use]
    pub fn scores(&self) -> &[String] {
        &self.names.scores
    }

    fn try_out(&self) -> Result<(), ConditionError> {
        let whole = self.program.expression();
        let customers = samples(&self.names);
        for customer in &customers {
            match self.execute(whole, customer) {
                Ok(Value::Bool(_)) => {}
                Err(ExecutionError::NoSuchKey(key)) if self.names.may_lack(&key) => {}
                other => return Err(refusal(other)),
            }
        }
        self.try_parts(whole, &customers)
    }

    /// Tries the parts that must be true or false, each by itself. What only the value of another part keeps from
    /// failing, as in `cart_items > 0 && orders / cart_items > 2`, may fail here.
    fn try_parts(&self, part: &IdedExpr, customers: &[Profile]) -> Result<(), ConditionError> {
        if let Expr::Call(call) = &part.expr
            && let operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::CONDITIONAL = call.func_name.as_str()
        {
            return call.args.iter().try_for_each(|part| self.try_parts(part, customers));
        }
        for customer in customers {
            match self.execute(part, customer) {
                Ok(Value::Bool(_)) | Err(ExecutionError::NoSuchKey(_)) => {}
                Err(
                    ExecutionError::DivisionByZero(_)
                    | ExecutionError::RemainderByZero(_)
                    | ExecutionError::Overflow(..)
                    | ExecutionError::IndexOutOfBounds(_)
                    | ExecutionError::FunctionError { .. },
                ) => {}
                other => return Err(refusal(other)),
            }
        }
        Ok(())
    }

    fn execute(&self, expression: &IdedExpr, profile: &Profile) -> Result<Value, ExecutionError> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        for name in &self.names.variables {
            context.add_variable_from_value(*name, value(name, profile));
        }
        Value::resolve(expression, &context)
    }
}

fn refusal(result: Result<Value, ExecutionError>) -> ConditionError {
    ConditionError::NotABool(match result {
        Ok(value) => format!("it gives a value of type {}", value.type_of()),
        Err(error) => first_line(&error.to_string()),
    })
}

/// Customers that a condition is tried on: nobody, one without scores and traits, and one of whom everything that the
/// condition asks for is known. A trait has the text `1` there, which is also a number.
fn samples(names: &Names) -> [Profile; 3] {
    let value = "1";
    let identifier = |kind| ProfileIdentifier { kind, value: Text::from(value), at: 0 };
    let item = LineItem { product_id: value, sku: None, category: None, price: None, quantity: 1 };
    let known = Event {
        id: value,
        source: value,
        kind: EventKind::Track,
        name: Some(names::ORDER_COMPLETED),
        occurred_at: 0,
        received_at: 0,
        local_hour: None,
        identifiers: Vec::new(),
        traits: Vec::new(),
        consents: Vec::new(),
        currency: None,
        items: vec![item],
        order: Some(OrderTotal { order_id: value, total: None, units: 1 }),
        survey: None,
    };
    let identifiers = IdentifierType::ALL.map(identifier).to_vec();
    let mut without_scores = Profile { identifiers, ..Profile::default() };
    without_scores.apply(&known);
    let mut full = without_scores.clone();
    let traits = names.traits.iter().map(|name| TraitChange { name, value: Some(value) }).collect();
    full.apply(&Event { name: Some(names::PRODUCT_ADDED), occurred_at: 1, order: None, traits, ..known });
    for model in &names.scores {
        full.predict(model, value, Score { value: 0.5, missing: false }, 1);
    }
    [Profile::default(), without_scores, full]
}

/// What a condition asks for, found without running it.
#[derive(Debug, Default)]
struct Names {
    /// Which of [`VARIABLES`]: only those are handed to it.
    variables: Vec<&'static str>,
    /// Models, in the order of the text, each once.
    scores: Vec<String>,
    /// Traits, likewise.
    traits: Vec<String>,
    /// It asks for a trait whose name it computes.
    any_trait: bool,
}

impl Names {
    /// True if a missing key is a score or trait that a customer may be without.
    fn may_lack(&self, key: &str) -> bool {
        self.any_trait || self.scores.iter().chain(&self.traits).any(|name| name == key)
    }

    /// Walks an expression. `bound` are the names that comprehensions around it have made their own.
    fn find<'e>(&mut self, expression: &'e IdedExpr, bound: &mut Vec<&'e str>) -> Result<(), ConditionError> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(name, bound),
            Expr::Select(select) => match variable_of(&select.operand, bound) {
                Some(name @ ("score" | "traits")) => self.member(name, &select.field),
                _ => self.find(&select.operand, bound),
            },
            Expr::Call(call) => self.find_in_call(call, bound),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.find(element, bound)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.find_in_entry(&entry.expr, bound)),
            Expr::Struct(made) => {
                made.entries.iter().try_for_each(|entry| self.find_in_entry(&entry.expr, bound))
            }
            Expr::Comprehension(over) => self.find_in_comprehension(over, bound),
        }
    }

    fn find_in_call<'e>(
        &mut self,
        call: &'e CallExpr,
        bound: &mut Vec<&'e str>,
    ) -> Result<(), ConditionError> {
        let holder_and_key = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, [holder, key])
            | (operators::IN, [key, holder]) => Some((variable_of(holder, bound), key)),
            _ => None,
        };
        match holder_and_key {
            Some((Some(name @ ("score" | "traits")), key)) => match &key.expr {
                Expr::Literal(LiteralValue::String(key)) => self.member(name, key.inner()),
                _ if name == "score" => Err(ConditionError::NoModel),
                _ => {
                    self.any_trait = true;
                    self.variable(name, bound)?;
                    self.find(key, bound)
                }
            },
            _ => {
                call.target.iter().try_for_each(|target| self.find(target, bound))?;
                call.args.iter().try_for_each(|argument| self.find(argument, bound))
            }
        }
    }

    fn find_in_entry<'e>(
        &mut self,
        entry: &'e EntryExpr,
        bound: &mut Vec<&'e str>,
    ) -> Result<(), ConditionError> {
        match entry {
            EntryExpr::StructField(field) => self.find(&field.value, bound),
            EntryExpr::MapEntry(entry) => {
                self.find(&entry.key, bound)?;
                self.find(&entry.value, bound)
            }
        }
    }

    fn find_in_comprehension<'e>(
        &mut self,
        over: &'e ComprehensionExpr,
        bound: &mut Vec<&'e str>,
    ) -> Result<(), ConditionError> {
        self.find(&over.iter_range, bound)?;
        self.find(&over.accu_init, bound)?;
        let outside = bound.len();
        bound.extend([over.iter_var.as_str(), over.accu_var.as_str()]);
        bound.extend(over.iter_var2.as_deref());
        for inner in [&over.loop_cond, &over.loop_step, &over.result] {
            self.find(inner, bound)?;
        }
        bound.truncate(outside);
        Ok(())
    }

    fn variable(&mut self, name: &str, bound: &[&str]) -> Result<(), ConditionError> {
        if bound.contains(&name) {
            return Ok(());
        }
        let known = VARIABLES.iter().find(|(known, _)| *known == name);
        let (known, _) = known.ok_or_else(|| ConditionError::Unknown { name: name.to_owned() })?;
        if *known == "score" {
            // Which scores a decision used must be told without running it.
            return Err(ConditionError::NoModel);
        }
        self.uses(known);
        Ok(())
    }

    /// Notes `score.<key>` or `traits.<key>`.
    fn member(&mut self, of: &'static str, key: &str) -> Result<(), ConditionError> {
        self.uses(of);
        let keys = if of == "score" { &mut self.scores } else { &mut self.traits };
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
        Ok(())
    }

    fn uses(&mut self, variable: &'static str) {
        if !self.variables.contains(&variable) {
            self.variables.push(variable);
        }
    }
}

/// The variable of ours that an expression is, if it is one.
fn variable_of(expression: &IdedExpr, bound: &[&str]) -> Option<&'static str> {
    let Expr::Ident(name) = &expression.expr else { return None };
    let known = VARIABLES.iter().find(|(known, _)| known == name)?.0;
    (!bound.contains(&known)).then_some(known)
}

fn value(name: &str, profile: &Profile) -> Value {
    match name {
        "score" => map(profile.predictions.iter().map(|p| (p.model.as_str(), Value::Float(p.score)))),
        "orders" => Value::Int(i64::try_from(profile.order_count()).unwrap_or(i64::MAX)),
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
