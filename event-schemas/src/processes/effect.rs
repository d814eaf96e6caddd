use daybook_domain::Effect;
use daybook_domain::values::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Form, Json};

/// What a process wants done, in order. Commands that follow each other stand together: a large
/// order has hundreds of them.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "", rename_all = "camelCase")]
#[schemars(bound = "", rename = "Effect")]
pub(super) enum EffectForm<'a, C: Form, T: Form> {
    /// Carry out these commands.
    Dispatch(Vec<Json<'a, C>>),
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

impl<'a, C: Form, T: Form> EffectForm<'a, C, T> {
    pub(super) fn group(effects: &'a [Effect<C, T>]) -> Vec<Self> {
        let mut forms = Vec::new();
        for effect in effects {
            match (effect, forms.last_mut()) {
                (Effect::Dispatch(next), Some(Self::Dispatch(run))) => run.push(Json::of(next)),
                (Effect::Dispatch(first), _) => forms.push(Self::Dispatch(vec![Json::of(first)])),
                (Effect::Schedule { timeout, due }, _) => {
                    forms.push(Self::Schedule { timeout: Json::of(timeout), due: Json::of(due) });
                }
                (Effect::Complete, _) => forms.push(Self::Complete),
            }
        }
        forms
    }

    pub(super) fn expand(forms: Vec<Self>) -> Vec<Effect<C, T>> {
        let mut effects = Vec::new();
        for form in forms {
            match form {
                Self::Dispatch(run) => {
                    effects.extend(run.into_iter().map(Json::into_inner).map(Effect::Dispatch));
                }
                Self::Schedule { timeout, due } => {
                    let (timeout, due) = (timeout.into_inner(), due.into_inner());
                    effects.push(Effect::Schedule { timeout, due });
                }
                Self::Complete => effects.push(Effect::Complete),
            }
        }
        effects
    }
}
