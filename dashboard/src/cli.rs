//! The command: arguments, start, orderly stop.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::analysis::{self, Analysed, Limits};
use crate::calendar::Calendar;
use crate::clock::SystemClock;
use crate::error_chain::ErrorChain;
use crate::feed::{self, Shared};
use crate::figures::{Figurer, History, Scales};
use crate::live::Live;
use crate::mirror::Mirror;
use crate::settings::Settings;
use crate::web::{self, App, Assets, Door};

const EXAMPLES: &str = "\
Examples:
  lake-dashboard                                    the mirror at localhost:27017, page at http://127.0.0.1:8080
  lake-dashboard --config dashboard.toml --listen 0.0.0.0:8080
  lake-dashboard --config dashboard.toml --check    only look at the settings

A settings file, all of it optional; see docs/dashboard.md:
  [mongodb]
  uri = \"mongodb://localhost:27017/?replicaSet=rs0\"
  database = \"lake\"
  [page]
  time_zone = \"Europe/Paris\"
  [auth]
  basic_file = \"users\"    # lines of user:password

Exit codes:
  0  stopped by a signal, or --check found nothing wrong
  1  the address cannot be listened on, or the server failed
  2  the command line or the settings are wrong";

/// A live page and a read-only API over the sales that lake-writer mirrors to MongoDB.
#[derive(Debug, Parser)]
#[command(name = "lake-dashboard", version, after_help = EXAMPLES)]
struct Arguments {
    /// Settings, in TOML
    #[arg(long, value_name = "FILE", env = "LAKE_DASHBOARD_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one and says which
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LAKE_DASHBOARD_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,
    /// Folder of the page, as `make dashboard-page` builds it [default: dashboard-page beside the program
    /// or beside its folder]
    #[arg(long, value_name = "DIR", env = "LAKE_DASHBOARD_PAGE")]
    page: Option<PathBuf>,
    /// Look at the settings and end
    #[arg(long)]
    check: bool,
    /// What to log, such as `debug` or `lake_dashboard=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "LAKE_DASHBOARD_LOG",
        default_value = "info"
    )]
    log: String,
    /// Let the clock stand still at a moment (RFC 3339): for screenshots of data of the past
    #[arg(long, value_name = "MOMENT")]
    now: Option<chrono::DateTime<chrono::FixedOffset>>,
}

/// Parses the arguments, serves until a signal, and says how it ended. Errors go to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}

type Failure = (u8, String);

fn run(arguments: Arguments) -> Result<(), Failure> {
    let wrong = |error: String| (2, error);
    let settings = match &arguments.config {
        Some(path) => Settings::load(path).map_err(|error| wrong(error.to_string()))?,
        None => Settings::default(),
    };
    let door = Door::open(&settings.auth).map_err(wrong)?;
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| wrong(error.to_string()))?;
    if arguments.check {
        println!("the settings are sound");
        return Ok(());
    }
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logs were started before");
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| (1, error.to_string()))?;
    runtime.block_on(serve(arguments, settings, door))
}

async fn serve(arguments: Arguments, settings: Settings, door: Door) -> Result<(), Failure> {
    let mirror = Mirror::open(&settings)
        .await
        .map_err(|error| (2, ErrorChain(&error).to_string()))?;
    let clock = SystemClock::shared(arguments.now.map(|moment| moment.timestamp_millis()));
    let calendar = Calendar(settings.time_zone());
    let shared = Arc::new(Shared::new(calendar, clock, settings.cube.window_days));
    let scales = Scales {
        amount: settings.fields.amount_scale,
        quantity: settings.fields.quantity_scale,
    };
    let history = Arc::new(History::new(shared.clone(), mirror.clone()));
    let limits = Limits {
        days: settings.analysis.days,
        sample: settings.analysis.sample,
    };
    let analysed = Arc::new(Analysed::new(&shared, limits));
    let figurer = Figurer::new(shared.clone(), history, analysed.clone(), scales);
    if door.is_open() {
        tracing::info!("everybody who reaches the address may look; see [auth]");
    }
    let app = Arc::new(App {
        live: Live::new(shared.clone(), figurer.clone(), analysed.clone()),
        shared: shared.clone(),
        figurer,
        analysed: analysed.clone(),
        mirror: mirror.clone(),
        scales,
        page: settings.page,
        assets: page(arguments.page)?,
        door,
    });
    let address = &arguments.listen;
    let failed = |error: std::io::Error| {
        (
            1,
            format!("cannot listen on `{address}`: {error}; choose another --listen"),
        )
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tokio::spawn(analysis::follow(shared.clone(), analysed, mirror.clone()));
    tokio::spawn(feed::follow(shared, mirror));
    tracing::info!(url = %format!("http://{bound}"), "the dashboard is served");
    let server = axum::serve(listener, web::routes(app));
    // Event streams never end by themselves, so a stop does not wait for them.
    tokio::select! {
        served = async { server.await } => served.map_err(|error| (1, error.to_string())),
        stopped = stop_asked() => stopped.map_err(|error| (1, error.to_string())),
    }
}

async fn stop_asked() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// The page that was named, else one that was built beside the program, else none.
fn page(named: Option<PathBuf>) -> Result<Assets, Failure> {
    if let Some(folder) = named {
        return Assets::read(&folder).map_err(|error| {
            (
                2,
                format!(
                    "--page {}: {error}; run `make dashboard-page`",
                    folder.display()
                ),
            )
        });
    }
    let program = std::env::current_exe().unwrap_or_default();
    let found = program.ancestors().skip(1).take(2).find_map(|folder| {
        let folder = folder.join("dashboard-page");
        Assets::read(&folder).ok()
    });
    if found.is_none() {
        tracing::warn!("the page is not built, only the API is served; run `make dashboard-page`");
    }
    Ok(found.unwrap_or_default())
}
