//! Read models in databases of their own.

use daybook_database::{Address, Limits, PerModel, Pool, query, testing};
use daybook_query_side::{Limit, Queries, QueryError};
use uuid::Uuid;

use crate::shop::{Shop, listed, paid, placed, received, registered, requested, reserved};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A shop with every read model but two in a database of its own, in which a mug was sold.
async fn given_a_sale() -> Shop {
    let own = [
        ("orders", "orders.db"),
        ("stock", "stock.db"),
        ("payments", "money.db"),
        ("sales", "money.db"),
        ("products", "products.db"),
    ];
    let shop = Shop::open_apart(&Limits::default(), &own).await;
    shop.given("product", "products", "A", &[listed("A")]).await;
    shop.given("customer", "customers", id(7), &[registered(7)]).await;
    shop.given("stock", "stock", "A", &[received(5), reserved(1, 2)]).await;
    shop.given("payment", "payments", id(3), &[requested(3, 1)]).await;
    let order = [placed(1, 7, "A", 2, 0), paid(250)];
    let sold = shop.given("order", "orders", id(1), &order).await;
    shop.wait("sales", sold).await;
    shop
}

#[tokio::test]
async fn every_question_finds_its_database() {
    let shop = given_a_sale().await;
    let queries = &shop.queries;

    assert_eq!(queries.order(id(1)).await.unwrap().unwrap().lines.len(), 1);
    assert_eq!(queries.orders_of(id(7), None, Limit::default()).await.unwrap().items.len(), 1);
    assert_eq!(queries.stock("A").await.unwrap().unwrap().available, 3);
    assert_eq!(queries.reservations("A", None, Limit::default()).await.unwrap().items.len(), 1);
    assert_eq!(queries.reservations_of(id(1)).await.unwrap().len(), 1);
    assert_eq!(queries.payment(id(3)).await.unwrap().unwrap().amount.amount, 250);
    assert_eq!(queries.customer(id(7)).await.unwrap().unwrap().name, "Ann");
    assert_eq!(queries.product("A").await.unwrap().unwrap().name, "Mug A");
    assert_eq!(queries.checkout(id(1)).await.unwrap(), None);
    assert_eq!(queries.open_checkouts(Limit::default()).await.unwrap(), []);
    let day = "2011-12-09".parse().unwrap();
    assert_eq!(queries.sales_by_day(day, day).await.unwrap()[0].sales.quantity, 2);
}

#[tokio::test]
async fn what_is_sold_is_named_from_the_database_of_the_products() {
    let shop = given_a_sale().await;
    let sale = [placed(2, 7, "NEVER-LISTED", 1, 1), paid(125)];
    let sold = shop.given("order", "orders", id(2), &sale).await;
    shop.wait("sales", sold).await;

    let sales = shop.queries.sales_by_product("GBP", None, Limit::default()).await.unwrap();

    let told: Vec<_> = sales.items.iter().map(|s| (&*s.sku, s.name.as_deref())).collect();
    assert_eq!(told, [("A", Some("Mug A")), ("NEVER-LISTED", None)]);
}

/// As it is after an operator has given a read model, which was elsewhere, a database of its own.
#[tokio::test]
async fn what_was_left_behind_in_another_database_is_not_told_of() {
    let shop = given_a_sale().await;
    let address = testing::address(shop.folder.path(), "money.db");
    let pool = Pool::writer(&address, &Limits::default()).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let old = "INSERT INTO projections (name, generation, version, declaration, live, position) \
               VALUES ('stock', 7, 1, '', TRUE, 0)";
    tx.execute(query(old)).await.unwrap();
    let parked = "INSERT INTO parked_events (projection, generation, position, stream, revision, \
                  event_id, kind, error, attempts, parked_at) VALUES ('stock', 7, 0, 'stock-A', 0, \
                  '00000000-0000-0000-0000-000000000000', 'StockReceived', 'it rained', 1, 0)";
    tx.execute(query(parked)).await.unwrap();
    tx.commit().await.unwrap();

    let all = shop.queries.projections().await.unwrap();
    let told: Vec<_> = all.projections.iter().map(|one| (&*one.name, one.generation)).collect();
    assert_eq!(all.unread, Vec::<Vec<String>>::new());
    let names = ["checkouts", "customers", "orders", "payments", "products", "sales", "stock"];
    assert_eq!(told, names.map(|name| (name, 1)));
    let money = shop.queries.projections_beside("sales").await.unwrap();
    assert_eq!(money.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["payments", "sales"]);
    let usual = shop.queries.projections_beside("").await.unwrap();
    assert_eq!(usual.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["checkouts", "customers"]);
    assert_eq!(shop.queries.parked_events(Limit::default()).await.unwrap(), []);
}

#[tokio::test]
async fn what_can_be_read_is_told_of_while_a_database_is_away() {
    let shop = given_a_sale().await;
    let gone = testing::address(shop.folder.path(), "gone.db");
    let mut addresses = PerModel::from(shop.address.clone());
    for model in ["orders", "stock", "payments", "sales", "products"] {
        addresses.give(model, gone.clone());
    }
    let asking = |addresses| Queries::open_apart(addresses, &Limits::default()).unwrap();

    let survey = asking(&addresses).projections().await.unwrap();
    let nothing = asking(&gone.into()).projections().await;

    let told: Vec<_> = survey.projections.iter().map(|one| &*one.name).collect();
    assert_eq!(told, ["checkouts", "customers"]);
    assert_eq!(survey.unread, [["orders", "stock", "payments", "sales", "products"]]);
    assert!(matches!(nothing, Err(QueryError::Unavailable(_))), "{nothing:?}");
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_named() {
    let mut addresses = PerModel::from(Address::from("read.sqlite"));
    addresses.give("orders", "postgres://ann:secret@db:port/orders".into());

    let error = Queries::open_apart(&addresses, &Limits::default()).unwrap_err();

    assert!(matches!(error, QueryError::Address { .. }), "{error:?}");
    assert_eq!(error.to_string(), "postgres://db:port/orders is not the address of a database");
}
