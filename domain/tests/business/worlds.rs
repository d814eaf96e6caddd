//! Every checkout ends, and ends well for money and goods, whatever happens in whatever order.

use std::cell::RefCell;
use std::collections::BTreeMap;

use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::FulfilmentState;
use daybook_domain::order::{CancelReason, OrderStatus, ShipmentStatus};
use daybook_domain::payment::PaymentState;
use daybook_domain::stock::Ended;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::given::sku;
use crate::mistakes::{
    ConfirmsTooEarly, EndsTooEarly, HasTwoWinners, IgnoresCancellationOncePaid, KeepsLateMoney,
    KeepsLateReservations, Mistake, NeverCancelsTheOrder, NeverNotesRefunds, NeverVoids,
    StartsAgain, Wrong,
};
use crate::provider::Plan;
use crate::sale::Sale;
use crate::world::{Act, CheckoutLike, SKUS, TOTAL, World};

/// What a world is given, and what happens in it.
#[derive(Debug, Clone)]
struct Script {
    on_hand: [i64; 3],
    plans: Vec<Plan>,
    acts: Vec<(Act, u16)>,
}

fn scripts() -> impl Strategy<Value = Script> {
    let on_hand = prop_oneof![3 => Just([9, 9, 9]), 1 => [0..7_i64, 0..3_i64, 0..5_i64]];
    let plan = prop_oneof![
        3 => Just(Plan::Approve),
        2 => select(vec![Plan::DeclineAuthorization, Plan::DeclineCapture, Plan::RefuseCapture]),
    ];
    let usual =
        prop_oneof![6 => Just(Act::Deliver), 6 => Just(Act::CarryOut), 1 => Just(Act::Fulfil)];
    let odd = select(vec![
        Act::DeliverAgain,
        Act::AskOnly,
        Act::CarryOutAgain,
        Act::Wait,
        Act::WakeEarly,
        Act::Ship,
    ]);
    let interference = select(vec![
        Act::CustomerCancels,
        Act::OperatorCancels,
        Act::OperatorRefunds,
        Act::OperatorVoids,
        Act::OperatorCaptures,
    ]);
    let act = prop_oneof![30 => usual, 8 => odd, 1 => interference];
    let acts = prop::collection::vec((act, any::<u16>()), 0..160);
    (on_hand, prop::collection::vec(plan, 1..3), acts).prop_map(|(on_hand, plans, acts)| Script {
        on_hand,
        plans,
        acts,
    })
}

