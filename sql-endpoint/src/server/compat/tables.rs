//! Catalogue tables of our own.

use std::sync::{Arc, PoisonError};

use datafusion::arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, Int32Array, RecordBatch, StringArray,
};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::{Field, Int16Type, Int32Type, Schema};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::Client;
use crate::engine::DATABASE;
use crate::server::type_modifier;

type Table = Arc<dyn TableProvider>;

/// Tables that a session has of its own.
pub(crate) const OWN: [&str; 4] = ["pg_settings", "pg_roles", "pg_user", "pg_stat_activity"];

/// Who the tables belong to: nobody that can connect.
pub(crate) const OWNER: &str = "lake";
/// The owner's number.
pub(crate) const OWNER_OID: i32 = 10;
/// The number of a session's user.
const USER_OID: i32 = 16_000;

/// A table of a session, if it is one of its own.
pub(super) fn of_session(name: &str, client: &Client) -> Result<Option<Table>, DataFusionError> {
    match name {
        "pg_settings" => settings(client).map(Some),
        "pg_roles" => roles(client).map(Some),
        "pg_user" => users(client).map(Some),
        "pg_stat_activity" => activity(client).map(Some),
        _ => Ok(None),
    }
}

fn texts(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Result<Table, DataFusionError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), true))
        .collect();
    let batch = RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, values)| values).collect(),
    )?;
    Ok(Arc::new(MemTable::try_new(
        batch.schema(),
        vec![vec![batch]],
    )?))
}

fn settings(client: &Client) -> Result<Table, DataFusionError> {
    let variables = client
        .variables
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let rows: Vec<_> = variables.all().collect();
    let count = rows.len();
    let told = |pick: fn(&(&'static str, &str, &str, &'static str)) -> String| {
        texts(rows.iter().map(|row| Some(pick(row))))
    };
    let none = || texts((0..count).map(|_| None));
    let same = |value: &str| texts((0..count).map(|_| Some(value.to_owned())));
    table(vec![
        ("name", told(|row| row.0.into())),
        ("setting", told(|row| row.1.into())),
        ("unit", none()),
        ("category", same("lake-sql")),
        ("short_desc", told(|row| row.3.into())),
        ("extra_desc", none()),
        ("context", same("user")),
        ("vartype", same("string")),
        ("source", same("default")),
        ("min_val", none()),
        ("max_val", none()),
        ("enumvals", none()),
        ("boot_val", told(|row| row.2.into())),
        ("reset_val", told(|row| row.2.into())),
        ("sourcefile", none()),
        ("sourceline", Arc::new(Int32Array::from(vec![None; count]))),
        (
            "pending_restart",
            Arc::new(BooleanArray::from(vec![false; count])),
        ),
    ])
}

fn roles(client: &Client) -> Result<Table, DataFusionError> {
    let names = [OWNER.to_owned(), client.user.clone()];
    let flag = |of_owner: bool, of_user: bool| {
        Arc::new(BooleanArray::from(vec![of_owner, of_user])) as ArrayRef
    };
    let none = || texts([None, None]);
    table(vec![
        ("oid", Arc::new(Int32Array::from(vec![OWNER_OID, USER_OID]))),
        ("rolname", texts(names.map(Some))),
        ("rolsuper", flag(false, false)),
        ("rolinherit", flag(true, true)),
        ("rolcreaterole", flag(false, false)),
        ("rolcreatedb", flag(false, false)),
        ("rolcanlogin", flag(false, true)),
        ("rolreplication", flag(false, false)),
        ("rolconnlimit", Arc::new(Int32Array::from(vec![-1, -1]))),
        ("rolpassword", none()),
        ("rolvaliduntil", none()),
        ("rolbypassrls", flag(false, false)),
        ("rolconfig", none()),
    ])
}

fn users(client: &Client) -> Result<Table, DataFusionError> {
    table(vec![
        ("usename", texts([Some(client.user.clone())])),
        ("usesysid", Arc::new(Int32Array::from(vec![USER_OID]))),
        ("usecreatedb", Arc::new(BooleanArray::from(vec![false]))),
        ("usesuper", Arc::new(BooleanArray::from(vec![false]))),
    ])
}

fn activity(client: &Client) -> Result<Table, DataFusionError> {
    let variables = client
        .variables
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let name = variables
        .get("application_name")
        .unwrap_or_default()
        .to_owned();
    table(vec![
        ("datname", texts([Some(DATABASE.to_owned())])),
        ("pid", Arc::new(Int32Array::from(vec![client.pid]))),
        ("usename", texts([Some(client.user.clone())])),
        ("application_name", texts([Some(name)])),
        ("state", texts([Some("active".to_owned())])),
    ])
}

async fn read(context: &SessionContext, query: &str) -> Result<RecordBatch, DataFusionError> {
    let frame = context.sql(query).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    Ok(concat_batches(&schema, &frame.collect().await?)?)
}

fn kept(batch: RecordBatch) -> Result<Table, DataFusionError> {
    Ok(Arc::new(MemTable::try_new(
        batch.schema(),
        vec![vec![batch]],
    )?))
}

/// `pg_attribute` with the precision and scale of decimals.
pub(super) async fn attributes(
    context: &SessionContext,
    served: &dyn SchemaProvider,
) -> Result<Table, DataFusionError> {
    let names = read(context, "SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'").await?;
    let mut modifiers = std::collections::HashMap::new();
    let oids = names.column(0).as_primitive::<Int32Type>();
    let relations = names.column(1).as_string::<i32>();
    for (oid, name) in oids.values().iter().zip(relations.iter().flatten()) {
        let Some(table) = served.table(name).await? else {
            continue;
        };
        for (at, field) in table.schema().fields().iter().enumerate() {
            modifiers.insert((*oid, at + 1), type_modifier(field.data_type()));
        }
    }
    let batch = read(context, "SELECT * FROM pg_catalog.pg_attribute").await?;
    let column = |name: &str| -> Result<ArrayRef, DataFusionError> {
        Ok(batch.column(batch.schema().index_of(name)?).clone())
    };
    let (relation, number) = (column("attrelid")?, column("attnum")?);
    let (relation, number) = (
        relation.as_primitive::<Int32Type>(),
        number.as_primitive::<Int16Type>(),
    );
    let modified: Int32Array = relation
        .values()
        .iter()
        .zip(number.values())
        .map(|(relation, number)| {
            let number = usize::try_from(*number).unwrap_or_default();
            Some(modifiers.get(&(*relation, number)).copied().unwrap_or(-1))
        })
        .collect();
    let at = batch.schema().index_of("atttypmod")?;
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(modified);
    kept(RecordBatch::try_new(batch.schema(), columns)?)
}

/// `pg_database` with the one database that there is.
pub(super) async fn databases(context: &SessionContext) -> Result<Table, DataFusionError> {
    let batch = read(context, "SELECT * FROM pg_catalog.pg_database").await?;
    let names = batch.column(batch.schema().index_of("datname")?).clone();
    let ours: BooleanArray = names
        .as_string::<i32>()
        .iter()
        .map(|name| Some(name == Some(DATABASE)))
        .collect();
    let mut batch = filter_record_batch(&batch, &ours)?;
    for (name, value) in [("datcollate", "C"), ("datctype", "C.UTF-8")] {
        let at = batch.schema().index_of(name)?;
        let mut columns = batch.columns().to_vec();
        columns[at] = texts((0..batch.num_rows()).map(|_| Some(value.to_owned())));
        batch = RecordBatch::try_new(batch.schema(), columns)?;
    }
    kept(batch)
}
