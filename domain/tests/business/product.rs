use daybook_domain::product::{
    Product, ProductCommand, ProductEvent, ProductRejection, ProductState,
};
use daybook_domain::values::Money;

use crate::given::{at, currency, eur, gbp, given, label, seller, sku};

fn list(from: &str, price: Money) -> ProductCommand {
    ProductCommand::List {
        sku: sku("A"),
        seller: seller(from),
        name: label("Apple"),
        description: "red".into(),
        category: label("Fruit"),
        brand: None,
        price,
        at: at(0),
    }
}

fn listed(price: Money) -> ProductEvent {
    ProductEvent::Listed {
        sku: sku("A"),
        seller: seller("acme"),
        name: label("Apple"),
        description: "red".into(),
        category: label("Fruit"),
        brand: None,
        price,
        at: at(0),
    }
}

fn describe(name: &str) -> ProductCommand {
    ProductCommand::Describe {
        name: label(name),
        description: "red".into(),
        category: label("Fruit"),
        brand: None,
        at: at(1),
    }
}

fn delist() -> ProductCommand {
    ProductCommand::Delist { reason: "season over".into(), at: at(2) }
}

fn delisted() -> ProductEvent {
    ProductEvent::Delisted { reason: "season over".into(), at: at(2) }
}

#[test]
fn a_product_is_listed_once() {
    given::<Product>([]).when(list("acme", gbp(100))).then([listed(gbp(100))]);
    given::<Product>([listed(gbp(100))]).when(list("acme", gbp(100))).then_nothing();
    given::<Product>([listed(gbp(100))])
        .when(list("acme", gbp(101)))
        .then_rejected(ProductRejection::AlreadyListed);
}

#[test]
fn a_product_belongs_to_one_seller() {
    for past in [vec![listed(gbp(100))], vec![listed(gbp(100)), delisted()]] {
        given::<Product>(past)
            .when(list("other", gbp(100)))
            .then_rejected(ProductRejection::SoldByOther { seller: seller("acme") });
    }
}

#[test]
fn a_price_is_above_zero() {
    for price in [gbp(0), gbp(-1)] {
        let rejection = ProductRejection::PriceNotPositive { price };
        given::<Product>([]).when(list("acme", price)).then_rejected(rejection.clone());
        given::<Product>([listed(gbp(100))])
            .when(ProductCommand::Reprice { price, at: at(1) })
            .then_rejected(rejection);
    }
}

#[test]
fn a_new_price_is_in_the_listed_currency() {
    let reprice = |price| ProductCommand::Reprice { price, at: at(1) };
    let state = given::<Product>([listed(gbp(100))])
        .when(reprice(gbp(90)))
        .then([ProductEvent::Repriced { price: gbp(90), at: at(1) }]);
    assert_eq!(state.listing().map(|listing| listing.price), Some(gbp(90)));
    given::<Product>([listed(gbp(100))]).when(reprice(gbp(100))).then_nothing();
    given::<Product>([listed(gbp(100))]).when(reprice(eur(90))).then_rejected(
        ProductRejection::CurrencyMismatch { listed: currency("GBP"), requested: currency("EUR") },
    );
}

#[test]
fn a_description_can_be_changed() {
    let state = given::<Product>([listed(gbp(100))]).when(describe("Pear")).then([
        ProductEvent::Described {
            name: label("Pear"),
            description: "red".into(),
            category: label("Fruit"),
            brand: None,
            at: at(1),
        },
    ]);
    assert_eq!(state.listing().map(|listing| listing.name.as_str()), Some("Pear"));
    given::<Product>([listed(gbp(100))]).when(describe("Apple")).then_nothing();
}

#[test]
fn a_product_that_was_never_listed_cannot_be_changed() {
    let reprice = ProductCommand::Reprice { price: gbp(1), at: at(1) };
    for command in [describe("Pear"), reprice, delist()] {
        given::<Product>([]).when(command).then_rejected(ProductRejection::NeverListed);
    }
}

#[test]
fn a_delisted_product_can_only_be_listed_again() {
    let past = || [listed(gbp(100)), delisted()];
    let state = given::<Product>([listed(gbp(100))]).when(delist()).then([delisted()]);
    assert!(matches!(state, ProductState::Delisted(_)));
    given::<Product>(past()).when(delist()).then_nothing();
    given::<Product>(past()).when(describe("Pear")).then_rejected(ProductRejection::OffSale);
    given::<Product>(past()).when(list("acme", gbp(120))).then([listed(gbp(120))]);
}
