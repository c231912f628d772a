//! `AT TIME ZONE`, which is `timezone(zone, time)`: from an instant to what clocks show, and back.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, not_impl_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::Zone;
use super::functions::{Kind, call, clocks, instants};
use crate::server::fault;

/// The function's name.
pub(super) const NAME: &str = "timezone";

/// Names what the rule puts in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

/// The function that `AT TIME ZONE` is.
pub(crate) fn at_time_zone() -> ScalarUDF {
    let signature = Signature::any(2, Volatility::Immutable);
    AtTimeZone { signature }.into()
}

/// What it comes to, of arguments whose types are known.
pub(super) fn in_its_place(zone: &Expr, time: &Expr, kind: &DataType) -> Result<Expr> {
    let name = match zone {
        Expr::Literal(name, _) => name.try_as_str().flatten(),
        _ => None,
    };
    let Some(name) = name else {
        return not_impl_err!("AT TIME ZONE takes a constant");
    };
    let unknown = || {
        let told = fault::error("22023", format!("time zone \"{name}\" not recognized"));
        DataFusionError::External(Box::new(told))
    };
    let (zone, _) = Zone::named(name).ok_or_else(unknown)?;
    let kind = match kind {
        DataType::Timestamp(_, Some(_)) => Kind::Clock,
        _ => Kind::Instant,
    };
    Ok(call(kind, time.clone(), None, zone))
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match &given[1] {
            DataType::Timestamp(_, Some(_)) => Ok(clocks()),
            DataType::Timestamp(_, None) | DataType::Date32 => Ok(instants()),
            other => plan_err!("No function matches: timezone(text, {other})"),
        }
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("AT TIME ZONE outside of a session")
    }
}
