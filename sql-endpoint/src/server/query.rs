//! Queries: planned once, run with the parameters of each time.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, ParamValues};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::error::PgWireResult;

use super::dialect;
use super::fault::{error, of_engine};
use super::rows::{Rows, served_schema};
use super::text::{Texts, asks_for_nothing, placeholders};

/// A query that was planned.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    plan: LogicalPlan,
    schema: SchemaRef,
    parameters: Vec<Option<DataType>>,
}

/// A query with all its parameters, ready to run.
#[derive(Debug)]
pub(super) struct Planned {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl Plan {
    /// Plans a query.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn of(
        context: &SessionContext,
        texts: &Texts,
        text: &str,
    ) -> PgWireResult<Self> {
        let (statement, names) = texts.read(text)?;
        let state = context.state();
        let placed = placeholders(&statement);
        if placed > 0
            && asks_for_nothing(&statement)
            && let Some(headings) = dialect::headings(&statement)
        {
            // What the engine cannot do with it may show when the parameters are there, and not before.
            return Self::of_nothing(&headings, placed);
        }
        let parsed = Statement::Statement(Box::new(statement.clone()));
        let planned = match state.statement_to_plan(parsed).await {
            // With types coerced where there is nothing left to guess, as they will be when it runs.
            Ok(plan) => coerced(&state, &plan).map(|schema| (plan, schema)),
            Err(cause) => Err(cause),
        };
        let (plan, schema) = match (planned, dialect::headings(&statement)) {
            (Ok(planned), _) => planned,
            (Err(_), Some(headings)) if asks_for_nothing(&statement) => {
                return Self::of_nothing(&headings, 0);
            }
            (Err(cause), _) => return Err(of_engine(&cause)),
        };
        // Nothing that writes comes this far; this holds whatever the reading of texts may miss.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|cause| of_engine(&cause))?;
        let parameters = parameters(
            &plan
                .get_parameter_types()
                .map_err(|cause| of_engine(&cause))?,
        )?;
        Ok(Self {
            schema: served_schema(schema.as_arrow(), &names),
            plan,
            parameters,
        })
    }

    /// No rows, under headings, whatever the parameters are.
    fn of_nothing(headings: &[String], parameters: usize) -> PgWireResult<Self> {
        let schema = |name: &dyn Fn(usize) -> String| {
            let fields = (0..headings.len()).map(|at| Field::new(name(at), DataType::Utf8, true));
            Schema::new(fields.collect::<Vec<_>>())
        };
        // Headings may be alike, names of the engine's columns may not.
        let of_plan = schema(&|at| at.to_string());
        let of_plan = DFSchema::try_from(of_plan).map_err(|cause| of_engine(&cause))?;
        let schema = schema(&|at| headings[at].clone());
        Ok(Self {
            plan: LogicalPlan::EmptyRelation(EmptyRelation {
                produce_one_row: false,
                schema: Arc::new(of_plan),
            }),
            schema: Arc::new(schema),
            parameters: vec![None; parameters],
        })
    }

    /// The schema in which rows leave.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The types of the parameters, in order; a text where nothing tells.
    ///
    /// # Errors
    /// For types that the protocol cannot carry.
    pub(super) fn parameter_types(&self) -> PgWireResult<Vec<Type>> {
        let told = |given: &Option<DataType>| given.as_ref().map_or(Ok(Type::TEXT), into_pg_type);
        self.parameters.iter().map(told).collect()
    }

    /// The query without parameters.
    ///
    /// # Errors
    /// 42P02 if it has some.
    pub(super) fn alone(self) -> PgWireResult<Planned> {
        if !self.parameters.is_empty() {
            return Err(error("42P02", "there is no parameter $1"));
        }
        Ok(Planned {
            plan: self.plan,
            schema: self.schema,
        })
    }

    /// The query with the parameters of a portal.
    ///
    /// # Errors
    /// 08P01 if there are too few or too many, 22P02 and 22023 if one cannot be read.
    pub(super) fn with_parameters<S: Clone>(&self, portal: &Portal<S>) -> PgWireResult<Planned> {
        if portal.parameter_len() != self.parameters.len() {
            let (given, wanted) = (portal.parameter_len(), self.parameters.len());
            return Err(error(
                "08P01",
                format!(
                    "bind message supplies {given} parameters, but the statement requires {wanted}"
                ),
            ));
        }
        if self.parameters.is_empty() {
            return Ok(Planned {
                plan: self.plan.clone(),
                schema: self.schema.clone(),
            });
        }
        let hints = &portal.statement.parameter_types;
        let told = self.parameter_types()?;
        // A client that says what it sends is read by that, whatever it is compared with.
        let hinted = |index: usize| {
            hints
                .get(index)
                .and_then(Option::as_ref)
                .filter(|hint| **hint != Type::UNKNOWN)
        };
        let types: Vec<Option<DataType>> = self
            .parameters
            .iter()
            .enumerate()
            .map(|(index, inferred)| match hinted(index) {
                Some(hint) => of_hint(hint).or_else(|| inferred.clone()),
                None => Some(inferred.clone().unwrap_or(DataType::Utf8)),
            })
            .collect();
        let types: Vec<Option<&DataType>> = types.iter().map(Option::as_ref).collect();
        let wire: Vec<Option<&Type>> = told.iter().map(Some).collect();
        let values: ParamValues = deserialize_parameters_with_server_types(portal, &types, &wire)?;
        let plan = self
            .plan
            .clone()
            .replace_params_with_values(&values)
            .map_err(|cause| of_engine(&cause))?;
        Ok(Planned {
            plan,
            schema: self.schema.clone(),
        })
    }
}

impl Planned {
    /// Begins to run.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) async fn run(self, context: &SessionContext) -> PgWireResult<Rows> {
        let frame = DataFrame::new(context.state(), self.plan);
        let stream = frame
            .execute_stream()
            .await
            .map_err(|cause| of_engine(&cause))?;
        Ok(Rows::new(self.schema, stream))
    }
}

/// The schema of a plan whose types are coerced; of one with parameters, the schema as it is.
fn coerced(state: &SessionState, plan: &LogicalPlan) -> Result<DFSchemaRef, DataFusionError> {
    if !plan.get_parameter_types()?.is_empty() {
        return Ok(plan.schema().clone());
    }
    let options = state.config_options();
    let coerced = state
        .analyzer()
        .execute_and_check(plan.clone(), options, |_, _| {})?;
    Ok(coerced.schema().clone())
}

/// The types of `$1`, `$2` and so on, in order.
fn parameters(types: &HashMap<String, Option<DataType>>) -> PgWireResult<Vec<Option<DataType>>> {
    let mut ordered = Vec::new();
    for (name, given) in types {
        let number: usize = name
            .trim_start_matches('$')
            .parse()
            .ok()
            .filter(|number| (1..=65_535).contains(number))
            .ok_or_else(|| error("42P02", format!("there is no parameter {name}")))?;
        if ordered.len() < number {
            ordered.resize(number, None);
        }
        ordered[number - 1].clone_from(given);
    }
    Ok(ordered)
}

/// What a client's value becomes, by the type that the client says it has.
fn of_hint(hint: &Type) -> Option<DataType> {
    Some(match *hint {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DataType::Utf8,
        Type::DATE => DataType::Date32,
        _ => return None,
    })
}
