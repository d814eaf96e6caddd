//! A small catalogue to try the platform with.

use std::net::SocketAddr;

use daybook_command_side::{CommandContext, Commands};
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::product::{Product, ProductCommand, ProductState};
use daybook_domain::stock::{Stock, StockCommand};
use daybook_domain::values::{Currency, CustomerId, Money, Quantity, Sku, Timestamp};
use daybook_event_schemas::Actor;
use uuid::Uuid;

/// Namespace of the demo's ids (UUIDv5): starting it again lists nothing twice.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1c_1f7e_9b0a_5e44_8a53_7d0b_1c9e_42a7);

/// SKU, seller, name, description, category, brand, price in pence, stock.
type Article<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, Option<&'a str>, i64, i64);

const CATALOGUE: [Article<'static>; 8] = [
    (
        "LEDGER-A5",
        "north-press",
        "Pocket ledger, A5",
        "Ruled in two columns, 120 pages, sewn.",
        "Stationery",
        Some("North Press"),
        1250,
        400,
    ),
    (
        "DAYBOOK-A4",
        "north-press",
        "Daybook, A4",
        "One page a day, undated, linen cover.",
        "Stationery",
        Some("North Press"),
        2400,
        150,
    ),
    (
        "INK-BLUE",
        "inkworks",
        "Fountain pen ink, blue",
        "50 ml, permanent.",
        "Writing",
        Some("Inkworks"),
        795,
        600,
    ),
    (
        "INK-BLACK",
        "inkworks",
        "Fountain pen ink, black",
        "50 ml, permanent.",
        "Writing",
        Some("Inkworks"),
        795,
        600,
    ),
    (
        "PEN-BRASS",
        "inkworks",
        "Brass fountain pen",
        "Medium nib, converter included.",
        "Writing",
        Some("Inkworks"),
        5900,
        40,
    ),
    ("LAMP-DESK", "lumen", "Desk lamp", "Warm light, swivel arm.", "Office", None, 4350, 25),
    ("CLIP-100", "north-press", "Paper clips", "A hundred, steel.", "Office", None, 180, 5_000),
    (
        "STAMP-PAID",
        "north-press",
        "Rubber stamp \"PAID\"",
        "Self-inking, red.",
        "Office",
        None,
        1120,
        3,
    ),
];

/// The demo's customer.
pub(crate) fn customer() -> CustomerId {
    CustomerId(Uuid::new_v5(&NAMESPACE, b"customer"))
}

/// Lists the catalogue, fills the shelves and registers the customer.
pub(crate) async fn set_up(commands: &Commands, now: Timestamp) -> anyhow::Result<()> {
    for article in CATALOGUE {
        list(commands, article, now).await?;
    }
    let register = CustomerCommand::Register {
        customer: customer(),
        name: "Ada Demo".parse()?,
        email: Some("ada@example.com".parse()?),
        country: Some("GB".parse()?),
        at: now,
    };
    let known = commands.load::<Customer>(customer()).await?.revision.is_some();
    if !known {
        commands.handle::<Customer>(customer(), register, &context("customer")).await?;
    }
    Ok(())
}

async fn list(commands: &Commands, article: Article<'_>, at: Timestamp) -> anyhow::Result<()> {
    let (sku, seller, name, description, category, brand, pence, stock) = article;
    let sku: Sku = sku.parse()?;
    let currency: Currency = "GBP".parse()?;
    let command = ProductCommand::List {
        sku: sku.clone(),
        seller: seller.parse()?,
        name: name.parse()?,
        description: description.into(),
        category: category.parse()?,
        brand: brand.map(str::parse).transpose()?,
        price: Money::new(pence, currency),
        at,
    };
    if *commands.load::<Product>(&sku).await?.state == ProductState::Unknown {
        commands.handle::<Product>(&sku, command, &context(&format!("list {sku}"))).await?;
    }
    let receive =
        StockCommand::Receive { quantity: Quantity::try_from(stock)?, receipt: "demo".into(), at };
    commands.handle::<Stock>(&sku, receive, &context(&format!("receive {sku}"))).await?;
    Ok(())
}

fn context(what: &str) -> CommandContext {
    let command_id = Uuid::new_v5(&NAMESPACE, what.as_bytes());
    let actor = Actor("service:demo".into());
    CommandContext { command_id, correlation_id: command_id, ..CommandContext::new(actor) }
}

/// What to type, for whoever has just started the demo.
pub(crate) fn what_to_try(address: SocketAddr) -> String {
    let customer = customer();
    format!(
        "\
The shop has {} products and the customer {customer}. Try, in another terminal:

  curl 'http://{address}/v1/catalog/search?q=pen'
  curl http://{address}/v1/stock/PEN-BRASS
  curl http://{address}/v1/orders -H 'Content-Type: application/json' -d '{{
    \"customer\": \"{customer}\", \"paymentMethod\": \"tok_approve\",
    \"lines\": [{{\"sku\": \"PEN-BRASS\", \"quantity\": 1}}]}}'

The API, with every route to read: http://{address}/docs
",
        CATALOGUE.len()
    )
}
