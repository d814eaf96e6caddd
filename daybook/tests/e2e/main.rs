//! The program as its users meet it: run from the outside, on folders of its own.

#![cfg(test)]

mod apart;
mod architecture;
mod bench;
mod cli;
mod dlq;
mod docs;
mod import;
mod integration;
mod kafka;
mod kills;
mod postgres;
mod projections;
mod retail_year;
mod search;
mod store;
mod store_serve;
mod support;
