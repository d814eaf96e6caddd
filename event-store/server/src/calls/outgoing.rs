use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue};
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status};

use super::Call;
use crate::budget::{Held, Share};
use crate::errors;

/// The body of a response. What is taken of it counts to its call until it was sent, which may be
/// long after the call has ended.
pub(super) struct Outgoing {
    body: Body,
    share: Share,
    call: Call,
    has_ended: bool,
}

/// A part of a response, with what it takes.
struct Part {
    bytes: Bytes,
    _held: Held,
    _place: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

impl Outgoing {
    pub(super) fn new(body: Body, share: Share, call: Call) -> Self {
        Self { body, share, call, has_ended: false }
    }

    fn part(&self, bytes: Bytes) -> Result<Bytes, Status> {
        let mut held = self.share.nothing();
        held.grow(bytes.len())?;
        Ok(Bytes::from_owner(Part { bytes, _held: held, _place: Arc::clone(&self.call.place) }))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<Polled, Box<dyn Any + Send>> {
        let body = AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(cx));
        self.call.span.in_scope(|| catch_unwind(body))
    }

    /// The last frame, where the call ends here and now.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.has_ended = true;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
        }
        self.call.note(&trailers);
        Frame::trailers(trailers)
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(None);
        }
        let Ok(polled) = this.poll_body(cx) else {
            return Poll::Ready(Some(Ok(this.end(&errors::panicked()))));
        };
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {
                this.call.end.get_or_insert(Code::Ok);
                return Poll::Ready(None);
            }
        };
        if this.body.is_end_stream() {
            this.call.end.get_or_insert(Code::Ok);
        }
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(bytes) => match this.part(bytes) {
                Ok(part) => Frame::data(part),
                Err(status) => this.end(&status),
            },
            Err(other) => {
                other.trailers_ref().inspect(|trailers| this.call.note(trailers));
                other
            }
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
