//! Bugs that are planted on purpose, one at a time, to see that the tests find them. Without the
//! feature `planted-bugs`, as in every product, they are not there at all.

macro_rules! bugs {
    ($($name:ident $text:literal,)*) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $text] $name,)*
        }

        #[cfg(feature = "planted-bugs")]
        impl Bug {
            /// All of them, and what each does.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, $text)),*];
        }
    };
}

bugs! {
    LateSync "a frame is synced when the next one is written, after it was answered",
    RetriedSync "a failed sync is tried again, and believed",
    PublishedBeforeSync "readers are shown a frame before it is synced",
    NoRecordCrc "the checksum of a record is not looked at",
    CrcOverHeader "the checksum of a record covers its header alone",
    CrcWithoutPosition "the checksum of a record does not cover its position",
    RollOverOffByOne "the next segment begins one position late",
    IdsBehindLog "the last event of each commit is not in the id index",
    IdsOfCommitUnseen "the appends of one commit do not see each other's ids",
    BehindKept "what was staged behind a frame that a full disk refused stays staged",
    FlightUnheeded "an append is judged without a look at the frame that is being written",
    IdsOverStreams "an event's id is taken for that of another stream's event",
    TornTailKept "a torn tail is not cut off: frames are written after it",
    DamageCutOff "a damaged frame is cut off without a look at what comes after it",
    CutAtFirstSight "what looks torn is cut off without a second look",
    HalfFrame "the good records of a torn frame are taken for whole",
    ZerosEndLog "zeros where a frame must begin are taken for the end of the log, whatever comes after them",
    ZerosTooEarly "the zeros that are prepared for frames begin in the last one's end",
    ZerosLeft "the zeros that were prepared stay where a segment is closed",
    RevisionsForgotten "what was written before the store was opened does not count as a stream's revision",
    LastFrameUnsynced "the last frame is not written again when the store is opened",
    EmptyFrameUnsynced "an empty last frame is not written again when the store is opened",
    FormatUnsynced "the folder is not synced by whoever finds it just made",
    BegunUnheeded "a segment that was only begun says nothing of the one before",
    FullNotTakenBack "what a full disk left of a frame is not taken back",
    StopNotSticky "the store goes on after it had to stop",
    ClockGoesBack "the recorded time follows a clock that goes back",
    InterruptIsFatal "an interrupted write is an error",
    ShortWriteIgnored "a write that took fewer bytes is taken for whole",
    ShortReadIgnored "a read that gave fewer bytes is taken for whole",
    StaleIndex "an index is taken for its segment's without a look at salt and length",
    MergeLosesEntries "merging runs loses entries",
    StaleCache "blocks of a segment that was written anew are read from the cache of the old one",
    StaleGroups "a list's events are read as they were copied before a segment was written anew",
    ScavengedLive "the scavenger drops one event that is live",
    ScavengedRevision "the scavenger gives the events of a segment other revisions",
    HuskWithoutId "the scavenger forgets the ids of the events that it drops",
    TailSkips "a tail passes an event by where it goes from one chunk to the next",
    ChecksUnheeded "a transaction takes place although its checks do not hold",
    EndedStreamWritten "a stream that has ended can be written to after it was opened again",
    BackupUnsynced "a backup's files are not synced",
    UnboundedRead "a read shows events that the stream's metadata excludes",
    AgeUnheeded "a read shows events that are older than their stream lets them be",
    ScavengedYoung "the scavenger takes events for older than they are",
    OrdinalsForgotten "the ordinals of an index stream begin anew with each segment",
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug on this thread, in place of the one before; `None` plants none.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted on this thread.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this bug is planted: none is.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}
