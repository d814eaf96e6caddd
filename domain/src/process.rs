use std::fmt::Debug;

use crate::values::Timestamp;

/// Which instance of a process an input belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<Id> {
    /// The input begins an instance.
    Start(Id),
    /// The input goes to a running instance; it is ignored where there is none.
    Continue(Id),
    /// The input does not concern the process.
    Ignore,
}

/// What a process wants done. Effects are stored before they are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<Command, Timeout> {
    /// Carry out a command; its outcome comes back as an input.
    Dispatch(Command),
    /// Wake the process at `due`, or at once if that has passed. A second schedule of an equal
    /// timeout moves it.
    Schedule {
        /// What to wake it for.
        timeout: Timeout,
        /// When.
        due: Timestamp,
    },
    /// Nothing is left to wait for: outstanding timeouts are dropped.
    Complete,
}

/// A state machine that reacts to events of several aggregates with commands to others.
pub trait ProcessManager: 'static {
    /// Stream category of its instances, and the name operators know it by.
    const NAME: &'static str;
    /// Identifies an instance.
    type Id: Copy + Eq + std::hash::Hash + Debug + Send + Sync + 'static;
    /// What the process can learn: a compact form of the events it follows, the rejections of
    /// its own commands and its timeouts.
    type Input: Clone + Debug + Send + Sync + 'static;
    /// Where the process stands. The default is "not started".
    type State: Clone + Default + Send + Sync + 'static;
    /// What it can ask for.
    type Command: Clone + Debug + Send + Sync + 'static;
    /// What it can wait for.
    type Timeout: Clone + Debug + Eq + Send + Sync + 'static;

    /// Finds the instance an input belongs to.
    fn route(input: &Self::Input) -> Route<Self::Id>;

    /// What to do about an input, given where the process stood before it.
    fn react(state: &Self::State, input: &Self::Input)
    -> Vec<Effect<Self::Command, Self::Timeout>>;

    /// Where the process stands after an input.
    fn evolve(state: Self::State, input: &Self::Input) -> Self::State;

    /// The input that reports a business rejection of one of its commands, or `None` if the
    /// process has no answer to it and an operator must look.
    fn rejected(
        id: Self::Id,
        command: &Self::Command,
        reason: &str,
        at: Timestamp,
    ) -> Option<Self::Input>;

    /// The input that reports that a timeout is due.
    fn timed_out(id: Self::Id, timeout: &Self::Timeout, at: Timestamp) -> Self::Input;
}
