//! Exit codes: what a script can tell from them.
//!
//! Owns the numbers and their meaning.

use crate::deliver::DeliverError;
use crate::run::RunError;

/// Everything was made and delivered; also after a signal, for all that was made until then.
pub const DONE: u8 = 0;
/// The command line is wrong: nothing was sent.
pub const USAGE: u8 = 2;
/// No broker answers, or it does not let us in: nothing was sent.
pub const BROKER: u8 = 3;
/// The topic is missing, different or cannot be made: nothing was sent.
pub const TOPIC: u8 = 4;
/// At least one message was not delivered, or is not known to be.
pub const UNDELIVERED: u8 = 5;
/// The file that is replayed, or another input, cannot be read or has a line that is not a sale.
pub const INPUT: u8 = 6;
/// Standard output or the summary file cannot be written.
pub const OUTPUT: u8 = 7;
/// A signal ended the program before it had begun, or a second one before it had ended.
pub const INTERRUPTED: u8 = 130;

/// The codes for the help text.
pub const HELP: &str = "\
Exit codes:
  0    all delivered; also after SIGINT or SIGTERM, for what was made until then
  2    wrong command line or client property; nothing was sent
  3    no broker answers, or it refuses us; nothing was sent
  4    the topic is missing, has other partitions or cannot be made; nothing was sent
  5    messages were not delivered, or are not known to be: see the summary
  6    an input file cannot be read or has a line that is not a sale
  7    standard output or the summary file cannot be written
  130  stopped before the first message, or by a second signal";

/// The code of a failed delivery.
pub fn of_delivery(error: &DeliverError) -> u8 {
    match error {
        DeliverError::Settings { .. } | DeliverError::WithoutTransactions => USAGE,
        DeliverError::Unreachable { .. } | DeliverError::Refused { .. } => BROKER,
        DeliverError::NoTopic { .. }
        | DeliverError::OtherPartitions { .. }
        | DeliverError::Topic { .. } => TOPIC,
        DeliverError::Fatal { .. } | DeliverError::Transaction { .. } => UNDELIVERED,
        DeliverError::Output(_) => OUTPUT,
        DeliverError::Interrupted => INTERRUPTED,
    }
}

/// The code of a failed run.
pub fn of_run(error: &RunError) -> u8 {
    match error {
        RunError::Deliver(error) => of_delivery(error),
        RunError::Replay(_) => INPUT,
    }
}
