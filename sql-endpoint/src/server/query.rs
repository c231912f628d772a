//! Queries: planned once, run with the parameters of each time.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion_postgres::pgwire::api::portal::Portal;
use datafusion_postgres::pgwire::error::PgWireResult;

use super::dialect;
use super::fault::{error, of_engine};
use super::nothing::asks_for_nothing;
use super::parameters::Parameters;
use super::rows::{Rows, seen_in, served_schema};
use super::text::{Asked, Texts, placeholders};
use crate::zone::Zone;

/// A query that was planned.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    plan: LogicalPlan,
    schema: SchemaRef,
    parameters: Parameters,
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
        let Asked {
            statement,
            names,
            arrays,
        } = texts.read(text)?;
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
            Ok(plan) if placed > 0 => {
                let schema = plan.schema().clone();
                Ok((plan, schema))
            }
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
        Ok(Self {
            schema: served_schema(schema.as_arrow(), &names),
            parameters: Parameters::of(&plan, arrays)?,
            plan,
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
            parameters: Parameters::unknown(parameters),
        })
    }

    /// The schema in which rows leave.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The parameters.
    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The query without parameters.
    ///
    /// # Errors
    /// 42P02 if it has some.
    pub(super) fn alone(self) -> PgWireResult<Planned> {
        if self.parameters.len() > 0 {
            return Err(error("42P02", "there is no parameter $1"));
        }
        Ok(Planned {
            plan: self.plan,
            schema: self.schema,
        })
    }

    /// The query with the parameters of a portal, read in a session's zone.
    ///
    /// # Errors
    /// As [`Parameters::bound`].
    pub(super) fn with_parameters<S: Clone>(
        &self,
        portal: &Portal<S>,
        zone: Zone,
    ) -> PgWireResult<Planned> {
        Ok(Planned {
            plan: self.parameters.bound(self.plan.clone(), portal, zone)?,
            schema: self.schema.clone(),
        })
    }
}

impl Planned {
    /// Begins to run; times are told in a zone.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) async fn run(self, context: &SessionContext, zone: Zone) -> PgWireResult<Rows> {
        let frame = DataFrame::new(context.state(), self.plan);
        let stream = frame
            .execute_stream()
            .await
            .map_err(|cause| of_engine(&cause))?;
        Ok(Rows::new(seen_in(&self.schema, zone), stream))
    }
}

/// The schema of a plan whose types are coerced.
fn coerced(state: &SessionState, plan: &LogicalPlan) -> Result<DFSchemaRef, DataFusionError> {
    let options = state.config_options();
    let coerced = state
        .analyzer()
        .execute_and_check(plan.clone(), options, |_, _| {})?;
    Ok(coerced.schema().clone())
}
