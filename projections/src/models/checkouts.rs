use std::sync::Arc;

use daybook_domain::Effect;
use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutTimeout,
};
use daybook_domain::order::CancelReason;
use daybook_event_schemas::{Advanced, Envelope};
use uuid::Uuid;

use super::orders::{Cancellation, cancellation};
use super::{KEEP, id, revision};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows};

row! {
    /// Where the checkout of an order stands.
    CheckoutRow in "checkouts" {
        key { order_id: Uuid }
        stage: Stage,
        unanswered: i64,
        held: i64,
        reason: Option<Cancellation>,
        detail: Option<Arc<str>>,
        started_at: i64,
        updated_at: i64,
        revision: i64,
    }
}

words! {
    /// What a checkout waits for, or how it ended.
    Stage {
        Reserving = "reserving",
        Confirming = "confirming",
        Authorizing = "authorizing",
        Capturing = "capturing",
        MarkingPaid = "markingPaid",
        Settled = "settled",
        Shipped = "shipped",
        Compensating = "compensating",
        CalledOff = "calledOff",
    }
}

/// Where the checkout of every order stands.
///
/// The stage is read off what each record asked for, which the process manager decided; nothing is
/// decided here a second time.
pub(crate) struct Checkouts {
    checkouts: Rows<CheckoutRow>,
}

impl Projection for Checkouts {
    const NAME: &'static str = "checkouts";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/checkouts.sql");
    const TABLES: &'static [&'static str] = &["checkouts"];
    type Event = Advanced<Checkout>;

    fn new(generation: u32) -> Self {
        Self { checkouts: Rows::new(generation, KEEP) }
    }

    fn prepare(&mut self, event: &Envelope<Advanced<Checkout>>) {
        if let Ok(id) = id(event) {
            self.checkouts.want_at(event.revision, (id,));
        }
    }

    fn apply(&mut self, event: &Envelope<Advanced<Checkout>>) -> Result<(), ApplyError> {
        let order_id = id(event)?;
        let Advanced { inputs, effects, .. } = &event.event;
        if self.checkouts.get(&(order_id,)).is_none() {
            let Some(first) = inputs.first() else { return Ok(()) };
            self.checkouts.put(started(order_id, first));
        }
        let row = self.checkouts.change(&(order_id,))?;
        row.updated_at = event.recorded_at;
        row.revision = revision(event);
        for input in inputs {
            row.learn(&input.what);
        }
        for effect in effects {
            row.ask(effect);
        }
        // Nothing is asked for on this, and only a settled checkout takes note of it.
        let is_shipped = inputs.iter().any(|input| input.what == CheckoutFact::OrderShipped);
        if is_shipped && row.stage == Stage::Settled {
            row.stage = Stage::Shipped;
        }
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.checkouts]
    }
}

fn started(order_id: Uuid, first: &CheckoutInput) -> CheckoutRow {
    CheckoutRow {
        order_id,
        stage: Stage::Reserving,
        unanswered: 0,
        held: 0,
        reason: None,
        detail: None,
        started_at: first.at.as_micros(),
        updated_at: 0,
        revision: 0,
    }
}

impl CheckoutRow {
    fn learn(&mut self, fact: &CheckoutFact) {
        match fact {
            CheckoutFact::OrderPlaced { items, .. } => {
                self.unanswered = i64::try_from(items.len()).unwrap_or(i64::MAX);
            }
            CheckoutFact::Reserved { .. } => {
                self.unanswered = (self.unanswered - 1).max(0);
                self.held += 1;
            }
            CheckoutFact::ReservationRefused { .. } => {
                self.unanswered = (self.unanswered - 1).max(0);
            }
            CheckoutFact::Released { .. } => self.held = (self.held - 1).max(0),
            CheckoutFact::OrderCancelled { reason } => self.call_off(reason),
            _ => {}
        }
    }

    fn ask(&mut self, effect: &Effect<CheckoutCommand, CheckoutTimeout>) {
        match effect {
            _ if self.stage == Stage::CalledOff => {}
            Effect::Complete if self.stage == Stage::Compensating => self.stage = Stage::CalledOff,
            Effect::Complete => self.stage = Stage::Settled,
            Effect::Schedule { .. } => {}
            Effect::Dispatch(command) => match command {
                CheckoutCommand::ConfirmOrder => self.stage = Stage::Confirming,
                CheckoutCommand::Authorize { .. } => self.stage = Stage::Authorizing,
                CheckoutCommand::Capture { .. } => self.stage = Stage::Capturing,
                CheckoutCommand::MarkPaid { .. } => self.stage = Stage::MarkingPaid,
                CheckoutCommand::Release { .. }
                | CheckoutCommand::Void { .. }
                | CheckoutCommand::Refund { .. } => self.stage = Stage::Compensating,
                CheckoutCommand::CancelOrder { reason } => self.call_off(reason),
                CheckoutCommand::Reserve { .. }
                | CheckoutCommand::Extend { .. }
                | CheckoutCommand::RecordRefund { .. } => {}
            },
        }
    }

    fn call_off(&mut self, reason: &CancelReason) {
        if matches!(self.stage, Stage::Shipped | Stage::CalledOff) {
            return;
        }
        let (reason, detail) = cancellation(reason);
        self.stage = Stage::Compensating;
        self.reason = Some(reason);
        self.detail = detail.map(Into::into);
    }
}
