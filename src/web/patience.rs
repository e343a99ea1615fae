//! Patience with whoever reads an answer: one that is large is held in memory for as long as it takes to send.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long nothing may be taken of what is sent, and how long is waited for a reader in all besides what its pace
/// earns: a link is slow, or somebody's machine sleeps for a moment.
const GRACE: Duration = Duration::from_secs(30);
/// At what pace an answer is taken at the least, in bytes a second. 64 MiB take a quarter of an hour so.
const PACE: u64 = 64 << 10;

/// A connection that is given up when whoever is at its other end takes too little of what they asked for.
pub struct Patient<S> {
    inner: S,
    grace: Duration,
    /// How long was waited so far.
    waited: Duration,
    /// How much was taken so far, in bytes.
    taken: u64,
    /// Since when is waited, and until when.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    /// Begins.
    pub fn new(inner: S) -> Self {
        Self { inner, grace: GRACE, waited: Duration::ZERO, taken: 0, waiting: None }
    }

    /// Notes what came of sending something; an error in place of waiting too long.
    fn noted(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match sent {
            Poll::Ready(sent) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.waited += since.elapsed();
                }
                if let Ok(bytes) = sent {
                    self.taken = self.taken.saturating_add(bytes as u64);
                }
                Poll::Ready(sent)
            }
            Poll::Pending => {
                let earned = Duration::from_secs(self.taken / PACE);
                let left = (self.grace + earned).saturating_sub(self.waited).min(self.grace);
                let now = Instant::now();
                let (_, end) = self.waiting.get_or_insert_with(|| (now, Box::pin(sleep_until(now + left))));
                ready!(end.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "an answer was read too slowly")))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.noted(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.noted(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn between(grace: Duration) -> (Patient<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(16);
        (Patient { grace, ..Patient::new(near) }, far)
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_given_up_and_whoever_takes_it_has_it_all() {
        let answer = [7; 1_000];
        let (mut near, far) = between(Duration::ZERO);
        let given_up = near.write_all(&answer).await.expect_err("nobody reads");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        drop(far);
        let (mut near, mut far) = between(GRACE);
        let reading = async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.map(|_| read)
        };
        let writing = async move {
            let written = near.write_all(&answer).await;
            drop(near);
            written
        };
        let (read, written) = tokio::join!(reading, writing);
        written.expect("sent");
        assert_eq!(read.expect("read"), answer);
    }

    #[tokio::test]
    async fn a_pace_earns_time_and_what_was_waited_is_spent() {
        let (mut near, _far) = between(Duration::from_secs(30));
        near.waited = Duration::from_secs(40);
        near.taken = 9 * PACE;
        near.write_all(&[0; 16]).await.expect("there is room");
        let given_up = near.write_all(&[0; 1]).await.expect_err("39 seconds were earned, and 40 waited");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }
}
