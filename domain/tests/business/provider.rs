use std::collections::BTreeMap;

use daybook_domain::values::Money;

/// How the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Approve,
    DeclineAuthorization,
    DeclineCapture,
    RefuseCapture,
}

/// A payment provider with a ledger of one payment. Equal keys get equal answers.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) plan: Plan,
    pub(crate) held: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    answers: BTreeMap<String, Result<(), String>>,
}

impl Provider {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, held: 0, captured: 0, refunded: 0, answers: BTreeMap::new() }
    }

    fn ask(
        &mut self,
        key: &str,
        answer: impl FnOnce(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), String> {
        if let Some(answer) = self.answers.get(key) {
            return answer.clone();
        }
        let answer = answer(self).map_err(str::to_owned);
        self.answers.insert(key.to_owned(), answer.clone());
        answer
    }

    pub(crate) fn authorize(&mut self, key: &str, amount: Money) -> Result<(), String> {
        self.ask(key, |it| {
            if it.plan == Plan::DeclineAuthorization {
                return Err("insufficient funds");
            }
            it.held = amount.minor;
            Ok(())
        })
    }

    pub(crate) fn capture(&mut self, key: &str, amount: Money) -> Result<(), String> {
        self.ask(key, |it| {
            if matches!(it.plan, Plan::DeclineCapture | Plan::RefuseCapture) {
                return Err("authorization expired");
            }
            if it.held < amount.minor {
                return Err("nothing is held");
            }
            it.held -= amount.minor;
            it.captured += amount.minor;
            Ok(())
        })
    }

    pub(crate) fn void(&mut self, key: &str) -> Result<(), String> {
        self.ask(key, |it| {
            if it.held == 0 && it.captured > 0 {
                return Err("captured");
            }
            it.held = 0;
            Ok(())
        })
    }

    pub(crate) fn refund(&mut self, key: &str, amount: Money) -> Result<(), String> {
        self.ask(key, |it| {
            if it.captured - it.refunded < amount.minor {
                return Err("more than was captured");
            }
            it.refunded += amount.minor;
            Ok(())
        })
    }
}
