use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use elasticsearch::auth::Credentials;
use elasticsearch::http::Url;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use thiserror::Error;

/// Where a cluster is, who asks it and what its indices are called:
/// `http(s)://[user:password@]host[:port][/path][?ca=FILE][&prefix=NAME]`. It is shown without
/// credentials and parameters.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    url: Url,
    credentials: Option<(String, String)>,
    ca: Option<PathBuf>,
    prefix: String,
}

/// A text that is no address of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidAddress {
    /// It is none at all.
    #[error("it must look like https://user:password@host:9200")]
    Form,
    /// It asks for something unknown.
    #[error("it has the unknown parameter {name}: there are ca and prefix")]
    Parameter {
        /// The parameter.
        name: String,
    },
    /// Indices cannot be called that.
    #[error("the prefix must be 1 to 100 of a-z, 0-9 and -, and begin with a letter")]
    Prefix,
}

impl Address {
    /// What the names of its indices begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let (user, password) = self.credentials.clone()?;
        Some(Credentials::Basic(user, password))
    }

    /// The file of the certificate authorities to trust, in PEM, beside those of the web.
    pub(crate) fn ca(&self) -> Option<&PathBuf> {
        self.ca.as_ref()
    }

    /// The same place, with indices of another name: as a prefix in an address may be.
    #[must_use]
    pub fn with_prefix(self, prefix: String) -> Self {
        Self { prefix, ..self }
    }

    /// The same path, on another port of this machine.
    #[cfg(feature = "testing")]
    #[must_use]
    pub(crate) fn with_port(mut self, port: u16) -> Self {
        // An address that was parsed has a host, and so may have a port.
        let _ = self.url.set_port(Some(port));
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = Url::parse(text).map_err(|_| InvalidAddress::Form)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.fragment().is_some()
        {
            return Err(InvalidAddress::Form);
        }
        let (mut ca, mut prefix) = (None, "daybook".to_owned());
        for (name, value) in url.query_pairs() {
            match &*name {
                "ca" => ca = Some(PathBuf::from(&*value)),
                "prefix" => prefix = is_prefix(&value).ok_or(InvalidAddress::Prefix)?,
                _ => return Err(InvalidAddress::Parameter { name: name.into() }),
            }
        }
        let credentials = credentials(&url)?;
        url.set_query(None);
        url.set_username("").map_err(|()| InvalidAddress::Form)?;
        url.set_password(None).map_err(|()| InvalidAddress::Form)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, credentials, ca, prefix })
    }
}

fn is_prefix(text: &str) -> Option<String> {
    let fits = (1..=100).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && text.starts_with(|first: char| first.is_ascii_lowercase());
    fits.then(|| text.to_owned())
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, InvalidAddress> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let plain = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(plain) => Ok(plain.into_owned()),
        Err(_) => Err(InvalidAddress::Form),
    };
    Ok(Some((plain(url.username())?, plain(url.password().unwrap_or_default())?)))
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Address, InvalidAddress> {
        text.parse()
    }

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        for text in [
            "https://ann:secret@es.example:9200",
            "https://ann:se%40cret@es.example:9200/?ca=/secret.pem",
        ] {
            let address = parsed(text).unwrap();
            assert_eq!(
                format!("{address} {address:?}"),
                "https://es.example:9200 Address(https://es.example:9200)"
            );
        }
    }

    #[test]
    fn credentials_may_have_any_characters() {
        let address = parsed("https://ann:p%40%3A%2Fs%C3%A9@host").unwrap();
        assert_eq!(address.credentials, Some(("ann".into(), "p@:/sé".into())));
        assert_eq!(parsed("http://host").unwrap().credentials, None);
    }

    #[test]
    fn parameters_are_read_and_do_not_travel() {
        let address = parsed("https://host/elastic?ca=/etc/ca.pem&prefix=shop-2").unwrap();
        assert_eq!((address.prefix(), address.ca()), ("shop-2", Some(&"/etc/ca.pem".into())));
        assert_eq!(address.url().as_str(), "https://host/elastic/");
        assert_eq!(parsed("http://host").unwrap().prefix(), "daybook");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "host:9200", "ftp://host", "http://", "http://h#x", "http://%ff:x@h"] {
            assert_eq!(parsed(text), Err(InvalidAddress::Form), "{text}");
        }
        for prefix in ["", "A", "a_b", "1a", "*"] {
            let text = format!("http://host?prefix={prefix}");
            assert_eq!(parsed(&text), Err(InvalidAddress::Prefix), "{text}");
        }
        let unknown = InvalidAddress::Parameter { name: "sniff".into() };
        assert_eq!(parsed("http://host?sniff=1"), Err(unknown));
    }
}
