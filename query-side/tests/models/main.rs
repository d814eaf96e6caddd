//! Questions asked of read models that the projections wrote.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod shop;
