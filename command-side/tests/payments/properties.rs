//! Random histories of requests with repetitions, over authorizations that lose answers.

use std::collections::HashMap;

use daybook_command_side::payments::{ProviderError, Receipt, SimulatedProvider};
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::support::{Answer, Requests as _, gbp, simulated};

/// One request; which key it carries follows from what it is, so that equal steps are repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Hold { authorization: u8, amount: i64, lossy: bool },
    Take { authorization: u8, amount: i64, key: u8 },
    LetGo { authorization: u8 },
    GiveBack { authorization: u8, amount: i64, key: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let (authorization, amount, key) = (0..3u8, 1..120i64, 0..4u8);
    prop_oneof![
        (authorization.clone(), any::<bool>()).prop_map(|(authorization, lossy)| Step::Hold {
            authorization,
            amount: 100,
            lossy
        }),
        (authorization.clone(), amount.clone(), key.clone())
            .prop_map(|(authorization, amount, key)| Step::Take { authorization, amount, key }),
        authorization.clone().prop_map(|authorization| Step::LetGo { authorization }),
        (authorization, amount, key).prop_map(|(authorization, amount, key)| Step::GiveBack {
            authorization,
            amount,
            key
        }),
    ]
}

/// Asks until there is an answer.
async fn ask(provider: &SimulatedProvider, held: &HashMap<u8, Receipt>, step: &Step) -> Answer {
    let nowhere = Receipt { reference: "auth_0".into() };
    let of = |authorization| held.get(authorization).unwrap_or(&nowhere);
    loop {
        let answer = match step {
            Step::Hold { authorization, amount, lossy } => {
                let token = if *lossy { "tok_lost_answer" } else { "tok_approve" };
                provider.hold(&format!("a{authorization}"), gbp(*amount), token).await
            }
            Step::Take { authorization, amount, key } => {
                provider.take(&format!("c{key}"), of(authorization), gbp(*amount)).await
            }
            Step::LetGo { authorization } => {
                provider.let_go(&format!("v{authorization}"), of(authorization)).await
            }
            Step::GiveBack { authorization, amount, key } => {
                provider.give_back(&format!("r{key}"), of(authorization), gbp(*amount)).await
            }
        };
        if !matches!(answer, Err(ProviderError::Unavailable { .. })) {
            return answer;
        }
    }
}

/// What the answers of a history come to, if no repetition counts.
#[derive(Default)]
struct Model {
    held: HashMap<u8, Receipt>,
    answers: HashMap<Step, Answer>,
    captured: i64,
    refunded: i64,
}

impl Model {
    async fn run(&mut self, provider: &SimulatedProvider, step: Step) -> Result<(), TestCaseError> {
        let known = !matches!(&step, Step::Take { authorization, .. }
            | Step::LetGo { authorization } | Step::GiveBack { authorization, .. }
            if !self.held.contains_key(authorization));
        let answer = ask(provider, &self.held, &step).await;
        if let Some(before) = self.answers.get(&step) {
            prop_assert_eq!(before, &answer);
            return Ok(());
        }
        if let Ok(receipt) = &answer {
            match &step {
                Step::Hold { authorization, .. } => {
                    self.held.insert(*authorization, receipt.clone());
                }
                Step::Take { amount, .. } => self.captured += amount,
                Step::GiveBack { amount, .. } => self.refunded += amount,
                Step::LetGo { .. } => {}
            }
        }
        if known {
            self.answers.insert(step, answer);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_key_counts_once(history in prop::collection::vec(step(), 1..60)) {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (provider, mut model) = (simulated(), Model::default());
            for step in history {
                model.run(&provider, step).await?;
            }
            let ledger = provider.ledger().await.unwrap();
            let sum = |sums: &std::collections::BTreeMap<String, i64>| {
                sums.get("GBP").copied().unwrap_or(0)
            };
            prop_assert_eq!(ledger.authorizations, model.held.len() as u64);
            prop_assert_eq!(sum(&ledger.captured), model.captured);
            prop_assert_eq!(sum(&ledger.refunded), model.refunded);
            prop_assert!(sum(&ledger.captured) <= sum(&ledger.authorized));
            prop_assert!(sum(&ledger.refunded) <= sum(&ledger.captured));
            prop_assert_eq!(ledger.overdrawn, 0);
            Ok(())
        })?;
    }
}
