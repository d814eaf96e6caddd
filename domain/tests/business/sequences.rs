//! No sequence of commands takes an aggregate to a state that cannot be.

use std::fmt::Debug;

use daybook_domain::Decider;
use daybook_domain::order::{
    CancelReason, Order, OrderCommand, OrderEvent, OrderLine, OrderState, OrderStatus,
    PaymentStatus, ShipmentStatus,
};
use daybook_domain::payment::{Payment, PaymentCommand, PaymentEvent, PaymentState};
use daybook_domain::stock::{ReleaseReason, Stock, StockCommand, StockEvent, StockState};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::given::{
    at, customer_id, eur, gbp, label, method, order_id, quantity, seller, sku, some_payment,
};

type Verdict = Result<(), String>;

/// Runs commands one after another. After each event `invariant` must hold, and a command that
/// succeeded must do nothing when it is repeated at once.
fn run<D: Decider>(
    commands: &[D::Command],
    invariant: impl Fn(&D::State, &D::Event, &D::State) -> Verdict,
) -> Verdict
where
    D::Command: Debug,
{
    let mut state = D::State::default();
    for command in commands {
        let Ok(events) = D::decide(&state, command.clone()) else { continue };
        for event in &events {
            let next = D::evolve(state.clone(), event);
            invariant(&state, event, &next)?;
            state = next;
        }
        match D::decide(&state, command.clone()) {
            Ok(events) if events.is_empty() => {}
            Ok(_) => return Err(format!("{command:?} was done twice")),
            Err(rejection) => return Err(format!("{command:?} repeated: {rejection}")),
        }
    }
    Ok(())
}

