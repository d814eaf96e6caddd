//! Reads the UCI "Online Retail" file (Chen, Sain & Guo 2012, doi:10.1057/dbm.2012.17) as the
//! invoices of a shop, and says of every row that is not part of one why.
//!
//! The file is read as a stream: memory does not grow with it.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::{FromStr, from_utf8};

use chrono::NaiveDateTime;
use csv::ByteRecord;
use daybook_domain::values::{Country, Label, Quantity, Sku, Timestamp};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use thiserror::Error;

const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// An invoice is complete when this many rows have passed without a line of it. The real file
/// interleaves invoices by two rows.
const SETTLED_AFTER: u64 = 1_000;

/// The file as a whole cannot be read.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    #[error("cannot read {path}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} is named .gz but is not gzip: rename it, or compress it again",
        path = path.display()
    )]
    NotGzip { path: PathBuf },
    #[error(
        "{path} lacks the columns {missing}: the first line must be `{}`",
        COLUMNS.join(","),
        path = path.display()
    )]
    Columns { path: PathBuf, missing: String },
    #[error(
        "{path} breaks off or is damaged near line {line}: fetch it again",
        path = path.display()
    )]
    Damaged { path: PathBuf, line: u64, source: csv::Error },
}

/// Why a row is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rejection {
    /// Some value is not what its column promises.
    Malformed,
    /// The invoice takes an earlier one back (`C…`).
    Cancellation,
    /// The invoice corrects the books (a number that is not one: `A…`).
    BadDebt,
    /// Nothing was sold.
    QuantityNotPositive,
    /// Nothing was charged.
    PriceNotPositive,
    /// Nobody is known to have bought it.
    NoCustomer,
    /// The price is no whole number of pence.
    FractionOfAPenny,
    /// The invoice's other lines name another customer.
    OtherCustomer,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) name: Label,
    pub(crate) quantity: Quantity,
    /// In pence.
    pub(crate) unit_price: i64,
}

/// A sale to a known customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    /// The shop's number for the customer.
    pub(crate) customer: String,
    pub(crate) country: Option<Country>,
    /// Of the first line. The file has the shop's local time, which is read as UTC.
    pub(crate) at: Timestamp,
    pub(crate) lines: Vec<Line>,
}

/// What the file holds, in its order.
#[derive(Debug)]
pub(crate) enum Entry {
    /// An invoice with all of its lines.
    Invoice(Invoice),
    /// A row that is not imported.
    Rejected { line: u64, invoice: String, reason: Rejection },
}

/// The entries of a file, each row once.
pub(crate) struct Entries {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read + Send>>,
    columns: [usize; 8],
    record: ByteRecord,
    row: u64,
    /// Invoices that may get further lines, and the row of their last one.
    open: VecDeque<(u64, Invoice)>,
    ended: bool,
}

impl Entries {
    /// Opens a `.csv` or `.csv.gz` file and checks its header.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.into(), source };
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
        let magic = std::io::BufRead::fill_buf(&mut file).map_err(io)?;
        let gzip = magic.starts_with(&[0x1f, 0x8b]);
        if !gzip && path.extension().is_some_and(|extension| extension == "gz") {
            return Err(FileError::NotGzip { path: path.into() });
        }
        let bytes: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_reader(bytes);
        let header = reader.byte_headers().map_err(|source| FileError::Damaged {
            path: path.into(),
            line: 1,
            source,
        })?;
        let place =
            |name: &str| header.iter().position(|column| trim_bom(column) == name.as_bytes());
        let missing: Vec<_> = COLUMNS.into_iter().filter(|name| place(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(FileError::Columns { path: path.into(), missing: missing.join(", ") });
        }
        let columns = COLUMNS.map(|name| place(name).unwrap_or_default());
        Ok(Self {
            path: path.into(),
            reader,
            columns,
            record: ByteRecord::new(),
            row: 0,
            open: VecDeque::new(),
            ended: false,
        })
    }

    /// Rows read so far, the header not counted.
    pub(crate) fn rows(&self) -> u64 {
        self.row
    }

