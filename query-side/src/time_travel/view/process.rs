use daybook_domain::checkout::{Basket, CheckoutState, Compensation, Hold, MoneyStep, Stage};
use daybook_domain::fulfilment::{FulfilmentState, SellerStage};
use serde_json::{Value, json};

use super::{instant, merged, money, object, text};

pub(in crate::time_travel) fn checkout(state: &CheckoutState) -> Value {
    let more = match state {
        CheckoutState::NotStarted | CheckoutState::Shipped => json!({}),
        CheckoutState::Underway { basket, stage } => underway(basket, stage),
        CheckoutState::Compensating(it) | CheckoutState::CalledOff(it) => compensation(it),
    };
    merged(json!({ "status": state.name(), "complete": state.is_complete() }), more)
}

fn underway(basket: &Basket, stage: &Stage) -> Value {
    let unreserved = match stage {
        Stage::Reserving(skus) => skus.iter().map(text).collect(),
        _ => vec![],
    };
    json!({
        "order": basket.order.to_string(),
        "skus": basket.skus.iter().map(text).collect::<Vec<_>>(),
        "unreserved": unreserved,
        "method": basket.method.as_str(),
        "expiresAt": instant(basket.expires_at),
        "total": money(basket.purse.total),
        "captured": money(basket.purse.captured),
        "refunded": money(basket.purse.refunded),
    })
}

fn compensation(compensation: &Compensation) -> Value {
    let (holds, step) = compensation.outstanding();
    let holds = holds.map(|(sku, hold)| {
        let hold = match hold {
            Hold::Asked => "asked",
            Hold::Releasing => "releasing",
        };
        (sku, hold.into())
    });
    let step = match step {
        MoneyStep::Untouched => "untouched",
        MoneyStep::Authorizing => "authorizing",
        MoneyStep::Capturing => "capturing",
        MoneyStep::Voiding => "voiding",
        MoneyStep::Refunding => "refunding",
        MoneyStep::Returned => "returned",
    };
    json!({ "reservations": object(holds), "money": step })
}

pub(in crate::time_travel) fn fulfilment(state: &FulfilmentState) -> Value {
    match state {
        FulfilmentState::NotStarted => json!({ "status": "not started" }),
        FulfilmentState::Fulfilled => json!({ "status": "fulfilled" }),
        FulfilmentState::Underway { sellers, pending } => json!({
            "status": "underway",
            "sellers": object(sellers.iter().map(|(seller, stage)| (seller, seller_stage(stage)))),
            "uncommitted": object(pending.iter().map(|(sku, seller)| (sku, text(seller)))),
        }),
    }
}

fn seller_stage(stage: &SellerStage) -> Value {
    match stage {
        SellerStage::Committing(_) => "committing".into(),
        SellerStage::Fulfilling => "fulfilling".into(),
        SellerStage::Fulfilled => "fulfilled".into(),
    }
}
