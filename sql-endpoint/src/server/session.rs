//! One client's session: its parameters, its transaction, its cursors, and its view of the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::prelude::SessionContext;
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::fault::error;
use super::query::{Plan, Planned};
use super::rows::Rows;
use super::variables::Variables;
use crate::engine::Engine;
use crate::zone::Zone;

/// Parameters that a session shares with the functions that tell of them.
pub(crate) type SharedVariables = Arc<Mutex<Variables>>;

/// A session, from the moment that its client has proved who it is.
pub(super) struct Session {
    engine: Arc<Engine>,
    variables: SharedVariables,
    context: SessionContext,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cursors: HashMap<String, Cursor>,
    savepoints: Vec<String>,
    /// The parameters at the beginning of the transaction, and the names that were set for it alone.
    before: Option<Variables>,
    local: Vec<String>,
}

/// A query that is read a few rows at a time.
pub(super) struct Cursor {
    /// Whether it outlives its transaction.
    pub(super) hold: bool,
    /// What is left to read.
    pub(super) rows: Rows,
}

/// Locks what no panic leaves half done: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The zone of a session, for rules that outlive a statement.
pub(crate) fn zone_of(variables: &SharedVariables) -> Zone {
    lock(variables).zone()
}

impl Session {
    /// A session of a user; `pid` is what the client was told to cancel by.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn new(
        engine: Arc<Engine>,
        variables: Variables,
        user: &str,
        pid: i32,
    ) -> PgWireResult<Self> {
        let variables = Arc::new(Mutex::new(variables));
        let context = engine
            .session(&variables, user, pid)
            .map_err(|cause| super::fault::of_engine(&cause))?;
        Ok(Self {
            engine,
            variables,
            context,
            state: Mutex::default(),
        })
    }

    /// Plans a query for this session.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub(super) async fn plan(&self, text: &str) -> PgWireResult<Plan> {
        Plan::of(&self.context, self.engine.parser(), text).await
    }

    /// Begins to run a plan whose parameters are all given.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) async fn run(&self, planned: Planned) -> PgWireResult<Rows> {
        planned.run(&self.context, self.zone()).await
    }

    /// The bound of a statement: the server's, or a lower one of the session.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let own = lock(&self.variables).statement_timeout();
        match (own, self.engine.limits().statement_timeout) {
            (Some(own), Some(server)) => Some(own.min(server)),
            (own, server) => own.or(server),
        }
    }

    /// How values are written as text.
    pub(super) fn format(&self) -> Arc<FormatOptions> {
        Arc::new(lock(&self.variables).format())
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// 42704 for one that is not known.
    pub(super) fn show(&self, name: &str) -> PgWireResult<String> {
        lock(&self.variables).get(name).map(str::to_owned)
    }

    /// Every parameter: name, value, description.
    pub(super) fn show_all(&self) -> Vec<[String; 3]> {
        let variables = lock(&self.variables);
        variables
            .all()
            .map(|(name, value, _, about)| [name.into(), value.into(), about.into()])
            .collect()
    }

    /// Sets a parameter and says what to tell the client.
    ///
    /// # Errors
    /// As [`Variables::set`].
    pub(super) fn set(
        &self,
        name: &str,
        value: Option<&str>,
        local: bool,
        in_transaction: bool,
    ) -> PgWireResult<Option<(String, String)>> {
        if local && !in_transaction {
            // As PostgreSQL has it: a warning at most, and no effect.
            lock(&self.variables).get(name)?;
            return Ok(None);
        }
        let told = {
            let mut variables = lock(&self.variables);
            variables.set(name, value)?;
            variables
                .report(&name.to_ascii_lowercase())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        if local {
            lock(&self.state).local.push(name.to_owned());
        }
        Ok(told)
    }

    /// All parameters as they were at the beginning; with `discard`, no cursors either.
    pub(super) fn reset(&self, discard: bool) -> Vec<(String, String)> {
        lock(&self.variables).reset();
        if discard {
            lock(&self.state).cursors.clear();
        }
        self.reported()
    }

    /// What clients are told of all parameters.
    pub(super) fn reported(&self) -> Vec<(String, String)> {
        let variables = lock(&self.variables);
        variables
            .reported()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The zone in which times are cut and told.
    pub(super) fn zone(&self) -> Zone {
        lock(&self.variables).zone()
    }

    /// A transaction begins.
    pub(super) fn begin(&self) {
        let before = lock(&self.variables).clone();
        let mut state = lock(&self.state);
        state.before = Some(before);
        state.local.clear();
        state.savepoints.clear();
    }

    /// A transaction ends. What it declared is gone unless it was to be held; what it set is undone if it
    /// was set for the transaction alone, or the transaction was given up.
    pub(super) fn end(&self, well: bool) -> Vec<(String, String)> {
        let (before, local) = {
            let mut state = lock(&self.state);
            state.savepoints.clear();
            state.cursors.retain(|_, cursor| cursor.hold);
            (state.before.take(), std::mem::take(&mut state.local))
        };
        let Some(before) = before else {
            return Vec::new();
        };
        let changed = {
            let mut variables = lock(&self.variables);
            if well {
                for name in &local {
                    variables.take_from(&before, name);
                }
                !local.is_empty()
            } else {
                *variables = before;
                true
            }
        };
        if !changed {
            return Vec::new();
        }
        self.reported()
    }

    /// Names a point of the transaction.
    pub(super) fn savepoint(&self, name: &str) {
        lock(&self.state).savepoints.push(name.to_owned());
    }

    /// Goes back to a point, which stays, or forgets it.
    ///
    /// # Errors
    /// 3B001 if there is no such point.
    pub(super) fn to_savepoint(&self, name: &str, forget: bool) -> PgWireResult<()> {
        let mut state = lock(&self.state);
        let at = state.savepoints.iter().rposition(|known| known == name);
        let at =
            at.ok_or_else(|| error("3B001", format!("savepoint \"{name}\" does not exist")))?;
        state.savepoints.truncate(if forget { at } else { at + 1 });
        Ok(())
    }

    /// Keeps a cursor.
    ///
    /// # Errors
    /// 42P03 if there is one of that name, 53400 if there are too many.
    pub(super) fn declare(&self, name: &str, cursor: Cursor) -> PgWireResult<()> {
        let mut state = lock(&self.state);
        if state.cursors.contains_key(name) {
            return Err(error("42P03", format!("cursor \"{name}\" already exists")));
        }
        if state.cursors.len() >= 100 {
            return Err(error("53400", "a session has at most 100 open cursors"));
        }
        state.cursors.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// Does something with a cursor's rows' schema.
    ///
    /// # Errors
    /// 34000 if there is no such cursor.
    pub(super) fn cursor<T>(&self, name: &str, look: impl FnOnce(&Cursor) -> T) -> PgWireResult<T> {
        lock(&self.state)
            .cursors
            .get(name)
            .map(look)
            .ok_or_else(|| no_cursor(name))
    }

    /// Takes a cursor out, to be read and put back.
    ///
    /// # Errors
    /// 34000 if there is no such cursor.
    pub(super) fn take_cursor(&self, name: &str) -> PgWireResult<Cursor> {
        lock(&self.state)
            .cursors
            .remove(name)
            .ok_or_else(|| no_cursor(name))
    }

    /// Puts back a cursor that was taken out.
    pub(super) fn put_cursor(&self, name: &str, cursor: Cursor) {
        lock(&self.state).cursors.insert(name.to_owned(), cursor);
    }

    /// Forgets a cursor, or all.
    ///
    /// # Errors
    /// 34000 if there is no such cursor.
    pub(super) fn close(&self, name: Option<&str>) -> PgWireResult<()> {
        match name {
            Some(name) => self.take_cursor(name).map(drop),
            None => {
                lock(&self.state).cursors.clear();
                Ok(())
            }
        }
    }
}

fn no_cursor(name: &str) -> datafusion_postgres::pgwire::error::PgWireError {
    error("34000", format!("cursor \"{name}\" does not exist"))
}