    fn next_row(&mut self) -> Result<Option<Entry>, FileError> {
        let line = self.reader.position().line();
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|source| FileError::Damaged { path: self.path.clone(), line, source })?;
        if !more {
            self.ended = true;
            return Ok(None);
        }
        self.row += 1;
        let fields = self.columns.map(|column| self.record.get(column).unwrap_or_default());
        let parsed = parse(fields);
        let reason = match parsed {
            Ok(sale) => match self.add(sale) {
                Ok(()) => return Ok(None),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let number = self.columns[0];
        let invoice = String::from_utf8_lossy(self.record.get(number).unwrap_or_default()).into();
        Ok(Some(Entry::Rejected { line: line.max(2), invoice, reason }))
    }

    fn add(&mut self, mut sale: Invoice) -> Result<(), Rejection> {
        let Some((last, invoice)) = self.open.iter_mut().find(|(_, i)| i.number == sale.number)
        else {
            self.open.push_back((self.row, sale));
            return Ok(());
        };
        if invoice.customer != sale.customer {
            return Err(Rejection::OtherCustomer);
        }
        *last = self.row;
        invoice.lines.append(&mut sale.lines);
        Ok(())
    }

    fn settled(&mut self) -> Option<Invoice> {
        let (last, _) = self.open.front()?;
        let settled = self.ended || last + SETTLED_AFTER < self.row;
        if settled { self.open.pop_front().map(|(_, invoice)| invoice) } else { None }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(invoice) = self.settled() {
                return Some(Ok(Entry::Invoice(invoice)));
            }
            if self.ended {
                return None;
            }
            match self.next_row() {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => {
                    self.ended = true;
                    self.open.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn trim_bom(column: &[u8]) -> &[u8] {
    column.strip_prefix("\u{feff}".as_bytes()).unwrap_or(column)
}

/// A row as an invoice of one line.
fn parse(fields: [&[u8]; 8]) -> Result<Invoice, Rejection> {
    let malformed = |_| Rejection::Malformed;
    let mut texts = [""; 8];
    for (text, field) in texts.iter_mut().zip(fields) {
        *text = from_utf8(field).map_err(|_| Rejection::Malformed)?.trim();
    }
    let [number, code, description, quantity, date, price, customer, country] = texts;
    let quantity = Decimal::from_str(quantity).map_err(malformed)?;
    let price = Decimal::from_str(price).map_err(malformed)?;
    let at = NaiveDateTime::parse_from_str(date, "%Y-%m-%d %H:%M:%S")
        .map_err(|_| Rejection::Malformed)?;
    match number.bytes().next() {
        None => return Err(Rejection::Malformed),
        Some(b'C') => return Err(Rejection::Cancellation),
        Some(first) if !first.is_ascii_digit() => return Err(Rejection::BadDebt),
        Some(_) => {}
    }
    let quantity = quantity.scaled(0).ok_or(Rejection::Malformed)?;
    if quantity <= 0 {
        return Err(Rejection::QuantityNotPositive);
    }
    if !price.is_positive() {
        return Err(Rejection::PriceNotPositive);
    }
    if customer.is_empty() {
        return Err(Rejection::NoCustomer);
    }
    let unit_price = price.scaled(2).ok_or(Rejection::FractionOfAPenny)?;
    let sku: Sku = code.parse().map_err(|_| Rejection::Malformed)?;
    let name = if description.is_empty() { code } else { description };
    let line = Line {
        sku,
        name: name.parse().map_err(|_| Rejection::Malformed)?,
        quantity: Quantity::try_from(quantity).map_err(|_| Rejection::Malformed)?,
        unit_price,
    };
    Ok(Invoice {
        number: number.into(),
        customer: customer.strip_suffix(".0").unwrap_or(customer).into(),
        country: iso_country(country),
        at: Timestamp::from_micros(at.and_utc().timestamp_micros()),
        lines: vec![line],
    })
}

/// A decimal number exactly as written: its digits as a whole number, and how many of them stand
/// behind the point. Zeros at the end do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    digits: i64,
    scale: u32,
}

impl Decimal {
    fn is_positive(self) -> bool {
        self.digits > 0
    }

    /// The number times 10 to the `scale`, where that is a whole number that fits.
    fn scaled(self, scale: u32) -> Option<i64> {
        let missing = scale.checked_sub(self.scale)?;
        self.digits.checked_mul(10_i64.checked_pow(missing)?)
    }
}

impl FromStr for Decimal {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        // A sign is part of the whole; one behind the point is no number.
        let fraction_is_digits = fraction.bytes().all(|b| b.is_ascii_digit());
        let digits = if fraction_is_digits { format!("{whole}{fraction}") } else { String::new() };
        let scale = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        Ok(Self { digits: digits.parse()?, scale })
    }
}

/// The file's names of countries that are countries.
fn iso_country(name: &str) -> Option<Country> {
    let code = match name {
        "Australia" => "AU",
        "Austria" => "AT",
        "Bahrain" => "BH",
        "Belgium" => "BE",
        "Brazil" => "BR",
        "Canada" => "CA",
        "Cyprus" => "CY",
        "Czech Republic" => "CZ",
        "Denmark" => "DK",
        "EIRE" => "IE",
        "Finland" => "FI",
        "France" => "FR",
        "Germany" => "DE",
        "Greece" => "GR",
        "Hong Kong" => "HK",
        "Iceland" => "IS",
        "Israel" => "IL",
        "Italy" => "IT",
        "Japan" => "JP",
        "Lebanon" => "LB",
        "Lithuania" => "LT",
        "Malta" => "MT",
        "Netherlands" => "NL",
        "Norway" => "NO",
        "Poland" => "PL",
        "Portugal" => "PT",
        "RSA" => "ZA",
        "Saudi Arabia" => "SA",
        "Singapore" => "SG",
        "Spain" => "ES",
        "Sweden" => "SE",
        "Switzerland" => "CH",
        "USA" => "US",
        "United Arab Emirates" => "AE",
        "United Kingdom" => "GB",
        _ => return None,
    };
    code.parse().ok()
}

#[cfg(test)]
mod tests;
