//! What the platform itself writes: commands done once, effects that could not be carried out,
//! and how far process managers got.

use daybook_domain::values::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::shape::{contract, record};

/// What happened to a command that came with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandRecord {
    /// Somebody is carrying it out.
    Claimed {
        /// Tells this command's payload from another's.
        fingerprint: String,
    },
    /// It is done, and this is the answer for ever.
    Completed {
        /// The HTTP status.
        status: u16,
        /// The headers that belong to the answer.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
}

/// What happened to an effect that a process manager could not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkingRecord {
    /// It was put aside for an operator.
    Parked {
        /// The process manager's name.
        process: String,
        /// Its instance.
        instance: String,
        /// The id that the command had and will have again.
        command_id: Uuid,
        /// The command ([`crate::ProcessForm::command_to_json`]).
        command: Value,
        /// Why it could not be carried out.
        error: String,
        /// How often that was tried.
        attempts: u32,
    },
    /// It was carried out after all.
    Resolved {
        /// Which.
        command_id: Uuid,
    },
    /// It was given up, and its process is told that it was refused.
    Discarded {
        /// Which.
        command_id: Uuid,
        /// The process manager's instance.
        instance: String,
        /// The command, as it was parked.
        command: Value,
        /// Why, for people.
        reason: String,
    },
}

/// How far a process manager got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointRecord {
    /// Everything up to a position is dealt with.
    Checkpointed {
        /// The position.
        position: u64,
        /// What is still to come.
        timers: Vec<Timer>,
    },
}

/// An instance of a process manager that is to be woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Which instance.
    pub instance: String,
    /// What for ([`crate::ProcessForm::timeout_to_json`]).
    pub timeout: Value,
    /// When.
    pub due: Timestamp,
}

contract! {
    CommandRecord, upcasts: &[], retired: [];

    /// A command that came with an idempotency key is being carried out.
    CommandClaimed 1 = Claimed {
        /// Tells this command's payload from another's.
        fingerprint: String,
    }

    /// A command that came with an idempotency key is done.
    CommandCompleted 1 = Completed {
        /// The HTTP status.
        status: u16,
        /// The headers that belong to the answer, as pairs.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    }
}

contract! {
    ParkingRecord, upcasts: &[], retired: [];

    /// An effect could not be carried out and was put aside for an operator.
    EffectParked 1 = Parked {
        /// The process manager's name.
        process: String,
        /// Its instance.
        instance: String,
        /// The id that the command had and will have again.
        command_id: Uuid,
        /// The command, as in the process manager's records.
        command: Value,
        /// Why it could not be carried out.
        error: String,
        /// How often that was tried.
        attempts: u32,
    }

    /// A parked effect was carried out after all.
    EffectResolved 1 = Resolved {
        /// Which.
        command_id: Uuid,
    }

    /// A parked effect was given up, and its process is told that it was refused.
    EffectDiscarded 1 = Discarded {
        /// Which.
        command_id: Uuid,
        /// The process manager's instance.
        instance: String,
        /// The command, as it was parked.
        command: Value,
        /// Why, for people.
        reason: String,
    }
}

record! {
    /// An instance of a process manager that is to be woken.
    Timer as TimerForm {
        /// Which instance.
        instance: String,
        /// What for, as in the process manager's records.
        timeout: Value,
        /// When.
        due: Timestamp,
    }
}

contract! {
    CheckpointRecord, upcasts: &[], retired: [];

    /// A process manager dealt with everything up to a position.
    ProcessCheckpointed 1 = Checkpointed {
        /// The position.
        position: u64,
        /// What is still to come.
        timers: Vec<Timer>,
    }
}
