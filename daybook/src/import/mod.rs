//! Brings somebody else's data in as live orders.

mod in_process;
mod online_retail;
mod rest;
mod shop;
mod survey;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use daybook_domain::values::{Money, Quantity, Timestamp};
use futures::{Stream, TryStreamExt, future, stream};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use self::in_process::InProcess;
use self::online_retail::{Entries, Entry, Invoice};
use self::rest::Rest;
use self::shop::{Person, Shop, Supply, customer_id, pounds, sterling};
use self::survey::Survey;
use crate::cli::{OnlineRetail, Output};
use crate::config::Config;
use crate::platform::Platform;
use crate::progress::Progress;

/// The instant from which the shop's shelves are full: the day before its first invoice.
const OPENING: Timestamp = Timestamp::from_micros(1_291_075_200_000_000);

/// What an import did.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Rows of the file.
    rows: u64,
    /// Rows that are lines of orders now.
    pub(crate) lines: u64,
    /// Orders that were fulfilled.
    pub(crate) orders: u64,
    captured: Captured,
    /// Rows that are not, by reason.
    rejected: BTreeMap<String, u64>,
    /// Events that the shop's store got meanwhile.
    pub(crate) events: u64,
    pub(crate) seconds: f64,
}

#[derive(Debug, Serialize)]
struct Captured {
    amount: i64,
    currency: &'static str,
}

