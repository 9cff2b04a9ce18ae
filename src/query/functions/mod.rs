//! The functions of SQL here: the engine's and ours, in one registry.
//!
//! To add a function, write a file here with its [`ScalarUDF`] that has a [`Documentation`], and
//! name it in `ours`. `SHOW FUNCTIONS` and everything else that lists functions is made from
//! [`entries`].

mod arguments;
pub mod cast_name;
mod date_add;
mod date_diff;
pub(in crate::query) mod json_extract;
pub mod json_path;
mod regexp_extract;
mod shorthand;

use std::sync::LazyLock;

use datafusion::common::DataFusionError;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::functions_aggregate::any_value::any_value_udaf;
use datafusion::logical_expr::{Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;
use regex::Regex;

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
///
/// # Errors
/// If the engine takes no rewriter of calls; a bug.
pub(super) fn register(context: &SessionContext) -> Result<(), DataFusionError> {
    for function in ours() {
        context.register_udf(function);
    }
    for function in shorthand::aggregates() {
        context.register_udaf(function);
    }
    let any_value = any_value_udaf().as_ref().clone();
    context.register_udaf(any_value.with_aliases(["arbitrary"]));
    let state = context.state_ref();
    let mut state = state.write();
    state.register_function_rewrite(shorthand::expansion())
}

fn ours() -> impl Iterator<Item = ScalarUDF> {
    let functions = [
        cast_name::cast_name(),
        date_add::date_add(),
        date_diff::date_diff(),
        json_path::json_get_path(),
        regexp_extract::regexp_extract(),
    ];
    let functions = functions.into_iter().chain(json_extract::functions());
    functions.chain(shorthand::scalars())
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

/// The first sentence, on one line, without the links and marks of Markdown.
fn first_sentence(text: &str) -> String {
    static LINK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[([^\]]+)\]\([^)]*\)").expect("a valid pattern"));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = LINK.replace_all(&text, "$1").replace('`', "");
    match text.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_are_a_sentence_without_markdown() {
        let text = "Returns the\n [`distance`](https://example.org/A_(b)) of `a`. More.";
        assert_eq!(
            first_sentence("Casts to [a type](x.html)."),
            "Casts to a type."
        );
        assert!(first_sentence(text).starts_with("Returns the distance"));
        let functions = entries(&SessionContext::new().state());
        let marked = functions.iter().find(|it| it.about.contains("]("));
        assert_eq!(marked, None);
    }
}
