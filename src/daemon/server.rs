//! The daemon's socket: takes requests from this user's processes, and answers them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::protocol::{self, Hello, Reply, Request};

/// How long a client may take to say what it wants, and to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end waits for answers to be written.
const LAST: Duration = Duration::from_millis(500);

/// Clients at a time. One more, and somebody has to go.
const CLIENTS: usize = 256;

/// Nobody has to go before this: who means it has said what it wants long before.
const GRACE: Duration = Duration::from_millis(250);

/// Who follows gets news at most so often.
const PACE: Duration = Duration::from_millis(150);

/// And so often where a time runs down that is shown in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// A request, and where its answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// Binds the socket. Only for whoever holds the lock: what is there is then left by a dead daemon.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Its directory lets nobody else in, so that nobody was quicker.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers that are being written.
#[derive(Clone, Debug)]
pub(super) struct Answers(Arc<Semaphore>);

/// More than there are at a time.
const ANSWERS: u32 = 1 << 16;

impl Answers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ANSWERS as usize)))
    }

    /// Waits until all are written: who asks us to end hears that we do. Not for long.
    pub(super) async fn written(&self) {
        // Who does not read has waited in vain.
        let _ = timeout(LAST, self.0.acquire_many(ANSWERS)).await;
    }
}

/// A client that is served.
#[derive(Debug)]
struct Guest {
    since: Instant,
    follows: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Serves clients until the daemon ends. `changes` counts what happens.
pub(super) async fn serve(
    listener: UnixListener,
    asked: mpsc::Sender<Asked>,
    changes: watch::Receiver<u64>,
    answers: Answers,
) {
    let mut guests: Vec<Guest> = Vec::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a client cannot be accepted: {error}");
                tokio::time::sleep(PACE).await;
                continue;
            }
        };
        make_room(&mut guests).await;
        let follows = Arc::new(AtomicBool::new(false));
        let (asked, changes, said) = (asked.clone(), changes.clone(), Arc::clone(&follows));
        let answers = answers.clone();
        let serving = tokio::spawn(async move {
            if let Err(error) = client(stream, &asked, changes, &said, &answers).await {
                tracing::debug!("a client was left: {error}");
            }
        });
        guests.push(Guest {
            since: Instant::now(),
            follows,
            task: serving.abort_handle(),
        });
    }
}

/// Makes sure that there is room for one more: clients that say nothing must not keep others from an answer.
async fn make_room(guests: &mut Vec<Guest>) {
    guests.retain(|guest| !guest.task.is_finished());
    if guests.len() < CLIENTS {
        return;
    }
    let follow = guests
        .iter()
        .map(|guest| guest.follows.load(Ordering::Relaxed));
    let guest = guests.remove(leaves(follow));
    tokio::time::sleep_until((guest.since + GRACE).into()).await;
    guest.task.abort();
}

/// Who has to go, of clients in the order in which they came: the first that does not follow, else the first.
fn leaves(mut follow: impl Iterator<Item = bool>) -> usize {
    follow.position(|follows| !follows).unwrap_or(0)
}

async fn client(
    mut stream: UnixStream,
    asked: &mpsc::Sender<Asked>,
    mut changes: watch::Receiver<u64>,
    follows: &AtomicBool,
    answers: &Answers,
) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let ours = rustix::process::getuid().as_raw();
    if peer != ours && peer != 0 {
        return Err(io::Error::other(format!("it is user {peer}'s")));
    }
    let hello: Hello = read(&mut stream).await?;
    write(&mut stream, &Hello::ours()).await?;
    if hello.agreed().is_none() {
        return Err(io::Error::other("it speaks no protocol of ours"));
    }
    let request: Request = read(&mut stream).await?;
    if request != Request::Follow {
        let _writing = answers.0.acquire().await.map_err(io::Error::other)?;
        let reply = ask(asked, request).await?;
        return write(&mut stream, &reply).await;
    }
    follows.store(true, Ordering::Relaxed);
    let mut last = None;
    loop {
        changes.mark_unchanged();
        let reply = ask(asked, Request::Status).await?;
        let runs_down = runs_down(&reply);
        if last.as_ref() != Some(&reply) {
            write(&mut stream, &reply).await?;
            last = Some(reply);
        }
        tokio::time::sleep(PACE).await;
        let mut byte = [0];
        tokio::select! {
            alive = changes.changed() => alive.map_err(io::Error::other)?,
            () = tokio::time::sleep(SECOND), if runs_down => {}
            // Whoever follows says nothing more; that it reads as ended means that the client has gone.
            _ = stream.read(&mut byte) => return Ok(()),
        }
    }
}

/// Whether the answer is another one when time passes.
fn runs_down(reply: &Reply) -> bool {
    let Reply::Status(status) = reply else {
        return false;
    };
    let mut views = status.trees.iter().flat_map(|tree| &tree.views);
    views.any(|view| view.retry_seconds.is_some())
}

async fn ask(asked: &mpsc::Sender<Asked>, request: Request) -> io::Result<Reply> {
    let (reply, answer) = oneshot::channel();
    let ended = |_| io::Error::other("the daemon ends");
    asked
        .send(Asked { request, reply })
        .await
        .map_err(|_| io::Error::other("the daemon ends"))?;
    answer.await.map_err(ended)
}

async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let whole = async {
        let mut prefix = [0; protocol::PREFIX];
        stream.read_exact(&mut prefix).await?;
        let length = protocol::length(prefix).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await?;
        serde_json::from_slice(&bytes).map_err(io::Error::from)
    };
    timeout(PATIENCE, whole).await?
}

async fn write(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let frame = protocol::frame(message).map_err(io::Error::other)?;
    timeout(PATIENCE, stream.write_all(&frame)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_follows_stays_longest() {
        assert_eq!(leaves([true, false, true, false].into_iter()), 1);
        assert_eq!(leaves([true, true].into_iter()), 0);
    }
}
