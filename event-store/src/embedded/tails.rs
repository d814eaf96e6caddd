//! The store's end, and who waits for it to move on.
//!
//! Tails with the same filter are a group. A commit wakes at once the groups that it has something
//! for. The others learn of the new end a slice at a time, so that thousands of them cost little
//! however many commits there are; that nothing came for them their group knows, without a look
//! at the events that did come.
//!
//! The writer wakes a few tails by itself. More of them, and those that nothing came for, it leaves
//! to a thread: [`Tails::run`].

use std::collections::HashMap;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use futures::future::select;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use tokio::sync::Notify;

use crate::{Filter, RecordedEvent};

/// Most tails that the writer wakes by itself after a commit.
const AT_ONCE: usize = 16;
/// How many of the tails that nothing came for are told of the new end at a time.
const SLICE: usize = 64;
/// The time from one slice to the next.
const PACE: Duration = Duration::from_millis(1);

/// How many events are durable, and the tails that wait for more.
#[derive(Debug)]
pub(crate) struct Tails {
    head: AtomicU64,
    closed: AtomicBool,
    groups: RwLock<Groups>,
    /// Every tail that waits, the one that has waited longest first.
    waiting: Waiting,
    left: Mutex<Left>,
    leaves: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    notify: Notify,
    count: AtomicUsize,
}

/// The groups that have tails.
#[derive(Debug, Default)]
struct Groups {
    /// With the number of their tails.
    by_filter: HashMap<Arc<Filter>, (Arc<Group>, usize)>,
    by_category: HashMap<Arc<str>, Vec<Arc<Group>>>,
    of_any_category: Vec<Arc<Group>>,
}

/// The tails of one filter.
#[derive(Debug)]
struct Group {
    filter: Arc<Filter>,
    /// The store's end after the last commit with something for them.
    matched: AtomicU64,
    /// Those of them that wait.
    waiting: Waiting,
}

/// What the writer leaves to the thread.
#[derive(Debug, Default)]
struct Left {
    /// There is a thread.
    running: bool,
    /// Groups to be woken.
    due: Vec<Arc<Group>>,
    /// How many tails are to be told of the end.
    late: usize,
}

impl Tails {
    /// How many events are durable.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(SeqCst)
    }

    /// Moves the end on, past what these groups and perhaps others want.
    fn advance(&self, head: u64, mark: impl FnOnce(&Groups) -> Vec<Arc<Group>>) {
        // The groups stay as they are until the end has moved: one that is made later starts there.
        let groups = self.groups.read();
        let mut due = mark(&groups);
        self.head.store(head, SeqCst);
        drop(groups);
        if due.iter().map(|group| group.waiting.count.load(SeqCst)).sum::<usize>() <= AT_ONCE {
            due.drain(..).for_each(|group| group.waiting.notify.notify_waiters());
        }
        let late = self.waiting.count.load(SeqCst);
        if late > 0 {
            self.leave(due, late);
        }
    }

    fn leave(&self, due: Vec<Arc<Group>>, late: usize) {
        let mut left = self.left.lock();
        if !left.running {
            return self.waiting.notify.notify_waiters();
        }
        if left.late == 0 || !due.is_empty() {
            self.leaves.notify_one();
        }
        left.due.extend(due);
        left.late = late;
    }

    /// Wakes the tails that the writer leaves to be woken, until the store is closed.
    pub(crate) fn run(&self) {
        let mut next_slice = Instant::now();
        let mut left = self.left.lock();
        left.running = true;
        while !self.closed.load(SeqCst) {
            let due = mem::take(&mut left.due);
            let slice = if Instant::now() < next_slice { 0 } else { left.late.min(SLICE) };
            left.late -= slice;
            if !due.is_empty() || slice > 0 {
                MutexGuard::unlocked(&mut left, || self.wake(&due, slice));
            } else if left.late > 0 {
                self.leaves.wait_until(&mut left, next_slice);
            } else {
                self.leaves.wait(&mut left);
            }
            if slice > 0 {
                next_slice = Instant::now() + PACE;
            }
        }
    }

    fn wake(&self, due: &[Arc<Group>], late: usize) {
        for group in due {
            group.waiting.notify.notify_waiters();
        }
        for _ in 0..late {
            self.waiting.notify.notify_one();
        }
    }

    fn close(&self) {
        self.closed.store(true, SeqCst);
        self.waiting.notify.notify_waiters();
        let _left = self.left.lock();
        self.leaves.notify_one();
    }

    /// Joins the tails of a filter.
    pub(crate) fn follow(self: &Arc<Self>, filter: Filter) -> Follower {
        let mut groups = self.groups.write();
        let group = groups.enter(filter, self.head());
        Follower { tails: Arc::clone(self), group }
    }
}

