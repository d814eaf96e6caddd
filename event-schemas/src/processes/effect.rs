use daybook_domain::Effect;
use daybook_domain::values::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{Form, Json};

/// What a process wants done.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "", rename_all = "camelCase")]
#[schemars(bound = "", rename = "Effect")]
enum EffectForm<'a, C: Form, T: Form> {
    /// Carry out a command.
    Dispatch(Json<'a, C>),
    /// Wake the process.
    Schedule {
        /// What for.
        timeout: Json<'a, T>,
        /// When.
        due: Json<'a, Timestamp>,
    },
    /// Nothing is left to wait for.
    Complete,
}

impl<C: Form, T: Form> Form for Effect<C, T> {
    const NAME: Option<&'static str> = Some("Effect");

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let form = match self {
            Self::Dispatch(command) => EffectForm::Dispatch(Json::of(command)),
            Self::Schedule { timeout, due } => {
                EffectForm::Schedule { timeout: Json::of(timeout), due: Json::of(due) }
            }
            Self::Complete => EffectForm::Complete,
        };
        form.serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match EffectForm::<C, T>::deserialize(from)? {
            EffectForm::Dispatch(command) => Self::Dispatch(command.into_inner()),
            EffectForm::Schedule { timeout, due } => {
                Self::Schedule { timeout: timeout.into_inner(), due: due.into_inner() }
            }
            EffectForm::Complete => Self::Complete,
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        EffectForm::<C, T>::json_schema(generator)
    }
}
