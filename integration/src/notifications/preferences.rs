use daybook_database::{Error, Pool, now, query};
use daybook_domain::values::{CustomerId, Email};
use thiserror::Error as ThisError;

use super::Medium;

/// Why a customer's wish was not taken.
#[derive(Debug, ThisError)]
pub enum InvalidPreference {
    /// An address is not one of its medium.
    #[error("{address:?} is no address for {medium}: give {rule}", medium = medium.name())]
    Address {
        /// Which medium.
        medium: Medium,
        /// As given.
        address: String,
        /// What is expected.
        rule: &'static str,
    },
    /// The database failed.
    #[error("the database failed")]
    Sql(#[from] Error),
}

/// Notes whether a customer wants to be told things by a medium, and where. Without an address, the
/// one that was given before stays.
///
/// # Errors
/// The address is none of the medium, or the database failed.
pub async fn prefer(
    pool: &Pool,
    customer: CustomerId,
    medium: Medium,
    wanted: bool,
    address: Option<&str>,
) -> Result<(), InvalidPreference> {
    if let Some(address) = address {
        check(medium, address)?;
    }
    let preference = query(
        "INSERT INTO notification_preferences AS p (customer_id, channel, wanted, address, \
         updated_at) VALUES ($1, $2, $3, NULLIF($4, ''), $5) \
         ON CONFLICT (customer_id, channel) DO UPDATE SET wanted = excluded.wanted, \
         address = COALESCE(excluded.address, p.address), updated_at = excluded.updated_at",
    )
    .bind(customer.0)
    .bind(medium.name())
    .bind(wanted)
    .bind(address.unwrap_or_default())
    .bind(now());
    let mut tx = pool.begin().await?;
    tx.execute(preference).await?;
    Ok(tx.commit().await?)
}

fn check(medium: Medium, address: &str) -> Result<(), InvalidPreference> {
    let is_phone = || {
        let digits = address.strip_prefix('+').unwrap_or_default();
        (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let is_token =
        || (1..=512).contains(&address.len()) && address.bytes().all(|c| c.is_ascii_graphic());
    let (is_good, rule) = match medium {
        Medium::Email => (address.parse::<Email>().is_ok(), "name@host"),
        Medium::Sms => (is_phone(), "a number such as +442071234567"),
        Medium::Push => (is_token(), "a device's token of up to 512 characters without spaces"),
    };
    let refused = || InvalidPreference::Address { medium, address: address.to_owned(), rule };
    is_good.then_some(()).ok_or_else(refused)
}
