//! The task that moves the bytes of one connection, and the stream that it moves them on.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether the stream is worth reading.
///
/// redis-rs's driver tries to read before each command that it takes from its queue, so with many commands at once it
/// asks the runtime over and over for what it has just been told. A stream that had nothing has registered the
/// driver's waker; until the driver is polled again, there is nothing to learn.
#[derive(Debug)]
pub(super) struct Reads {
    state: AtomicU8,
    /// Whether bytes have come since somebody asked.
    heard: AtomicBool,
}

/// So many bytes in one write are part of a large value; a small command goes into the socket's buffer whoever reads.
const LARGE: usize = 8 * 1024;

/// Not driven yet: the handshake runs in another task.
const FREE: u8 = 0;
/// The driver was polled and has not met the end of what was there.
const FRESH: u8 = 1;
/// It has.
const DRY: u8 = 2;

impl Reads {
    pub(super) fn new() -> Arc<Reads> {
        Arc::new(Reads { state: AtomicU8::new(FREE), heard: AtomicBool::new(false) })
    }

    // Only the task of the driver uses it, one thread after the other, so no order needs to be asked for.
    #[inline]
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    #[inline]
    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }

    /// Whether bytes have come since this was last asked: a large reply is no silence.
    pub(super) fn heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }
}

/// The driver of a connection on a [`Stream`] with the same [`Reads`].
pub(super) async fn drive(reads: Arc<Reads>, driver: impl Future<Output = ()>) {
    let mut driver = pin!(driver);
    poll_fn(|cx| {
        reads.set(FRESH);
        driver.as_mut().poll(cx)
    })
    .await;
}

/// A stream that, driven, is asked for bytes until it has none, and then not before the driver is polled again.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    reads: Arc<Reads>,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, reads: &Arc<Reads>) -> Stream<S> {
        Stream { inner, reads: Arc::clone(reads) }
    }

    /// Bytes that leave a full buffer are taken by somebody: a large value on its way is no silence.
    #[inline]
    fn note(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(LARGE..)) = written {
            self.reads.heard.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads.is(DRY) {
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() {
            if self.reads.is(FRESH) {
                self.reads.set(DRY);
            }
        } else {
            self.reads.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&written);
        written
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt;

    fn read(stream: &mut Stream<impl AsyncRead + Unpin>) -> Poll<usize> {
        let mut buf = [0; 8];
        let mut buf = ReadBuf::new(&mut buf);
        let read = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        read.map(|result| result.map(|()| buf.filled().len()).unwrap())
    }

    #[tokio::test]
    async fn a_driven_stream_is_asked_until_it_is_dry_and_again_after_the_next_poll() {
        let (inner, mut server) = tokio::io::duplex(64);
        let reads = Reads::new();
        let mut stream = Stream::new(inner, &reads);
        // In the handshake it is asked each time.
        assert_eq!(read(&mut stream), Poll::Pending);
        server.write_all(b"one").await.unwrap();
        assert_eq!(read(&mut stream), Poll::Ready(3));
        let mut polls = 0;
        let driver = poll_fn(|_| {
            polls += 1;
            match polls {
                1 => {
                    assert_eq!(read(&mut stream), Poll::Pending);
                    Poll::Pending
                }
                2 => {
                    assert_eq!(read(&mut stream), Poll::Ready(3));
                    assert_eq!(read(&mut stream), Poll::Pending);
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        });
        let mut driver = std::pin::pin!(drive(reads, driver));
        let mut poll = || driver.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        server.write_all(b"two").await.unwrap();
        assert!(poll().is_pending());
        assert!(poll().is_ready());
    }

    #[tokio::test]
    async fn bytes_that_come_after_the_stream_was_dry_wait_for_the_next_poll() {
        let (inner, mut server) = tokio::io::duplex(64);
        let reads = Reads::new();
        let mut stream = Stream::new(inner, &reads);
        reads.set(FRESH);
        assert_eq!(read(&mut stream), Poll::Pending);
        server.write_all(b"late").await.unwrap();
        assert_eq!(read(&mut stream), Poll::Pending);
        reads.set(FRESH);
        assert_eq!(read(&mut stream), Poll::Ready(4));
    }
}
