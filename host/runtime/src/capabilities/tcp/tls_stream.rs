//! The streams of a connection with TLS: the encrypted ones of the socket, and those inside of them that the plugin has.
//!
//! A connection has no task of its own: it sends and receives while the plugin calls one of its streams, or waits for one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// Bytes that are decrypted per call, as many as a record of TLS has.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that the plugin may write per call.
const WRITE_BYTES: usize = 64 * 1024;

/// The streams of a socket, which carry what is encrypted.
pub(super) struct PlainStream {
    pub(super) input: DynInputStream,
    pub(super) output: DynOutputStream,
}

fn io_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) | StreamError::Trap(error) => io::Error::other(error),
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let input = &mut self.get_mut().input;
        loop {
            match input.read(buffer.remaining()) {
                Ok(bytes) if bytes.is_empty() && buffer.remaining() > 0 => {
                    ready!(input.ready().as_mut().poll(cx))
                }
                Ok(bytes) => {
                    buffer.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(StreamError::Closed) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io_error(error))),
            }
        }
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let output = &mut self.get_mut().output;
        loop {
            match output.check_write().map_err(io_error)? {
                0 => ready!(output.ready().as_mut().poll(cx)),
                room => {
                    let part = buffer.get(..room).unwrap_or(buffer);
                    output.write(Bytes::copy_from_slice(part)).map_err(io_error)?;
                    return Poll::Ready(Ok(part.len()));
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut self.get_mut().output;
        loop {
            match output.check_write().map_err(io_error)? {
                0 => ready!(output.ready().as_mut().poll(cx)),
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// A connection that its two streams share.
struct TlsConnection {
    stream: TlsStream<PlainStream>,
    /// What was read ahead.
    ahead: Bytes,
    /// What the plugin wrote and the library has not taken yet.
    unsent: Bytes,
    /// Why nothing more can be read.
    read_end: Option<TlsEndReason>,
    /// Whether the connection ends after what was written.
    is_closing: bool,
    /// Why nothing more can be written.
    write_end: Option<TlsEndReason>,
}

#[derive(Clone)]
enum TlsEndReason {
    Closed,
    Failed(String),
}

impl From<TlsEndReason> for StreamError {
    fn from(end: TlsEndReason) -> Self {
        match end {
            TlsEndReason::Closed => Self::Closed,
            TlsEndReason::Failed(reason) => Self::LastOperationFailed(wasmtime::Error::msg(reason)),
        }
    }
}

impl TlsConnection {
    /// Reads ahead, until there is something to read, or nothing any more.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.ahead.is_empty() || self.read_end.is_some() {
            return Poll::Ready(());
        }
        let mut bytes = vec![0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => self.read_end = Some(TlsEndReason::Closed),
            Ok(()) => self.ahead = Bytes::copy_from_slice(buffer.filled()),
            Err(error) => self.read_end = Some(TlsEndReason::Failed(error.to_string())),
        }
        Poll::Ready(())
    }

    /// Sends what was written, and that nothing follows if the connection is closing, until the socket has taken all of it, or takes nothing
    /// any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.write_end.is_some() {
            return Poll::Ready(());
        }
        match ready!(self.poll_flush(cx)) {
            Ok(()) if !self.is_closing => {}
            Ok(()) => {
                // The peer needs no notice if the connection is broken.
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                self.write_end = Some(TlsEndReason::Closed);
            }
            Err(error) => {
                self.write_end = Some(match error.kind() {
                    io::ErrorKind::BrokenPipe => TlsEndReason::Closed,
                    _ => TlsEndReason::Failed(error.to_string()),
                });
                self.unsent.clear();
            }
        }
        Poll::Ready(())
    }

    /// Returns why the plugin can write nothing more, if it cannot.
    fn closed_for_writing(&self) -> Option<TlsEndReason> {
        self.write_end.clone().or(self.is_closing.then_some(TlsEndReason::Closed))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.unsent.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Accepts no more from the plugin, and sends what it can now. The plugin's wait for an answer sends the rest.
    fn close(&mut self) {
        self.is_closing = true;
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
    }
}

/// Closes a connection.
pub(super) struct TlsEnd(Arc<Mutex<TlsConnection>>);

/// The stream that the plugin reads.
pub(super) struct TlsInput(Arc<Mutex<TlsConnection>>);

/// The stream that the plugin writes.
pub(super) struct TlsOutput(Arc<Mutex<TlsConnection>>);

impl TlsEnd {
    /// Returns the streams inside of a connection.
    pub(super) fn open(stream: TlsStream<PlainStream>) -> (Self, TlsInput, TlsOutput) {
        let (ahead, unsent) = (Bytes::new(), Bytes::new());
        let connection =
            TlsConnection { stream, ahead, unsent, read_end: None, is_closing: false, write_end: None };
        let shared = Arc::new(Mutex::new(connection));
        (Self(Arc::clone(&shared)), TlsInput(Arc::clone(&shared)), TlsOutput(shared))
    }

    /// Ends what the plugin writes.
    pub(super) fn close(&self) {
        self.0.lock().close();
    }
}

impl InputStream for TlsInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut connection = self.0.lock();
        if size == 0 {
            return Ok(Bytes::new());
        }
        let found = connection.poll_ahead(&mut Context::from_waker(Waker::noop()));
        let length = size.min(connection.ahead.len());
        match (found, connection.ahead.split_to(length), &connection.read_end) {
            (Poll::Ready(()), bytes, Some(end)) if bytes.is_empty() => Err(end.clone().into()),
            (_, bytes, _) => Ok(bytes),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for TlsInput {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            let mut connection = self.0.lock();
            // An answer follows only when all of the question was sent.
            let _ = connection.poll_send(cx);
            connection.poll_ahead(cx)
        })
        .await;
    }
}

#[async_trait::async_trait]
impl OutputStream for TlsOutput {
    fn check_write(&mut self) -> StreamResult<usize> {
        let mut connection = self.0.lock();
        let sent = connection.poll_send(&mut Context::from_waker(Waker::noop()));
        match (sent, connection.closed_for_writing()) {
            (_, Some(end)) => Err(end.into()),
            (Poll::Pending, None) => Ok(0),
            (Poll::Ready(()), None) => Ok(WRITE_BYTES),
        }
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut connection = self.0.lock();
        if bytes.len() > WRITE_BYTES || !connection.unsent.is_empty() {
            return Err(StreamError::Trap(wasmtime::Error::msg("more was written than check-write allows")));
        }
        if let Some(end) = connection.closed_for_writing() {
            return Err(end.into());
        }
        connection.unsent = bytes;
        let _ = connection.poll_send(&mut Context::from_waker(Waker::noop()));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // `check_write` returns 0 until everything is sent.
        self.check_write().map(drop)
    }
}

#[async_trait::async_trait]
impl Pollable for TlsOutput {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.lock().poll_send(cx)).await;
    }
}

impl Drop for TlsOutput {
    fn drop(&mut self) {
        self.0.lock().close();
    }
}
