use daybook_domain::order::{
    CancelReason, MAX_LINES, Order, OrderCommand, OrderEvent, OrderLine, OrderRejection,
    OrderState, OrderStatus, PaymentStatus, RefundStatus, ShipmentStatus, ShippedItem, items,
};
use daybook_domain::values::{Money, Quantity};
use daybook_domain::{Decider, fold};

use crate::given::{
    at, currency, customer_id, eur, gbp, given, label, method, order_id, quantity, seller, sku,
    some_payment,
};

fn line(what: &str, from: &str, n: i64, unit_price: Money) -> OrderLine {
    OrderLine {
        sku: sku(what),
        seller: seller(from),
        name: label("Thing"),
        quantity: quantity(n),
        unit_price,
    }
}

/// Two sellers; `A` stands on two lines at two prices. 2×100 + 1×50 + 3×90 = 520.
fn lines() -> Vec<OrderLine> {
    vec![
        line("A", "acme", 2, gbp(100)),
        line("C", "corp", 1, gbp(50)),
        line("A", "acme", 3, gbp(90)),
    ]
}

fn place(lines: Vec<OrderLine>) -> OrderCommand {
    let (order, customer) = (order_id(1), customer_id());
    OrderCommand::Place { order, customer, lines, method: method(), at: at(0) }
}

fn placed() -> OrderEvent {
    OrderEvent::Placed {
        order: order_id(1),
        customer: customer_id(),
        lines: lines(),
        total: gbp(520),
        method: method(),
        at: at(0),
    }
}

fn confirm() -> OrderCommand {
    OrderCommand::Confirm { at: at(1) }
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed { at: at(1) }
}

fn mark_paid(payment: u128, amount: Money) -> OrderCommand {
    OrderCommand::MarkPaid { payment: some_payment(payment), amount, at: at(2) }
}

fn paid() -> OrderEvent {
    OrderEvent::Paid { payment: some_payment(9), amount: gbp(520), at: at(2) }
}

fn ship(who: &str, tracking: &str) -> OrderCommand {
    OrderCommand::Ship { seller: seller(who), tracking: tracking.into(), at: at(3) }
}

fn shipped(who: &str, items: Vec<ShippedItem>) -> OrderEvent {
    OrderEvent::Shipped { seller: seller(who), items, tracking: "T1".into(), at: at(3) }
}

fn acme_shipped() -> OrderEvent {
    shipped("acme", vec![item("A", 5)])
}

fn corp_shipped() -> OrderEvent {
    shipped("corp", vec![item("C", 1)])
}

fn item(what: &str, n: i64) -> ShippedItem {
    ShippedItem { sku: sku(what), quantity: quantity(n) }
}

fn fulfil(who: &str) -> OrderCommand {
    OrderCommand::Fulfil { seller: seller(who), at: at(4) }
}

fn partially(who: &str) -> OrderEvent {
    OrderEvent::PartiallyFulfilled { seller: seller(who), at: at(4) }
}

fn fulfilled(who: &str) -> OrderEvent {
    OrderEvent::Fulfilled { seller: seller(who), at: at(4) }
}

fn cancel(reason: CancelReason) -> OrderCommand {
    OrderCommand::Cancel { reason, at: at(5) }
}

fn cancelled(reason: CancelReason) -> OrderEvent {
    OrderEvent::Cancelled { reason, at: at(5) }
}

fn refund(name: &str, amount: Money) -> OrderCommand {
    OrderCommand::RecordRefund { refund: name.into(), amount, at: at(6) }
}

fn refunded(name: &str, amount: i64, sum: i64) -> OrderEvent {
    let (amount, refunded) = (gbp(amount), gbp(sum));
    OrderEvent::Refunded { refund: name.into(), amount, refunded, at: at(6) }
}

fn until_paid() -> Vec<OrderEvent> {
    vec![placed(), confirmed(), paid()]
}

fn status(state: &OrderState) -> OrderStatus {
    state.placed().expect("a placed order").status()
}

#[test]
fn an_order_is_placed_once() {
    given::<Order>([]).when(place(lines())).then([placed()]);
    given::<Order>([placed()]).when(place(lines())).then_nothing();
    let past = [placed(), cancelled(CancelReason::CustomerRequest)];
    given::<Order>(past).when(place(lines())).then_nothing();
    given::<Order>([placed()])
        .when(place(lines()[..1].to_vec()))
        .then_rejected(OrderRejection::AlreadyPlaced);
}

