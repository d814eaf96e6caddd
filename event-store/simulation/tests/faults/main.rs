//! The embedded engine on a disk that loses, tears, flips and refuses.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

mod backups;
mod blocks;
mod checks;
mod closing;
mod compressing;
mod crashes;
mod cut_short;
mod damage;
mod folder;
mod full;
mod given;
mod groups;
mod lifetimes;
mod model;
mod prepared;
mod read_only;
mod refusals;
mod runs;
mod scavenging;
