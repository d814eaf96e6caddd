//! Settings that are given for some read models alone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use daybook_projections::{Address, Operator, PerModel, catalog};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// Some read models, by name with commas between them, and an address of theirs. What was given is
/// not shown: a password may be anywhere in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Apart {
    models: String,
    address: Address,
}

/// What nobody can go by.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ApartError {
    #[error("{setting} must say of which read models: MODEL,MODEL=ADDRESS, of {known}")]
    Nobody { setting: &'static str, known: String },
    #[error("{setting} names {name}, which is no read model; there are {known}")]
    Unknown { setting: &'static str, name: String, known: String },
    #[error(
        "{setting} names {name}, which is the search index and in no database: --search says where \
         it is"
    )]
    Index { setting: &'static str, name: String },
    #[error("{setting} names {name} twice")]
    Twice { setting: &'static str, name: String },
    #[error("{setting} gives {name} an empty address")]
    Empty { setting: &'static str, name: String },
}

impl FromStr for Apart {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (models, address) = text.split_once('=').unwrap_or(("", text));
        Ok(Self { models: models.to_owned(), address: address.into() })
    }
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Apart(…)")
    }
}

/// A table of addresses by the models' names.
pub(crate) fn from_table<'de, D: Deserializer<'de>>(table: D) -> Result<Vec<Apart>, D::Error> {
    let table = BTreeMap::<String, Address>::deserialize(table)?;
    Ok(table.into_iter().map(|(models, address)| Apart { models, address }).collect())
}

/// Each read model that has an address of its own.
///
/// # Errors
/// A model is unknown or named twice, or an address is empty.
pub(crate) fn resolve(
    setting: &'static str,
    given: Vec<Apart>,
) -> Result<Vec<(String, Address)>, ApartError> {
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    let is_blank = |one: &Apart| one.models.is_empty() && one.address.reveal().is_empty();
    for Apart { models, address } in given.into_iter().filter(|one| !is_blank(one)) {
        for name in models.split(',').map(str::trim) {
            let name = known(setting, name)?;
            if address.reveal().trim().is_empty() {
                return Err(ApartError::Empty { setting, name });
            }
            if !seen.insert(name.clone()) {
                return Err(ApartError::Twice { setting, name });
            }
            all.push((name, address.clone()));
        }
    }
    Ok(all)
}

fn known(setting: &'static str, name: &str) -> Result<String, ApartError> {
    let (is_known, known) = (Operator::names().contains(&name), Operator::names().join(", "));
    // Whoever forgot to name a model may have given an address here, which is not to be shown.
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    let name = name.to_owned();
    if is_known {
        Ok(name)
    } else if name == catalog::NAME {
        Err(ApartError::Index { setting, name })
    } else if is_name {
        Err(ApartError::Unknown { setting, name, known })
    } else {
        Err(ApartError::Nobody { setting, known })
    }
}

/// The usual address, but for those that have their own.
pub(crate) fn places<'a>(
    usual: Address,
    own: impl IntoIterator<Item = &'a (String, Address)>,
) -> PerModel<Address> {
    let mut all = PerModel::from(usual);
    for (model, address) in own {
        all.give(model, address.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[&str]) -> Result<Vec<(String, Address)>, ApartError> {
        resolve("database_of", texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn several_read_models_can_share_a_database() {
        let own =
            given(&["orders,checkouts=postgres://db/a?sslmode=require", "", "stock=b.sqlite"]);

        let all = places("a.sqlite".into(), &own.unwrap());

        let address = |model| all.of(model).reveal();
        let orders = "postgres://db/a?sslmode=require";
        assert_eq!([address("orders"), address("checkouts")], [orders, orders]);
        assert_eq!((address("stock"), address("sales")), ("b.sqlite", "a.sqlite"));
        assert_eq!(all.iter().count(), 3);
    }

    #[test]
    fn what_nobody_can_go_by_is_told() {
        for (texts, words) in [
            (
                &["shelves=a.sqlite"][..],
                "names shelves, which is no read model; there are orders, ",
            ),
            (&["orders,shelves=a.sqlite"], "names shelves"),
            (&["catalog=a.sqlite"], "--search says where"),
            (&["orders=a.sqlite", "stock,orders=b.sqlite"], "names orders twice"),
            (&["orders,orders=a.sqlite"], "names orders twice"),
            (&["orders="], "gives orders an empty address"),
            (&["=a.sqlite"], "must say of which read models"),
            (&["orders,=a.sqlite"], "must say of which read models"),
        ] {
            let error = given(texts).unwrap_err().to_string();
            assert!(
                error.starts_with("database_of ") && error.contains(words),
                "{texts:?}: {error}"
            );
        }
    }

    #[test]
    fn an_address_without_a_model_is_not_shown() {
        for text in ["postgres://ann:secret@db/a", "postgres://ann:secret@db/a?sslmode=require"] {
            let error = given(&[text]).unwrap_err();
            assert!(matches!(error, ApartError::Nobody { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
