//! What process managers write: one record for each batch of inputs that an instance took in,
//! with the effects that came of it.

mod checkout;
mod effect;
mod fulfilment;

use std::fmt;

use daybook_domain::values::{OrderId, Timestamp};
use daybook_domain::{Effect, ProcessManager};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::effect::EffectForm;
use crate::catalogue::{self, Catalogued};
use crate::upcast::{self, Upcast};
use crate::value::{Form, Json};
use crate::{Contract, DecodeError, EventForm, Wire};

/// One step of one instance of a process manager.
pub struct Advanced<P: ProcessManager> {
    /// What it took in, all for the same instance.
    pub inputs: Vec<P::Input>,
    /// What it wants done.
    pub effects: Vec<Effect<P::Command, P::Timeout>>,
    /// Everything in the store up to this position has been taken in.
    pub upto: u64,
}

/// A process manager whose records, commands and timeouts have a form in JSON.
pub trait ProcessForm: ProcessManager<Id = OrderId, Command: Form, Timeout: Form> {
    /// The type of its [`Advanced`] records.
    const KIND: &'static str;
    /// The newest version of their form.
    const VERSION: u16;
    /// How earlier versions are read.
    const UPCASTS: &'static [Upcast];
    /// An input without what all inputs have.
    type Fact: Form;

    /// Takes an input apart.
    fn split(input: &Self::Input) -> (&OrderId, &Timestamp, &Self::Fact);

    /// Puts an input together.
    fn join(order: OrderId, at: Timestamp, what: Self::Fact) -> Self::Input;

    /// A command as JSON, for operators to see and the runtime to keep.
    fn command_to_json(command: &Self::Command) -> Value {
        to_json(command)
    }

    /// Reads what [`Self::command_to_json`] gave.
    ///
    /// # Errors
    /// It is no command of this process.
    fn command_from_json(json: &Value) -> Result<Self::Command, serde_json::Error> {
        Form::read(json)
    }

    /// A timeout as JSON, for the runtime to keep.
    fn timeout_to_json(timeout: &Self::Timeout) -> Value {
        to_json(timeout)
    }

    /// Reads what [`Self::timeout_to_json`] gave.
    ///
    /// # Errors
    /// It is no timeout of this process.
    fn timeout_from_json(json: &Value) -> Result<Self::Timeout, serde_json::Error> {
        Form::read(json)
    }
}

fn to_json<T: Form>(value: &T) -> Value {
    serde_json::to_value(Json::of(value)).expect("every form can be written as JSON")
}

/// One step of one instance of a process manager.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "", rename = "Advanced")]
struct AdvancedForm<'a, P: ProcessForm> {
    /// The order that all inputs belong to; null where there is no input.
    order: Option<Json<'a, OrderId>>,
    /// What it took in: instants, each with what happened then.
    inputs: Vec<Moment<'a, P>>,
    /// What it wants done.
    effects: Vec<EffectForm<'a, P::Command, P::Timeout>>,
    /// Everything in the store up to this position has been taken in.
    upto: u64,
}

/// An instant, and the facts that follow each other at that instant.
type Moment<'a, P> = (Json<'a, Timestamp>, Vec<Json<'a, <P as ProcessForm>::Fact>>);

fn moments<P: ProcessForm>(inputs: &[P::Input]) -> Vec<Moment<'_, P>> {
    let fact = |input| Json::of(P::split(input).2);
    inputs
        .chunk_by(|a, b| P::split(a).1 == P::split(b).1)
        .map(|inputs| (Json::of(P::split(&inputs[0]).1), inputs.iter().map(fact).collect()))
        .collect()
}

impl<P: ProcessForm> AdvancedForm<'_, P> {
    fn into_record(self) -> Result<Advanced<P>, serde_json::Error> {
        let order = self.order.map(Json::into_inner);
        let mut inputs = Vec::new();
        for (at, facts) in self.inputs {
            let (at, order) = (at.into_inner(), order.ok_or_else(without_order)?);
            inputs.extend(facts.into_iter().map(|fact| P::join(order, at, fact.into_inner())));
        }
        Ok(Advanced { inputs, effects: EffectForm::expand(self.effects), upto: self.upto })
    }
}

fn without_order() -> serde_json::Error {
    serde::de::Error::custom("there are inputs, but no order that they belong to")
}

impl<P: ProcessForm> Contract for Advanced<P> {
    const KINDS: &'static [&'static str] = &[P::KIND];

    /// The inputs must belong to one order.
    fn encode(&self) -> Wire {
        let mut orders = self.inputs.iter().map(|input| P::split(input).0);
        let order = orders.next();
        debug_assert!(orders.all(|other| Some(other) == order), "inputs of several orders");
        let form = AdvancedForm::<P> {
            order: order.map(Json::of),
            inputs: moments::<P>(&self.inputs),
            effects: EffectForm::group(&self.effects),
            upto: self.upto,
        };
        Wire::json(P::KIND, P::VERSION, &form)
    }

    fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Option<Self>, DecodeError> {
        if kind != P::KIND {
            return Err(DecodeError::UnknownKind { kind: kind.into() });
        }
        upcast::read::<AdvancedForm<'_, P>>(P::UPCASTS, kind, P::VERSION, version, data)?
            .into_record()
            .map(Some)
            .map_err(|source| DecodeError::Malformed { kind: kind.into(), version, source })
    }
}

impl<P: ProcessForm> Catalogued for Advanced<P> {
    const FORMS: &'static [EventForm] = &[EventForm {
        kind: P::KIND,
        version: P::VERSION,
        schema: || catalogue::schema::<AdvancedForm<'_, P>>(P::KIND),
        renew: |version, data| catalogue::renew::<Self>(P::KIND, version, data),
    }];
}

impl<P: ProcessManager> Clone for Advanced<P> {
    fn clone(&self) -> Self {
        let Self { inputs, effects, upto } = self;
        Self { inputs: inputs.clone(), effects: effects.clone(), upto: *upto }
    }
}

impl<P: ProcessManager> fmt::Debug for Advanced<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advanced")
            .field("inputs", &self.inputs)
            .field("effects", &self.effects)
            .field("upto", &self.upto)
            .finish()
    }
}

impl<P> PartialEq for Advanced<P>
where
    P: ProcessManager<Input: PartialEq, Command: PartialEq>,
{
    fn eq(&self, other: &Self) -> bool {
        (&self.inputs, &self.effects, self.upto) == (&other.inputs, &other.effects, other.upto)
    }
}
