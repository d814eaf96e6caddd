//! The feed, the relay and the consumers. What needs a broker is in modules named `kafka` and
//! runs by `scripts/with-kafka cargo test -p daybook-integration --test it -- --ignored
//! --test-threads=1 kafka::`; what needs a PostgreSQL server that may fail is in `faults`.

#[cfg(test)]
mod consumers;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod notifications;
#[cfg(test)]
mod support;
