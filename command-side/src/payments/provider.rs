use super::metrics;
use super::port::{Operation, PaymentProvider, ProviderError, Receipt, RequestKey};
use super::{HttpProvider, SimulatedProvider};

/// The provider that was chosen when the program was put together. Counts what it is asked.
#[derive(Debug, Clone)]
pub enum Provider {
    /// In this process, moving no money.
    Simulated(SimulatedProvider),
    /// Over HTTP.
    Http(HttpProvider),
}

impl PaymentProvider for Provider {
    async fn perform(
        &self,
        key: RequestKey,
        operation: Operation,
    ) -> Result<Receipt, ProviderError> {
        let name = operation.name();
        let answer = match self {
            Self::Simulated(provider) => provider.perform(key, operation).await,
            Self::Http(provider) => provider.perform(key, operation).await,
        };
        metrics::called(name, &answer);
        answer
    }
}