/// Plays a script to its end, lets everything that is under way arrive, and looks at what is
/// left. Returns how each order ended.
fn play<P: CheckoutLike>(script: &Script) -> Result<Vec<OrderStatus>, String> {
    let mut world = World::<P>::new(script.on_hand, &script.plans);
    for &(act, pick) in &script.acts {
        world.act(act, pick)?;
    }
    world.settle()?;
    world.sales.iter().map(|sale| ended_well(&world, sale)).collect()
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn ended_well<P: CheckoutLike>(world: &World<P>, sale: &Sale) -> Result<OrderStatus, String> {
    let status = sale.order.placed().ok_or("an order vanished")?.status();
    ensure(sale.checkout.is_complete(), &format!("a checkout hangs: {:?}", sale.checkout))?;
    match status {
        OrderStatus::Pending | OrderStatus::Confirmed => {
            return Err(format!("an order is left {status:?}"));
        }
        OrderStatus::Cancelled(_) => nothing_is_kept(world, sale)?,
        _ => all_is_kept(world, sale)?,
    }
    let refunds = sale.order.placed().map_or(0, |order| order.refunds.total().minor);
    ensure(refunds == sale.provider.refunded, "the order does not know of a refund")?;
    Ok(status)
}

fn nothing_is_kept<P: CheckoutLike>(world: &World<P>, sale: &Sale) -> Result<(), String> {
    ensure(sale.provider.held == 0, "an authorization is left")?;
    ensure(sale.provider.captured == sale.provider.refunded, "money of a cancelled order is kept")?;
    ensure(
        !matches!(sale.payment, PaymentState::Authorized { .. } | PaymentState::Requested(_)),
        "a payment is left open",
    )?;
    for (name, ..) in SKUS {
        let stock = &world.stocks[&sku(name)];
        ensure(stock.reservation(sale.id).is_none(), "a cancelled order still holds stock")?;
        ensure(stock.ended(sale.id) != Some(Ended::Committed), "a cancelled order was sent")?;
    }
    Ok(())
}

fn all_is_kept<P: CheckoutLike>(world: &World<P>, sale: &Sale) -> Result<(), String> {
    ensure(sale.provider.captured == TOTAL, "a paid order was not charged its total")?;
    ensure(sale.provider.refunded == sale.operator_refunded, "a paid order was refunded")?;
    for (name, _, n) in SKUS {
        let stock = &world.stocks[&sku(name)];
        let held = stock.reservation(sale.id).map(|held| i64::from(held.quantity));
        let sent = stock.ended(sale.id) == Some(Ended::Committed);
        ensure(held == Some(n) || sent, "a paid order holds no stock")?;
    }
    let order = sale.order.placed().ok_or("an order vanished")?;
    let done = order.status() == OrderStatus::Fulfilled;
    ensure(done == (order.shipment() == ShipmentStatus::Full), "a shipped order is not fulfilled")?;
    ensure(done == (sale.fulfilment == FulfilmentState::Fulfilled), "a fulfilment hangs")
}

proptest! {
    // Six times what PROPTEST_CASES says.
    #![proptest_config(Config { cases: 6 * Config::default().cases, ..Config::default() })]

    #[test]
    fn every_checkout_ends_well(script in scripts()) {
        play::<Checkout>(&script).map_err(TestCaseError::fail)?;
    }
}

/// Plays scripts, the same ones each time, until one fails. Tells of each ending.
fn first_failure<P: CheckoutLike>(cases: u32, tell: impl FnMut(OrderStatus)) -> Option<String> {
    let quiet = Config { max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let tell = RefCell::new(tell);
    let result =
        TestRunner::new_with_rng(Config { cases, ..quiet }, rng).run(&scripts(), |script| {
            for ending in play::<P>(&script).map_err(TestCaseError::fail)? {
                (tell.borrow_mut())(ending);
            }
            Ok(())
        });
    result.err().map(|error| error.to_string())
}

#[test]
fn the_scripts_reach_every_ending() {
    let mut endings = BTreeMap::new();
    let failure = first_failure::<Checkout>(2_000, |ending| {
        let name = match ending {
            OrderStatus::Cancelled(reason) => match reason {
                CancelReason::OutOfStock { .. } => "out of stock",
                CancelReason::PaymentDeclined { .. } => "declined",
                CancelReason::ReservationExpired => "expired",
                CancelReason::CustomerRequest => "customer",
                CancelReason::Operator { .. } => "operator",
            },
            OrderStatus::Paid => "paid",
            OrderStatus::PartiallyFulfilled => "partially fulfilled",
            OrderStatus::Fulfilled => "fulfilled",
            OrderStatus::Pending | OrderStatus::Confirmed => "unfinished",
        };
        *endings.entry(name).or_insert(0) += 1;
    });
    assert_eq!(failure, None);
    assert_eq!(endings.len(), 8, "{endings:?}");
    assert!(endings.values().all(|&n| n >= 10), "{endings:?}");
}

#[track_caller]
fn is_caught<M: Mistake>() {
    assert!(first_failure::<Wrong<M>>(1_500, drop).is_some(), "nobody noticed");
}

#[test]
fn planted_mistakes_are_caught() {
    is_caught::<NeverVoids>();
    is_caught::<KeepsLateMoney>();
    is_caught::<KeepsLateReservations>();
    is_caught::<NeverCancelsTheOrder>();
    is_caught::<NeverNotesRefunds>();
    is_caught::<ConfirmsTooEarly>();
    is_caught::<HasTwoWinners>();
    is_caught::<IgnoresCancellationOncePaid>();
    is_caught::<StartsAgain>();
    is_caught::<EndsTooEarly>();
}
