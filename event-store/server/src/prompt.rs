//! A connection that acknowledges at once what it received.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that acknowledges at once what it received, where the system can be told so.
///
/// A client whose system gathers small writes (Nagle's algorithm, RFC 896) sends the body of a
/// call only after the head was acknowledged; a receiver that delays that (RFC 1122, 4.2.3.2) adds
/// 40 ms to every call. Linux forgets the wish now and then: it is renewed by each read.
#[derive(Debug)]
pub struct Prompt(TcpStream);

impl Prompt {
    /// Sends and receives on a connection.
    pub fn new(connection: TcpStream) -> Self {
        Self(connection)
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(context, buffer));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Err(error) = self.0.set_quickack(true) {
            tracing::trace!(%error, "a connection cannot be made to acknowledge at once");
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
