//! Statements, done.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::messages::response::TransactionStatus;
use futures::{StreamExt as _, stream};

use super::bound::Bound;
use super::command::Command;
use super::fault::error;
use super::handler::heading;
use super::link::{Link, done, reported};
use super::query::Planned;
use super::rows::{self, Rows, encoded};
use super::session::{Cursor, Session};
use super::variables::spelling;

/// Rows that are encoded and sent at a time: few enough that the first ones are seen early and that no
/// client's rows fill the memory, many enough that a row costs little.
const AT_A_TIME: usize = 1024;

/// What was sent.
pub(super) struct Sent {
    /// How many rows.
    pub(super) rows: usize,
    /// Whether there are no more.
    pub(super) all: bool,
}

/// Does a statement of the simple protocol.
///
/// # Errors
/// What went wrong with it; the statements after it are not done then.
pub(super) async fn simply(
    session: &Session,
    client: &mut dyn Link,
    statement: Command,
    bound: &mut Bound,
) -> PgWireResult<()> {
    let Command::Query(text) = &statement else {
        return command(
            session,
            client,
            statement,
            &Format::UnifiedText,
            true,
            bound,
        )
        .await;
    };
    let plan = bound.within(session.plan(text)).await??;
    let fields = rows::fields(plan.schema(), &Format::UnifiedText, &session.format())?;
    let mut rows = bound
        .within(async { session.run(plan.alone()?).await })
        .await??;
    client.say(heading(&fields, true)).await?;
    let sent = send(client, &mut rows, &fields, None, true, bound).await?;
    client.say(vec![done("SELECT", Some(sent.rows))]).await
}

/// The schema of the rows that a command sends, if it sends some.
///
/// # Errors
/// 34000 for a cursor that is not there, 42704 for a parameter that is not known.
pub(super) fn schema(session: &Session, command: &Command) -> PgWireResult<Option<SchemaRef>> {
    match command {
        Command::Fetch {
            name, skip: false, ..
        } => session.cursor(name, |cursor| Some(cursor.rows.schema().clone())),
        Command::Show(name) => Ok(Some(show(session, name)?.schema())),
        _ => Ok(None),
    }
}

/// Does anything but a query. `told` is whether rows are described before they are sent.
///
/// # Errors
/// What went wrong with it.
pub(super) async fn command(
    session: &Session,
    client: &mut dyn Link,
    command: Command,
    format: &Format,
    told: bool,
    bound: &mut Bound,
) -> PgWireResult<()> {
    let tag = command.tag();
    let in_transaction = client.transaction_status() != TransactionStatus::Idle;
    let mut messages = Vec::new();
    match command {
        Command::Fetch { name, rows, skip } => {
            let sent = fetch(session, client, &name, rows, skip, format, told, bound).await?;
            return client.say(vec![done(tag, Some(sent.rows))]).await;
        }
        Command::Show(name) => {
            let shown = show(session, &name)?;
            let fields = rows::fields(&shown.schema(), format, &session.format())?;
            messages = heading(&fields, told);
            messages.extend(
                encoded(shown, &fields)?
                    .into_iter()
                    .map(PgWireBackendMessage::DataRow),
            );
        }
        Command::Declare { name, hold, query } => {
            let plan = bound.within(session.plan(&query)).await??;
            return declare(session, client, &name, hold, plan.alone()?, bound).await;
        }
        Command::Close(name) => session.close(name.as_deref())?,
        Command::Set { name, value, local } => {
            messages = reported(session.set(&name, value.as_deref(), local, in_transaction)?);
        }
        Command::ResetAll { discard: true } if in_transaction => {
            return Err(error(
                "25001",
                "DISCARD ALL cannot run inside a transaction block",
            ));
        }
        Command::ResetAll { discard } => messages = reported(session.reset(discard)),
        other => return transaction(session, client, other, in_transaction).await,
    }
    messages.push(done(tag, None));
    client.say(messages).await
}

/// Opens a cursor.
///
/// # Errors
/// 25P01 outside of a transaction, if it is not to outlive one; as [`Session::declare`].
pub(super) async fn declare(
    session: &Session,
    client: &mut dyn Link,
    name: &str,
    hold: bool,
    query: Planned,
    bound: &mut Bound,
) -> PgWireResult<()> {
    if !hold && client.transaction_status() == TransactionStatus::Idle {
        return Err(error(
            "25P01",
            "DECLARE CURSOR can only be used in transaction blocks",
        ));
    }
    let rows = bound.within(session.run(query)).await??;
    session.declare(name, Cursor { hold, rows })?;
    client.say(vec![done("DECLARE CURSOR", None)]).await
}

