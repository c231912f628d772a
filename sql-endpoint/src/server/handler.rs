//! What a session does with each message of its client.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::portal::{Format, Portal, PortalExecutionState};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldInfo, Response};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::{Entry, PortalStore};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState, Type,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::{
    Describe, Execute, PortalSuspended, Sync as PgSync, TARGET_TYPE_BYTE_PORTAL,
};
use datafusion_postgres::pgwire::messages::response::{
    EmptyQueryResponse, ReadyForQuery, TransactionStatus,
};
use datafusion_postgres::pgwire::messages::simplequery::Query;
use futures::Sink;

use super::bound::Bound;
use super::command::{Command, commands};
use super::fault::error;
use super::link::{Link, described, done};
use super::perform::{self, Sent};
use super::query::Plan;
use super::rows;
use super::session::Session;

/// A statement that was prepared.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A query.
    Query(Plan),
    /// A cursor over a query, whose parameters are bound when it is declared.
    Declare {
        name: String,
        hold: bool,
        plan: Plan,
    },
    /// Anything else.
    Command(Command),
}

/// Answers the messages of one client.
#[derive(Clone, Default)]
pub(super) struct Handler(Arc<OnceLock<Arc<Session>>>);

impl Handler {
    /// Lets the client in.
    pub(super) fn admit(&self, session: Session) {
        let _ = self.0.set(Arc::new(session));
    }

    /// The session. Nothing is answered without one, whatever state the protocol has come to.
    fn session(&self) -> PgWireResult<&Arc<Session>> {
        let none = || super::fault::fatal("28000", "the client is not authenticated");
        self.0.get().ok_or_else(none)
    }
}

/// Nothing but its end is done in a transaction that has failed.
fn may_go_on<C: ClientInfo + ?Sized>(client: &C, command: &Command) -> PgWireResult<()> {
    match client.transaction_status() {
        TransactionStatus::Error if !command.ends_transaction() => Err(error(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )),
        _ => Ok(()),
    }
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = self.session()?.clone();
        client.set_state(PgWireConnectionState::QueryInProgress);
        let commands = commands(&query.query)?;
        if commands.is_empty() {
            client
                .say(vec![PgWireBackendMessage::EmptyQueryResponse(
                    EmptyQueryResponse::new(),
                )])
                .await?;
        }
        for command in commands {
            may_go_on(client, &command)?;
            if let Command::Deallocate(Some(name)) = &command {
                client.portal_store().rm_statement(name);
            }
            let mut bound = Bound::begin(client, session.timeout()).await;
            perform::simply(&session, client, command, &mut bound).await?;
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let ready = ReadyForQuery::new(client.transaction_status());
        client
            .say(vec![PgWireBackendMessage::ReadyForQuery(ready)])
            .await?;
        Link::flush(client).await
    }

    async fn do_query<C>(&self, _client: &mut C, _query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Err(error("XX000", "queries are answered as they stream"))
    }
}

