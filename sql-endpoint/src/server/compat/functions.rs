//! Functions that clients ask PostgreSQL about itself with.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError};

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::prelude::SessionContext;

use super::Client;
use super::tables::{OWNER, OWNER_OID};
use crate::server::SERVER_VERSION;

type Body = dyn Fn(&[ColumnarValue], usize) -> Result<ColumnarValue, DataFusionError> + Send + Sync;

/// A function by what it does with its arguments and the number of rows.
struct Told {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    body: Arc<Body>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// Within one session a name says which function it is.
impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Told {}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        (self.body)(&args.args, args.number_rows)
    }
}

fn function(
    name: &'static str,
    arities: &[usize],
    returns: DataType,
    body: impl Fn(&[ColumnarValue], usize) -> Result<ColumnarValue, DataFusionError>
    + Send
    + Sync
    + 'static,
) -> ScalarUDF {
    let one = |arity: &usize| match arity {
        0 => TypeSignature::Nullary,
        arity => TypeSignature::Any(*arity),
    };
    let signature = match arities {
        [arity] => one(arity),
        arities => TypeSignature::OneOf(arities.iter().map(one).collect()),
    };
    Told {
        name,
        signature: Signature::new(signature, Volatility::Stable),
        returns,
        body: Arc::new(body),
    }
    .into()
}

/// A function that says the same whatever it is asked.
fn same(name: &'static str, arities: &[usize], value: ScalarValue) -> ScalarUDF {
    function(name, arities, value.data_type(), move |_, _| {
        Ok(ColumnarValue::Scalar(value.clone()))
    })
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

fn strings(given: &ColumnarValue, rows: usize) -> Result<ArrayRef, DataFusionError> {
    Ok(cast(&given.clone().into_array(rows)?, &DataType::Utf8)?)
}

fn numbers(given: &ColumnarValue, rows: usize) -> Result<Int32Array, DataFusionError> {
    let given = cast(&given.clone().into_array(rows)?, &DataType::Int32)?;
    Ok(given.as_primitive::<Int32Type>().clone())
}

/// Functions that say the same to everybody.
pub(crate) fn register(context: &SessionContext) {
    let no_text = || ScalarValue::Utf8(None);
    for known in [
        same(
            "version",
            &[0],
            text(&format!("PostgreSQL {SERVER_VERSION}")),
        ),
        // Nothing has comments, indexes, views or rules, and sizes are the lake's own matter.
        same("obj_description", &[1, 2], no_text()),
        same("col_description", &[2], no_text()),
        same("shobj_description", &[2], no_text()),
        same("pg_get_indexdef", &[1, 3], no_text()),
        same("pg_get_viewdef", &[1, 2], no_text()),
        same("pg_get_ruledef", &[1, 2], no_text()),
        same("pg_get_triggerdef", &[1, 2], no_text()),
        same("pg_get_function_result", &[1], no_text()),
        same("pg_get_function_arguments", &[1], no_text()),
        same("pg_get_function_identity_arguments", &[1], no_text()),
        same("pg_get_serial_sequence", &[2], no_text()),
        same("pg_tablespace_location", &[1], text("")),
        same("pg_table_size", &[1], ScalarValue::Int64(None)),
        same("pg_relation_size", &[1, 2], ScalarValue::Int64(None)),
        same("pg_total_relation_size", &[1], ScalarValue::Int64(None)),
        same("pg_size_pretty", &[1], no_text()),
        same("pg_is_in_recovery", &[0], ScalarValue::Boolean(Some(false))),
        same("pg_type_is_visible", &[1], ScalarValue::Boolean(Some(true))),
        same(
            "pg_function_is_visible",
            &[1],
            ScalarValue::Boolean(Some(true)),
        ),
        same("pg_my_temp_schema", &[0], ScalarValue::Int32(Some(0))),
        same(
            "pg_is_other_temp_schema",
            &[1],
            ScalarValue::Boolean(Some(false)),
        ),
        owner_names(),
        encoding_names(),
    ] {
        context.register_udf(known);
    }
}

fn owner_names() -> ScalarUDF {
    function("pg_get_userbyid", &[1], DataType::Utf8, |given, rows| {
        let named = numbers(&given[0], rows)?
            .iter()
            .map(|oid| {
                oid.map(|oid| {
                    if oid == OWNER_OID {
                        OWNER.to_owned()
                    } else {
                        format!("unknown (OID={oid})")
                    }
                })
            })
            .collect::<StringArray>();
        Ok(ColumnarValue::Array(Arc::new(named)))
    })
}

fn encoding_names() -> ScalarUDF {
    function(
        "pg_encoding_to_char",
        &[1],
        DataType::Utf8,
        |given, rows| {
            let named = numbers(&given[0], rows)?
                .iter()
                .map(|number| number.map(|number| if number == 6 { "UTF8" } else { "" }))
                .collect::<StringArray>();
            Ok(ColumnarValue::Array(Arc::new(named)))
        },
    )
}

/// Functions that say to each session what is its own.
pub(crate) fn register_for(context: &SessionContext, client: &Client) {
    let user = text(&client.user);
    context.register_udf(same("session_user", &[0], user.clone()));
    context.register_udf(same("current_user", &[0], user));
    context.register_udf(same(
        "pg_backend_pid",
        &[0],
        ScalarValue::Int32(Some(client.pid)),
    ));
    let variables = client.variables.clone();
    context.register_udf(function(
        "current_setting",
        &[1, 2],
        DataType::Utf8,
        move |given, rows| {
            let names = strings(&given[0], rows)?;
            let missing_is_null = match given.get(1) {
                Some(ColumnarValue::Scalar(ScalarValue::Boolean(flag))) => flag.unwrap_or(false),
                _ => false,
            };
            let variables = variables.lock().unwrap_or_else(PoisonError::into_inner);
            let mut told = Vec::with_capacity(names.len());
            for name in names.as_string::<i32>() {
                told.push(match name.map(|name| variables.get(name)) {
                    None => None,
                    Some(Ok(value)) => Some(value.to_owned()),
                    Some(Err(_)) if missing_is_null => None,
                    Some(Err(error)) => return Err(DataFusionError::External(Box::new(error))),
                });
            }
            Ok(ColumnarValue::Array(Arc::new(StringArray::from(told))))
        },
    ));
}
