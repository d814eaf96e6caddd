use std::error::Error;

/// The rules of one kind of aggregate: what a command means to a state, and what an event makes
/// of it (Chassaing, "Functional Event Sourcing Decider").
pub trait Decider: 'static {
    /// Stream category; the stream of an instance is `<CATEGORY>-<id>`.
    const CATEGORY: &'static str;
    /// What may be asked of the aggregate.
    type Command: Clone + Send + 'static;
    /// What can have happened to the aggregate.
    type Event: Clone + Send + 'static;
    /// What the decisions need to know of the past. The default is "nothing has happened yet".
    type State: Clone + Default + Send + Sync + 'static;
    /// Why a command was refused; one variant per rule.
    type Rejection: Error + Clone + Send + Sync + 'static;

    /// Decides what a command makes happen.
    ///
    /// An empty list means that the command's effect is already there: repeating a command is
    /// harmless.
    ///
    /// # Errors
    /// The business rule that the command breaks.
    fn decide(
        state: &Self::State,
        command: Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Applies one event. Total: an event that was written is a fact and is never refused.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}

/// The state after `events`, oldest first.
pub fn fold<'a, D: Decider>(events: impl IntoIterator<Item = &'a D::Event>) -> D::State {
    events.into_iter().fold(D::State::default(), D::evolve)
}
