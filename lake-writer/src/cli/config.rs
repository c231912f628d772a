//! `config check`, `config print` and `config reference`.

use serde::Serialize;

use super::Arguments;
use super::arguments::{CheckArguments, ConfigCommand};
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure, with_causes};
use super::open;
use super::output::{Output, print, print_json};
use crate::clock::Chance;
use crate::settings::{Settings, effective, effective_toml, reference};
use crate::store::probe::probe;
use crate::writer::assemble::Table;

pub(super) fn run(arguments: &Arguments, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(check_arguments) => check(arguments, check_arguments),
        ConfigCommand::Print => {
            let loaded = arguments.load()?;
            match arguments.output {
                Output::Text => print(&effective_toml(&loaded)),
                Output::Json => print_json(&effective(&loaded)),
            }
        }
        ConfigCommand::Reference => print(&reference()),
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    sound: bool,
    /// What was found, or what is wrong.
    detail: String,
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn new(what: &'static str, found: Result<String, Failure>) -> Self {
        match found {
            Ok(detail) => Self {
                what,
                sound: true,
                detail,
                exit: Exit::Success,
            },
            Err(failure) => Self {
                what,
                sound: false,
                detail: failure.message,
                exit: failure.exit,
            },
        }
    }
}

/// Everything is looked at, whatever else is wrong: one run says all there is to correct.
fn check(arguments: &Arguments, check: &CheckArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let settings = &context.settings;
    let mut findings = vec![
        Finding::new(
            "settings",
            Ok("every key is known and has a sound value".into()),
        ),
        Finding::new("table", table(settings)),
        Finding::new("topic", topic(&context, check.connect)),
    ];
    findings.push(Finding::new("store", store(&context, check.connect)));
    if settings.mirror.mongodb.uri.is_some() {
        let mirror = super::mirror::check(&context, check.connect);
        findings.push(Finding::new("mirror", mirror));
    }
    match arguments.output {
        Output::Text => {
            for finding in &findings {
                let mark = if finding.sound { "ok   " } else { "WRONG" };
                print(&format!(
                    "{mark}  {:<8}  {}\n",
                    finding.what, finding.detail
                ))?;
            }
        }
        Output::Json => print_json(&findings)?,
    }
    let wrong: Vec<&Finding> = findings.iter().filter(|finding| !finding.sound).collect();
    match wrong.first() {
        None => Ok(()),
        Some(first) => {
            let names: Vec<&str> = wrong.iter().map(|finding| finding.what).collect();
            let message = format!("not sound: {}", names.join(", "));
            Err(Failure::new(first.exit, message))
        }
    }
}

fn table(settings: &Settings) -> Result<String, Failure> {
    let Table { schema, spec, .. } = open::table(settings)?;
    let partitioned = match spec.fields.len() {
        0 => "not partitioned".to_owned(),
        _ => format!("partitioned by {}", settings.table.partition_by.join(", ")),
    };
    let columns = schema.columns.len();
    Ok(format!(
        "`{}` with {columns} columns, {partitioned}",
        schema.name
    ))
}

fn topic(context: &Context, connect: bool) -> Result<String, Failure> {
    let kafka = &context.settings.source.kafka;
    let mut source = open::source(&context.settings, &context.clock)
        .map_err(|error| Failure::new(Exit::Usage, with_causes(&error)))?;
    let found = if connect {
        source.identify().map_err(Failure::from).map(|topic| {
            format!(
                "`{}` with {} partitions, id {}",
                topic.name, topic.partitions, topic.topic_id
            )
        })
    } else {
        Ok(format!(
            "`{}` on {}, not asked",
            kafka.topic, kafka.bootstrap_servers
        ))
    };
    source.close();
    found
}

fn store(context: &Context, connect: bool) -> Result<String, Failure> {
    let store = open::store(&context.settings)?;
    if !connect {
        return Ok(format!("{}, not asked", store.url()));
    }
    let id = Chance::from_entropy().hex_id();
    context.runtime.block_on(probe(store.as_ref(), &id))?;
    Ok(format!(
        "{} puts if absent and never overwrites",
        store.url()
    ))
}