#[test]
fn an_order_has_at_least_one_line_and_not_too_many() {
    let many = |n| (0..n).map(|i| line(&format!("S{i}"), "acme", 1, gbp(1))).collect::<Vec<_>>();
    given::<Order>([]).when(place(vec![])).then_rejected(OrderRejection::NoLines);
    assert!(Order::decide(&OrderState::Unplaced, place(many(MAX_LINES))).is_ok());
    given::<Order>([])
        .when(place(many(MAX_LINES + 1)))
        .then_rejected(OrderRejection::TooManyLines { lines: MAX_LINES + 1 });
}

#[test]
fn prices_are_above_zero() {
    for price in [gbp(0), gbp(-1)] {
        given::<Order>([])
            .when(place(vec![line("A", "acme", 1, price)]))
            .then_rejected(OrderRejection::PriceNotPositive { sku: sku("A"), price });
    }
}

#[test]
fn an_order_is_in_one_currency() {
    let mixed = vec![line("A", "acme", 1, gbp(1)), line("B", "acme", 1, eur(1))];
    given::<Order>([]).when(place(mixed)).then_rejected(OrderRejection::CurrencyMismatch {
        expected: currency("GBP"),
        actual: currency("EUR"),
    });
}

#[test]
fn one_sku_has_one_seller() {
    let mixed = vec![line("A", "acme", 1, gbp(1)), line("A", "corp", 1, gbp(1))];
    given::<Order>([])
        .when(place(mixed))
        .then_rejected(OrderRejection::SellersDiffer { sku: sku("A") });
}

#[test]
fn quantities_and_totals_do_not_overflow() {
    let most = i64::from(Quantity::MAX);
    let twice = vec![line("A", "acme", most, gbp(1)), line("A", "acme", 1, gbp(1))];
    given::<Order>([])
        .when(place(twice))
        .then_rejected(OrderRejection::QuantityOverflow { sku: sku("A") });
    for lines in [
        vec![line("A", "acme", 2, gbp(i64::MAX))],
        vec![line("A", "acme", 1, gbp(i64::MAX)), line("B", "acme", 1, gbp(1))],
    ] {
        given::<Order>([]).when(place(lines)).then_rejected(OrderRejection::TotalOverflow);
    }
}

#[test]
fn two_lines_of_one_sku_are_one_item() {
    assert_eq!(items(&lines()), [item("A", 5), item("C", 1)]);
    let state = fold::<Order>(&[placed()]);
    let order = state.placed().unwrap();
    assert_eq!(order.items(), [item("A", 5), item("C", 1)]);
    assert_eq!(order.items_of(&seller("acme")), [item("A", 5)]);
}

#[test]
fn an_order_is_confirmed_once() {
    let state = given::<Order>([placed()]).when(confirm()).then([confirmed()]);
    assert_eq!(status(&state), OrderStatus::Confirmed);
    given::<Order>([placed(), confirmed()]).when(confirm()).then_nothing();
    given::<Order>(until_paid()).when(confirm()).then_nothing();
}

#[test]
fn an_order_is_paid_once_in_full_and_after_confirmation() {
    let past = || [placed(), confirmed()];
    let state = given::<Order>(past()).when(mark_paid(9, gbp(520))).then([paid()]);
    assert_eq!(status(&state), OrderStatus::Paid);
    assert_eq!(state.placed().unwrap().payment(), PaymentStatus::Captured(some_payment(9)));
    given::<Order>([placed()])
        .when(mark_paid(9, gbp(520)))
        .then_rejected(OrderRejection::NotConfirmed);
    for amount in [gbp(519), gbp(521), eur(520)] {
        let differs = OrderRejection::AmountDiffers { total: gbp(520), amount };
        given::<Order>(past()).when(mark_paid(9, amount)).then_rejected(differs);
    }
    given::<Order>(until_paid()).when(mark_paid(9, gbp(520))).then_nothing();
    given::<Order>(until_paid())
        .when(mark_paid(8, gbp(520)))
        .then_rejected(OrderRejection::AlreadyPaid { payment: some_payment(9) });
}

#[test]
fn a_seller_ships_its_own_lines_of_a_paid_order() {
    let state = given::<Order>(until_paid()).when(ship("acme", "T1")).then([acme_shipped()]);
    assert_eq!(state.placed().unwrap().shipment(), ShipmentStatus::Partial);
    given::<Order>([placed(), confirmed()])
        .when(ship("acme", "T1"))
        .then_rejected(OrderRejection::NotPaid);
    given::<Order>(until_paid())
        .when(ship("other", "T1"))
        .then_rejected(OrderRejection::NotASeller { seller: seller("other") });
}

#[test]
fn a_seller_ships_once() {
    for later in [vec![acme_shipped()], vec![acme_shipped(), partially("acme")]] {
        let past = || [until_paid(), later.clone()].concat();
        given::<Order>(past()).when(ship("acme", "T1")).then_nothing();
        given::<Order>(past()).when(ship("acme", "T2")).then_rejected(
            OrderRejection::ShippedDifferently { seller: seller("acme"), tracking: "T1".into() },
        );
    }
}

