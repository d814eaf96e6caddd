use std::fmt;

macro_rules! reached {
    ($($name:ident $text:literal,)*) => {
        /// What a schedule can reach, so that one sees that it does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reached {
            $(#[doc = $text] $name,)*
        }

        const NAMES: &[&str] = &[$($text),*];
    };
}

reached! {
    Commit "commits",
    Acknowledged "appends acknowledged",
    SeveralStreams "appends over several streams acknowledged",
    Conflict "appends refused for their expected revision",
    Repeated "appends repeated and answered as the first time",
    IdReused "appends refused for an id of another append to the stream",
    Ended "writes refused for a stream that has ended",
    ReadOfEnded "reads refused for a stream that has ended",
    Scavenge "scavenges asked for",
    Rewritten "segments written anew",
    BackedUp "backups taken beside other actors",
    Looked "whole stores read without their lock, beside other actors",
    Refused "commits refused for a full disk",
    Stopped "commits that stopped the store",
    Maintained "background steps",
    StreamRead "reads of a stream",
    IndexRead "reads of an index stream",
    AllRead "reads of all streams",
    Aged "events too old for their stream's readers",
    Tail "tails begun or resumed",
    TailEvent "events that tails delivered",
    NestedCommit "commits within another actor's I/O",
    AskedAhead "appends asked for within a commit's I/O",
    RefusedAhead "of these, refused with that commit",
    NestedMaintenance "background steps within another actor's I/O",
    NestedRead "reads within another actor's I/O",
    PowerFailure "power failures",
    Kill "processes killed",
    Close "clean closes",
    Recovery "recoveries",
    CrashInCommit "power failures within a commit",
    CrashInMaintenance "power failures within a background step",
    CrashInOpening "power failures and kills within a recovery",
    Survived "recoveries with an unacknowledged commit that survived",
    Vanished "recoveries with an unacknowledged commit that did not",
    Torn "files with unsynced changes torn by a power failure",
    EntryLost "changes of the folder lost by a power failure",
    ShortRead "short reads",
    ShortWrite "short writes",
    Interrupt "interrupted calls",
    ReadError "failed reads",
    WriteError "failed writes",
    SyncError "failed syncs",
    Misdirected "misdirected reads",
    Full "writes to a full disk",
    Healed "commits accepted after the disk had been full",
    Flip "bits flipped at rest",
    Misplaced "sectors with the bytes of another place",
    Zeroed "sectors lost",
    DamageAtOpening "damage reported by opening",
    DamageAtRead "damage reported by a read",
    DamageAtCommit "damage reported by an append",
    TailCut "damaged last frames that pass for torn",
    Prepared "stretches of zeros written ahead of the log",
    SegmentBegun "segments begun",
    Sealed "indexes written",
    RunWritten "runs of the index written",
    Merged "runs removed, most of them once they were merged",
}

/// How often each was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage([u64; NAMES.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Coverage {
    pub(crate) fn add(&mut self, what: Reached) {
        self.0[what as usize] += 1;
    }

    /// How often this was reached.
    pub fn count(&self, what: Reached) -> u64 {
        self.0[what as usize]
    }

    /// What was never reached.
    pub fn missing(&self) -> Vec<&'static str> {
        self.0.iter().zip(NAMES).filter(|(count, _)| **count == 0).map(|(_, name)| *name).collect()
    }
}

impl std::ops::AddAssign<&Self> for Coverage {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().zip(NAMES).try_for_each(|(count, name)| writeln!(f, "{count:>14}  {name}"))
    }
}
