//! The platform with an Apache Kafka broker, which `scripts/with-kafka` starts.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use crate::dlq::{
    given_a_customer_who_cannot_be_read, is_closed, then_it_is_replayed_in_vain_and_given_up,
};
use crate::support::Server;

#[test]
#[ignore = "needs an Apache Kafka broker: scripts/with-kafka"]
fn what_cannot_be_published_holds_back_its_key_until_it_is_given_up() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let brokers = std::env::var("DAYBOOK_TEST_KAFKA_BROKERS").expect("see scripts/with-kafka");
    let prefix = format!("t{}", Uuid::now_v7().simple());
    let kafka = ["--kafka", &brokers, "--kafka-prefix", &prefix];
    let key = given_a_customer_who_cannot_be_read(folder);
    let server = Server::start(folder, &[&["serve"], &kafka[..]].concat());

    then_it_is_replayed_in_vain_and_given_up(folder, &kafka, "relay", &key);

    // What waited was published, and consumed like any other.
    let began = Instant::now();
    while !is_closed(folder, &key) {
        assert!(began.elapsed() < Duration::from_mins(1), "it never came");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.stop());
}
