//! What PostgreSQL's catalogues say, where `datafusion-pg-catalog` says it otherwise or not at all.
//!
//! Its tables are filled from the tables that are served; here are the exceptions: decimals with their
//! precision, parameters, users, and whatever belongs to one session.

pub(crate) mod functions;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;

use super::SharedVariables;
use super::nothing::EMPTY;
pub(crate) use tables::{OWN, OWNER};

/// Whose session it is.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) user: String,
    pub(crate) pid: i32,
    pub(crate) variables: SharedVariables,
}

/// The catalogues as they are for everybody.
#[derive(Clone, Debug)]
pub(crate) struct Catalogues {
    inner: Arc<dyn SchemaProvider>,
    fixed: Arc<HashMap<&'static str, Arc<dyn TableProvider>>>,
}

impl Catalogues {
    /// Reads what the tables served now come to in the catalogues.
    pub(crate) async fn read(
        context: &SessionContext,
        inner: Arc<dyn SchemaProvider>,
        served: &dyn SchemaProvider,
    ) -> Result<Self, DataFusionError> {
        let mut fixed = HashMap::from([
            ("pg_attribute", tables::attributes(context, served).await?),
            ("pg_database", tables::databases(context).await?),
        ]);
        for name in EMPTY {
            // The engine's list those of PostgreSQL's own catalogues, which have no keys here.
            if let Some(full) = inner.table(name).await? {
                let empty = EmptyTable::new(full.schema());
                fixed.insert(name, Arc::new(empty) as Arc<dyn TableProvider>);
            }
        }
        Ok(Self {
            inner,
            fixed: Arc::new(fixed),
        })
    }

    /// The catalogues of a session.
    pub(crate) fn seen_by(&self, client: Client) -> Catalogue {
        Catalogue {
            all: self.clone(),
            client,
        }
    }
}

/// The catalogues of a session.
#[derive(Debug)]
pub(crate) struct Catalogue {
    all: Catalogues,
    client: Client,
}

#[async_trait]
impl SchemaProvider for Catalogue {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.all.inner.table_names();
        names.extend(tables::OWN.iter().map(ToString::to_string));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(fixed) = self.all.fixed.get(name) {
            return Ok(Some(fixed.clone()));
        }
        match tables::of_session(name, &self.client)? {
            Some(table) => Ok(Some(table)),
            None => self.all.inner.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        tables::OWN.contains(&name) || self.all.inner.table_exist(name)
    }
}
