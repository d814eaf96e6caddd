//! The order of the real process's calls to the system: an acknowledgement comes after a sync that
//! came after the write. A kill alone cannot show that, since what is not synced survives it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::ledger::Broken;
use crate::program::Said;
use crate::trace::{Call, is_segment};

/// The acknowledgements and renames of a process's trace that were not preceded by what makes
/// them durable.
///
/// What comes before all that the process wrote was durable before it: a frame is only written
/// after those before it are.
pub(crate) fn broken(calls: &[Call]) -> Vec<Broken> {
    let durable = durable(calls);
    let first = calls.iter().filter_map(Call::frame).map(|frame| frame.first).min();
    let mut broken = Vec::new();
    for call in calls {
        if let Some(Said::Done(id, places)) = call.said() {
            let early = |position: u64| {
                let new = first.is_some_and(|first| position >= first);
                new && durable.get(&position).is_none_or(|at| *at >= call.begin)
            };
            for place in places.iter().filter(|place| early(place.position.0)) {
                broken.push(format!("{id:?} was acknowledged before a sync: {place:?}"));
            }
        }
        if call.name.starts_with("rename") && call.succeeded() {
            broken.extend(check_rename(calls, call).err());
        }
    }
    broken
}

/// For each position since which line of the trace its event is durable: its frame was written
/// whole, then its file was synced, and the folder since the file was made.
fn durable(calls: &[Call]) -> BTreeMap<u64, usize> {
    let mut durable = BTreeMap::new();
    let mut entries: BTreeMap<PathBuf, Option<usize>> = BTreeMap::new();
    for call in calls {
        let Some(frame) = call.frame() else { continue };
        let file = call.file();
        let entry = *entries.entry(file.clone()).or_insert_with(|| entry(calls, &file));
        let Some(written) = written(calls, call) else { continue };
        let Some((synced, entry)) = synced(calls, &file, written).zip(entry) else { continue };
        for position in frame.first..frame.first + frame.count {
            durable.entry(position).or_insert(synced.max(entry));
        }
    }
    durable
}

/// In which line all that a write was to write is written: it may take several.
fn written(calls: &[Call], write: &Call) -> Option<usize> {
    let file = write.file();
    let mut at = write.write()?.offset;
    let last = at + write.write()?.wanted;
    for call in calls.iter().filter(|call| call.begin >= write.begin && call.file() == file) {
        let Some(write) = call.write() else { continue };
        if !call.succeeded() || write.offset != at {
            return None;
        }
        at += write.done;
        if at >= last {
            return Some(call.end);
        }
    }
    None
}

/// The end of the first sync of a file that began after a line, if it succeeded. One that comes
/// after one that failed says nothing: the failed one may have dropped the pages.
fn synced(calls: &[Call], file: &Path, after: usize) -> Option<usize> {
    let syncs = calls.iter().filter(|call| call.syncs(file) && call.begin > after);
    let first = syncs.min_by_key(|call| call.end)?;
    first.succeeded().then_some(first.end)
}

/// Since which line a file's entry in its folder is durable; since ever where the process has not
/// made it.
fn entry(calls: &[Call], file: &Path) -> Option<usize> {
    let folder = file.parent().unwrap();
    let Some(made) = calls.iter().find(|call| call.creates(file)) else { return Some(0) };
    let of_file = synced(calls, folder, made.end)?;
    let made = |call: &&Call| call.name == "mkdir" && call.succeeded() && call.paths() == [folder];
    match calls.iter().find(made) {
        Some(made) => Some(of_file.max(synced(calls, folder.parent().unwrap(), made.end)?)),
        None => Some(of_file),
    }
}

/// A file gets its name when its bytes are durable, and the name is made durable.
fn check_rename(calls: &[Call], rename: &Call) -> Result<(), Broken> {
    let [from, to] = &rename.paths()[..] else {
        return Err(format!("a rename of other than two paths: {rename:?}"));
    };
    let changed = calls.iter().rfind(|call| call.changes(from) && call.begin < rename.begin);
    let durable = changed.is_none_or(|change| {
        synced(calls, from, change.end).is_some_and(|synced| synced < rename.begin)
    });
    if !durable {
        return Err(format!("{} was renamed before it was synced", from.display()));
    }
    let folder = to.parent().unwrap();
    let told = |call: &Call| call.syncs(folder) && call.begin > rename.end;
    if !calls.iter().any(told) {
        return Err(format!("the rename to {} was not synced", to.display()));
    }
    Ok(())
}

/// Whether a call was made while the store was at work, by the thread that writes its frames.
pub(crate) fn is_of_writer(calls: &[Call], call: &Call) -> bool {
    let open = line(calls, |said| *said == Said::Open);
    let writes = |other: &Call| {
        let of_segment = other.name == "pwrite64" && is_segment(&other.file());
        of_segment && other.begin > open && other.thread == call.thread
    };
    call.begin > open && calls.iter().any(writes)
}

/// The first line in which the program said something; the end of the trace where it did not.
pub(crate) fn line(calls: &[Call], what: impl Fn(&Said) -> bool) -> usize {
    let says = |call: &&Call| call.said().is_some_and(|said| what(&said));
    calls.iter().find(says).map_or(usize::MAX, |call| call.begin)
}
