use eventstore::{ClientSettings, ClientSettingsParseError};
use thiserror::Error;

/// Milliseconds between two attempts of the client to find a node, where the address does not say:
/// the adapter has a backoff of its own, and the client waits so long before its first attempt, too.
const DISCOVERY_INTERVAL: &str = "discoveryInterval=20";

/// A text does not address a store. What it says is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the address of the event store is not understood: {reason}; it should look like \
     esdb://user:password@host:2113 or kurrentdb://host1,host2,host3?tls=true"
)]
pub struct InvalidAddress {
    /// What is wrong with it.
    pub reason: String,
}

/// What an address says, as official clients understand it.
pub(super) fn settings(address: &str) -> Result<ClientSettings, InvalidAddress> {
    let parse = |address: &str| address.parse().map_err(|error| invalid(&error));
    let given: ClientSettings = parse(address)?;
    if address.to_lowercase().contains("discoveryinterval=") {
        return Ok(given);
    }
    let separator = if address.contains('?') { '&' } else { '?' };
    parse(&format!("{address}{separator}{DISCOVERY_INTERVAL}"))
}

fn invalid(error: &ClientSettingsParseError) -> InvalidAddress {
    let reason = match error.error() {
        Some(error) => error.to_string(),
        None if error.message().contains('@') => "it is malformed".to_owned(),
        None => error.message().to_owned(),
    };
    InvalidAddress { reason }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn addresses_are_those_of_official_clients() {
        let addresses = [
            "esdb://localhost:2113?tls=false",
            "kurrentdb://admin:changeit@a:1,b:2,c:3?nodePreference=leader",
            "esdb+discover://cluster.example:2113?maxDiscoverAttempts=10",
            "kdb://host",
        ];
        for address in addresses {
            let given = settings(address).unwrap();
            assert_eq!(given.discovery_interval(), Duration::from_millis(20), "{address}");
        }
        let said = settings("esdb://localhost?DiscoveryInterval=700").unwrap();
        assert_eq!(said.discovery_interval(), Duration::from_millis(700));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_password() {
        let wrong = [
            "",
            "localhost:2113",
            "http://localhost:2113",
            "esdb://admin:se/cret@host",
            "esdb://admin:secret@host:port",
            "esdb://admin:secret@host:1,b:port",
            "esdb://host?tls=perhaps",
            "esdb://host?nodePreference=nearest",
        ];
        for address in wrong {
            let error = settings(address).unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
        }
    }
}
