use std::cell::Cell;

/// What a disk can say without doing it: what an engine comes to that leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Syncs of segments do nothing.
    SegmentSync,
    /// Syncs of folders do nothing.
    FolderSync,
    /// Syncs of files that are to be renamed do nothing.
    SyncBeforeRename,
}

impl Lie {
    /// All of them, and what each comes to.
    pub const ALL: &[(Self, &str)] = &[
        (Self::SegmentSync, "segments are not synced"),
        (Self::FolderSync, "folders are not synced"),
        (Self::SyncBeforeRename, "files are renamed before they are synced"),
    ];
}

thread_local! {
    static TOLD: Cell<Option<Lie>> = const { Cell::new(None) };
}

/// Has every disk of this thread tell a lie from now on, or none.
pub fn tell(lie: Option<Lie>) {
    TOLD.set(lie);
}

pub(super) fn is_told(lie: Lie) -> bool {
    TOLD.get() == Some(lie)
}
