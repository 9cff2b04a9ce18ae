//! Functions that stand for an expression of others: `year(x)` for `date_part('year', x)`.
//!
//! They have Trino's names and meaning, as Athena's users know them. A call is replaced before the
//! engine coerces types, so that it is planned, pushed down and folded like what it stands for.

mod aggregates;
mod scalars;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, DocSection, Documentation, Expr,
    ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    WindowFunctionDefinition,
};

/// A function of this kind.
#[derive(Debug)]
struct Shorthand<Expand: 'static> {
    name: &'static str,
    /// A call of it.
    usage: &'static str,
    /// Its meaning, in a sentence.
    about: &'static str,
    /// Numbers of arguments that a call may have.
    arguments: std::ops::RangeInclusive<usize>,
    /// Returns the type of its values from those of its arguments.
    returns: fn(&[DataType]) -> Result<DataType>,
    /// Returns what a call stands for.
    expand: Expand,
}

/// Expands a call with its arguments and their types.
type ExpandScalar = fn(Vec<Expr>, &[DataType]) -> Result<Expr>;

/// Expands a call of an aggregate.
type ExpandAggregate = fn(AggregateFunctionParams) -> Result<AggregateFunction>;

impl<Expand> Shorthand<Expand> {
    fn documentation(&self) -> Documentation {
        let section = DocSection {
            include: true,
            label: "Trino's functions",
            description: None,
        };
        Documentation::builder(section, self.about, self.usage).build()
    }

    /// Returns the type of a call with arguments of such types.
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match self.arguments.contains(&types.len()) {
            true => (self.returns)(types),
            false => plan_err!("expected {}", self.usage),
        }
    }
}

/// The functions of a row's values, for registration.
pub(super) fn scalars() -> impl Iterator<Item = ScalarUDF> {
    scalars::SCALARS.iter().map(|shorthand| {
        ScalarUDF::new_from_impl(Call {
            shorthand,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: shorthand.documentation(),
        })
    })
}

/// The functions of many rows, for registration.
pub(super) fn aggregates() -> impl Iterator<Item = AggregateUDF> {
    aggregates::AGGREGATES.iter().map(|shorthand| {
        AggregateUDF::new_from_impl(Call {
            shorthand,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: shorthand.documentation(),
        })
    })
}

/// The function that the planner sees until [`Expansion`] replaces its calls.
#[derive(Debug)]
struct Call<Expand: 'static> {
    shorthand: &'static Shorthand<Expand>,
    signature: Signature,
    documentation: Documentation,
}

impl<Expand> PartialEq for Call<Expand> {
    fn eq(&self, other: &Self) -> bool {
        self.shorthand.name == other.shorthand.name
    }
}

impl<Expand> Eq for Call<Expand> {}

impl<Expand> Hash for Call<Expand> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shorthand.name.hash(state);
    }
}

impl ScalarUDFImpl for Call<ExpandScalar> {
    fn name(&self) -> &str {
        self.shorthand.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.shorthand.return_type(types)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} was not expanded", self.shorthand.name)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

impl AggregateUDFImpl for Call<ExpandAggregate> {
    fn name(&self) -> &str {
        self.shorthand.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.shorthand.return_type(types)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        internal_err!("{} was not expanded", self.shorthand.name)
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        internal_err!("{} was not expanded", self.shorthand.name)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Replaces calls by what they stand for.
#[derive(Debug)]
struct Expansion;

impl FunctionRewrite for Expansion {
    fn name(&self) -> &str {
        "shorthand"
    }

    fn rewrite(
        &self,
        expr: Expr,
        schema: &DFSchema,
        _: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        match expr {
            Expr::ScalarFunction(ScalarFunction { func, args }) => {
                let Some(shorthand) = find(scalars::SCALARS, func.name()) else {
                    let call = Expr::ScalarFunction(ScalarFunction { func, args });
                    return Ok(Transformed::no(call));
                };
                let types: Vec<DataType> = args
                    .iter()
                    .map(|arg| arg.get_type(schema))
                    .collect::<Result<_>>()?;
                (shorthand.expand)(args, &types).map(Transformed::yes)
            }
            Expr::AggregateFunction(AggregateFunction { func, params }) => {
                let Some(shorthand) = find(aggregates::AGGREGATES, func.name()) else {
                    let call = Expr::AggregateFunction(AggregateFunction { func, params });
                    return Ok(Transformed::no(call));
                };
                let call = (shorthand.expand)(params)?;
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            Expr::WindowFunction(mut window) => {
                let WindowFunctionDefinition::AggregateUDF(func) = &window.fun else {
                    return Ok(Transformed::no(Expr::WindowFunction(window)));
                };
                let Some(shorthand) = find(aggregates::AGGREGATES, func.name()) else {
                    return Ok(Transformed::no(Expr::WindowFunction(window)));
                };
                let call = (shorthand.expand)(AggregateFunctionParams {
                    args: std::mem::take(&mut window.params.args),
                    distinct: window.params.distinct,
                    filter: window.params.filter.take(),
                    order_by: vec![],
                    null_treatment: window.params.null_treatment,
                })?;
                if !call.params.order_by.is_empty() {
                    return Err(plan_datafusion_err!(
                        "{} with OVER is not supported; write first_value(x) OVER \
                         (PARTITION BY ... ORDER BY y)",
                        shorthand.name
                    ));
                }
                window.fun = WindowFunctionDefinition::AggregateUDF(call.func);
                window.params.args = call.params.args;
                window.params.filter = call.params.filter;
                Ok(Transformed::yes(Expr::WindowFunction(window)))
            }
            expr => Ok(Transformed::no(expr)),
        }
    }
}

fn find<Expand>(
    shorthands: &'static [Shorthand<Expand>],
    name: &str,
) -> Option<&'static Shorthand<Expand>> {
    shorthands.iter().find(|it| it.name == name)
}

/// Returns the rewriter of calls, for a session.
pub(super) fn expansion() -> Arc<dyn FunctionRewrite + Send + Sync> {
    Arc::new(Expansion)
}
