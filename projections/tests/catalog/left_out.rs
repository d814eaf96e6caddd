//! What the index lacks, listed, tried again and given up.

use daybook_event_store::{NewEvent, Position};
use daybook_projections::catalog::NAME;
use daybook_projections::{OperateError, Operator, Replayed};
use tokio_util::sync::CancellationToken;

use crate::rebuild::operator;
use crate::shop::{Shop, listed, repriced, sealed};

async fn left_out(operator: &Operator) -> Vec<Position> {
    operator.left_out().await.unwrap().into_iter().map(|parked| parked.position).collect()
}

pub(crate) async fn replay(operator: &Operator, dry_run: bool) -> Vec<Replayed> {
    operator.replay_left_out(dry_run, &|_| {}, &CancellationToken::new()).await.unwrap()
}

/// A cup, and a price of it that cannot be read.
async fn given_a_price_that_cannot_be_read(shop: &Shop) -> Position {
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let broken = NewEvent { data: "{".into(), ..sealed(&repriced(199)) };
    let at = shop.write("product-CUP".parse().unwrap(), broken).await;
    shop.append("TIN", listed("TIN", "Cake tin", 800)).await;
    at
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_told_and_stays_until_it_is_given_up() {
    let shop = Shop::new();
    let at = given_a_price_that_cannot_be_read(&shop).await;
    shop.index_up_to(Position(at.0 + 1)).await;
    let operator = operator(&shop).await;

    let told = operator.left_out().await.unwrap();
    assert_eq!(told.len(), 1);
    let parked = &told[0];
    assert_eq!((parked.position, &*parked.projection, parked.attempts), (at, NAME, 1));
    assert_eq!((&*parked.stream, &*parked.kind), ("product-CUP", "ProductRepriced"));
    assert!(!parked.error.is_empty() && parked.parked_at > 0, "{parked:?}");
    let details = operator.left_out_details(at).await.unwrap();
    assert_eq!(&*details.recorded.unwrap().data, b"{");
    assert_eq!(details.decoded.unwrap_err(), parked.error);

    assert_eq!(replay(&operator, true).await[0].error.as_ref(), Some(&parked.error));
    assert_eq!(shop.live().await, 1);
    assert_eq!(replay(&operator, false).await[0].error.as_ref(), Some(&parked.error));
    assert_eq!((shop.live().await, left_out(&operator).await), (2, vec![at]));

    operator.discard_left_out(at, "a typing error", "operator:ann").await.unwrap();
    assert_eq!(left_out(&operator).await, []);
    let generations = operator.generations().await.unwrap();
    assert!(generations.iter().filter(|found| found.name == NAME).all(|found| found.parked == 0));
    let again = operator.discard_left_out(at, "a typing error", "operator:ann").await;
    assert!(matches!(again, Err(OperateError::NotParked { .. })), "{again:?}");
    assert_eq!(replay(&operator, false).await, []);
    assert_eq!(left_out(&operator).await, []);
    shop.shows(&[("CUP", "Red cup", 250), ("TIN", "Cake tin", 800)]).await;
}

#[tokio::test]
async fn what_can_be_read_by_now_is_found_once_it_is_replayed_beside_a_worker() {
    let shop = Shop::new();
    let at = given_a_price_that_cannot_be_read(&shop).await;
    let running = shop.start().await;
    running.reaches(Position(at.0 + 1)).await;
    // A release that can read it: the same store, as that sees it.
    let mended = Shop { place: shop.place.clone(), ..Shop::in_folder() };
    mended.append("CUP", listed("CUP", "Red cup", 250)).await;
    assert_eq!(mended.append("CUP", repriced(199)).await, at);
    mended.append("TIN", listed("TIN", "Cake tin", 800)).await;
    let operator = operator(&mended).await;

    let dry = replay(&operator, true).await;
    assert_eq!((dry[0].parked.position, &dry[0].error), (at, &None));
    assert_eq!(left_out(&operator).await, [at]);
    let replayed = replay(&operator, false).await;

    assert_eq!((replayed[0].parked.position, &replayed[0].error), (at, &None));
    assert_eq!(left_out(&operator).await, []);
    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Cake tin", 800)]).await;
    let last = shop.append("TIN", repriced(700)).await;
    running.reaches(last).await;
    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Cake tin", 700)]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_build_that_lacks_the_same_is_not_taken_up() {
    let shop = Shop::new();
    let at = given_a_price_that_cannot_be_read(&shop).await;
    shop.index_up_to(Position(at.0 + 1)).await;
    let broken = operator(&shop).await;
    let begun = broken
        .rebuild(NAME, daybook_projections::Then::default(), &|_| {}, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!((begun.built.generation, begun.live), (2, false));
    let mended = Shop { place: shop.place.clone(), ..Shop::in_folder() };
    mended.append("CUP", listed("CUP", "Red cup", 250)).await;
    mended.append("CUP", repriced(199)).await;
    mended.append("TIN", listed("TIN", "Cake tin", 800)).await;

    let replayed = replay(&operator(&mended).await, false).await;

    assert_eq!(replayed[0].error, None);
    mended.shows(&[("CUP", "Red cup", 199), ("TIN", "Cake tin", 800)]).await;
}
