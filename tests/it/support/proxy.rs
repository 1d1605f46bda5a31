//! A proxy in front of the registry: it counts requests, and fails on demand.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::engines::engines;
use super::http::Head;
use super::tokens::Tokens;

/// What does not happen within this time does not happen.
const LIMIT: Duration = Duration::from_secs(60);

/// The first byte of a TLS connection. Engines try TLS on loopback first, and go on without it only if they are answered
/// in plain HTTP.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the proxy's own answers say, in the form of the OCI distribution specification.
const ERRORS: &str = r#"{"errors":[{"code":"TEST","message":"as the test wants it"}]}"#;

/// A request as the proxy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// The media type of its body.
    pub(crate) content_type: String,
}

impl Request {
    /// Whether a manifest is read by a tag that contains this.
    pub(crate) fn reads_tag(&self, part: &str) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD") && self.names_tag(part)
    }

    /// Whether a manifest is written under a tag that contains this.
    pub(crate) fn writes_tag(&self, part: &str) -> bool {
        self.method == "PUT" && self.names_tag(part)
    }

    fn names_tag(&self, part: &str) -> bool {
        let tag = self.path.split_once("/manifests/");
        tag.is_some_and(|(_, tag)| tag.contains(part))
    }

    /// Whether a part of a blob is sent.
    pub(crate) fn sends_blob(&self) -> bool {
        matches!(self.method.as_str(), "PATCH" | "PUT") && self.path.contains("/blobs/uploads/")
    }
}

/// What befalls a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer of the proxy's own: status and headers, with [`ERRORS`].
    Answer(u16, Vec<(&'static str, &'static str)>),
    /// The connection ends after this many bytes of the body.
    Reset(usize),
    /// Nothing happens before [`Proxy::release`].
    Hold,
    /// The body goes on in small pieces, with pauses.
    Slow,
}

type Matcher = Box<dyn Fn(&Request) -> bool + Send>;

struct Rule {
    matches: Matcher,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// Those that the registry took something with.
    taken: Vec<Request>,
    rules: Vec<Rule>,
    held: usize,
    released: bool,
    closed: bool,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    tokens: Option<Tokens>,
}

