//! The rules of the business, each by name, and what no sequence of commands may break.

mod checkout;
mod customer;
mod fulfilment;
mod given;
mod manifest;
mod mistakes;
mod order;
mod payment;
mod product;
mod provider;
mod sale;
mod sequences;
mod stock;
mod values;
mod world;
mod worlds;
