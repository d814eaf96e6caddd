//! Giving money back: the provider is asked first, then the payment records its answer.

use daybook_domain::Decider;
use daybook_domain::payment::{Payment, PaymentCommand, PaymentRejection};
use daybook_domain::values::{Money, PaymentId, Timestamp};
use thiserror::Error;

use crate::commands::{CommandContext, CommandError, Commands, Handled, Loaded};
use crate::payments::{PaymentProvider, ProviderError, RefundRequest, RequestKey};

/// Why nothing was given back, as far as is known.
#[derive(Debug, Error)]
pub enum RefundError {
    /// The payment does not allow it, or the store does not serve.
    #[error(transparent)]
    Command(#[from] CommandError<PaymentRejection>),
    /// The provider said no.
    #[error("the provider declined: {reason}")]
    Declined {
        /// What it said.
        reason: String,
    },
    /// The provider gave no usable answer. Repeat the refund with the same command id.
    #[error("the provider gave no answer")]
    Unavailable(#[source] ProviderError),
}

/// Gives some or all of what a payment captured back. The refund is named after the command: to
/// repeat one whose outcome is not known, repeat its command id.
///
/// # Errors
/// The payment, the provider or the store does not allow it.
pub async fn refund(
    commands: &Commands,
    provider: &impl PaymentProvider,
    (payment, amount, at): (PaymentId, Money, Timestamp),
    context: &CommandContext,
) -> Result<Handled<Payment>, RefundError> {
    let name = format!("refund-{}", context.command_id);
    let command = PaymentCommand::Refund { refund: name.clone(), amount, at };
    let reference = refundable(commands, payment, &command, context).await?;
    let key = RequestKey::of_step(payment, name)
        .map_err(|error| RefundError::Declined { reason: error.to_string() })?;
    match provider.refund(RefundRequest { key, reference, amount }).await {
        Ok(_) => {}
        Err(ProviderError::Declined { reason } | ProviderError::Invalid { reason }) => {
            return Err(RefundError::Declined { reason });
        }
        Err(error) => return Err(RefundError::Unavailable(error)),
    }
    // The money has moved: that is recorded, whatever has become of the payment meanwhile.
    let context = CommandContext { expected: None, ..context.clone() };
    Ok(commands.handle::<Payment>(payment, command, &context).await?)
}

/// The authorization that a refund goes to, if the payment allows the refund: no money moves
/// before that is known.
async fn refundable(
    commands: &Commands,
    payment: PaymentId,
    command: &PaymentCommand,
    context: &CommandContext,
) -> Result<String, CommandError<PaymentRejection>> {
    let Loaded { state, revision, .. } = commands.load::<Payment>(payment).await?;
    if let Some(expected) = context.expected.filter(|_| !context.repeated)
        && Some(expected) != revision
    {
        return Err(CommandError::Stale { expected, actual: revision });
    }
    Payment::decide(&state, command.clone()).map_err(CommandError::Rejected)?;
    let reference = state.reference().map(ToOwned::to_owned);
    reference.ok_or(CommandError::Rejected(PaymentRejection::NotCaptured))
}