#[test]
fn the_last_seller_fulfils_the_order() {
    let both = [until_paid(), vec![acme_shipped(), corp_shipped()]].concat();
    let state = given::<Order>(both.clone()).when(fulfil("corp")).then([partially("corp")]);
    assert_eq!(status(&state), OrderStatus::PartiallyFulfilled);
    assert_eq!(state.placed().unwrap().shipment(), ShipmentStatus::Full);
    let past = || [both.clone(), vec![partially("corp")]].concat();
    let state = given::<Order>(past()).when(fulfil("acme")).then([fulfilled("acme")]);
    assert_eq!(status(&state), OrderStatus::Fulfilled);
    given::<Order>(past()).when(fulfil("corp")).then_nothing();
}

#[test]
fn only_what_was_shipped_is_fulfilled() {
    given::<Order>(until_paid())
        .when(fulfil("acme"))
        .then_rejected(OrderRejection::NotShipped { seller: seller("acme") });
}

#[test]
fn an_order_can_be_cancelled_until_the_first_shipment() {
    for n in 1..=3 {
        let state = given::<Order>(until_paid()[..n].to_vec())
            .when(cancel(CancelReason::CustomerRequest))
            .then([cancelled(CancelReason::CustomerRequest)]);
        assert_eq!(status(&state), OrderStatus::Cancelled(CancelReason::CustomerRequest));
        let was_paid = state.placed().unwrap().payment() != PaymentStatus::None;
        assert_eq!(was_paid, n == 3);
    }
    given::<Order>([until_paid(), vec![corp_shipped()]].concat())
        .when(cancel(CancelReason::CustomerRequest))
        .then_rejected(OrderRejection::AlreadyShipped);
}

#[test]
fn a_cancelled_order_stays_cancelled_for_its_first_reason() {
    let reason = CancelReason::ReservationExpired;
    let past = || [placed(), confirmed(), cancelled(reason.clone())];
    given::<Order>(past()).when(cancel(reason.clone())).then_nothing();
    let commands = [
        cancel(CancelReason::CustomerRequest),
        confirm(),
        mark_paid(9, gbp(520)),
        ship("acme", "T1"),
        fulfil("acme"),
    ];
    for command in commands {
        let rejection = OrderRejection::AlreadyCancelled { reason: reason.clone() };
        given::<Order>(past()).when(command).then_rejected(rejection);
    }
}

#[test]
fn a_refund_is_recorded_once_at_any_stage() {
    let pasts = [
        vec![placed()],
        until_paid(),
        vec![placed(), cancelled(CancelReason::CustomerRequest)],
        [until_paid(), vec![acme_shipped()]].concat(),
    ];
    for past in pasts {
        let state =
            given::<Order>(past.clone()).when(refund("r", gbp(20))).then([refunded("r", 20, 20)]);
        assert_eq!(state.placed().unwrap().refund(), RefundStatus::Partial(gbp(20)));
        let past = [past, vec![refunded("r", 20, 20)]].concat();
        given::<Order>(past.clone()).when(refund("r", gbp(20))).then_nothing();
        given::<Order>(past.clone())
            .when(refund("r", gbp(21)))
            .then_rejected(OrderRejection::RefundDiffers { refund: "r".into(), recorded: gbp(20) });
        let state =
            given::<Order>(past).when(refund("s", gbp(500))).then([refunded("s", 500, 520)]);
        assert_eq!(state.placed().unwrap().refund(), RefundStatus::Full(gbp(520)));
    }
}

#[test]
fn a_refund_is_above_zero_in_the_currency_of_the_order_and_within_its_total() {
    let when = |amount| given::<Order>(until_paid()).when(refund("r", amount));
    when(gbp(0)).then_rejected(OrderRejection::RefundNotPositive { amount: gbp(0) });
    when(gbp(521))
        .then_rejected(OrderRejection::OverRefund { refundable: gbp(520), requested: gbp(521) });
    when(eur(1)).then_rejected(OrderRejection::CurrencyMismatch {
        expected: currency("GBP"),
        actual: currency("EUR"),
    });
}

#[test]
fn nothing_can_be_done_with_an_order_that_was_not_placed() {
    let commands = [
        confirm(),
        mark_paid(9, gbp(520)),
        ship("acme", "T1"),
        fulfil("acme"),
        cancel(CancelReason::CustomerRequest),
        refund("r", gbp(1)),
    ];
    for command in commands {
        given::<Order>([]).when(command).then_rejected(OrderRejection::NotPlaced);
    }
}
