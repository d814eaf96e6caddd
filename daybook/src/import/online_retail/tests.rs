use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

const HEADER: &str =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

struct Given {
    folder: TempDir,
    name: &'static str,
}

impl Given {
    fn file(name: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        Self { folder, name }
    }

    fn rows(rows: &[&str]) -> Self {
        Self::file("sales.csv", format!("{HEADER}\n{}\n", rows.join("\n")))
    }

    fn read(&self) -> Result<Vec<Entry>, FileError> {
        Entries::open(&self.folder.path().join(self.name))?.collect()
    }

    #[track_caller]
    fn then_rejected(&self, expected: &[Rejection]) {
        let reasons: Vec<_> = self
            .read()
            .unwrap()
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Rejected { reason, .. } => Some(reason),
                Entry::Invoice(_) => None,
            })
            .collect();
        assert_eq!(reasons, expected);
    }

    #[track_caller]
    fn then_invoices(&self) -> Vec<Invoice> {
        self.read()
            .unwrap()
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Invoice(invoice) => Some(invoice),
                Entry::Rejected { .. } => None,
            })
            .collect()
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const SALE: &str = "536365,85123A,WHITE HOLDER,6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom";

#[test]
fn a_sale_is_read_to_the_penny() {
    let invoices = Given::rows(&[SALE]).then_invoices();

    assert_eq!(invoices.len(), 1);
    assert_eq!(invoices[0].number, "536365");
    assert_eq!(invoices[0].customer, "17850");
    assert_eq!(invoices[0].country, "GB".parse().ok());
    assert_eq!(invoices[0].at, Timestamp::from_micros(1_291_191_960_000_000));
    assert_eq!(invoices[0].lines[0].quantity.get(), 6);
    assert_eq!(invoices[0].lines[0].unit_price, 255);
}

#[test]
fn gzip_is_recognised_by_its_content() {
    let packed = gzip(&format!("{HEADER}\n{SALE}\n"));

    assert_eq!(Given::file("sales.csv.gz", &packed).then_invoices().len(), 1);
    assert_eq!(Given::file("sales.csv", &packed).then_invoices().len(), 1);
}

#[test]
fn interleaved_invoices_are_put_together_in_the_order_of_their_first_lines() {
    let rows = [
        "1,A,a,1,2011-01-01 00:00:00,1,7,France",
        "2,B,b,1,2011-01-01 00:00:00,1,7,France",
        "1,C,c,1,2011-01-01 00:01:00,1,7,France",
    ];

    let invoices = Given::rows(&rows).then_invoices();

    let shape: Vec<_> = invoices.iter().map(|i| (i.number.as_str(), i.lines.len())).collect();
    assert_eq!(shape, [("1", 2), ("2", 1)]);
}

#[test]
fn every_other_row_is_rejected_with_its_reason() {
    Given::rows(&[
        "C1,A,a,-1,2011-01-01 00:00:00,1.00,7,France",
        "A1,B,Adjust bad debt,1,2011-01-01 00:00:00,11062.06,,United Kingdom",
        "3,A,a,-1,2011-01-01 00:00:00,0,,France",
        "4,A,a,1,2011-01-01 00:00:00,0.0,7,France",
        "5,A,a,1,2011-01-01 00:00:00,2.51,,France",
        "6,A,a,1,2011-01-01 00:00:00,0.001,7,France",
    ])
    .then_rejected(&[
        Rejection::Cancellation,
        Rejection::BadDebt,
        Rejection::QuantityNotPositive,
        Rejection::PriceNotPositive,
        Rejection::NoCustomer,
        Rejection::FractionOfAPenny,
    ]);
}

#[test]
fn a_line_of_another_customer_is_no_line_of_the_invoice() {
    Given::rows(&[
        "1,A,a,1,2011-01-01 00:00:00,1,7,France",
        "1,A,a,1,2011-01-01 00:00:00,1,8,France",
    ])
    .then_rejected(&[Rejection::OtherCustomer]);
}

#[test]
fn values_that_are_not_what_their_column_promises_are_malformed() {
    let rows = [
        "1,A,a,one,2011-01-01 00:00:00,1,7,France",
        "1,A,a,1.5,2011-01-01 00:00:00,1,7,France",
        "1,A,a,99999999999,2011-01-01 00:00:00,1,7,France",
        "1,A,a,99999999999999999999,2011-01-01 00:00:00,1,7,France",
        "1,A,a,1,01/02/2011,1,7,France",
        "1,A,a,1,2011-01-01 00:00:00,1.-5,7,France",
        "1,A,a,1,2011-01-01 00:00:00,,7,France",
        ",A,a,1,2011-01-01 00:00:00,1,7,France",
        "1,,a,1,2011-01-01 00:00:00,1,7,France",
        "1,caf\u{e9},a,1,2011-01-01 00:00:00,1,7,France",
    ];

    Given::rows(&rows).then_rejected(&[Rejection::Malformed; 10]);
}

#[test]
fn a_row_that_is_not_utf_8_is_malformed_and_the_rest_is_read() {
    let mut bytes = format!("{HEADER}\n{SALE}\n").into_bytes();
    bytes.extend_from_slice(b"536366,A,\xa35 GIFT,1,2011-01-01 00:00:00,1,7,France\n");

    let given = Given::file("sales.csv", bytes);

    given.then_rejected(&[Rejection::Malformed]);
    assert_eq!(given.then_invoices().len(), 1);
}

#[test]
fn a_file_that_is_not_gzip_although_its_name_says_so_is_refused() {
    let error = Given::file("sales.csv.gz", format!("{HEADER}\n{SALE}\n")).read().unwrap_err();

    assert!(matches!(error, FileError::NotGzip { .. }), "{error}");
}

#[test]
fn a_gzip_file_that_breaks_off_is_refused() {
    let packed = gzip(&format!("{HEADER}\n{SALE}\n"));

    let error = Given::file("sales.csv.gz", &packed[..packed.len() - 12]).read().unwrap_err();

    assert!(matches!(error, FileError::Damaged { .. }), "{error}");
}

#[test]
fn a_file_that_breaks_off_in_a_row_is_refused() {
    let error = Given::rows(&[SALE, "536366,22633,HAND WAR"]).read().unwrap_err();

    assert!(matches!(error, FileError::Damaged { line: 3, .. }), "{error}");
}

#[test]
fn missing_columns_are_named() {
    let error = Given::file("sales.csv", "InvoiceNo,StockCode\n1,A\n").read().unwrap_err();

    assert!(error.to_string().contains("Description, Quantity, InvoiceDate"), "{error}");
}

#[test]
fn an_empty_file_has_no_columns() {
    let error = Given::file("sales.csv", "").read().unwrap_err();

    assert!(matches!(error, FileError::Columns { .. }), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Entries::open(Path::new("no-such-file.csv")).err().unwrap();

    assert!(error.to_string().contains("no-such-file.csv"), "{error}");
}
