//! What the peers say on the wire.

#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/peers.rs"));
}

pub(crate) use generated::daybook::echo;
pub(crate) use generated::umadb::v1 as umadb;