fn ensure(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn stock_commands() -> impl Strategy<Value = Vec<StockCommand>> {
    let name = || select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let order = || (1..5_u128).prop_map(order_id);
    let instant = || (0..60_i64).prop_map(at);
    let reasons =
        vec![ReleaseReason::Cancelled, ReleaseReason::PaymentFailed, ReleaseReason::Expired];
    let receive = (1..8_i64, name(), instant())
        .prop_map(|(n, receipt, at)| StockCommand::Receive { quantity: quantity(n), receipt, at });
    let adjust = (-6..6_i64, name(), instant()).prop_map(|(delta, count, at)| {
        StockCommand::Adjust { delta, count, reason: String::new(), at }
    });
    let reserve =
        (order(), 1..6_i64, instant(), instant()).prop_map(|(order, n, expires_at, at)| {
            StockCommand::Reserve { order, quantity: quantity(n), expires_at, at }
        });
    let extend = (order(), instant(), instant())
        .prop_map(|(order, expires_at, at)| StockCommand::Extend { order, expires_at, at });
    let release = (order(), select(reasons), instant())
        .prop_map(|(order, reason, at)| StockCommand::Release { order, reason, at });
    let commit = (order(), instant()).prop_map(|(order, at)| StockCommand::Commit { order, at });
    let command = prop_oneof![
1 => receive, 1 => adjust, 3 => reserve, 1 => extend, 1 => release, 1 => commit];
    prop::collection::vec(command, 0..60)
}

fn stock_is_sound(before: &StockState, event: &StockEvent, after: &StockState) -> Verdict {
    let held: i64 = after.reservations().values().map(|held| i64::from(held.quantity)).sum();
    ensure(after.on_hand() >= 0, "stock is negative")?;
    ensure(after.reserved() == held, "what is reserved is not the sum of reservations")?;
    ensure(after.available() >= 0, "stock is oversold")?;
    let moved = match event {
        StockEvent::Received { quantity, .. } => i64::from(*quantity),
        StockEvent::Adjusted { delta, .. } => *delta,
        StockEvent::Committed { quantity, .. } => -i64::from(*quantity),
        _ => 0,
    };
    ensure(after.on_hand() == before.on_hand() + moved, "goods appeared or vanished")
}

fn payment_commands() -> impl Strategy<Value = Vec<PaymentCommand>> {
    let name = || select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let amount = || prop_oneof![8 => (-5..80_i64).prop_map(gbp), 1 => (1..5_i64).prop_map(eur), 1 => Just(gbp(i64::MAX))];
    let request = Just(PaymentCommand::Request {
        payment: some_payment(1),
        order: order_id(1),
        amount: gbp(100),
        method: method(),
        at: at(0),
    });
    let authorize = name().prop_map(|reference| PaymentCommand::Authorize { reference, at: at(0) });
    let capture = (name(), amount()).prop_map(|(capture, amount)| PaymentCommand::Capture {
        capture,
        amount,
        at: at(0),
    });
    let refund = (name(), amount()).prop_map(|(refund, amount)| PaymentCommand::Refund {
        refund,
        amount,
        at: at(0),
    });
    let decline = name().prop_map(|reason| PaymentCommand::Decline { reason, at: at(0) });
    let void = Just(PaymentCommand::Void { at: at(0) });
    let command = prop_oneof![
        1 => authorize.clone(), 4 => capture.clone(), 4 => refund, 1 => decline, 1 => void
    ];
    let opening = prop_oneof![1 => authorize.clone(), 1 => capture];
    (request, authorize, opening, prop::collection::vec(command, 0..40))
        .prop_map(|(request, first, second, rest)| [vec![request, first, second], rest].concat())
}

fn payment_is_sound(before: &PaymentState, _: &PaymentEvent, after: &PaymentState) -> Verdict {
    let sums = |state: &PaymentState| state.captured_and_refunded().unwrap_or((gbp(0), gbp(0)));
    let ((captured, refunded), (taken, returned)) = (sums(after), sums(before));
    ensure(captured.minor <= 100, "more was captured than authorized")?;
    ensure(refunded.minor >= 0 && refunded.minor <= captured.minor, "more went back than came")?;
    ensure(captured.minor >= taken.minor && refunded.minor >= returned.minor, "a sum shrank")?;
    let is_final = matches!(before, PaymentState::Voided { .. } | PaymentState::Declined { .. });
    ensure(!is_final, "something happened after the end")
}

fn order_commands() -> impl Strategy<Value = Vec<OrderCommand>> {
    let line = |what: &str, from: &str| OrderLine {
        sku: sku(what),
        seller: seller(from),
        name: label("Thing"),
        quantity: quantity(2),
        unit_price: gbp(25),
    };
    let place = OrderCommand::Place {
        order: order_id(1),
        customer: customer_id(),
        lines: vec![line("A", "acme"), line("C", "corp")],
        method: method(),
        at: at(0),
    };
    let who = || select(vec!["acme", "corp", "other"]).prop_map(seller);
    let name = || select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let pay = (1..3_u128, 99..102_i64).prop_map(|(payment, amount)| OrderCommand::MarkPaid {
        payment: some_payment(payment),
        amount: gbp(amount),
        at: at(0),
    });
    let ship = (who(), name()).prop_map(|(seller, tracking)| OrderCommand::Ship {
        seller,
        tracking,
        at: at(0),
    });
    let fulfil = who().prop_map(|seller| OrderCommand::Fulfil { seller, at: at(0) });
    let reasons = vec![CancelReason::CustomerRequest, CancelReason::ReservationExpired];
    let cancel = select(reasons).prop_map(|reason| OrderCommand::Cancel { reason, at: at(0) });
    let refund = (name(), -1..70_i64).prop_map(|(refund, amount)| OrderCommand::RecordRefund {
        refund,
        amount: gbp(amount),
        at: at(0),
    });
    let confirm = Just(OrderCommand::Confirm { at: at(0) });
    let command =
        prop_oneof![2 => confirm, 4 => pay, 3 => ship, 3 => fulfil, 1 => cancel, 2 => refund];
    prop::collection::vec(command, 0..40).prop_map(move |rest| [vec![place.clone()], rest].concat())
}

fn rank(status: &OrderStatus) -> u8 {
    match status {
        OrderStatus::Pending => 0,
        OrderStatus::Confirmed => 1,
        OrderStatus::Paid => 2,
        OrderStatus::PartiallyFulfilled => 3,
        OrderStatus::Fulfilled => 4,
        OrderStatus::Cancelled(_) => 5,
    }
}

fn order_is_sound(before: &OrderState, _: &OrderEvent, after: &OrderState) -> Verdict {
    let Some(after) = after.placed() else { return Err("an order vanished".into()) };
    ensure(after.refunds.total().minor <= after.total.minor, "more went back than was due")?;
    if rank(&after.status()) >= 2 && rank(&after.status()) <= 4 {
        ensure(after.payment() != PaymentStatus::None, "an order is paid by nothing")?;
    } else {
        ensure(after.shipment() == ShipmentStatus::None, "goods left without money")?;
    }
    let Some(before) = before.placed() else { return Ok(()) };
    ensure(rank(&after.status()) >= rank(&before.status()), "an order went backwards")?;
    let called_off = rank(&after.status()) == 5 && rank(&before.status()) < 5;
    ensure(
        !called_off || before.shipment() == ShipmentStatus::None,
        "an order was cancelled after goods had left",
    )
}

proptest! {
    #[test]
    fn stock_is_never_negative_or_oversold(commands in stock_commands()) {
        run::<Stock>(&commands, stock_is_sound).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn captured_less_refunded_is_never_negative(commands in payment_commands()) {
        run::<Payment>(&commands, payment_is_sound).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn an_order_only_moves_forward(commands in order_commands()) {
        run::<Order>(&commands, order_is_sound).map_err(TestCaseError::fail)?;
    }
}

/// Stock that reserves one more than was asked for.
struct Greedy;

impl Decider for Greedy {
    const CATEGORY: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type State = StockState;
    type Rejection = <Stock as Decider>::Rejection;

    fn decide(
        state: &StockState,
        command: StockCommand,
    ) -> Result<Vec<StockEvent>, Self::Rejection> {
        let mut events = Stock::decide(state, command)?;
        for event in &mut events {
            if let StockEvent::Reserved { quantity, .. } = event {
                *quantity = quantity.saturating_add(crate::given::quantity(1));
            }
        }
        Ok(events)
    }

    fn evolve(state: StockState, event: &StockEvent) -> StockState {
        Stock::evolve(state, event)
    }
}

#[test]
fn a_stock_that_oversells_is_caught() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let result = runner.run(&stock_commands(), |commands| {
        run::<Greedy>(&commands, stock_is_sound).map_err(TestCaseError::fail)
    });
    assert!(matches!(result, Err(TestError::Fail(..))));
}
