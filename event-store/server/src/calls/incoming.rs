use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::budget::{Held, Share};
use crate::streams::MOST_MESSAGE;

/// The bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The body of a request. It holds the length of each message from when that is known until the
/// next bytes are asked for after it: then it was dealt with.
pub(super) struct Incoming {
    body: Body,
    messages: Messages,
    held: Held,
    /// How long a message may take that has begun, and when that will be over.
    timeout: Duration,
    due: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(body: Body, share: &Share, timeout: Duration) -> Self {
        let messages = Messages::default();
        Self { body, messages, held: share.nothing(), timeout, due: None }
    }

    /// Whether a message takes too long.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if !self.messages.is_within() {
            return Poll::Pending;
        }
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
        ready!(due.as_mut().poll(cx));
        Poll::Ready(Status::deadline_exceeded("a message took too long to arrive"))
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let begun = self.messages.pass(bytes);
        if !self.messages.is_within() || begun > 0 {
            self.due = None;
        }
        self.held.grow(begun)
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        this.held.shrink(this.messages.take_ended());
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let status = ready!(this.poll_due(cx));
                return Poll::Ready(Some(Err(axum::Error::new(status))));
            }
        };
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && let Err(status) = this.pass(bytes)
        {
            return Poll::Ready(Some(Err(axum::Error::new(status))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where a body is in its messages.
#[derive(Debug, Default)]
struct Messages {
    head: Vec<u8>,
    /// What the message has, and how much of it is to come.
    length: usize,
    left: usize,
    /// The bytes of messages that have ended.
    ended: usize,
}

impl Messages {
    /// Goes on over these bytes; how many bytes the messages have that began in them. One that is
    /// too long for any call counts for nothing: it is refused.
    fn pass(&mut self, mut bytes: &[u8]) -> usize {
        let mut begun = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let [_, length @ ..] = &*self.head
                    && let Ok(length) = <[u8; 4]>::try_from(length)
                {
                    self.left = u32::from_be_bytes(length) as usize;
                    self.length = if self.left > MOST_MESSAGE { 0 } else { self.left };
                    begun += self.length;
                    self.head.clear();
                }
            } else {
                let passed = bytes.len().min(self.left);
                self.left -= passed;
                bytes = &bytes[passed..];
                if self.left == 0 {
                    self.ended += self.length;
                }
            }
        }
        begun
    }

    /// Whether a message has begun and not ended.
    fn is_within(&self) -> bool {
        self.left > 0 || !self.head.is_empty()
    }

    fn take_ended(&mut self) -> usize {
        std::mem::take(&mut self.ended)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_told_apart_however_they_are_cut(
            lengths in prop::collection::vec(0..300_usize, 0..20),
            cuts in prop::collection::vec(1..400_usize, 1..40),
        ) {
            let message = |length: &usize| {
                let head = u32::try_from(*length).unwrap().to_be_bytes();
                [&[0], &head[..], &vec![7; *length]].concat()
            };
            let sent: Vec<u8> = lengths.iter().flat_map(message).collect();
            let (mut messages, mut at, mut begun, mut ended) = (Messages::default(), 0, 0, 0);
            for cut in cuts.iter().cycle() {
                let next = (at + cut).min(sent.len());
                begun += messages.pass(&sent[at..next]);
                ended += messages.take_ended();
                prop_assert!(ended <= begun);
                at = next;
                if at == sent.len() {
                    break;
                }
            }
            let all: usize = lengths.iter().sum();
            prop_assert_eq!((begun, ended, messages.is_within()), (all, all, false));
        }
    }

    #[test]
    fn what_is_too_long_for_any_call_counts_for_nothing() {
        let mut messages = Messages::default();
        assert_eq!(messages.pass(b"\0\xff\xff\xff\xff"), 0);
        assert!(messages.is_within());
    }
}
