//! What can be typed about read models.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use daybook_projections::{Operator, catalog};

use super::OutputArg;

/// The names of all read models, that of the search index last.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    Operator::names().into_iter().chain([catalog::NAME])
}

/// The names that a read model can have.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(all())
}

/// A read model.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The read model
    #[arg(value_parser = names())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

/// What a rebuild is to do.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct Rebuild {
    /// The read models
    #[arg(value_parser = names(), value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Compare what was built with what queries read
    #[arg(long)]
    pub(crate) verify: bool,
    /// Have queries read what was built, unless it differs in what was not expected
    #[arg(long)]
    pub(crate) cutover: bool,
    /// Differences that are expected, as a file in TOML
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub(crate) allow: Option<PathBuf>,
    /// Drop what an earlier rebuild has built, and build nothing
    #[arg(long, conflicts_with_all = ["verify", "cutover"])]
    pub(crate) discard: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Projection {
    /// List the read models: what queries read of each, and how far it is
    #[command(after_help = "\
Examples:
  daybook projection list
  daybook projection list -o json --database postgres://daybook@db/daybook")]
    List(OutputArg),
    /// Tell of every generation of a read model, or of all: position, lag, parked events, owner
    ///
    /// A generation is a set of tables of its own, filled from the first event on. Queries read the
    /// one that is live; one that is being built is not seen by anybody; the one that was live before
    /// is kept as it was, to go back to.
    #[command(after_help = "\
Examples:
  daybook projection status
  daybook projection status orders -o json")]
    Status {
        /// The read model [default: all]
        #[arg(value_parser = names())]
        name: Option<String>,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Build a read model anew beside the one that queries read
    ///
    /// From the first event of the store to its last, at full speed. Queries go on reading the live
    /// one and never see a half-built one. Nothing but rows can come of it: a projection is given
    /// events and rows, and has no means to send, charge or call anything.
    ///
    /// Interrupted or killed, it goes on where it was when it is run again. It may be done while a
    /// server runs, on PostgreSQL and on the file of the data folder, which the two then write by
    /// turns. The search index of the catalog is one of the read models.
    #[command(after_help = "\
Examples:
  daybook projection rebuild orders                     build it, and leave it beside the live one
  daybook projection rebuild --all --verify --cutover   build, compare, and take over what is equal
  daybook projection rebuild sales --verify --cutover --allow expected.toml
  daybook projection rebuild orders --discard           drop what was built
  daybook projection rebuild --all -o jsonl             progress as JSON, one document a line

The file of expected differences, where `*` stands for anything:
  [[expected]]
  table = \"orders\"
  key = \"*\"                    # the key's columns, with / between them
  column = \"cancel_detail\"     # or \"row\" for rows that only one of them has

Exit codes: 0 done, 1 failure, 3 there are differences that were not expected, or it cannot catch
up, 4 somebody else builds it, 130 interrupted.")]
    Rebuild(Rebuild),
    /// Compare what was built with what queries read, at one and the same position
    ///
    /// Counts, checksums by range of keys, and every key that differs with its columns. Rows that were
    /// parked by one and not by the other are differences, too. A running server need not stop.
    #[command(after_help = "\
Examples:
  daybook projection verify orders
  daybook projection verify orders --allow expected.toml -o json

Exit codes: 0 nothing differs but what was expected, 1 failure, 3 there are other differences.")]
    Verify {
        #[command(flatten)]
        of: Named,
        /// Differences that are expected, as a file in TOML; see `rebuild --help`
        #[arg(long, value_name = "FILE")]
        allow: Option<PathBuf>,
    },
    /// Have queries read what was built
    ///
    /// All tables of the read model at once, in one transaction; running servers go on with them.
    /// Refused unless what was built has caught up. What was read before is kept for `rollback`.
    #[command(after_help = "\
Examples:
  daybook projection cutover orders
  daybook projection cutover orders -o json

Exit codes: 0 done, 1 failure, 3 it has not caught up, 4 somebody else works on it.")]
    Cutover(Named),
    /// Have queries read again what they read before the last cutover
    ///
    /// What has happened since is posted to it first, so that nothing stale is read. Rows that another
    /// release filled are refused: go back to that release, and run its `rollback`.
    #[command(after_help = "\
Examples:
  daybook projection rollback orders
  daybook projection rollback orders -o json")]
    Rollback(Named),
    /// Keep what queries read of a read model where it is
    ///
    /// Once this has returned, nothing is written to it any more, by whatever process, also after a
    /// restart. Questions go on being answered, from what is there.
    #[command(after_help = "\
Examples:
  daybook projection pause sales
  daybook projection pause sales -o json")]
    Pause(Named),
    /// Have a paused read model go on
    #[command(after_help = "\
Examples:
  daybook projection resume sales
  daybook projection resume sales -o json")]
    Resume(Named),
}
