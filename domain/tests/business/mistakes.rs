//! Checkouts with one mistake each, to see whether anybody notices.

use std::marker::PhantomData;

use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, CheckoutTimeout, Stage,
};
use daybook_domain::stock::ReleaseReason;
use daybook_domain::values::{OrderId, Timestamp};
use daybook_domain::{Effect, ProcessManager, Route};

type Effects = Vec<Effect<CheckoutCommand, CheckoutTimeout>>;

/// A mistake that a checkout could make.
pub(crate) trait Mistake: 'static {
    fn react(_: &CheckoutState, _: &CheckoutInput, right: Effects) -> Effects {
        right
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        Checkout::evolve(before, input)
    }
}

/// Checkout with a mistake.
pub(crate) struct Wrong<M>(PhantomData<M>);

impl<M: Mistake> ProcessManager for Wrong<M> {
    const NAME: &'static str = "checkout";
    type Id = OrderId;
    type Input = CheckoutInput;
    type State = CheckoutState;
    type Command = CheckoutCommand;
    type Timeout = CheckoutTimeout;

    fn route(input: &CheckoutInput) -> Route<OrderId> {
        Checkout::route(input)
    }

    fn react(state: &CheckoutState, input: &CheckoutInput) -> Effects {
        M::react(state, input, Checkout::react(state, input))
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        M::evolve(before, input)
    }

    fn rejected(
        id: OrderId,
        command: &CheckoutCommand,
        reason: &str,
        at: Timestamp,
    ) -> Option<CheckoutInput> {
        Checkout::rejected(id, command, reason, at)
    }

    fn timed_out(id: OrderId, timeout: &CheckoutTimeout, at: Timestamp) -> CheckoutInput {
        Checkout::timed_out(id, timeout, at)
    }
}

fn without(effects: Effects, unwanted: impl Fn(&CheckoutCommand) -> bool) -> Effects {
    let wanted = |effect: &Effect<_, _>| !matches!(effect, Effect::Dispatch(c) if unwanted(c));
    effects.into_iter().filter(wanted).collect()
}

fn is_at(state: &CheckoutState, stages: &[Stage]) -> bool {
    matches!(state, CheckoutState::Underway { stage, .. } if stages.contains(stage))
}

pub(crate) struct NeverVoids;

impl Mistake for NeverVoids {
    fn react(_: &CheckoutState, _: &CheckoutInput, right: Effects) -> Effects {
        without(right, |command| matches!(command, CheckoutCommand::Void { .. }))
    }
}

pub(crate) struct KeepsLateMoney;

impl Mistake for KeepsLateMoney {
    fn react(_: &CheckoutState, input: &CheckoutInput, right: Effects) -> Effects {
        let late = matches!(input.what, CheckoutFact::PaymentCaptured { .. });
        without(right, |command| late && matches!(command, CheckoutCommand::Refund { .. }))
    }
}

pub(crate) struct KeepsLateReservations;

impl Mistake for KeepsLateReservations {
    fn react(_: &CheckoutState, input: &CheckoutInput, right: Effects) -> Effects {
        let late = matches!(input.what, CheckoutFact::Reserved { .. });
        without(right, |command| late && matches!(command, CheckoutCommand::Release { .. }))
    }
}

pub(crate) struct NeverCancelsTheOrder;

impl Mistake for NeverCancelsTheOrder {
    fn react(_: &CheckoutState, _: &CheckoutInput, right: Effects) -> Effects {
        without(right, |command| matches!(command, CheckoutCommand::CancelOrder { .. }))
    }
}

pub(crate) struct NeverNotesRefunds;

impl Mistake for NeverNotesRefunds {
    fn react(_: &CheckoutState, _: &CheckoutInput, right: Effects) -> Effects {
        without(right, |command| matches!(command, CheckoutCommand::RecordRefund { .. }))
    }
}

/// Does not wait for all reservations.
pub(crate) struct ConfirmsTooEarly;

impl ConfirmsTooEarly {
    fn applies(state: &CheckoutState, input: &CheckoutInput) -> bool {
        matches!(state, CheckoutState::Underway { stage: Stage::Reserving(_), .. })
            && matches!(input.what, CheckoutFact::Reserved { .. })
    }
}

impl Mistake for ConfirmsTooEarly {
    fn react(state: &CheckoutState, input: &CheckoutInput, right: Effects) -> Effects {
        if !Self::applies(state, input) {
            return right;
        }
        vec![Effect::Dispatch(CheckoutCommand::ConfirmOrder)]
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        let applies = Self::applies(&before, input);
        match before {
            CheckoutState::Underway { basket, .. } if applies => {
                CheckoutState::Underway { basket, stage: Stage::Confirming }
            }
            before => Checkout::evolve(before, input),
        }
    }
}

/// Lets the expiry win against a capture that is under way, and the capture against the expiry.
pub(crate) struct HasTwoWinners;

impl Mistake for HasTwoWinners {
    fn react(state: &CheckoutState, input: &CheckoutInput, right: Effects) -> Effects {
        let both = is_at(state, &[Stage::Capturing, Stage::MarkingPaid])
            && matches!(input.what, CheckoutFact::TimedOut(_));
        let release = |effect| match effect {
            Effect::Dispatch(CheckoutCommand::Extend { sku, .. }) if both => {
                let reason = ReleaseReason::Expired;
                Effect::Dispatch(CheckoutCommand::Release { sku, reason })
            }
            effect => effect,
        };
        right.into_iter().map(release).collect()
    }
}

pub(crate) struct IgnoresCancellationOncePaid;

impl Mistake for IgnoresCancellationOncePaid {
    fn react(state: &CheckoutState, _: &CheckoutInput, right: Effects) -> Effects {
        if is_at(state, &[Stage::Settled]) { vec![] } else { right }
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        if is_at(&before, &[Stage::Settled]) { before } else { Checkout::evolve(before, input) }
    }
}

/// Takes an order that is delivered twice for two.
pub(crate) struct StartsAgain;

impl Mistake for StartsAgain {
    fn react(_: &CheckoutState, input: &CheckoutInput, right: Effects) -> Effects {
        match input.what {
            CheckoutFact::OrderPlaced { .. } => Checkout::react(&CheckoutState::NotStarted, input),
            _ => right,
        }
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        match input.what {
            CheckoutFact::OrderPlaced { .. } => Checkout::evolve(CheckoutState::NotStarted, input),
            _ => Checkout::evolve(before, input),
        }
    }
}

/// Thinks itself done while something is still to come.
pub(crate) struct EndsTooEarly;

impl Mistake for EndsTooEarly {
    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        match Checkout::evolve(before, input) {
            CheckoutState::Compensating(_) => CheckoutState::Shipped,
            after => after,
        }
    }
}
