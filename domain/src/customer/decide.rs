use super::{CustomerCommand, CustomerEvent, CustomerState};
use crate::Decider;

/// The rules of a customer.
#[derive(Debug, Clone, Copy)]
pub struct Customer;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomerRejection {
    /// There is no such customer.
    #[error("there is no such customer")]
    Unknown,
}

impl Decider for Customer {
    const CATEGORY: &'static str = "customer";
    type Command = CustomerCommand;
    type Event = CustomerEvent;
    type State = CustomerState;
    type Rejection = CustomerRejection;

    fn decide(
        _: &CustomerState,
        _: CustomerCommand,
    ) -> Result<Vec<CustomerEvent>, CustomerRejection> {
        Err(CustomerRejection::Unknown)
    }

    fn evolve(state: CustomerState, _: &CustomerEvent) -> CustomerState {
        state
    }
}
