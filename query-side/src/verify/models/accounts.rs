use daybook_domain::payment::{PaymentState, Requested};
use daybook_domain::product::{Listing, ProductState};
use daybook_domain::values::{Country, Email, Label, Timestamp};

use super::table::{Model, Rows, Table};
use crate::verify::books::Books;
use crate::verify::parties::{CustomerEntry, ProductEntry};
use crate::verify::payments::PaymentEntry;
use crate::verify::row::Cell;

pub(super) const PAYMENTS: Model = Model {
    name: "payments",
    tables: &[Table {
        name: "payments",
        key: &["id"],
        columns: &[
            "order_id",
            "status",
            "method",
            "currency",
            "amount",
            "captured",
            "refunded",
            "reference",
            "decline",
            "requested_at",
            "updated_at",
            "revision",
        ],
        digested: false,
        expected: payments,
    }],
};

pub(super) const CUSTOMERS: Model = Model {
    name: "customers",
    tables: &[Table {
        name: "customers",
        key: &["id"],
        columns: &["status", "name", "email", "country", "registered_at", "updated_at", "revision"],
        digested: false,
        expected: customers,
    }],
};

pub(super) const PRODUCTS: Model = Model {
    name: "products",
    tables: &[Table {
        name: "products",
        key: &["sku"],
        columns: &[
            "status",
            "seller",
            "name",
            "description",
            "category",
            "brand",
            "currency",
            "price",
            "listed_at",
            "updated_at",
            "revision",
        ],
        digested: false,
        expected: products,
    }],
};

fn payments(books: &Books) -> Rows<'_> {
    let payments = books.payments.payments.iter();
    payments
        .filter_map(|(id, entry)| Some((id.to_string(), payment(entry, entry.state.request()?))))
        .collect()
}

fn payment<'b>(entry: &'b PaymentEntry, request: &'b Requested) -> Vec<Cell<'b>> {
    let (status, decline) = match &entry.state {
        PaymentState::Unknown | PaymentState::Requested(_) => ("requested", None),
        PaymentState::Authorized { .. } => ("authorized", None),
        PaymentState::Captured(_) if entry.kept() <= 0 => ("refunded", None),
        PaymentState::Captured(_) => ("captured", None),
        PaymentState::Voided { .. } => ("voided", None),
        PaymentState::Declined { reason, .. } => ("declined", Some(reason.as_str())),
    };
    vec![
        request.order.to_string().into(),
        status.into(),
        request.method.as_str().into(),
        request.amount.currency.code().into(),
        request.amount.minor.into(),
        entry.captured.into(),
        entry.refunded.into(),
        entry.reference.as_deref().into(),
        decline.into(),
        entry.requested_at.into(),
        entry.updated_at.into(),
        entry.revision.into(),
    ]
}

fn customers(books: &Books) -> Rows<'_> {
    let customers = books.parties.customers.iter();
    customers.map(|(id, entry)| (id.to_string(), customer(entry))).collect()
}

fn customer(entry: &CustomerEntry) -> Vec<Cell<'_>> {
    vec![
        if entry.is_open { "open" } else { "closed" }.into(),
        entry.name.as_str().into(),
        entry.email.as_ref().map(Email::as_str).into(),
        entry.country.as_ref().map(Country::as_str).into(),
        entry.registered_at.as_micros().into(),
        entry.updated_at.into(),
        entry.revision.into(),
    ]
}

fn products(books: &Books) -> Rows<'_> {
    let products = books.parties.products.iter();
    products
        .filter_map(|(stream, entry)| {
            let listing = entry.state.listing()?;
            Some((stream.id().to_owned(), product(entry, listing)))
        })
        .collect()
}

fn product<'b>(entry: &'b ProductEntry, listing: &'b Listing) -> Vec<Cell<'b>> {
    let is_listed = matches!(entry.state, ProductState::Listed(_));
    vec![
        if is_listed { "listed" } else { "delisted" }.into(),
        listing.seller.as_str().into(),
        listing.name.as_str().into(),
        listing.description.as_str().into(),
        listing.category.as_str().into(),
        listing.brand.as_ref().map(Label::as_str).into(),
        listing.price.currency.code().into(),
        listing.price.minor.into(),
        entry.listed_at.map(Timestamp::as_micros).into(),
        entry.updated_at.into(),
        entry.revision.into(),
    ]
}
