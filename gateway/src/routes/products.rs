use axum::response::Response;
use daybook_domain::product::{Product, ProductCommand};
use daybook_domain::values::{Label, SellerId, Sku};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::command::{Command, Success, Written};
use crate::error::Error;
use crate::extract::{Params, Path};
use crate::read::{Read, resource};
use crate::values::{Amount, Parsed, Prose, now, prose, segment, value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, delist))
        .routes(routes!(describe))
        .routes(routes!(reprice))
}

/// A product to offer for sale.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProduct {
    /// Stock keeping unit, the product's id.
    #[schema(value_type = String, example = "85123A")]
    sku: Parsed<Sku>,
    /// Who sells and ships it.
    #[schema(value_type = String, example = "lanterns-and-more")]
    seller: Parsed<SellerId>,
    /// What customers call it.
    #[schema(value_type = String, example = "White hanging heart T-light holder")]
    name: Parsed<Label>,
    /// Free text about it.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    description: Option<Parsed<Prose>>,
    /// Where it stands in the catalogue.
    #[schema(value_type = String, example = "Home decoration")]
    category: Parsed<Label>,
    /// Who makes it.
    #[schema(value_type = Option<String>)]
    brand: Option<Parsed<Label>>,
    /// Price of one.
    price: Amount,
}

/// Offer a product for sale, for the first time or again.
#[utoipa::path(post, path = "/v1/products", tag = "products", operation_id = "listProduct",
    request_body = NewProduct, responses((status = 201, description = "It is for sale", body = Written)))]
async fn list(Command { body, call }: Command<NewProduct>) -> Result<Response, Error> {
    let sku = body.sku.0;
    let made = Success::Created(format!("/v1/products/{}", segment(&sku)));
    let command = ProductCommand::List {
        sku: sku.clone(),
        seller: body.seller.0,
        name: body.name.0,
        description: prose(body.description),
        category: body.category.0,
        brand: value(body.brand),
        price: body.price.into(),
        at: now(),
    };
    call.handle::<Product>(sku, command, made).await
}

/// A product, for sale or not.
#[utoipa::path(get, path = "/v1/products/{sku}", tag = "products", operation_id = "getProduct",
    params(("sku" = String, Path, description = "Its SKU")),
    responses((status = 200, description = "The product", body = daybook_query_side::Product)))]
async fn show(Path(sku): Path<Sku>, read: Read) -> Result<Response, Error> {
    let product = read.of("products").await?.product(sku.as_str()).await?;
    resource("product", product, |product| product.revision)
}

/// How a product is described.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProductDescription {
    /// What customers call it.
    #[schema(value_type = String)]
    name: Parsed<Label>,
    /// Free text about it.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    description: Option<Parsed<Prose>>,
    /// Where it stands in the catalogue.
    #[schema(value_type = String)]
    category: Parsed<Label>,
    /// Who makes it.
    #[schema(value_type = Option<String>)]
    brand: Option<Parsed<Label>>,
}

/// Replace a product's description. Needs If-Match.
#[utoipa::path(put, path = "/v1/products/{sku}/description", tag = "products",
    operation_id = "describeProduct", params(("sku" = String, Path, description = "Its SKU")),
    request_body = ProductDescription,
    responses((status = 200, description = "It is described so", body = Written)))]
async fn describe(
    Path(sku): Path<Sku>,
    Command { body, call }: Command<ProductDescription>,
) -> Result<Response, Error> {
    let command = ProductCommand::Describe {
        name: body.name.0,
        description: prose(body.description),
        category: body.category.0,
        brand: value(body.brand),
        at: now(),
    };
    call.require_match()?.handle::<Product>(sku, command, Success::Ok).await
}

/// What one costs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPrice {
    /// Price of one, in the currency it was listed in.
    price: Amount,
}

/// Change what a product costs; orders placed before keep their price. Needs If-Match.
#[utoipa::path(put, path = "/v1/products/{sku}/price", tag = "products",
    operation_id = "repriceProduct", params(("sku" = String, Path, description = "Its SKU")),
    request_body = NewPrice, responses((status = 200, description = "It costs that", body = Written)))]
async fn reprice(
    Path(sku): Path<Sku>,
    Command { body, call }: Command<NewPrice>,
) -> Result<Response, Error> {
    let command = ProductCommand::Reprice { price: body.price.into(), at: now() };
    call.require_match()?.handle::<Product>(sku, command, Success::Ok).await
}

/// Why something is done, for people.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Reason {
    /// Why, for people.
    #[param(value_type = Option<String>, max_length = 10_000)]
    pub(super) reason: Option<Parsed<Prose>>,
}

/// Take a product off sale. It stays readable, as delisted, and can be listed again.
#[utoipa::path(delete, path = "/v1/products/{sku}", tag = "products", operation_id = "delistProduct",
    params(("sku" = String, Path, description = "Its SKU"), Reason),
    responses((status = 200, description = "It is off sale", body = Written)))]
async fn delist(
    Path(sku): Path<Sku>,
    Params(Reason { reason }): Params<Reason>,
    Command { call, .. }: Command<()>,
) -> Result<Response, Error> {
    let command = ProductCommand::Delist { reason: prose(reason), at: now() };
    call.handle::<Product>(sku, command, Success::Ok).await
}
