//! The functions of SQL here: the engine's and ours, in one registry.
//!
//! To add a function, write a file here with its [`ScalarUDF`] that has a [`Documentation`], and
//! name it in `ours`. `SHOW FUNCTIONS` and everything else that lists functions is made from
//! [`entries`].

pub mod cast_name;
pub mod json_path;

use datafusion::execution::SessionState;
use datafusion::logical_expr::{Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;

/// Functions that stand in rewritten statements only, which nobody calls by name.
const INTERNAL: [&str; 2] = [cast_name::CAST_NAME, json_path::JSON_GET_PATH];

/// A function, as lists of functions show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionEntry {
    /// Its name, in lower case.
    pub name: String,
    /// Its kind.
    pub kind: FunctionKind,
    /// A call of it: `split_part(str, delimiter, pos)`.
    pub usage: String,
    /// Its meaning, in a sentence.
    pub about: String,
}

/// The kinds of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FunctionKind {
    /// A value of each row's values.
    Scalar,
    /// A value of many rows.
    Aggregate,
    /// A value of each row and of those around it.
    Window,
}

impl FunctionKind {
    /// The word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Aggregate => "aggregate",
            Self::Window => "window",
        }
    }
}

/// Adds our functions to a session.
pub(super) fn register(context: &SessionContext) {
    for function in ours() {
        context.register_udf(function);
    }
}

fn ours() -> [ScalarUDF; 2] {
    [cast_name::cast_name(), json_path::json_get_path()]
}

/// Lists every function that a query may call, by name.
pub fn entries(state: &SessionState) -> Vec<FunctionEntry> {
    let scalar = state
        .scalar_functions()
        .iter()
        .map(|(name, function)| entry(name, FunctionKind::Scalar, function.documentation()));
    let aggregate = state
        .aggregate_functions()
        .iter()
        .map(|(name, function)| entry(name, FunctionKind::Aggregate, function.documentation()));
    let window = state
        .window_functions()
        .iter()
        .map(|(name, function)| entry(name, FunctionKind::Window, function.documentation()));
    let mut entries: Vec<FunctionEntry> = scalar
        .chain(aggregate)
        .chain(window)
        .filter(|entry| !INTERNAL.contains(&&*entry.name))
        .collect();
    entries.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    // Many aggregates are window functions too, under the same name.
    entries.dedup_by(|later, kept| later.name == kept.name);
    entries
}

fn entry(name: &str, kind: FunctionKind, documentation: Option<&Documentation>) -> FunctionEntry {
    let (usage, about) = match documentation {
        Some(documentation) => (
            documentation.syntax_example.clone(),
            documentation.description.clone(),
        ),
        None => (format!("{name}(...)"), String::new()),
    };
    FunctionEntry {
        name: name.to_lowercase(),
        kind,
        // An alias is called by its own name.
        usage: match usage.split_once('(') {
            Some((_, arguments)) => format!("{name}({arguments}"),
            None => usage,
        },
        about: first_sentence(&about),
    }
}

/// The first sentence, on one line.
fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => text,
    }
}
