//! What can be typed about what could not be processed.

use clap::{Args, Subcommand};

use super::OutputArg;
use crate::dlq::LetterId;

/// Which letters a command is about.
#[derive(Debug, Args)]
pub(crate) struct DlqChoice {
    /// Only those of this source: projections, processes, consumers, search
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Only those about this key: a stream such as `stock-WIDGET`, or a process's instance such as
    /// `checkout-<order id>`
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

impl DlqChoice {
    /// Whether a letter about this key is meant.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        self.key.as_deref().is_none_or(|wanted| wanted == key)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List what could not be processed, and why
    ///
    /// `projections` are events that a read model could not read or apply, and the later events of
    /// the same stream, which are held back behind them; other streams go on. `search` are
    /// events that the catalog's search index lacks, since it could not read them or the document of
    /// their product was refused. `processes` are commands of process managers that could not be
    /// carried out. `consumers` are events that could
    /// not be published to Kafka (`relay`) or consumed (`notifications`, `analytics`), those behind
    /// them on their key, and notifications that could not be sent (`delivery`).
    ///
    /// Where a source cannot be asked, the letters of the others are listed, and standard error says
    /// which it is and why.
    #[command(after_help = "\
Examples:
  daybook dlq list
  daybook dlq list --source projections --key stock-WIDGET
  daybook dlq list --discarded
  daybook dlq list -o jsonl

Exit codes: 0 everything is listed, 1 failure, 3 a source, or a database of it, could not be asked.")]
    List {
        #[command(flatten)]
        choice: DlqChoice,
        /// List what was given up instead: why, by whom and when
        #[arg(long)]
        discarded: bool,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Show one with everything that is known of it
    ///
    /// The event or command as it was written, as it is read today (upcast to the newest form), its
    /// metadata, the error and what caused it, the attempts and the position.
    #[command(after_help = "\
Examples:
  daybook dlq show projections/stock/1234
  daybook dlq show processes/checkout/0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11 -o json")]
    Show {
        /// Its id, as listed
        id: LetterId,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Try it again, once the cause is mended
    ///
    /// Events are read in their newest form and applied in the order of their stream: those before
    /// the one that is named go first, and none goes after one that fails. It may be done while a
    /// server runs, which goes on with the stream afterwards; for `processes` in the data folder the
    /// server must be stopped, or asked through its API. For `search` the index is built anew beside
    /// the one that is read, whichever of its events are named.
    #[command(after_help = "\
Examples:
  daybook dlq replay --all --dry-run
  daybook dlq replay projections/stock/1234
  daybook dlq replay --all --source projections --key stock-WIDGET

Exit codes: 0 all is done, 1 failure, 3 something stays parked.")]
    Replay {
        /// Ids, as listed
        #[arg(required_unless_present = "all", value_name = "ID")]
        ids: Vec<LetterId>,
        /// Everything, or everything of a source or key
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        choice: DlqChoice,
        /// Say what would become of it, and leave everything as it is
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Give one up
    ///
    /// A read model goes on without the event, also when it is built anew, and what was held back
    /// behind it is applied. The search index lacks it either way, and is no longer said to. A process goes on as if its command had been refused.
    #[command(after_help = "\
Examples:
  daybook dlq discard projections/stock/1234 --reason 'counted twice by the old till'
  daybook dlq discard processes/checkout/0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11 --reason refunded

Exit codes: 0 done, 1 failure, 3 done, and what was behind it stays parked.")]
    Discard {
        /// Its id, as listed
        id: LetterId,
        /// Why, for the record
        #[arg(long)]
        reason: String,
        /// Who says so, for the record
        #[arg(long, env = "USER", default_value = "cli", hide_env_values = true)]
        by: String,
        #[command(flatten)]
        output: OutputArg,
    },
}