#[async_trait]
impl QueryParser for Handler {
    type Statement = Arc<Prepared>;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        _types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let session = self.session()?;
        let mut commands = commands(sql)?;
        let Some(command) = commands.pop() else {
            return Ok(None);
        };
        if !commands.is_empty() {
            return Err(error(
                "42601",
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        may_go_on(client, &command)?;
        let mut bound = Bound::begin(client, session.timeout()).await;
        let prepared = match command {
            Command::Query(text) => Prepared::Query(bound.within(session.plan(&text)).await??),
            Command::Declare { name, hold, query } => Prepared::Declare {
                name,
                hold,
                plan: bound.within(session.plan(&query)).await??,
            },
            command => Prepared::Command(command),
        };
        Ok(Some(Arc::new(prepared)))
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        match statement.as_ref() {
            Prepared::Query(plan) | Prepared::Declare { plan, .. } => plan.parameters().types(),
            Prepared::Command(_) => Ok(Vec::new()),
        }
    }

    fn get_result_schema(
        &self,
        statement: &Self::Statement,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let session = self.session()?;
        let schema = match statement.as_ref() {
            Prepared::Query(plan) => Some(plan.schema().clone()),
            Prepared::Declare { .. } => None,
            Prepared::Command(command) => perform::schema(session, command)?,
        };
        let Some(schema) = schema else {
            return Ok(Vec::new());
        };
        let fields = rows::fields(
            &schema,
            format.unwrap_or(&Format::UnifiedText),
            &session.format(),
        )?;
        Ok(Arc::unwrap_or_clone(fields))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Arc<Prepared>;
    type QueryParser = Self;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::new(self.clone())
    }

    /// A cursor is a portal too: some drivers ask what it gives before they fetch.
    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        if message.target_type == TARGET_TYPE_BYTE_PORTAL {
            let session = self.session()?.clone();
            if let Ok(schema) = session.cursor(name, |cursor| cursor.rows.schema().clone()) {
                let fields = rows::fields(&schema, &Format::UnifiedText, &session.format())?;
                return client.say(vec![described(&fields)]).await;
            }
        }
        self._on_describe(client, message).await
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = self.session()?.clone();
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let portal = match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => portal,
            Some(Entry::Empty) => {
                return client
                    .say(vec![PgWireBackendMessage::EmptyQueryResponse(
                        EmptyQueryResponse::new(),
                    )])
                    .await;
            }
            None => return Err(error("34000", format!("portal \"{name}\" does not exist"))),
        };
        let most = usize::try_from(message.max_rows)
            .ok()
            .filter(|most| *most > 0);
        client.set_state(PgWireConnectionState::QueryInProgress);
        let mut bound = Bound::begin(client, session.timeout()).await;
        match portal.statement.statement.as_ref() {
            Prepared::Query(plan) => {
                may_go_on(client, &Command::Query(String::new()))?;
                run_portal(&session, client, &portal, plan, most, &mut bound).await?;
            }
            Prepared::Declare { name, hold, plan } => {
                may_go_on(client, &Command::Query(String::new()))?;
                let planned = plan.with_parameters(&portal, session.zone())?;
                perform::declare(&session, client, name, *hold, planned, &mut bound).await?;
            }
            Prepared::Command(command) => {
                may_go_on(client, command)?;
                if let Command::Deallocate(Some(name)) = command {
                    client.portal_store().rm_statement(name);
                }
                let format = &portal.result_column_format;
                perform::command(&session, client, command.clone(), format, false, &mut bound)
                    .await?;
                if client.transaction_status() == TransactionStatus::Idle {
                    client.portal_store().clear_portals();
                }
            }
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        Ok(())
    }

    /// Outside of a transaction a portal lives no longer than to the next `Sync`.
    async fn on_sync<C>(&self, client: &mut C, _message: PgSync) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if client.transaction_status() == TransactionStatus::Transaction {
            client.portal_store().rm_portal(DEFAULT_NAME);
        } else {
            client.portal_store().clear_portals();
        }
        let ready = ReadyForQuery::new(client.transaction_status());
        client
            .say(vec![PgWireBackendMessage::ReadyForQuery(ready)])
            .await?;
        Link::flush(client).await
    }

    async fn do_query<C>(
        &self,
        _client: &mut C,
        _portal: &Portal<Self::Statement>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Err(error("XX000", "queries are answered as they stream"))
    }
}

/// Sends rows of a portal: all, or as many as were asked for, with the rest kept for the next time.
async fn run_portal(
    session: &Session,
    client: &mut dyn Link,
    portal: &Portal<Arc<Prepared>>,
    plan: &Plan,
    most: Option<usize>,
    bound: &mut Bound,
) -> PgWireResult<()> {
    let state = portal.state();
    let mut state = state.lock().await;
    let fields = rows::fields(
        plan.schema(),
        &portal.result_column_format,
        &session.format(),
    )?;
    let mut open = match std::mem::replace(&mut *state, PortalExecutionState::Finished) {
        PortalExecutionState::Initial => {
            let planned = plan.with_parameters(portal, session.zone())?;
            let rows = bound.within(session.run(planned)).await??;
            perform::kept(rows, fields)
        }
        PortalExecutionState::Suspended(open) => open,
        PortalExecutionState::Finished => return client.say(vec![done("SELECT", Some(0))]).await,
    };
    let Sent { rows, all } = perform::send_kept(client, &mut open, most, bound).await?;
    if all {
        return client.say(vec![done("SELECT", Some(rows))]).await;
    }
    *state = PortalExecutionState::Suspended(open);
    client
        .say(vec![PgWireBackendMessage::PortalSuspended(
            PortalSuspended::new(),
        )])
        .await
}

/// What a client of the simple protocol is told before the rows.
pub(super) fn heading(fields: &Arc<Vec<FieldInfo>>, told: bool) -> Vec<PgWireBackendMessage> {
    match told {
        true => vec![described(fields)],
        false => Vec::new(),
    }
}
