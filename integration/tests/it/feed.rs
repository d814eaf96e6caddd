//! What holds of every feed.

use daybook_database::Pool;
use daybook_event_schemas::{Contract, DomainEvent, open};
use daybook_event_store::{EventStore, Filter};
use daybook_integration::Kafka;
use daybook_integration::feed::{Feed, InProcessFeed, KafkaFeed};
use futures::TryStreamExt;

use crate::support::{Running, Shop, cluster, complete, lease, revisions, take};

/// A shop, and feeds of what happens in it.
trait Fixture: Sized {
    type Feed: Feed;
    async fn new() -> Self;
    fn shop(&self) -> &Shop;
    async fn open(&self, group: &'static str) -> Self::Feed;
}

struct InProcess(Shop);

impl Fixture for InProcess {
    type Feed = InProcessFeed;

    async fn new() -> Self {
        Self(Shop::new().await)
    }

    fn shop(&self) -> &Shop {
        &self.0
    }

    async fn open(&self, group: &'static str) -> InProcessFeed {
        let (store, pool): (_, Pool) = (self.0.store.clone(), self.0.pool.clone());
        InProcessFeed::new(store, pool, group, DomainEvent::KINDS, lease("one"))
    }
}

struct OnKafka(Shop, Kafka, #[expect(dead_code, reason = "it runs as long as it is held")] Running);

impl Fixture for OnKafka {
    type Feed = KafkaFeed;

    async fn new() -> Self {
        let (shop, kafka) = (Shop::new().await, cluster());
        let relay = shop.relay(&kafka);
        Self(shop, kafka, relay)
    }

    fn shop(&self) -> &Shop {
        &self.0
    }

    async fn open(&self, group: &'static str) -> KafkaFeed {
        KafkaFeed::join(self.1.clone(), group, DomainEvent::KINDS).await.unwrap()
    }
}

mod cases {
    use super::*;

    pub(super) async fn past_and_present_come_in_the_order_of_each_key<F: Fixture>() {
        let fixture = F::new().await;
        fixture.shop().orders(3, 2).await;
        let mut feed = fixture.open("a").await;
        let mut messages = take(&mut feed, 6).await;

        fixture.shop().orders(3, 2).await;
        messages.extend(take(&mut feed, 6).await);

        assert_eq!(revisions(&messages), complete(3, 4));
    }

    pub(super) async fn a_message_says_everything_of_its_event<F: Fixture>() {
        let fixture = F::new().await;
        fixture.shop().orders(1, 1).await;
        let recorded = fixture.shop().store.read_all(None, Filter::all());
        let recorded: Vec<_> = recorded.try_collect().await.unwrap();

        let messages = take(&mut fixture.open("a").await, 1).await;

        let event = open::<DomainEvent>(&recorded[0]).unwrap();
        assert_eq!(messages[0].open().unwrap(), event);
        assert_eq!(messages[0].key, recorded[0].stream.id());
        assert_eq!(messages[0].header("ce_specversion"), Some("1.0"));
    }

    pub(super) async fn what_was_committed_does_not_come_again<F: Fixture>() {
        let fixture = F::new().await;
        fixture.shop().orders(1, 3).await;
        let mut feed = fixture.open("a").await;
        take(&mut feed, 3).await;
        feed.close().await;

        fixture.shop().orders(1, 2).await;
        let mut feed = fixture.open("a").await;

        let after: Vec<_> = revisions(&take(&mut feed, 2).await).into_values().collect();
        assert_eq!(after, [[3, 4]]);
    }

    pub(super) async fn what_was_not_committed_comes_again<F: Fixture>() {
        let fixture = F::new().await;
        fixture.shop().orders(2, 2).await;
        let mut feed = fixture.open("a").await;
        while feed.next(100).await.unwrap().is_empty() {}
        feed.close().await;

        let mut feed = fixture.open("a").await;

        assert_eq!(revisions(&take(&mut feed, 4).await), complete(2, 2));
    }

    pub(super) async fn each_group_is_given_everything<F: Fixture>() {
        let fixture = F::new().await;
        fixture.shop().orders(2, 2).await;

        for group in ["a", "b"] {
            let messages = take(&mut fixture.open(group).await, 4).await;
            assert_eq!(revisions(&messages), complete(2, 2), "group {group}");
        }
    }
}

macro_rules! contract {
    ($fixture:ident, [$($attribute:meta)?]) => {
        use super::{$fixture, cases};

        contract! { @ $fixture, [$($attribute)?],
            past_and_present_come_in_the_order_of_each_key
            a_message_says_everything_of_its_event
            what_was_committed_does_not_come_again
            what_was_not_committed_comes_again
            each_group_is_given_everything
        }
    };
    (@ $fixture:ty, $attribute:tt, $($test:ident)*) => {
        $( contract! { @@ $fixture, $attribute, $test } )*
    };
    (@@ $fixture:ty, [$($attribute:meta)?], $test:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $(#[$attribute])?
        async fn $test() {
            cases::$test::<$fixture>().await;
        }
    };
}

mod in_process {
    contract! { InProcess, [] }
}

mod kafka {
    contract! { OnKafka, [ignore = "needs scripts/with-kafka"] }
}
