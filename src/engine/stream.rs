//! Byte streams that reach a BuildKit, whatever carries them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A connection that carries HTTP/2.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection, whatever it is made of. Dropping it ends whatever carries it.
pub type BoxedStream = Box<dyn Stream>;

/// Buffers of streams that pass through a process: what a Linux pipe holds.
pub(super) const BUFFER: usize = 64 << 10;

/// What became of the process behind a stream that has ended; an error where it did not end well.
pub(super) type End = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Joins both halves of a connection once the other side has spoken.
///
/// A gRPC server sends its settings as soon as it is connected, so its first bytes show that BuildKit is there, before
/// a request is lost on a process that could not reach it. A server that keeps silent for `patience` is believed.
///
/// # Errors
/// Where the connection ends before that, with what `end` says; and where what answers does not speak HTTP/2.
pub(super) async fn settle<R, W>(
    mut read: R,
    write: W,
    end: Option<End>,
    patience: Duration,
) -> io::Result<BoxedStream>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut first = Vec::with_capacity(BUFFER);
    match tokio::time::timeout(patience, read.read_buf(&mut first)).await {
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) => {
            if let Some(end) = end {
                end.await?;
            }
            return Err(closed_at_once());
        }
        Ok(Ok(_)) if !is_settings(&first) => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, in_words(&first)));
        }
        // Its greeting, or silence for long enough.
        Ok(Ok(_)) | Err(_) => {}
    }
    let read = Guarded {
        read: io::Cursor::new(first).chain(read),
        end,
    };
    Ok(Box::new(tokio::io::join(read, write)))
}

/// Whether an HTTP/2 server's first frame begins like this: it must be SETTINGS, type 4 (RFC 9113, section 3.4).
fn is_settings(bytes: &[u8]) -> bool {
    bytes.get(3).is_none_or(|kind| *kind == 4)
}

fn in_words(bytes: &[u8]) -> String {
    format!("what answers does not speak HTTP/2: {}", first_line(bytes))
}

/// What a stranger said, short enough for a message.
pub(super) fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.trim().lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

pub(super) fn closed_at_once() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection was closed at once",
    )
}

/// The read half of a connection through a process: its end is the process's end.
struct Guarded<R> {
    read: R,
    end: Option<End>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.read).poll_read(context, buffer))?;
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let ended = ready!(end.as_mut().poll(context));
        self.end = None;
        Poll::Ready(ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// An empty SETTINGS frame: length 0, type 4, no flags, stream 0.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    async fn settle_on(bytes: &'static [u8], end: Option<End>) -> io::Result<BoxedStream> {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(bytes).await?;
        drop(theirs);
        let (read, write) = tokio::io::split(ours);
        settle(read, write, end, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn what_was_read_first_is_not_lost() {
        let mut stream = settle_on(&SETTINGS, None).await.expect("settled");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("read");
        assert_eq!(all, SETTINGS);
    }

    #[tokio::test]
    async fn a_stranger_is_quoted() {
        let Err(error) = settle_on(
            b"OCI runtime exec failed: \"buildctl\": not found\r\nmore",
            None,
        )
        .await
        else {
            panic!("a stranger was taken for BuildKit")
        };
        assert_eq!(
            error.to_string(),
            "what answers does not speak HTTP/2: OCI runtime exec failed: \"buildctl\": not found"
        );
    }

    #[tokio::test]
    async fn an_early_end_says_what_the_process_said() {
        let end: End = Box::pin(async { Err(io::Error::other("exit code 1: no such socket")) });
        let Err(error) = settle_on(b"", Some(end)).await else {
            panic!("an ended process was taken for BuildKit")
        };
        assert_eq!(error.to_string(), "exit code 1: no such socket");
    }

    #[tokio::test]
    async fn a_late_end_is_an_error_of_reading() {
        let end: End = Box::pin(async { Err(io::Error::other("exit code 137")) });
        let mut stream = settle_on(&SETTINGS, Some(end)).await.expect("settled");
        let mut all = Vec::new();
        let error = stream
            .read_to_end(&mut all)
            .await
            .expect_err("the process was killed");
        assert_eq!(
            (all, error.to_string()),
            (SETTINGS.to_vec(), "exit code 137".to_owned())
        );
    }

    #[tokio::test]
    async fn a_silent_server_is_believed_after_a_while() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (read, write) = tokio::io::split(ours);
        let mut stream = settle(read, write, None, Duration::ZERO)
            .await
            .expect("settled");
        theirs.write_all(b"late").await.expect("written");
        let mut late = [0; 4];
        stream.read_exact(&mut late).await.expect("read");
        assert_eq!(&late, b"late");
    }
}