/// Moves the store's end. There is one; when it is gone nothing comes any more, and tails end
/// where the store does.
#[derive(Debug)]
pub(crate) struct Announcer(Arc<Tails>);

impl Announcer {
    /// For a store with so many events.
    pub(crate) fn new(head: u64) -> Self {
        Self(Arc::new(Tails {
            head: AtomicU64::new(head),
            closed: AtomicBool::new(false),
            groups: RwLock::default(),
            waiting: Waiting::default(),
            left: Mutex::default(),
            leaves: Condvar::new(),
        }))
    }

    pub(crate) fn tails(&self) -> Arc<Tails> {
        Arc::clone(&self.0)
    }

    /// How many events are durable.
    pub(crate) fn head(&self) -> u64 {
        self.0.head()
    }

    /// These events, the next ones, have become readable.
    pub(crate) fn advance<'a>(&self, head: u64, events: impl Iterator<Item = &'a RecordedEvent>) {
        self.0.advance(head, |groups| groups.mark(head, events));
    }

    /// The end may have moved, past events that nobody has looked at.
    pub(crate) fn advance_unseen(&self, head: u64) {
        if head != self.head() {
            self.0.advance(head, |groups| groups.mark_all(head));
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Groups {
    fn mark_all(&self, head: u64) -> Vec<Arc<Group>> {
        let groups = self.by_filter.values().map(|(group, _)| group);
        groups.clone().for_each(|group| group.matched.store(head, SeqCst));
        groups.cloned().collect()
    }

    /// Marks the groups that events are for; returns them.
    fn mark<'a>(
        &self,
        head: u64,
        events: impl Iterator<Item = &'a RecordedEvent>,
    ) -> Vec<Arc<Group>> {
        if self.by_filter.is_empty() {
            return Vec::new();
        }
        let mut names: Vec<_> = events.map(|e| (e.stream.category(), &*e.kind)).collect();
        names.dedup();
        names.sort_unstable();
        names.dedup();
        let mut due = Vec::new();
        for (category, kind) in names {
            let of_category = self.by_category.get(category).into_iter().flatten();
            for group in of_category.chain(&self.of_any_category) {
                let kinds = &group.filter.kinds;
                let wanted = kinds.is_empty() || kinds.iter().any(|wanted| **wanted == *kind);
                if wanted && group.matched.swap(head, SeqCst) != head {
                    due.push(Arc::clone(group));
                }
            }
        }
        due
    }

    fn enter(&mut self, filter: Filter, head: u64) -> Arc<Group> {
        if let Some((group, members)) = self.by_filter.get_mut(&filter) {
            *members += 1;
            return Arc::clone(group);
        }
        let (filter, matched) = (Arc::new(filter), AtomicU64::new(head));
        let waiting = Waiting::default();
        let group = Arc::new(Group { filter: Arc::clone(&filter), matched, waiting });
        for category in &filter.categories {
            self.by_category.entry(Arc::clone(category)).or_default().push(Arc::clone(&group));
        }
        if filter.categories.is_empty() {
            self.of_any_category.push(Arc::clone(&group));
        }
        self.by_filter.insert(filter, (Arc::clone(&group), 1));
        group
    }

    fn leave(&mut self, group: &Arc<Group>) {
        let Some((_, members)) = self.by_filter.get_mut(&group.filter) else { return };
        *members -= 1;
        if *members > 0 {
            return;
        }
        self.by_filter.remove(&group.filter);
        self.of_any_category.retain(|other| !Arc::ptr_eq(other, group));
        for category in &group.filter.categories {
            if let Some(groups) = self.by_category.get_mut(category) {
                groups.retain(|other| !Arc::ptr_eq(other, group));
                if groups.is_empty() {
                    self.by_category.remove(category);
                }
            }
        }
    }
}

/// A tail's place among those of its filter.
#[derive(Debug)]
pub(crate) struct Follower {
    tails: Arc<Tails>,
    group: Arc<Group>,
}

impl Follower {
    /// The store's end, once it is past `next`, or there if that will do; `None` where the store is
    /// closed before.
    pub(crate) async fn end(&self, next: u64, there_will_do: bool) -> Option<u64> {
        let Self { tails, group } = self;
        let end = || {
            // Closed first: what came before that is still followed.
            let (closed, end) = (tails.closed.load(SeqCst), tails.head());
            let due = end > next || (there_will_do && end == next);
            (due || closed).then_some(due.then_some(end))
        };
        loop {
            if let Some(end) = end() {
                return end;
            }
            let _counted = Counted::new([&group.waiting.count, &tails.waiting.count]);
            let mut woken = pin!(group.waiting.notify.notified());
            let mut told = pin!(tails.waiting.notify.notified());
            woken.as_mut().enable();
            told.as_mut().enable();
            // Whoever moves the end from here on wakes this tail.
            if let Some(end) = end() {
                return end;
            }
            select(woken, told).await;
        }
    }

    /// Whether something may have come for this tail at or after `next`.
    pub(crate) fn may_have(&self, next: u64) -> bool {
        self.group.matched.load(SeqCst) > next
    }

    pub(crate) fn filter(&self) -> Arc<Filter> {
        Arc::clone(&self.group.filter)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tails.groups.write().leave(&self.group);
    }
}

/// Counts one more for as long as it lives.
struct Counted<'a>([&'a AtomicUsize; 2]);

