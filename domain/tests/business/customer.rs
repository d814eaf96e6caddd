use daybook_domain::customer::{
    Customer, CustomerCommand, CustomerEvent, CustomerRejection, CustomerState,
};

use crate::given::{at, customer_id, given, label};

fn registered() -> CustomerEvent {
    CustomerEvent::Registered {
        customer: customer_id(),
        name: label("Ada"),
        email: "ada@example.com".parse().ok(),
        country: "GB".parse().ok(),
        at: at(0),
    }
}

fn register(name: &str, minute: i64) -> CustomerCommand {
    CustomerCommand::Register {
        customer: customer_id(),
        name: label(name),
        email: "ada@example.com".parse().ok(),
        country: "GB".parse().ok(),
        at: at(minute),
    }
}

fn change(name: &str) -> CustomerCommand {
    CustomerCommand::Change {
        name: label(name),
        email: "ada@example.com".parse().ok(),
        country: "GB".parse().ok(),
        at: at(1),
    }
}

fn close() -> CustomerCommand {
    CustomerCommand::Close { reason: String::new(), at: at(2) }
}

fn closed() -> CustomerEvent {
    CustomerEvent::Closed { reason: String::new(), at: at(2) }
}

#[test]
fn a_customer_registers_once() {
    given::<Customer>([]).when(register("Ada", 0)).then([registered()]);
    given::<Customer>([registered()]).when(register("Ada", 9)).then_nothing();
    given::<Customer>([registered()])
        .when(register("Bob", 9))
        .then_rejected(CustomerRejection::AlreadyRegistered);
}

#[test]
fn details_can_be_changed() {
    let state =
        given::<Customer>([registered()]).when(change("Ada L.")).then([CustomerEvent::Changed {
            name: label("Ada L."),
            email: "ada@example.com".parse().ok(),
            country: "GB".parse().ok(),
            at: at(1),
        }]);
    assert!(matches!(state, CustomerState::Open { name, .. } if name == label("Ada L.")));
    given::<Customer>([registered()]).when(change("Ada")).then_nothing();
}

#[test]
fn only_a_registered_customer_can_be_changed_or_closed() {
    for command in [change("Ada"), close()] {
        given::<Customer>([]).when(command).then_rejected(CustomerRejection::NotRegistered);
    }
}

#[test]
fn a_closed_account_stays_closed() {
    let state = given::<Customer>([registered()]).when(close()).then([closed()]);
    assert_eq!(state, CustomerState::Closed);
    given::<Customer>([registered(), closed()]).when(close()).then_nothing();
    for command in [register("Ada", 0), change("Ada")] {
        given::<Customer>([registered(), closed()])
            .when(command)
            .then_rejected(CustomerRejection::AccountClosed);
    }
}