/// Begins and ends transactions. All of them read: there is nothing to keep or to undo but what the
/// session itself has set and declared.
async fn transaction(
    session: &Session,
    client: &mut dyn Link,
    command: Command,
    in_transaction: bool,
) -> PgWireResult<()> {
    let failed = client.transaction_status() == TransactionStatus::Error;
    let mut tag = command.tag();
    let mut messages = Vec::new();
    match command {
        Command::Begin if !in_transaction => {
            session.begin();
            client.set_transaction_status(TransactionStatus::Transaction);
        }
        Command::Commit | Command::Rollback => {
            let well = command == Command::Commit && !failed;
            // A transaction that has failed is given up, whatever its client says.
            tag = if well { "COMMIT" } else { "ROLLBACK" };
            messages = reported(session.end(well));
            client.set_transaction_status(TransactionStatus::Idle);
        }
        Command::Savepoint(name) if in_transaction => session.savepoint(&name),
        Command::Release(name) if in_transaction => session.to_savepoint(&name, true)?,
        Command::RollbackTo(name) if in_transaction => {
            session.to_savepoint(&name, false)?;
            client.set_transaction_status(TransactionStatus::Transaction);
        }
        Command::Savepoint(_) | Command::Release(_) | Command::RollbackTo(_) => {
            return Err(error(
                "25P01",
                format!("{tag} can only be used in transaction blocks"),
            ));
        }
        _ => {}
    }
    messages.push(done(tag, None));
    client.say(messages).await
}

/// The value of a parameter, or of all, as rows.
fn show(session: &Session, name: &str) -> PgWireResult<RecordBatch> {
    let (names, rows) = match name {
        "all" => (
            vec!["name", "setting", "description"],
            session.show_all().into_iter().map(Vec::from).collect(),
        ),
        name => (vec![spelling(name)], vec![vec![session.show(name)?]]),
    };
    let rows: Vec<Vec<String>> = rows;
    let fields: Vec<Field> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, false))
        .collect();
    let columns = (0..names.len())
        .map(|at| {
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|row| &row[at]),
            )) as ArrayRef
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|cause| error("XX000", cause.to_string()))
}

/// Reads a cursor on. One that fails is gone, as is its transaction.
#[allow(
    clippy::too_many_arguments,
    reason = "what FETCH says, and where it goes"
)]
async fn fetch(
    session: &Session,
    client: &mut dyn Link,
    name: &str,
    most: Option<usize>,
    skip: bool,
    format: &Format,
    told: bool,
    bound: &mut Bound,
) -> PgWireResult<Sent> {
    let mut cursor = session.take_cursor(name)?;
    let fields = rows::fields(cursor.rows.schema(), format, &session.format())?;
    if !skip {
        client.say(heading(&fields, told)).await?;
    }
    let sent = send(client, &mut cursor.rows, &fields, most, !skip, bound).await?;
    session.put_cursor(name, cursor);
    Ok(sent)
}

/// Sends rows: all, or the first of them; without `shown` they are passed over.
async fn send(
    client: &mut dyn Link,
    rows: &mut Rows,
    fields: &Arc<Vec<FieldInfo>>,
    most: Option<usize>,
    shown: bool,
    bound: &mut Bound,
) -> PgWireResult<Sent> {
    let mut sent = 0;
    loop {
        let left = most.map_or(AT_A_TIME, |most| AT_A_TIME.min(most - sent));
        if left == 0 {
            return Ok(Sent {
                rows: sent,
                all: false,
            });
        }
        let Some(batch) = bound.within(rows.next(left)).await?? else {
            return Ok(Sent {
                rows: sent,
                all: true,
            });
        };
        sent += batch.num_rows();
        if shown {
            let messages = encoded(batch, fields)?
                .into_iter()
                .map(PgWireBackendMessage::DataRow)
                .collect();
            bound.within(client.say(messages)).await??;
        }
    }
}

/// Rows as a portal keeps them between the times that it is asked.
pub(super) fn kept(rows: Rows, fields: Arc<Vec<FieldInfo>>) -> QueryResponse {
    let told = fields.clone();
    let rows = stream::try_unfold(
        (rows, VecDeque::<DataRow>::new(), told),
        |(mut rows, mut ready, fields)| async move {
            if ready.is_empty()
                && let Some(batch) = rows.next(AT_A_TIME).await?
            {
                ready = encoded(batch, &fields)?;
            }
            Ok(ready.pop_front().map(|row| (row, (rows, ready, fields))))
        },
    );
    QueryResponse::new(fields, rows)
}

/// Sends rows of a portal: all, or as many as were asked for. Whether those were the last is known only
/// when more are asked for, as in PostgreSQL.
pub(super) async fn send_kept(
    client: &mut dyn Link,
    open: &mut QueryResponse,
    most: Option<usize>,
    bound: &mut Bound,
) -> PgWireResult<Sent> {
    let mut sent = 0;
    let mut messages = Vec::new();
    let mut all = false;
    while !all && most.is_none_or(|most| sent < most) {
        match bound.within(open.data_rows().next()).await? {
            Some(row) => {
                messages.push(PgWireBackendMessage::DataRow(row?));
                sent += 1;
            }
            None => all = true,
        }
        if messages.len() >= AT_A_TIME {
            bound
                .within(client.say(std::mem::take(&mut messages)))
                .await??;
        }
    }
    bound.within(client.say(messages)).await??;
    Ok(Sent { rows: sent, all })
}
