//! A filter over all events, and what the lists tell of it, so that few matches among many events
//! cost little.

use std::ops::Range;
use std::sync::Arc;

use super::bytes::{narrow, size};
use super::cache::Io;
use super::error::Fault;
use super::index::{List, Wanted};
use super::segment::{Found, Segment};
use super::snapshot::{Part, Snapshot};
use crate::{Direction, Filter, IndexStream};

/// Events are looked up where at most one of so many in a segment can match; else reading all of
/// them is as cheap, and leaves them in the cache.
const SPARSE: u64 = 2;
/// Most events that are looked up at a time.
const MOST: usize = 512;

/// How to find the matching events of a segment.
#[derive(Debug)]
pub(crate) enum Plan {
    /// By reading all of them.
    Read,
    /// They are among these, up to a position.
    Events(Vec<Found>, u64),
}

/// How to find the events of a segment that match a filter, among some positions in it.
pub(crate) fn plan(
    filter: &Filter,
    snapshot: &Snapshot,
    segment: &Arc<Segment>,
    window: Range<u64>,
    io: Io,
) -> Result<Plan, Fault> {
    let mut least: Option<(u64, Vec<(List, Part)>)> = None;
    for lists in demands(filter) {
        let mut parts = Vec::new();
        for list in lists {
            parts.extend(snapshot.part(&list, segment, io)?.map(|part| (list, part)));
        }
        let count = parts.iter().map(|(_, part)| part.span.count).sum();
        if least.as_ref().is_none_or(|(least, _)| count < *least) {
            least = Some((count, parts));
        }
    }
    match least {
        Some((count, parts)) if count * SPARSE <= segment.count() => {
            events(segment, &parts, window, io)
        }
        _ => Ok(Plan::Read),
    }
}

/// An event that matches is in one list of each of these.
fn demands(filter: &Filter) -> impl Iterator<Item = Vec<List>> {
    let lists = |names: &[Arc<str>], of: fn(Arc<str>) -> IndexStream| {
        names.iter().map(|name| of(Arc::clone(name)).into()).collect::<Vec<List>>()
    };
    let categories = lists(&filter.categories, IndexStream::Category);
    let kinds = lists(&filter.kinds, IndexStream::EventType);
    [categories, kinds].into_iter().filter(|lists| !lists.is_empty())
}

/// The next events of some lists of a segment, in order.
fn events(
    segment: &Segment,
    parts: &[(List, Part)],
    window: Range<u64>,
    io: Io,
) -> Result<Plan, Fault> {
    let number = |position: u64| narrow(size(position - segment.first()));
    let wanted = Wanted {
        window: number(window.start)..number(window.end),
        from: 0,
        direction: Direction::Forward,
        most: MOST,
    };
    let (mut found, mut end) = (Vec::new(), window.end);
    for (list, Part { span, entry, .. }) in parts {
        let of_list = segment.locate(list, (*span, entry.as_ref()), &wanted, io)?;
        if let Some(last) = of_list.get(MOST - 1) {
            end = end.min(last.position + 1);
        }
        found.extend(of_list);
    }
    found.retain(|found| found.position < end);
    found.sort_unstable_by_key(|found| found.position);
    Ok(Plan::Events(found, end))
}
