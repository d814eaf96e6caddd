//! The first pass over a file: is it whole, what is in it, what must be on the shelves?

use std::collections::BTreeMap;
use std::path::Path;

use daybook_domain::values::{Country, Label, Sku};
use uuid::Uuid;

use super::online_retail::{Entries, Entry, FileError, Invoice, Rejection};

/// A product as it was first sold.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) name: Label,
    /// In pence.
    pub(crate) unit_price: i64,
    /// How many all invoices need together.
    pub(crate) quantity: i64,
}

/// What a file holds. Grows with products and customers, not with rows.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) rows: u64,
    pub(crate) lines: u64,
    pub(crate) orders: u64,
    pub(crate) rejected: BTreeMap<Rejection, u64>,
    pub(crate) products: BTreeMap<Sku, Product>,
    /// The shop's numbers of its customers, and where they are.
    pub(crate) customers: BTreeMap<String, Option<Country>>,
}

impl Survey {
    /// Reads the whole file, and tells `on_rejected` each row that is not to be imported.
    pub(crate) fn of(
        path: &Path,
        mut on_rejected: impl FnMut(u64, &str, Rejection) -> std::io::Result<()>,
    ) -> Result<Self, SurveyError> {
        let mut survey = Self::default();
        let mut entries = Entries::open(path)?;
        for entry in &mut entries {
            match entry? {
                Entry::Invoice(invoice) => survey.count(invoice),
                Entry::Rejected { line, invoice, reason } => {
                    on_rejected(line, &invoice, reason).map_err(SurveyError::List)?;
                    *survey.rejected.entry(reason).or_default() += 1;
                }
            }
        }
        survey.rows = entries.rows();
        Ok(survey)
    }

    fn count(&mut self, invoice: Invoice) {
        self.orders += 1;
        self.customers.entry(invoice.customer).or_insert(invoice.country);
        for line in invoice.lines {
            self.lines += 1;
            let (name, unit_price) = (line.name, line.unit_price);
            let product = Product { name, unit_price, quantity: 0 };
            self.products.entry(line.sku).or_insert(product).quantity += i64::from(line.quantity);
        }
    }

    /// Names the delivery that brings exactly what this file's invoices need: the same file, the
    /// same name.
    pub(crate) fn receipt(&self) -> String {
        let needs = self.products.iter().map(|(sku, p)| format!("{sku}\t{}", p.quantity));
        let needs = needs.collect::<Vec<_>>().join("\n");
        format!("online-retail {}", Uuid::new_v5(&Uuid::NAMESPACE_OID, needs.as_bytes()))
    }
}

/// A file could not be surveyed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurveyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot write the list of rejected rows")]
    List(#[source] std::io::Error),
}
