//! What can be typed about integration events and their consumers.

use chrono::NaiveDate;
use clap::{Subcommand, ValueEnum};
use daybook_domain::values::CustomerId;
use daybook_integration::notifications::Medium;
use uuid::Uuid;

use super::OutputArg;

#[derive(Debug, Subcommand)]
pub(crate) enum Notifications {
    /// Consume events from Kafka and tell customers, in a process of its own
    ///
    /// `serve` does it by itself. As many may run as there are partitions. With --listen its metrics
    /// are on that address.
    #[command(after_help = "\
Example:
  daybook notifications run --kafka kafka:9092 --database postgres://db/daybook --smtp smtps://mail")]
    Run,
    /// List what customers were told, or were to be told, newest first
    #[command(after_help = "\
Examples:
  daybook notifications list
  daybook notifications list --status failed -o jsonl")]
    List {
        /// Only about this order
        #[arg(long, value_name = "ID")]
        order: Option<Uuid>,
        /// Only those that are: pending, sent, unwanted, failed, discarded
        #[arg(long, value_name = "STATUS", value_parser = ["pending", "sent", "unwanted", "failed", "discarded"])]
        status: Option<String>,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        last: u32,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Note how a customer wants to be told
    ///
    /// Without a word from them, letters go to the e-mail address of their account, and nothing else
    /// is sent.
    #[command(after_help = "\
Examples:
  daybook notifications prefer 0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11 email off
  daybook notifications prefer 0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11 sms on --address +442071234567")]
    Prefer {
        /// The customer's id
        #[arg(value_parser = |id: &str| id.parse::<CustomerId>())]
        customer: CustomerId,
        /// By which means
        medium: MediumArg,
        /// Whether they want it
        wanted: Wanted,
        /// An e-mail address, a phone number, or a device's token
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
    },
}

/// The means of telling.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MediumArg {
    /// A letter
    Email,
    /// A text to a phone
    Sms,
    /// A text to a device
    Push,
}

impl From<MediumArg> for Medium {
    fn from(medium: MediumArg) -> Self {
        match medium {
            MediumArg::Email => Self::Email,
            MediumArg::Sms => Self::Sms,
            MediumArg::Push => Self::Push,
        }
    }
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// It is
    On,
    /// It is not
    Off,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Analytics {
    /// Consume events from Kafka and count, in a process of its own
    ///
    /// `serve` does it by itself. As many may run as there are partitions. With --listen its metrics
    /// are on that address.
    #[command(after_help = "\
Example:
  daybook analytics run --kafka kafka:9092 --database postgres://db/daybook")]
    Run,
    /// Show orders, revenue, conversion, cancellations and top products
    ///
    /// Everything is counted by the time that the events say, in UTC.
    #[command(after_help = "\
Examples:
  daybook analytics show
  daybook analytics show --from 2011-12-01 --to 2011-12-09 -o json
  daybook analytics show --by minute")]
    Show {
        /// The first day [default: 29 days before the last]
        #[arg(long, value_name = "DATE")]
        from: Option<NaiveDate>,
        /// The last day [default: today]
        #[arg(long, value_name = "DATE")]
        to: Option<NaiveDate>,
        /// By the day, or by the minute (at most two days)
        #[arg(long, value_name = "STEP", value_enum, default_value_t)]
        by: By,
        #[command(flatten)]
        output: OutputArg,
    },
}

/// How finely figures are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Each minute
    Minute,
    /// Each day
    #[default]
    Day,
}
