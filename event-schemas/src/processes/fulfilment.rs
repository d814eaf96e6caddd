use daybook_domain::fulfilment::{
    Fulfilment, FulfilmentCommand, FulfilmentFact, FulfilmentInput, FulfilmentTimeout,
};
use daybook_domain::values::{OrderId, SellerId, Sku, Timestamp};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserializer, Serializer};

use super::ProcessForm;
use crate::Upcast;
use crate::shape::choice;
use crate::value::Form;

impl ProcessForm for Fulfilment {
    const KIND: &'static str = "FulfilmentAdvanced";
    const VERSION: u16 = 1;
    const UPCASTS: &'static [Upcast] = &[];
    type Fact = FulfilmentFact;

    fn split(input: &FulfilmentInput) -> (&OrderId, &Timestamp, &FulfilmentFact) {
        (&input.order, &input.at, &input.what)
    }

    fn join(order: OrderId, at: Timestamp, what: FulfilmentFact) -> FulfilmentInput {
        FulfilmentInput { order, at, what }
    }
}

choice! {
    /// What Fulfilment learnt.
    FulfilmentFact as FulfilmentFactForm {
        /// A seller shipped.
        Shipped {
            /// Which seller.
            seller: SellerId,
            /// What to commit.
            skus: Vec<Sku>,
        },
        /// A reservation was committed.
        Committed {
            /// Of what.
            sku: Sku,
        },
        /// The order knows that a seller is done.
        SellerFulfilled {
            /// Which seller.
            seller: SellerId,
            /// Whether it was the last.
            last: bool,
        },
    }
}

choice! {
    /// What Fulfilment asks for.
    FulfilmentCommand as FulfilmentCommandForm {
        /// The goods left with the order.
        Commit {
            /// What.
            sku: Sku,
        },
        /// Note on the order that a seller is done.
        Fulfil {
            /// Which seller.
            seller: SellerId,
        },
    }
}

impl Form for FulfilmentTimeout {
    const NAME: Option<&'static str> = Some("FulfilmentTimeout");

    fn write<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }

    fn read<'de, D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("fulfilment has no timeouts"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Fulfilment waits for nothing but events.", "not": {} })
    }
}
