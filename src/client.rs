//! Talks to the daemon, with a limit on every wait: a daemon that hangs must not hang us.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::daemon::lock::Lock;
use crate::daemon::place::{self, Discovery};
use crate::daemon::status::Status;
use crate::error::{Kind, Remedy};
use crate::paths::Paths;
use crate::protocol::{self, Hello, Reply, Request};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// Who answers.
    pub hello: Hello,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody holds the daemon's lock.
    #[error("the daemon does not run")]
    NotRunning,
    /// It runs, but cannot be reached.
    #[error("the daemon does not answer at {}", socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// Its process, where it said so.
        pid: Option<u32>,
        /// Why.
        source: io::Error,
    },
    /// It has ended.
    #[error("the daemon has ended")]
    Ended,
    /// It is of a version that speaks no protocol of ours.
    #[error("the daemon is prewarm {version}, this is {}; they do not understand each other", env!("CARGO_PKG_VERSION"))]
    OtherProtocol {
        /// Its version.
        version: String,
    },
    /// It has refused what was asked.
    #[error("{0}")]
    Refused(String),
}

impl Remedy for ClientError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRunning | Self::Ended => {
                "start it with `prewarm service install`, or for once with `prewarm daemon --detach`".to_owned()
            }
            Self::Unreachable { pid, .. } => {
                let end = pid.map_or_else(String::new, |pid| {
                    format!("; if it hangs, `kill -9 {pid}` ends it, and nothing is lost")
                });
                format!("it may be starting or ending: `prewarm logs` may tell more{end}")
            }
            Self::OtherProtocol { .. } => "restart it: `prewarm daemon stop`, then start it again".to_owned(),
            Self::Refused(_) => return None,
        })
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When no daemon runs, or none that we understand.
    pub fn connect(paths: &Paths) -> Result<Self, ClientError> {
        if !Lock::is_taken(&paths.daemon_lock()) {
            return Err(ClientError::NotRunning);
        }
        // A daemon that has just started, or that cannot write, has not said where it is.
        let discovery = Discovery::read(&paths.discovery());
        let pid = discovery.as_ref().map(|found| found.pid);
        let mut sockets: Vec<_> = discovery.map(|found| found.socket).into_iter().collect();
        sockets.extend(place::likely(paths));
        sockets.dedup();
        let mut first = None;
        for socket in sockets {
            match greet(&socket) {
                Ok(client) => return client.agreed(),
                Err(source) if is_timeout(&source) || first.is_none() => {
                    let hangs = is_timeout(&source);
                    let source = plain(source);
                    first = Some(ClientError::Unreachable {
                        socket,
                        pid,
                        source,
                    });
                    if hangs {
                        break;
                    }
                }
                Err(_) => {}
            }
        }
        Err(first.unwrap_or_else(|| ClientError::Unreachable {
            socket: paths.runtime_dir.clone(),
            pid,
            source: io::Error::other("it has not said yet where it is"),
        }))
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub fn ask(mut self, request: &Request) -> Result<Reply, ClientError> {
        self.send(request)?;
        self.reply()
    }

    /// How things are.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn status(self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(*status),
            _ => Err(ClientError::Refused(
                "the daemon gave another answer than its status".to_owned(),
            )),
        }
    }

    /// Begins to follow; [`Client::next`] then gives one status after the other.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn follow(&mut self) -> Result<(), ClientError> {
        self.send(&Request::Follow)
    }

    /// The next status that differs from the one before; `None` when there is none within `limit`.
    ///
    /// # Errors
    /// When the daemon has gone.
    pub fn next(&mut self, limit: Duration) -> Result<Option<Status>, ClientError> {
        let waited = self.stream.set_read_timeout(Some(limit)).and_then(|()| {
            let mut first = [0; 1];
            // What has come stays whole: only the first byte is waited for so long.
            match self.stream.read(&mut first) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => Ok(Some(first[0])),
                // After a signal whoever waits may want to stop.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                Err(error) if is_timeout(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let Some(first) = waited.map_err(|source| self.lost(source))? else {
            return Ok(None);
        };
        let reply = read_rest(&mut self.stream, first).map_err(|source| self.lost(source))?;
        match reply {
            Reply::Status(status) => Ok(Some(*status)),
            _ => Ok(None),
        }
    }

    fn agreed(self) -> Result<Self, ClientError> {
        match self.hello.agreed() {
            Some(_) => Ok(self),
            None => Err(ClientError::OtherProtocol {
                version: self.hello.version,
            }),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let sent = protocol::frame(request)
            .map_err(io::Error::other)
            .and_then(|frame| self.stream.write_all(&frame));
        sent.map_err(|source| self.lost(source))
    }

    fn reply(&mut self) -> Result<Reply, ClientError> {
        match read(&mut self.stream) {
            Ok(Reply::Refused { message }) => Err(ClientError::Refused(message)),
            Ok(reply) => Ok(reply),
            Err(source) => Err(self.lost(source)),
        }
    }

    fn lost(&self, source: io::Error) -> ClientError {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        if matches!(source.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
            return ClientError::Ended;
        }
        let address = self.stream.peer_addr().ok();
        let socket = address.and_then(|address| address.as_pathname().map(Path::to_owned));
        ClientError::Unreachable {
            socket: socket.unwrap_or_default(),
            pid: Some(self.hello.pid),
            source: plain(source),
        }
    }
}

fn greet(socket: &Path) -> io::Result<Client> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&protocol::frame(&Hello::ours()).map_err(io::Error::other)?)?;
    let hello = read(&mut stream)?;
    Ok(Client { stream, hello })
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        // A signal: whoever waits has to look at it.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// What the system calls "resource temporarily unavailable".
fn plain(error: io::Error) -> io::Error {
    if is_timeout(&error) {
        let message = format!("nothing came from it for {} seconds", PATIENCE.as_secs());
        return io::Error::new(io::ErrorKind::TimedOut, message);
    }
    error
}

fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut first = [0; 1];
    stream.read_exact(&mut first)?;
    read_rest(stream, first[0])
}

fn read_rest<T: DeserializeOwned>(stream: &mut UnixStream, first: u8) -> io::Result<T> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut prefix = [first; protocol::PREFIX];
    stream.read_exact(&mut prefix[1..])?;
    let mut bytes = vec![0; protocol::length(prefix).map_err(io::Error::other)?];
    stream.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::from)
}