impl<'a> Counted<'a> {
    fn new(counts: [&'a AtomicUsize; 2]) -> Self {
        for count in counts {
            count.fetch_add(1, SeqCst);
        }
        Self(counts)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        for count in self.0 {
            count.fetch_sub(1, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;

    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;
    use crate::{Position, Revision, StreamId};

    fn event(category: &str, kind: &str) -> RecordedEvent {
        RecordedEvent {
            stream: StreamId::new(category, 1).unwrap(),
            revision: Revision(0),
            position: Position(0),
            recorded_at: 1,
            id: uuid::Uuid::from_u128(1),
            kind: kind.into(),
            data: "".into(),
            metadata: "".into(),
            is_json: true,
        }
    }

    /// A store's end with a thread that nobody has started.
    fn announcer() -> Announcer {
        let announcer = Announcer::new(7);
        announcer.0.left.lock().running = true;
        announcer
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    type End<'a> = Pin<Box<dyn Future<Output = Option<u64>> + 'a>>;

    /// Lets a tail wait for what comes after position 6.
    fn wait<'a>(follower: &'a Follower) -> (End<'a>, Arc<Wakes>) {
        let (mut end, counter): (End<'a>, _) = (Box::pin(follower.end(7, false)), Arc::default());
        let waker = Waker::from(Arc::clone(&counter));
        assert_eq!(end.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        (end, counter)
    }

    fn woken(wakes: &Wakes) -> bool {
        wakes.0.load(SeqCst) > 0
    }

    #[test]
    fn a_commit_wakes_those_that_it_has_something_for() {
        let announcer = announcer();
        let tails = announcer.tails();
        let order = Filter::categories(&["order", "order"]);
        let wanted = [
            order.clone(),
            Filter::all(),
            Filter { kinds: vec!["Placed".into()], ..order.clone() },
        ];
        let unwanted =
            [Filter::categories(&["stock"]), Filter { kinds: vec!["Paid".into()], ..order }];
        let (wanted, unwanted) = (
            wanted.map(|filter| tails.follow(filter)),
            unwanted.map(|filter| tails.follow(filter)),
        );
        let (woken_soon, told_later) = (wanted.each_ref().map(wait), unwanted.each_ref().map(wait));

        announcer.advance(8, [&event("order", "Placed"), &event("stocks", "Counted")].into_iter());

        assert!(woken_soon.iter().all(|(_, wakes)| woken(wakes)));
        assert!(told_later.iter().all(|(_, wakes)| !woken(wakes)));
        assert!(wanted.iter().all(|tail| tail.may_have(7) && !tail.may_have(8)));
        assert!(unwanted.iter().all(|tail| !tail.may_have(7)));
        assert_eq!(tails.left.lock().late, 5);
    }

    #[test]
    fn the_thread_wakes_the_many_and_tells_the_others() {
        let announcer = Announcer::new(7);
        let tails = announcer.tails();
        let thread = thread::spawn({
            let tails = announcer.tails();
            move || tails.run()
        });
        while !tails.left.lock().running {
            thread::yield_now();
        }
        let followers: Vec<_> = (0..500)
            .map(|n| tails.follow(Filter::categories(&[["order", "stock"][n % 2]])))
            .collect();
        let waiting: Vec<_> = followers.iter().map(|tail| tail.end(7, false)).collect();
        let advance = thread::spawn(move || {
            while tails.waiting.count.load(SeqCst) < 500 {
                thread::yield_now();
            }
            announcer.advance(8, [&event("order", "Placed")].into_iter());
            announcer
        });

        let ends = block_on(join_all(waiting));

        assert!(ends.iter().all(|end| *end == Some(8)));
        drop(advance.join().unwrap());
        thread.join().unwrap();
    }

    #[test]
    fn without_a_thread_everybody_is_woken_at_once() {
        let announcer = Announcer::new(7);
        let tails = announcer.tails();
        let follower = tails.follow(Filter::categories(&["stock"]));
        let (_end, wakes) = wait(&follower);
        announcer.advance(8, [&event("order", "Placed")].into_iter());
        assert!(woken(&wakes));
    }

    #[test]
    fn a_tail_ends_after_what_came_before_the_end() {
        let announcer = announcer();
        let follower = announcer.tails().follow(Filter::all());
        let (end, wakes) = wait(&follower);
        announcer.advance(8, [&event("order", "Placed")].into_iter());
        drop(announcer);
        assert!(woken(&wakes));
        assert_eq!(block_on(end), Some(8));
        assert_eq!(block_on(follower.end(8, true)), Some(8));
        assert_eq!(block_on(follower.end(8, false)), None);
    }

    #[test]
    fn what_nobody_looked_at_may_be_for_everybody() {
        let announcer = announcer();
        let follower = announcer.tails().follow(Filter::kinds(&["Placed"]));
        announcer.advance_unseen(9);
        assert!(follower.may_have(8));
    }

    #[test]
    fn a_filter_is_forgotten_with_its_last_tail() {
        let announcer = announcer();
        let tails = announcer.tails();
        let all = [Filter::all(), Filter::categories(&["order", "stock"]), Filter::all()];
        let followers = all.map(|filter| tails.follow(filter));
        assert_eq!(tails.groups.read().by_filter.len(), 2);

        drop(followers);

        let groups = tails.groups.read();
        assert!(groups.by_filter.is_empty() && groups.by_category.is_empty());
        assert!(groups.of_any_category.is_empty());
    }
}
