use std::collections::BTreeMap;

use crate::values::{SellerId, Sku};

/// What is still to be done about a seller's shipped lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SellerStage {
    /// So many reservations are not committed yet.
    Committing(usize),
    /// The order does not know yet that the seller is done.
    Fulfilling,
    /// Nothing.
    Fulfilled,
}

/// Where a fulfilment stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FulfilmentState {
    /// Not started.
    #[default]
    NotStarted,
    /// Some sellers shipped, and not all of them are done.
    Underway {
        /// The sellers that shipped.
        sellers: BTreeMap<SellerId, SellerStage>,
        /// Reservations that are not committed yet, and whose lines they are for.
        pending: BTreeMap<Sku, SellerId>,
    },
    /// Complete: every seller is done.
    Fulfilled,
}

impl FulfilmentState {
    pub(super) fn is_underway(&self) -> bool {
        matches!(self, Self::Underway { .. })
    }

    /// Whether a seller's shipment would be news.
    pub(super) fn awaits(&self, seller: &SellerId) -> bool {
        match self {
            Self::NotStarted => true,
            Self::Underway { sellers, .. } => !sellers.contains_key(seller),
            Self::Fulfilled => false,
        }
    }

    /// The seller for whom this commitment is the last that was missing.
    pub(super) fn completed_by(&self, sku: &Sku) -> Option<&SellerId> {
        let Self::Underway { sellers, pending } = self else { return None };
        let seller = pending.get(sku)?;
        (sellers.get(seller) == Some(&SellerStage::Committing(1))).then_some(seller)
    }

    pub(super) fn shipped(self, seller: &SellerId, skus: &[Sku]) -> Self {
        let (mut sellers, mut pending) = match self {
            Self::Underway { sellers, pending } => (sellers, pending),
            Self::NotStarted | Self::Fulfilled => (BTreeMap::new(), BTreeMap::new()),
        };
        let before = pending.len();
        pending.extend(skus.iter().map(|sku| (sku.clone(), seller.clone())));
        sellers.insert(seller.clone(), SellerStage::committing(pending.len() - before));
        Self::Underway { sellers, pending }
    }

    pub(super) fn committed(mut self, sku: &Sku) -> Self {
        if let Self::Underway { sellers, pending } = &mut self
            && let Some(seller) = pending.remove(sku)
            && let Some(stage) = sellers.get_mut(&seller)
            && let SellerStage::Committing(left) = *stage
        {
            *stage = SellerStage::committing(left.saturating_sub(1));
        }
        self
    }

    pub(super) fn fulfilled(mut self, seller: &SellerId, last: bool) -> Self {
        match &mut self {
            Self::Underway { .. } if last => Self::Fulfilled,
            Self::Underway { sellers, .. } => {
                sellers.insert(seller.clone(), SellerStage::Fulfilled);
                self
            }
            Self::NotStarted | Self::Fulfilled => self,
        }
    }
}

impl SellerStage {
    fn committing(left: usize) -> Self {
        if left == 0 { Self::Fulfilling } else { Self::Committing(left) }
    }
}
