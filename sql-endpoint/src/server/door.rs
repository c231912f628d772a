//! The beginning of a session: who the client is, and whether it may come in.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::ScramAuth;
use datafusion_postgres::pgwire::api::auth::{ServerParameterProvider, StartupHandler};
use datafusion_postgres::pgwire::api::{ClientInfo, METADATA_USER, PgWireConnectionState};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::Startup;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::Sink;

use super::Hall;
use super::fault::fatal;
use super::handler::Handler;
use super::session::Session;
use super::users::ITERATIONS;
use super::variables::Variables;
use crate::engine::DATABASE;

/// Lets one client in, or not.
pub(super) struct Door {
    hall: Arc<Hall>,
    handler: Handler,
    /// Whether there are too many clients already.
    full: bool,
    variables: Arc<Mutex<Variables>>,
    scram: SASLAuthStartupHandler<Greeting>,
}

/// What a client is told when it comes in.
struct Greeting(Arc<Mutex<Variables>>);

impl ServerParameterProvider for Greeting {
    fn server_parameters<C: ClientInfo>(&self, _client: &C) -> Option<HashMap<String, String>> {
        let variables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(
            variables
                .reported()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

impl Door {
    /// The door for a client whose messages `handler` is to answer.
    pub(super) fn new(hall: &Arc<Hall>, handler: Handler, full: bool, secure: bool) -> Self {
        let variables = Arc::new(Mutex::new(Variables::default()));
        let mut auth = ScramAuth::new(Arc::new(hall.users()));
        auth.set_iterations(ITERATIONS);
        if let (true, Some(certificate)) = (secure, &hall.certificate)
            && let Err(error) = auth.configure_certificate(certificate)
        {
            tracing::debug!(%error, "passwords are not bound to the TLS channel");
        }
        let scram = SASLAuthStartupHandler::new(Arc::new(Greeting(variables.clone())))
            .with_scram(auth)
            .with_pid_secret_key_generator(hall.keys.clone())
            .with_connection_manager(hall.connections.clone());
        Self {
            hall: hall.clone(),
            handler,
            full,
            variables,
            scram,
        }
    }

    /// Looks at what the client says first.
    fn look<C: ClientInfo>(&self, client: &C, startup: &Startup) -> PgWireResult<()> {
        if self.full {
            return Err(fatal("53300", "sorry, too many clients already"));
        }
        if self.hall.only_encrypted && !client.is_secure() {
            return Err(fatal(
                "28000",
                "connections must be encrypted: connect with sslmode=require or stricter",
            ));
        }
        let told = |name: &str| {
            startup
                .parameters
                .get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
        };
        let user = told("user").ok_or_else(|| fatal("28000", "no user name was given"))?;
        let database = told("database").unwrap_or(user);
        if database != DATABASE {
            return Err(fatal(
                "3D000",
                format!("database \"{database}\" does not exist; there is \"{DATABASE}\""),
            ));
        }
        if told("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
            return Err(fatal("0A000", "replication is not supported"));
        }
        let mut variables = self
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        variables.say("session_authorization", user);
        variables.say(
            "ssl",
            if self.hall.certificate.is_some() {
                "on"
            } else {
                "off"
            },
        );
        for (name, value) in &startup.parameters {
            let own = matches!(
                name.as_str(),
                "user" | "database" | "options" | "replication"
            ) || name.starts_with("_pq_.");
            if !own {
                variables.begin_with(name, value).map_err(at_the_door)?;
            }
        }
        for (name, value) in options(told("options").unwrap_or_default())? {
            variables.begin_with(&name, &value).map_err(at_the_door)?;
        }
        Ok(())
    }

    fn come_in<C: ClientInfo>(&self, client: &C) -> PgWireResult<()> {
        let user = client
            .metadata()
            .get(METADATA_USER)
            .cloned()
            .unwrap_or_default();
        let variables = self
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (pid, _) = client.pid_and_secret_key();
        tracing::info!(user, client = %client.socket_addr(), encrypted = client.is_secure(), "connected");
        let session = Session::new(self.hall.engine.clone(), variables, &user, pid)?;
        self.handler.admit(session);
        Ok(())
    }
}

/// `-c name=value` and `--name=value`, as `PGOPTIONS` has them.
fn options(text: &str) -> PgWireResult<Vec<(String, String)>> {
    let wrong = || {
        fatal(
            "42601",
            "the connection's options are not of the form `-c name=value`",
        )
    };
    let mut pairs = Vec::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let pair = match word {
            "-c" => words.next().ok_or_else(wrong)?,
            word => word
                .strip_prefix("--")
                .or_else(|| word.strip_prefix("-c"))
                .ok_or_else(wrong)?,
        };
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        pairs.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(pairs)
}

/// An error that ends the connection, because it has not begun yet.
fn at_the_door(error: PgWireError) -> PgWireError {
    match error {
        PgWireError::UserError(info) => fatal(&info.code, info.message.clone()),
        other => other,
    }
}

#[async_trait]
impl StartupHandler for Door {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let PgWireFrontendMessage::Startup(startup) = &message {
            self.look(client, startup)?;
        }
        let tried = self.scram.on_startup(client, message).await;
        if let Err(PgWireError::InvalidPassword(_)) = tried {
            let user = client
                .metadata()
                .get(METADATA_USER)
                .cloned()
                .unwrap_or_default();
            tracing::warn!(user, client = %client.socket_addr(), "a wrong user or password");
            // The same for users that there are and that there are not.
            return Err(fatal(
                "28P01",
                format!("password authentication failed for user \"{user}\""),
            ));
        }
        tried?;
        match client.state() {
            PgWireConnectionState::ReadyForQuery => self.come_in(client),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_connection_are_parameters() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options("-c statement_timeout=5s --application-name=x").unwrap(),
            [
                pair("statement_timeout", "5s"),
                pair("application_name", "x")
            ]
        );
        assert!(options("-x").is_err());
        assert!(options("-c").is_err());
    }
}
