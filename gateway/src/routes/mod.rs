//! The routes of `/v1`: one module per resource, each with the bodies that it reads.

mod catalog;
mod customers;
mod operations;
mod orders;
mod payments;
mod processes;
mod products;
mod sales;
mod stock;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Every route of `/v1`.
pub(crate) fn v1() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(stock::routes())
        .merge(customers::routes())
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(catalog::routes())
        .merge(sales::routes())
        .merge(operations::routes())
        .merge(processes::routes())
}
