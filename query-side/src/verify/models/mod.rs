//! Whether the read models say what the events say.
//!
//! Each model is read as of one commit, and the books are carried on to that commit's position
//! before the two are compared, so that nothing need stand still.

mod accounts;
mod catalog;
mod checkouts;
mod orders;
mod sales;
mod stock;
mod table;

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use daybook_database::{Executor, Tx, query};
use daybook_event_store::{Position, ReadError};
use table::Model;
use tokio::time::{Instant, sleep};

use super::books::Books;
use super::findings::Findings;
use super::{Check, ReadModels, Reader};
use crate::progress::position_of;
use crate::{Queries, QueryError};

/// How long to wait before looking again how far a projection has come.
const PAUSE: Duration = Duration::from_millis(20);

const MODELS: [&Model; 7] = [
    &orders::ORDERS,
    &stock::STOCK,
    &accounts::PAYMENTS,
    &accounts::CUSTOMERS,
    &accounts::PRODUCTS,
    &sales::SALES,
    &checkouts::CHECKOUTS,
];

/// Compares every read model with the events.
pub(super) async fn compare(
    reader: &mut Reader<'_>,
    models: &ReadModels,
) -> Result<Vec<Check>, ReadError> {
    let deadline = Instant::now() + models.patience;
    let mut checks = Vec::new();
    for model in MODELS {
        let name = format!("projection {} equals the events", model.name);
        let open = || open(models.queries.clone(), model.name);
        let compared = match reach(reader.position(), deadline, open).await {
            Ok((mut tx, position)) => {
                reader.read_to(position).await?;
                compare_model(model, reader.books(), &mut tx).await.map_err(|error| told(&error))
            }
            Err(why) => Err(why),
        };
        checks.push(check(name, compared));
    }
    checks.push(compare_catalog(reader, models, deadline).await?);
    checks.push(check("no event is parked".into(), parked(models).await));
    Ok(checks)
}

async fn compare_catalog(
    reader: &mut Reader<'_>,
    models: &ReadModels,
    deadline: Instant,
) -> Result<Check, ReadError> {
    let open = || {
        let catalog = models.catalog.clone();
        async move { catalog.contents().await }
    };
    let compared = match reach(reader.position(), deadline, open).await {
        Ok((items, position)) => {
            reader.read_to(position).await?;
            let mut findings = Findings::default();
            catalog::compare(reader.books(), &items, &mut findings);
            Ok((findings, format!("{} products for sale", items.len())))
        }
        Err(why) => Err(why),
    };
    Ok(check("projection catalog equals the events".into(), compared))
}

/// The check of a comparison, or of why there was none.
fn check(name: String, compared: Result<(Findings, String), String>) -> Check {
    match compared {
        Ok((findings, summary)) => findings.check(name, summary),
        Err(detail) => Check { name, ok: false, detail },
    }
}

/// Opens a read model that has come at least so far, waiting for it until the deadline.
async fn reach<T, E, F>(
    at_least: Option<Position>,
    deadline: Instant,
    open: impl Fn() -> F,
) -> Result<(T, Option<Position>), String>
where
    E: Error,
    F: Future<Output = Result<(T, Option<Position>), E>>,
{
    loop {
        let opened = open().await.map_err(|error| told(&error))?;
        if opened.1 >= at_least {
            return Ok(opened);
        }
        if Instant::now() >= deadline {
            let place = |position: Option<Position>| {
                position.map_or("the beginning".into(), |position| position.to_string())
            };
            let (reached, due) = (place(opened.1), place(at_least));
            return Err(format!("it is behind: at {reached}, and events go to {due}"));
        }
        drop(opened);
        sleep(PAUSE).await;
    }
}

/// The database as it is now, and how far a projection had come in it.
async fn open(
    queries: Queries,
    projection: &'static str,
) -> Result<(Tx, Option<Position>), QueryError> {
    let mut tx = queries.of(projection).snapshot().await?;
    let position = position_of(&mut tx, projection).await?;
    Ok((tx, position))
}

async fn compare_model(
    model: &Model,
    books: &Books,
    tx: &mut Tx,
) -> Result<(Findings, String), daybook_database::Error> {
    let mut findings = Findings::default();
    let mut counts = Vec::new();
    for table in model.tables {
        let rows = table.compare(books, tx, &mut findings).await?;
        counts.push(format!("{} {rows}", table.name));
    }
    Ok((findings, format!("rows compared: {}", counts.join(", "))))
}

/// Events that projections left out.
async fn parked(models: &ReadModels) -> Result<(Findings, String), String> {
    let mut findings = Findings::default();
    let select = "SELECT e.projection, e.stream, e.revision, e.error FROM parked_events e \
                  JOIN projections p ON p.name = e.projection \
                  AND p.generation = e.generation AND p.live \
                  ORDER BY e.position, e.projection";
    let rows = models.queries.of_all(|| query(select), "projection").await;
    for row in rows.map_err(|error| told(&error))? {
        let text = |n: usize| row.str(n).map_err(|error| told(&error));
        let revision = row.i64(2).map_err(|error| told(&error))?;
        let (projection, stream, error) = (text(0)?, text(1)?, text(3)?);
        findings.add(|| format!("{stream} at {revision}, by {projection}: {error}"));
    }
    let given_up = "SELECT position FROM discarded_events WHERE projection = 'catalog'";
    let given_up = models.queries.of("catalog").fetch_all(query(given_up)).await;
    let given_up = given_up.and_then(|rows| rows.iter().map(|row| row.i64(0)).collect());
    let given_up: HashSet<_> = given_up.map_err(|error| told(&error))?;
    let parked = models.catalog.progress().await.map_err(|error| told(&error))?.parked;
    for position in parked.iter().filter(|at| !given_up.contains(&at.0.cast_signed())) {
        findings.add(|| format!("the event at position {position}, by catalog"));
    }
    Ok((findings, "none".into()))
}

/// An error and what caused it.
fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
