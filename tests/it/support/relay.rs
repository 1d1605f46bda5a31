//! A `buildkitd` that listens by itself, before an Engine's BuildKit; and what befalls calls that delete.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Makes the Engine's connection one to its BuildKit.
const UPGRADE: &[u8] =
    b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/// What only a call that deletes says.
const DELETES: &[u8] = b"id~=\"^(";

/// What does not happen within this time does not happen.
const LIMIT: Duration = Duration::from_secs(60);

/// What befalls the calls that delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    #[default]
    Pass,
    /// They wait, and then pass.
    Hold,
    /// BuildKit gets them, and nobody hears its answer: the connection is cut as soon as it begins.
    Cut,
}

#[derive(Debug, Default)]
struct State {
    fate: Fate,
    /// Calls that came.
    calls: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Listens until the test ends.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    endpoint: String,
    /// Of the socket.
    _directory: Option<TempDir>,
}

impl Relay {
    /// On a socket, before the Engine of this socket.
    pub(crate) fn unix(engine: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("buildkitd.sock");
        let listener = UnixListener::bind(&path).expect("the directory is empty");
        let clients = std::iter::from_fn(move || Some(listener.accept().ok()?.0));
        let halves = |client: UnixStream| Ok((client.try_clone()?, client));
        let cut = |client: &UnixStream| client.shutdown(Shutdown::Both);
        Self {
            shared: listen(engine, clients, halves, cut),
            endpoint: format!("unix://{}", path.display()),
            _directory: Some(directory),
        }
    }

    /// On a port of loopback.
    pub(crate) fn tcp(engine: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let clients = std::iter::from_fn(move || Some(listener.accept().ok()?.0));
        let halves = |client: TcpStream| Ok((client.try_clone()?, client));
        let cut = |client: &TcpStream| client.shutdown(Shutdown::Both);
        Self {
            shared: listen(engine, clients, halves, cut),
            endpoint: format!("tcp://{address}"),
            _directory: None,
        }
    }

    /// As a `builder.endpoint`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What befalls calls that delete from now on; those that are held go on.
    pub(crate) fn befalls(&self, fate: Fate) {
        self.shared.state().fate = fate;
        self.shared.changed.notify_all();
    }

    /// Waits until so many calls that delete came, since the beginning.
    #[track_caller]
    pub(crate) fn wait_for_call(&self, number: usize) {
        let state = self.shared.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, LIMIT, |state| state.calls < number);
        let (_state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "nothing was deleted");
    }
}

/// Serves clients in threads of their own; a connection that breaks concerns its two ends only.
fn listen<C: Read + Write + Send + 'static>(
    engine: &str,
    clients: impl Iterator<Item = C> + Send + 'static,
    halves: fn(C) -> io::Result<(C, C)>,
    cut: fn(&C) -> io::Result<()>,
) -> Arc<Shared> {
    let shared = Arc::new(Shared::default());
    let (of_all, engine) = (Arc::clone(&shared), engine.to_owned());
    thread::spawn(move || {
        for client in clients {
            let (shared, engine) = (Arc::clone(&of_all), engine.clone());
            thread::spawn(move || shared.serve(&engine, halves(client)?, cut));
        }
    });
    shared
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve<C: Read + Write + Send + 'static>(
        &self,
        engine: &str,
        (mut from, mut to): (C, C),
        cut: fn(&C) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut engine = UnixStream::connect(engine)?;
        engine.write_all(UPGRADE)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            engine.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        let mut answers = engine.try_clone()?;
        thread::spawn(move || io::copy(&mut answers, &mut to));
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut piece)?;
            if read == 0 {
                return engine.shutdown(Shutdown::Both);
            }
            let piece = &piece[..read];
            let deletes = piece.windows(DELETES.len()).any(|window| window == DELETES);
            let fate = if deletes { self.note() } else { Fate::Pass };
            engine.write_all(piece)?;
            if fate == Fate::Cut {
                cut(&from)?;
            }
        }
    }

    /// Counts a call, and says what befalls it once it may go on.
    fn note(&self) -> Fate {
        let mut state = self.state();
        state.calls += 1;
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_while(state, |state| state.fate == Fate::Hold);
        waited.unwrap_or_else(PoisonError::into_inner).fate
    }
}
