use super::{CustomerCommand, CustomerEvent, CustomerState};
use crate::Decider;

/// The rules of a customer's account.
#[derive(Debug, Clone, Copy)]
pub struct Customer;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomerRejection {
    /// The account was never opened.
    #[error("there is no such customer")]
    NotRegistered,
    /// The account was opened with other details.
    #[error("the customer is registered already, with other details")]
    AlreadyRegistered,
    /// The account was closed.
    #[error("the customer's account is closed")]
    AccountClosed,
}

impl Decider for Customer {
    const CATEGORY: &'static str = "customer";
    type Command = CustomerCommand;
    type Event = CustomerEvent;
    type State = CustomerState;
    type Rejection = CustomerRejection;

    fn decide(
        state: &CustomerState,
        command: CustomerCommand,
    ) -> Result<Vec<CustomerEvent>, CustomerRejection> {
        match command {
            CustomerCommand::Register { customer, name, email, country, at } => {
                let event = CustomerEvent::Registered { customer, name, email, country, at };
                match state {
                    CustomerState::Unknown => Ok(vec![event]),
                    CustomerState::Open { .. } if CustomerState::after(&event) == *state => {
                        Ok(vec![])
                    }
                    CustomerState::Open { .. } => Err(CustomerRejection::AlreadyRegistered),
                    CustomerState::Closed => Err(CustomerRejection::AccountClosed),
                }
            }
            CustomerCommand::Change { name, email, country, at } => {
                let event = CustomerEvent::Changed { name, email, country, at };
                match state {
                    CustomerState::Unknown => Err(CustomerRejection::NotRegistered),
                    CustomerState::Open { .. } if CustomerState::after(&event) == *state => {
                        Ok(vec![])
                    }
                    CustomerState::Open { .. } => Ok(vec![event]),
                    CustomerState::Closed => Err(CustomerRejection::AccountClosed),
                }
            }
            CustomerCommand::Close { reason, at } => match state {
                CustomerState::Unknown => Err(CustomerRejection::NotRegistered),
                CustomerState::Open { .. } => Ok(vec![CustomerEvent::Closed { reason, at }]),
                CustomerState::Closed => Ok(vec![]),
            },
        }
    }

    fn evolve(_: CustomerState, event: &CustomerEvent) -> CustomerState {
        CustomerState::after(event)
    }
}
