//! `lake-sql` without a command: the server.

use std::net::ToSocketAddrs as _;
use std::time::Duration;

use lake_writer::cli::{Exit, Failure};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::open::open;
use super::{Arguments, print};
use crate::server::{Options, Server, Tls, Users};

/// Signals this soon after the first are the same wish: `timeout` and some supervisors signal the process
/// and then its group.
const SAME_WISH: Duration = Duration::from_millis(500);

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let users_file = arguments.users.clone().ok_or_else(|| {
        usage("--users is missing: name a file that `lake-sql add-user` has written, so that somebody may connect".into())
    })?;
    let users = Users::open(&users_file).map_err(|error| usage(error.to_string()))?;
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Tls::open(certificate, key).map_err(|error| usage(error.to_string()))?)
        }
        _ => None,
    };
    if tls.is_none() && !arguments.allow_plaintext {
        only_this_machine(&arguments.listen)?;
    }
    let options = Options {
        users: users_file,
        tls,
        allow_plaintext: arguments.allow_plaintext,
        max_connections: usize::from(arguments.max_connections),
        grace: arguments.stop_timeout,
    };
    let runtime = runtime()?;
    let cut = runtime.block_on(serve(arguments, users, options))?;
    // What still runs is not waited for.
    runtime.shutdown_background();
    match cut {
        0 => Ok(()),
        cut => Err(Failure::new(
            Exit::Interrupted,
            format!("stopped while {cut} statements were running"),
        )),
    }
}

/// A runtime whose threads have room for statements that are nested deeply.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(16 << 20)
        .build()
        .map_err(|error| Failure::of(Exit::Failure, "start", &error))
}

fn only_this_machine(listen: &str) -> Result<(), Failure> {
    let addresses = listen.to_socket_addrs().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("--listen {listen}: {error}; write it as 127.0.0.1:5433"),
        )
    })?;
    for address in addresses {
        if !address.ip().is_loopback() {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "--listen {listen} can be reached from other machines, and nothing would be encrypted: give \
                     --tls-certificate and --tls-key, or --allow-plaintext where the network itself is trusted"
                ),
            ));
        }
    }
    Ok(())
}

async fn serve(arguments: &Arguments, users: Users, options: Options) -> Result<usize, Failure> {
    let stop = stop_on_signals()?;
    let engine = open(arguments).await?;
    let encrypted = options.tls.is_some();
    let server = Server::bind(&arguments.listen, engine, users, options)
        .await
        .map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!(
                    "cannot listen at `{}`: {error}; choose another --listen",
                    arguments.listen
                ),
            )
        })?;
    let address = server.address();
    // The one line on standard output: whoever waits for it knows that the server listens, and where.
    print(&format!("listening at {address}\n"))?;
    tracing::info!(%address, encrypted, database = crate::engine::DATABASE, "listening");
    Ok(server.serve(stop).await)
}

/// Says stop at the first signal and ends the process at the second.
fn stop_on_signals() -> Result<watch::Receiver<bool>, Failure> {
    let failed = |error: std::io::Error| Failure::of(Exit::Failure, "listen to signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("asked to stop; one more signal stops at once");
        told.send_replace(true);
        let again = tokio::time::Instant::now() + SAME_WISH;
        loop {
            either(&mut terminate, &mut interrupt).await;
            if tokio::time::Instant::now() >= again {
                tracing::warn!("stopped at once");
                std::process::exit(i32::from(Exit::Interrupted as u8));
            }
        }
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
