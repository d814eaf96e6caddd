//! Load, decide, append; process managers, timers and payment providers.

pub mod payments;
