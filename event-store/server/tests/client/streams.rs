use kurrentdb::{
    AppendToStreamOptions, DeleteStreamOptions, Error, ReadStreamOptions, ResolvedEvent,
    StreamPosition, StreamState,
};

use crate::given::{Given, events, server};

async fn read(given: &Given, stream: &str) -> Result<Vec<ResolvedEvent>, Error> {
    let options = ReadStreamOptions::default().position(StreamPosition::Start);
    let mut events = given.client.read_stream(stream, &options).await?;
    let mut read = Vec::new();
    while let Some(event) = events.next().await? {
        read.push(event);
    }
    Ok(read)
}

#[tokio::test]
async fn what_is_appended_is_read() {
    let given = server().await;
    let options = AppendToStreamOptions::default().stream_state(StreamState::NoStream);

    let appended = given.client.append_to_stream("order-1", &options, events(3)).await.unwrap();

    assert_eq!(appended.next_expected_version, 2);
    let events = read(&given, "order-1").await.unwrap();
    let revisions: Vec<_> = events.iter().map(|e| e.get_original_event().revision).collect();
    assert_eq!(revisions, [0, 1, 2]);
    assert_eq!(events[2].get_original_event().position, appended.position);
}

#[tokio::test]
async fn a_wrong_expectation_is_told() {
    let given = server().await;
    let options = AppendToStreamOptions::default().stream_state(StreamState::StreamRevision(7));

    let refused = given.client.append_to_stream("order-1", &options, events(1)).await;

    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_deleted_stream_is_not_found() {
    let given = server().await;
    let options = AppendToStreamOptions::default();
    given.client.append_to_stream("order-1", &options, events(1)).await.unwrap();

    given.client.delete_stream("order-1", &DeleteStreamOptions::default()).await.unwrap();

    let refused = read(&given, "order-1").await;
    assert!(matches!(refused, Err(Error::ResourceNotFound)), "{refused:?}");
}
