//! Lets other actors act within an actor's I/O, on the same thread: what threads would do, but
//! the same way every time.

use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static OTHERS: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Calls `others` before every I/O of this thread until the guard is dropped.
pub(crate) fn install(others: Rc<dyn Fn()>) -> Installed {
    OTHERS.set(Some(others));
    Installed
}

/// Keeps the actors of a run installed.
pub(crate) struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        OTHERS.set(None);
    }
}

/// An I/O is about to happen.
pub(crate) fn before_io() {
    let others = OTHERS.with_borrow(Clone::clone);
    if let Some(others) = others {
        others();
    }
}
