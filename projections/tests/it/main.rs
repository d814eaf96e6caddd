//! The projections as a whole, on a store in memory and databases in temporary folders.

#[cfg(test)]
mod checkouts;
#[cfg(test)]
mod database;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod models;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod support;
