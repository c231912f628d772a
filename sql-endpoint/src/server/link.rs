//! The way back to a client.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::results::{FieldInfo, Tag};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::data::RowDescription;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use futures::{Sink, SinkExt as _};

/// A client that can be told something.
#[async_trait]
pub(super) trait Link: ClientInfo + Send + Sync {
    /// Sends messages in order. They may wait for the next [`Link::flush`], for no longer than until some
    /// kilobytes have come together. Dropped in between, it has sent the first ones.
    async fn say(&mut self, messages: Vec<PgWireBackendMessage>) -> PgWireResult<()>;

    /// Sends what waits.
    async fn flush(&mut self) -> PgWireResult<()>;
}

#[async_trait]
impl<C> Link for C
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    async fn say(&mut self, messages: Vec<PgWireBackendMessage>) -> PgWireResult<()> {
        for message in messages {
            self.feed(message).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> PgWireResult<()> {
        futures::SinkExt::flush(self).await?;
        Ok(())
    }
}

/// That a statement is done: `SELECT 5`, `BEGIN`.
pub(super) fn done(tag: &str, rows: Option<usize>) -> PgWireBackendMessage {
    let tag = Tag::new(tag);
    let tag = match rows {
        Some(rows) => tag.with_rows(rows),
        None => tag,
    };
    PgWireBackendMessage::CommandComplete(tag.into())
}

/// What the columns of the rows to come are.
pub(super) fn described(fields: &Arc<Vec<FieldInfo>>) -> PgWireBackendMessage {
    PgWireBackendMessage::RowDescription(RowDescription::new(
        fields.iter().map(Into::into).collect(),
    ))
}

/// That parameters have other values.
pub(super) fn reported(
    told: impl IntoIterator<Item = (String, String)>,
) -> Vec<PgWireBackendMessage> {
    told.into_iter()
        .map(|(name, value)| {
            PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))
        })
        .collect()
}
