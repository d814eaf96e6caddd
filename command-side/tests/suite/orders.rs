//! Placing an order: what it takes from products and customers, and what they may forbid.

use daybook_command_side::CommandContext;
use daybook_command_side::orders::{PlaceOrder, PlaceOrderError, RequestedLine, place_order};
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::product::{Product, ProductCommand};
use daybook_domain::values::{CustomerId, Timestamp};
use uuid::Uuid;

use crate::shop::{PRICE, Shop, context, order, pence, sku};

const AT: Timestamp = Timestamp::from_micros(1_290_000_000_000_000);

fn request(number: u128, name: &str) -> PlaceOrder {
    let quantity = 2.try_into().unwrap();
    PlaceOrder {
        order: order(number),
        customer: CustomerId(Uuid::nil()),
        lines: vec![RequestedLine { sku: sku(name), quantity, agreed_price: None }],
        method: "tok_approve".parse().unwrap(),
        at: AT,
    }
}

async fn delist(shop: &Shop, name: &str) {
    let delist = ProductCommand::Delist { reason: String::new(), at: AT };
    shop.commands.handle::<Product>(sku(name), delist, &context()).await.unwrap();
}

#[tokio::test]
async fn names_sellers_and_prices_are_those_of_the_products() {
    let shop = Shop::given(&[("mug", 1)]).await;
    let mut request = request(1, "mug");
    let agreed = RequestedLine { agreed_price: Some(pence(199)), ..request.lines[0].clone() };
    request.lines.push(agreed);

    place_order(&shop.commands, request, &context()).await.unwrap();

    let placed = shop.placed(1).await;
    let prices: Vec<_> = placed.lines.iter().map(|line| line.unit_price).collect();
    assert_eq!(prices, [pence(PRICE), pence(199)]);
    assert_eq!(placed.total, pence(2 * PRICE + 2 * 199));
    assert_eq!((placed.lines[0].name.as_str(), placed.lines[0].seller.as_str()), ("mug", "acme"));
    assert_eq!(placed.placed_at, AT);
}

#[tokio::test]
async fn what_is_not_for_sale_cannot_be_ordered() {
    let shop = Shop::given(&[("mug", 1)]).await;
    delist(&shop, "mug").await;

    let unknown = place_order(&shop.commands, request(1, "jug"), &context()).await;
    let delisted = place_order(&shop.commands, request(1, "mug"), &context()).await;

    assert!(matches!(unknown, Err(PlaceOrderError::UnknownSku { sku: s }) if s == sku("jug")));
    assert!(matches!(delisted, Err(PlaceOrderError::NotForSale { sku: s }) if s == sku("mug")));
    assert!(shop.events(&["OrderPlaced"]).await.is_empty());
}

#[tokio::test]
async fn only_open_accounts_can_order() {
    let shop = Shop::given(&[("mug", 1)]).await;
    let nobody = CustomerId(Uuid::from_u128(9));
    let customer = CustomerId(Uuid::nil());
    let close = CustomerCommand::Close { reason: String::new(), at: AT };
    shop.commands.handle::<Customer>(customer, close, &context()).await.unwrap();

    let closed = place_order(&shop.commands, request(1, "mug"), &context()).await;
    let request = PlaceOrder { customer: nobody, ..request(1, "mug") };
    let unknown = place_order(&shop.commands, request, &context()).await;

    assert!(matches!(closed, Err(PlaceOrderError::CustomerClosed { .. })));
    assert!(
        matches!(unknown, Err(PlaceOrderError::UnknownCustomer { customer }) if customer == nobody)
    );
}

#[tokio::test]
async fn a_repeated_order_stands_whatever_became_of_its_products() {
    let shop = Shop::given(&[("mug", 1)]).await;
    let context = context();
    let first = place_order(&shop.commands, request(1, "mug"), &context).await.unwrap();
    delist(&shop, "mug").await;

    let repeated = CommandContext { repeated: true, ..context };
    let again = place_order(&shop.commands, request(1, "mug"), &repeated).await.unwrap();

    assert_eq!((again.revision, again.events), (first.revision, first.events));
    assert_eq!(shop.events(&["OrderPlaced"]).await.len(), 1);
}
