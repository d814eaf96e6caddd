use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Calls;

/// The most bytes for which it is worth while to wait for others.
const SMALL: usize = 4 << 10;

/// A connection that lets other tasks go first before it writes something small, while there are
/// many calls. The store answers many appends at once; each answer would be written alone, with a
/// call of the system and a client to be woken, where a moment later they leave together.
#[derive(Debug)]
pub(crate) struct Gathering<C> {
    connection: C,
    calls: Arc<Calls>,
    /// Whether they went first already.
    has_waited: bool,
}

impl<C> Gathering<C> {
    pub(crate) fn new(connection: C, calls: Arc<Calls>) -> Self {
        Self { connection, calls, has_waited: false }
    }

    fn waits(&mut self, bytes: usize, context: &Context<'_>) -> bool {
        self.has_waited = !self.has_waited && bytes <= SMALL && self.calls.are_many();
        if self.has_waited {
            context.waker().wake_by_ref();
        }
        self.has_waited
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gathering<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gathering<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits(bytes.len(), context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waits(slices.iter().map(|slice| slice.len()).sum(), context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use tokio::io::{AsyncWriteExt, duplex};

    use super::super::MANY;
    use super::*;
    use crate::options::ServerOptions;

    #[tokio::test]
    async fn others_go_first_once_for_each_write_where_there_are_many() {
        let calls = Arc::new(Calls::new(&ServerOptions::default()));
        let (near, _far) = duplex(1 << 20);
        let mut connection = Gathering::new(near, Arc::clone(&calls));
        let few = calls.places.try_acquire_many(4).unwrap();
        assert!(poll!(pin!(connection.write(b"few"))).is_ready());
        drop(few);

        let _many = calls.places.try_acquire_many(MANY.try_into().unwrap()).unwrap();
        for _ in 0..2 {
            let mut write = pin!(connection.write(b"many"));
            assert!(poll!(&mut write).is_pending());
            assert!(poll!(write).is_ready());
        }
        assert!(poll!(pin!(connection.write(&[0; SMALL + 1]))).is_ready());
    }
}
