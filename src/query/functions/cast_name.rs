//! The SQL function `cast_name(value, type)`, which returns its first argument.
//!
//! The planner calls `max(eventTime::date)` like `max(eventTime)`, and refuses both in one query.
//! The name of a call has all of its arguments, so a cast inside this one shows.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function's name in SQL.
pub const CAST_NAME: &str = "cast_name";

/// Creates the function, for registration in a session.
pub fn cast_name() -> ScalarUDF {
    ScalarUDF::new_from_impl(CastName {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CastName {
    signature: Signature,
}

impl ScalarUDFImpl for CastName {
    fn name(&self) -> &str {
        CAST_NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value, _] => Ok(value.clone()),
            _ => exec_err!("{CAST_NAME} expects two arguments"),
        }
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match <[Expr; 2]>::try_from(args) {
            Ok([value, _]) => Ok(ExprSimplifyResult::Simplified(value)),
            Err(args) => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => exec_err!("{CAST_NAME} expects two arguments"),
        }
    }
}