/// A proxy on a loopback port of its own.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// Asks for bearer tokens, which it gives to whoever has the test login.
    pub(crate) fn with_tokens() -> Self {
        Self::with(Some(Tokens::default()))
    }

    fn with(tokens: Option<Tokens>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("a listener has an address"),
            state: Mutex::default(),
            changed: Condvar::new(),
            tokens,
        });
        let for_listener = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if for_listener.state().closed {
                    return;
                }
                let shared = Arc::clone(&for_listener);
                // A connection that breaks concerns its two ends only.
                thread::spawn(move || shared.serve(connection));
            }
        });
        Self {
            shared,
            listener: Some(listener),
        }
    }

    /// `host:port`, in the place of the registry's own.
    pub(crate) fn address(&self) -> String {
        self.shared.address.to_string()
    }

    /// Lets `fault` befall the next `times` requests that match.
    pub(crate) fn fault(
        &self,
        fault: Fault,
        times: usize,
        matches: impl Fn(&Request) -> bool + Send + 'static,
    ) {
        self.shared.state().rules.push(Rule {
            matches: Box::new(matches),
            fault,
            times,
        });
    }

    /// What was asked so far, since [`Proxy::forget`].
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// What the registry took, since the beginning: blobs and manifests that are complete.
    pub(crate) fn taken(&self) -> Vec<Request> {
        self.shared.state().taken.clone()
    }

    /// How many requests match.
    pub(crate) fn count(&self, matches: impl Fn(&Request) -> bool) -> usize {
        self.requests()
            .iter()
            .filter(|request| matches(request))
            .count()
    }

    /// Begins to count anew, without faults.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.state();
        state.requests.clear();
        state.rules.clear();
    }

    /// Waits until a request is held.
    #[track_caller]
    pub(crate) fn wait_until_held(&self) {
        let state = self.shared.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, LIMIT, |state| state.held == 0);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "no request to hold came: {:#?}",
            state.requests
        );
    }

    /// Lets go of held requests, and holds no more.
    pub(crate) fn release(&self) {
        self.shared.state().released = true;
        self.shared.changed.notify_all();
    }

    /// Refuses connections from now on.
    pub(crate) fn close(&mut self) {
        self.shared.state().closed = true;
        self.release();
        // Wakes the listener.
        let _ = TcpStream::connect(self.shared.address);
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the listener does not panic");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut from_client = BufReader::new(client.try_clone()?);
        if from_client.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
            return finish(
                client,
                b"HTTP/1.0 400 Bad Request\r\n\r\nThis is plain HTTP.\n",
            );
        }
        let Some(mut head) = Head::read(&mut from_client)? else {
            return Ok(());
        };
        let mut words = head.first.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let request = Request {
            method: word(),
            path: word(),
            content_type: head.header("Content-Type").unwrap_or_default().to_owned(),
        };
        let fault = self.note(&request);
        if let Some(tokens) = &self.tokens
            && let Some(answer) = tokens.answer(&request, &head, &mut from_client, &self.address)?
        {
            return finish(client, &answer);
        }
        match fault {
            Some(Fault::Answer(status, headers)) => {
                let mut more = String::new();
                for (name, value) in headers {
                    more.extend([name, ": ", value, "\r\n"]);
                }
                let length = ERRORS.len();
                let answer = format!(
                    "HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n{more}\r\n{ERRORS}"
                );
                finish(client, answer.as_bytes())
            }
            Some(Fault::Reset(bytes)) => {
                head.set("Connection", "close");
                let mut registry = TcpStream::connect(&engines().registry)?;
                registry.write_all(&head.to_bytes())?;
                io::copy(&mut from_client.take(bytes as u64), &mut registry)?;
                // What was not read makes this a reset.
                client.shutdown(Shutdown::Both)
            }
            fault => {
                if matches!(fault, Some(Fault::Hold)) {
                    self.hold();
                }
                let slow = matches!(fault, Some(Fault::Slow));
                forward(client, from_client, head, slow, || {
                    if request.method == "PUT" {
                        self.state().taken.push(request.clone());
                    }
                })
            }
        }
    }

    /// Counts a request, and finds what is to befall it.
    fn note(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.matches)(request))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn hold(&self) {
        let mut state = self.state();
        state.held += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while(state, |state| !state.released);
        waited.unwrap_or_else(PoisonError::into_inner).held -= 1;
    }
}

/// Sends the request on and the answer back. The registry makes its `Location` from the `Host` that the client sent, so
/// uploads stay in the proxy.
fn forward(
    mut client: TcpStream,
    mut from_client: BufReader<TcpStream>,
    mut head: Head,
    slow: bool,
    taken: impl FnOnce(),
) -> io::Result<()> {
    head.set("Connection", "close");
    let mut registry = TcpStream::connect(&engines().registry)?;
    registry.write_all(&head.to_bytes())?;
    let mut to_registry = registry.try_clone()?;
    thread::spawn(move || {
        if slow {
            trickle(&mut from_client, &mut to_registry)
        } else {
            io::copy(&mut from_client, &mut to_registry).map(drop)
        }
    });
    let mut registry = BufReader::new(registry);
    if registry.fill_buf()?.starts_with(b"HTTP/1.1 201") {
        taken();
    }
    io::copy(&mut registry, &mut client)?;
    client.shutdown(Shutdown::Both)
}

fn trickle(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = [0; 512];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read])?;
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Answers, and reads what the client still sends: closing before that would take the answer from it.
fn finish(mut client: TcpStream, answer: &[u8]) -> io::Result<()> {
    client.write_all(answer)?;
    client.shutdown(Shutdown::Write)?;
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    io::copy(&mut client, &mut io::sink()).map(drop)
}
