use std::fmt::Display;
use std::sync::Arc;

use daybook_domain::payment::{Payment, PaymentCommand, PaymentRejection, PaymentState};
use daybook_domain::values::{Money, PaymentId, PaymentMethod};
use uuid::Uuid;

use super::{ExecuteError, Task};
use crate::commands::{CommandContext, CommandError};
use crate::payments::{
    AuthorizeRequest, CaptureRequest, PaymentProvider, Provider, ProviderError, RequestKey,
    VoidRequest,
};
use crate::refunds::{RefundError, refund};

/// The steps of one payment: the provider is asked first, under a key that never changes, and the
/// payment records its answer.
pub(super) struct PaymentTask<'a> {
    task: Task<'a, Provider>,
    payment: PaymentId,
}

impl<'a> PaymentTask<'a> {
    pub(super) fn new(task: Task<'a, Provider>, payment: PaymentId) -> Self {
        Self { task, payment }
    }

    /// Opens the payment and has the amount held. Whatever the provider finds wrong with the
    /// request is a decline: the customer can try again by other means.
    pub(super) async fn authorize(
        &self,
        amount: Money,
        method: &PaymentMethod,
    ) -> Result<(), ExecuteError> {
        let (payment, order, at) = (self.payment, self.task.instance, self.task.at);
        let request =
            PaymentCommand::Request { payment, order, amount, method: method.clone(), at };
        self.record("request", request).await?;
        if !matches!(*self.state().await?, PaymentState::Requested(_)) {
            return Ok(());
        }
        let (key, method) = (self.key("authorize")?, method.clone());
        let request = AuthorizeRequest { key, payment, amount, method };
        let answer = match self.task.ports.authorize(request).await {
            Ok(receipt) => PaymentCommand::Authorize { reference: receipt.reference, at },
            Err(ProviderError::Declined { reason } | ProviderError::Invalid { reason }) => {
                PaymentCommand::Decline { reason, at }
            }
            Err(error) => return Err(failed(error)),
        };
        self.record("authorize", answer).await
    }

    /// Has the amount taken.
    pub(super) async fn capture(&self, amount: Money) -> Result<(), ExecuteError> {
        let (name, at) = ("capture", self.task.at);
        let request =
            CaptureRequest { key: self.key(name)?, reference: self.reference().await?, amount };
        let answer = match self.task.ports.capture(request).await {
            Ok(_) => PaymentCommand::Capture { capture: name.into(), amount, at },
            Err(ProviderError::Declined { reason }) => PaymentCommand::Decline { reason, at },
            Err(error) => return Err(failed(error)),
        };
        self.record(name, answer).await
    }

    /// Has what is held let go.
    pub(super) async fn void(&self) -> Result<(), ExecuteError> {
        let request = VoidRequest { key: self.key("void")?, reference: self.reference().await? };
        self.task.ports.void(request).await.map_err(failed)?;
        self.record("void", PaymentCommand::Void { at: self.task.at }).await
    }

    /// Has an amount given back. Each such command is a refund of its own, named after it.
    pub(super) async fn refund(&self, amount: Money) -> Result<(), ExecuteError> {
        let Task { commands, ports, context, at, .. } = self.task;
        refund(commands, ports, (self.payment, amount, at), context).await?;
        Ok(())
    }

    fn key(&self, step: impl Display) -> Result<RequestKey, ExecuteError> {
        let broken = |error| ExecuteError::Broken(format!("{error}"));
        RequestKey::of_step(self.payment, step).map_err(broken)
    }

    /// The provider's name for the authorization.
    async fn reference(&self) -> Result<String, ExecuteError> {
        let reference = self.state().await?.reference().map(ToOwned::to_owned);
        reference.ok_or_else(|| ExecuteError::Rejected("the payment is not authorized".into()))
    }

    async fn state(&self) -> Result<Arc<PaymentState>, ExecuteError> {
        let loaded = self.task.commands.load::<Payment>(self.payment).await;
        let failed = |error| ExecuteError::from(CommandError::<PaymentRejection>::from(error));
        Ok(loaded.map_err(failed)?.state)
    }

    /// Records a step. A command of the process can be two for the payment, so each has an id.
    async fn record(&self, step: &str, command: PaymentCommand) -> Result<(), ExecuteError> {
        let command_id = Uuid::new_v5(&self.task.context.command_id, step.as_bytes());
        let context = CommandContext { command_id, ..self.task.context.clone() };
        self.task.commands.handle::<Payment>(self.payment, command, &context).await?;
        Ok(())
    }
}

fn failed(error: ProviderError) -> ExecuteError {
    match error {
        ProviderError::Unavailable { .. } => ExecuteError::Unavailable(error.to_string()),
        ProviderError::Declined { reason } | ProviderError::Invalid { reason } => {
            ExecuteError::Rejected(reason)
        }
        ProviderError::KeyReused => ExecuteError::Broken(error.to_string()),
    }
}

impl From<RefundError> for ExecuteError {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::Command(error) => error.into(),
            RefundError::Declined { reason } => Self::Rejected(reason),
            RefundError::Unavailable(error) => failed(error),
        }
    }
}