/// Runs `daybook import online-retail`.
pub(crate) async fn online_retail(args: OnlineRetail, config: &Config) -> anyhow::Result<ExitCode> {
    let report = match &args.url {
        Some(url) => through_api(url, &args).await?,
        None => in_process(config, &args).await?,
    };
    print(&report, args.output.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn through_api(url: &str, args: &OnlineRetail) -> anyhow::Result<Report> {
    let began = Instant::now();
    let shop = Rest::new(url)?;
    let survey = survey(args.file.clone(), args.rejected.clone()).await?;
    import(&shop, &survey, args, began).await
}

/// Imports into the data folder, with every role at work in this process.
pub(crate) async fn in_process(config: &Config, args: &OnlineRetail) -> anyhow::Result<Report> {
    let began = Instant::now();
    // First, so that a file that cannot be read whole changes nothing.
    let survey = survey(args.file.clone(), args.rejected.clone()).await?;
    let platform = Platform::start(config).await?;
    let shop = InProcess::new(&platform).await?;
    let report = platform.during(import(&shop, &survey, args, began)).await;
    drop(shop);
    platform.stop().await?;
    report
}

/// Reads the file once, and writes the list of rejected rows where one is wanted.
async fn survey(file: PathBuf, rejected: Option<PathBuf>) -> anyhow::Result<Survey> {
    tokio::task::spawn_blocking(move || {
        let Some(path) = rejected else {
            return Ok(Survey::of(&file, |_, _, _| Ok(()))?);
        };
        let mut list = csv::Writer::from_path(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        list.write_record(["line", "invoice", "reason"])?;
        let survey = Survey::of(&file, |line, invoice, reason| {
            list.write_record([&line.to_string(), invoice, &reason.to_string()])?;
            Ok(())
        })?;
        list.flush()?;
        Ok(survey)
    })
    .await?
}

async fn import<S: Shop>(
    shop: &S,
    survey: &Survey,
    args: &OnlineRetail,
    began: Instant,
) -> anyhow::Result<Report> {
    let before = shop.events().await?;
    let concurrency = args.concurrency as usize;
    supply(shop, survey, concurrency).await?;
    register(shop, survey, concurrency).await?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let traded = trade(shop, survey, &args.file, limit, concurrency).await?;
    shop.settle().await?;
    let mut rejected: BTreeMap<_, _> =
        survey.rejected.iter().map(|(reason, rows)| (reason.to_string(), *rows)).collect();
    if traded.lines < survey.lines {
        rejected.insert("over_limit".into(), survey.lines - traded.lines);
    }
    Ok(Report {
        rows: survey.rows,
        lines: traded.lines,
        orders: traded.orders,
        captured: Captured { amount: traded.captured.minor, currency: sterling().code() },
        rejected,
        events: shop.events().await?.saturating_sub(before),
        seconds: began.elapsed().as_secs_f64(),
    })
}

async fn supply<S: Shop>(shop: &S, survey: &Survey, width: usize) -> anyhow::Result<()> {
    let receipt = survey.receipt();
    let supplies = survey.products.iter().map(|(sku, product)| {
        Ok(Supply {
            sku: sku.clone(),
            name: product.name.clone(),
            price: pounds(product.unit_price),
            quantity: Quantity::try_from(product.quantity)?,
            receipt: receipt.clone(),
            at: OPENING,
        })
    });
    each("products", supplies, width, |supply| shop.supply(supply)).await
}

async fn register<S: Shop>(shop: &S, survey: &Survey, width: usize) -> anyhow::Result<()> {
    let people = survey.customers.iter().map(|(number, country)| {
        Ok(Person {
            id: customer_id(number),
            name: format!("Customer {number}").parse()?,
            country: country.clone(),
            at: OPENING,
        })
    });
    each("customers", people, width, |person| shop.register(person)).await
}

/// Deals with some things, `width` at a time, and tells how far it is.
async fn each<T, F: Future<Output = anyhow::Result<()>>>(
    what: &'static str,
    things: impl ExactSizeIterator<Item = anyhow::Result<T>>,
    width: usize,
    deal: impl Fn(T) -> F,
) -> anyhow::Result<()> {
    let mut progress = Progress::new(what, things.len() as u64);
    stream::iter(things)
        .map_ok(deal)
        .try_buffer_unordered(width)
        .try_for_each(|()| {
            progress.step();
            future::ready(Ok(()))
        })
        .await?;
    progress.finish();
    Ok(())
}

struct Traded {
    orders: u64,
    lines: u64,
    captured: Money,
}

async fn trade<S: Shop>(
    shop: &S,
    survey: &Survey,
    file: &Path,
    limit: u64,
    width: usize,
) -> anyhow::Result<Traded> {
    let mut traded = Traded { orders: 0, lines: 0, captured: pounds(0) };
    let mut progress = Progress::new("orders", survey.orders.min(limit));
    invoices(file.into(), limit)
        .map_ok(|invoice| async move {
            let (number, lines) = (invoice.number.clone(), invoice.lines.len() as u64);
            let captured = shop.trade(invoice).await;
            Ok((lines, captured.with_context(|| format!("invoice {number} did not go through"))?))
        })
        .try_buffer_unordered(width)
        .try_for_each(|(lines, captured)| {
            traded.orders += 1;
            traded.lines += lines;
            traded.captured.minor += captured.minor;
            progress.step();
            future::ready(Ok(()))
        })
        .await?;
    progress.finish();
    Ok(traded)
}

/// The file's invoices, read beside the work on them.
fn invoices(file: PathBuf, limit: u64) -> impl Stream<Item = anyhow::Result<Invoice>> {
    let (send, receive) = mpsc::channel(64);
    tokio::task::spawn_blocking(move || {
        let entries = match Entries::open(&file) {
            Ok(entries) => entries,
            Err(error) => return drop(send.blocking_send(Err(error.into()))),
        };
        let invoices = entries.filter_map(|entry| match entry {
            Ok(Entry::Invoice(invoice)) => Some(Ok(invoice)),
            Ok(Entry::Rejected { .. }) => None,
            Err(error) => Some(Err(error.into())),
        });
        for invoice in invoices.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            if send.blocking_send(invoice).is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receive)
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let Report { rows, lines, orders, captured, rejected, events, seconds } = report;
    writeln!(out, "{rows} rows: {lines} lines in {orders} orders")?;
    writeln!(out, "{} captured", pounds(captured.amount))?;
    for (reason, rows) in rejected {
        writeln!(out, "{rows:>10} rows not imported: {reason}")?;
    }
    let rate = |count: &u64| per_second(*count, *seconds);
    writeln!(
        out,
        "{events} events in {seconds:.1} s: {} orders/s, {} lines/s, {} events/s",
        rate(orders),
        rate(lines),
        rate(events)
    )?;
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds.max(0.001)) as u64
}
