use daybook_domain::stock::ReleaseReason;

use super::table::{Model, Rows, Table};
use crate::verify::books::Books;
use crate::verify::row::Digest;
use crate::verify::stock::{ReservationStage, Shelf};

pub(super) const STOCK: Model = Model {
    name: "stock",
    tables: &[
        Table {
            name: "stock",
            key: &["sku"],
            columns: &["on_hand", "reserved", "updated_at", "revision"],
            digested: false,
            expected: levels,
        },
        Table {
            name: "reservations",
            key: &["sku"],
            columns: &["order_id", "quantity", "expires_at", "status", "reason", "revision"],
            digested: true,
            expected: reservations,
        },
    ],
};

fn levels(books: &Books) -> Rows<'_> {
    let level = |shelf: &Shelf| {
        vec![
            shelf.on_hand.into(),
            shelf.reserved.into(),
            shelf.updated_at.into(),
            shelf.revision.into(),
        ]
    };
    let shelves = books.stock.shelves.iter();
    shelves.map(|(stream, shelf)| (stream.id().to_owned(), level(shelf))).collect()
}

fn reservations(books: &Books) -> Rows<'_> {
    let shelves = books.stock.shelves.iter().filter(|(_, shelf)| !shelf.reservations.is_empty());
    shelves.map(|(stream, shelf)| (stream.id().to_owned(), digest(shelf).cells())).collect()
}

fn digest(shelf: &Shelf) -> Digest {
    let mut digest = Digest::default();
    for (order, reservation) in &shelf.reservations {
        let (status, reason) = match reservation.stage {
            ReservationStage::Held => ("held", None),
            ReservationStage::Released(reason) => ("released", Some(release(reason))),
            ReservationStage::Committed => ("committed", None),
        };
        digest.add(&[
            order.to_string().into(),
            reservation.quantity.into(),
            reservation.expires_at.into(),
            status.into(),
            reason.into(),
            reservation.revision.into(),
        ]);
    }
    digest
}

fn release(reason: ReleaseReason) -> &'static str {
    match reason {
        ReleaseReason::Cancelled => "cancelled",
        ReleaseReason::PaymentFailed => "paymentFailed",
        ReleaseReason::Expired => "expired",
    }
}
