use daybook_domain::checkout::{CheckoutState, Stage};
use daybook_domain::values::Timestamp;

use super::table::{Model, Rows, Table};
use crate::verify::books::Books;

/// The projection reads the stage off what a checkout asked for; here it comes of what it learnt.
pub(super) const CHECKOUTS: Model = Model {
    name: "checkouts",
    tables: &[Table {
        name: "checkouts",
        key: &["order_id"],
        columns: &["stage", "started_at", "updated_at", "revision"],
        digested: false,
        expected: checkouts,
    }],
};

fn checkouts(books: &Books) -> Rows<'_> {
    let checkouts = books.checkouts.checkouts.iter();
    checkouts
        .filter_map(|(id, entry)| {
            let cells = vec![
                stage(&entry.state)?.into(),
                entry.started_at.map(Timestamp::as_micros).into(),
                entry.updated_at.into(),
                entry.revision.into(),
            ];
            Some((id.to_string(), cells))
        })
        .collect()
}

fn stage(state: &CheckoutState) -> Option<&'static str> {
    Some(match state {
        CheckoutState::NotStarted => return None,
        CheckoutState::Shipped => "shipped",
        CheckoutState::Compensating(_) => "compensating",
        CheckoutState::CalledOff(_) => "calledOff",
        CheckoutState::Underway { stage, .. } => match stage {
            Stage::Reserving(_) => "reserving",
            Stage::Confirming => "confirming",
            Stage::Authorizing => "authorizing",
            Stage::Capturing => "capturing",
            Stage::MarkingPaid => "markingPaid",
            Stage::Settled => "settled",
        },
    })
}
