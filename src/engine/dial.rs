//! Connections: to the Engine, to its BuildKit, to a `buildkitd`, and to a buildx builder.

use std::error::Error;
use std::ffi::OsStr;
use std::future::{Future, poll_fn};
use std::io;
use std::iter::successors;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use super::EngineError;
use super::locate::{Host, Location, TlsFiles};
use super::stream::{BUFFER, BoxedStream, End, closed_at_once, first_line, settle};
use super::tls;
use crate::config::BuilderTls;

/// How long a connection may take to be made, and a simple answer to come; docker's command line waits as long.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// How long a `buildkitd` may keep silent after the connection is made.
const GREETING_TIME: Duration = Duration::from_secs(5);

/// How long buildx may take, which starts its builder when that is stopped.
const BUILDX_TIME: Duration = Duration::from_secs(120);

/// How much of what a process says on its standard error is kept.
const STDERR_LIMIT: u64 = 16 << 10;

/// The `Host` of requests to the Engine, which listens for itself alone; moby's client sends something similar.
pub(super) const HOST: HeaderValue = HeaderValue::from_static("docker");

/// Connects to the Engine's address and says nothing yet.
///
/// # Errors
/// [`EngineError::Unreachable`], and [`EngineError::File`] for certificates.
pub async fn connect_raw(location: &Location) -> Result<BoxedStream, EngineError> {
    connect(&location.host, b"http/1.1", || location.to_string()).await
}

/// The Engine's own BuildKit: the Engine's HTTP connection becomes an HTTP/2 one to its `Control` service.
///
/// # Errors
/// Those of [`connect_raw`], and [`EngineError::NoBuildkit`] where the Engine does not switch protocols.
pub async fn grpc(location: &Location) -> Result<BoxedStream, EngineError> {
    // As moby's own client asks (`client/hijack.go`; the handler is `api/server/router/grpc`).
    let mut request = request(Method::POST, "/grpc");
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
    let response = ask(location, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(EngineError::NoBuildkit {
            address: location.to_string(),
            status: response.status().as_u16(),
        });
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| broken(location, &error))?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// A request without a body.
pub(super) fn request(method: Method, path: &'static str) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static(path);
    request.headers_mut().insert(header::HOST, HOST);
    request
}

/// Asks the Engine something that it can answer at once.
pub(super) async fn ask(
    location: &Location,
    request: Request<String>,
) -> Result<Response<Incoming>, EngineError> {
    match tokio::time::timeout(CONNECT_TIME, send(location, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(EngineError::Unreachable {
            address: location.to_string(),
            source: io::ErrorKind::TimedOut.into(),
        }),
    }
}

/// Sends one HTTP request on a connection of its own.
pub(super) async fn send<B>(
    location: &Location,
    request: Request<B>,
) -> Result<Response<Incoming>, EngineError>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = connect_raw(location).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(location, &error))?;
    // Ends with the response's body, or hands the connection over when it is upgraded; errors reach both.
    let connection = tokio::spawn(connection.with_upgrades());
    match sender.send_request(request).await {
        Ok(response) => Ok(response),
        // It ended before it took the request, as where a server refuses our certificate, and perhaps it alone knows why.
        Err(error) if error.is_canceled() && io_cause(&error).is_none() => {
            Err(match connection.await {
                Ok(Err(cause)) => broken(location, &cause),
                Ok(Ok(())) | Err(_) => EngineError::Unreachable {
                    address: location.to_string(),
                    source: closed_at_once(),
                },
            })
        }
        Err(error) => Err(broken(location, &error)),
    }
}

/// The beginning of an answer that is not what it should be, for a message.
pub(super) async fn quote(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
    let frame = tokio::time::timeout(GREETING_TIME, frame).await;
    let data = frame.ok().flatten().and_then(Result::ok);
    let data = data.and_then(|frame| frame.into_data().ok());
    first_line(&data.unwrap_or_default())
}

/// A connection that broke. What TLS said stays recognizable: a server refuses our certificate only now.
fn broken(location: &Location, error: &hyper::Error) -> EngineError {
    let cause = io_cause(error);
    let tls = cause
        .and_then(io::Error::get_ref)
        .and_then(<dyn Error + Send + Sync>::downcast_ref::<rustls::Error>);
    let source = match (tls, cause) {
        (Some(tls), _) => io::Error::new(io::ErrorKind::InvalidData, tls.clone()),
        (None, Some(cause)) => io::Error::new(cause.kind(), format!("{error}: {cause}")),
        (None, None) => io::Error::other(error.to_string()),
    };
    EngineError::Unreachable {
        address: location.to_string(),
        source,
    }
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut causes = successors(error.source(), |cause| (*cause).source());
    causes.find_map(<dyn Error>::downcast_ref::<io::Error>)
}

/// A `buildkitd` on a Unix socket.
///
/// # Errors
/// [`EngineError::Unreachable`], also where what listens there is not a `buildkitd`.
pub async fn connect_unix(path: &Path) -> Result<BoxedStream, EngineError> {
    connect_buildkitd(&Host::Unix(path.to_owned())).await
}

/// A `buildkitd` on TCP, `host:port`.
///
/// # Errors
/// [`EngineError::Unreachable`], also where what listens there is not a `buildkitd`, or it refuses our certificate;
/// [`EngineError::File`] for certificates that cannot be read.
pub async fn connect_tcp(
    address: &str,
    tls: Option<&BuilderTls>,
) -> Result<BoxedStream, EngineError> {
    let tls = tls.map(|tls| TlsFiles {
        ca: Some(tls.ca.clone()),
        identity: tls.identity.clone(),
        verify: true,
    });
    connect_buildkitd(&Host::Tcp {
        address: address.to_owned(),
        tls,
    })
    .await
}

async fn connect_buildkitd(host: &Host) -> Result<BoxedStream, EngineError> {
    let stream = connect(host, b"h2", || host.to_string()).await?;
    let (read, write) = tokio::io::split(stream);
    // TLS 1.3 servers refuse a client's certificate only after the handshake, in place of their first bytes.
    settle(read, write, None, GREETING_TIME)
        .await
        .map_err(|source| EngineError::Unreachable {
            address: host.to_string(),
            source,
        })
}

async fn connect(
    host: &Host,
    protocol: &[u8],
    shown: impl Fn() -> String,
) -> Result<BoxedStream, EngineError> {
    match host {
        Host::Unix(path) => Ok(Box::new(timely(UnixStream::connect(path), &shown).await?)),
        Host::Tcp { address, tls } => {
            let stream = timely(TcpStream::connect(address), &shown).await?;
            stream
                .set_nodelay(true)
                .map_err(|source| EngineError::Unreachable {
                    address: shown(),
                    source,
                })?;
            match tls {
                None => Ok(Box::new(stream)),
                Some(files) => Ok(Box::new(
                    tls::connect(stream, address, files, protocol).await?,
                )),
            }
        }
    }
}

pub(super) async fn timely<S>(
    connecting: impl Future<Output = io::Result<S>>,
    shown: impl Fn() -> String,
) -> Result<S, EngineError> {
    tokio::time::timeout(CONNECT_TIME, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| EngineError::Unreachable {
            address: shown(),
            source,
        })
}

/// A buildx builder by name, of any driver: the standard streams of `docker buildx dial-stdio`, which ends when the
/// stream is dropped. `docker` is the program to run.
///
/// # Errors
/// [`EngineError::Buildx`] with what buildx said.
pub async fn buildx(name: &str, docker: &OsStr) -> Result<BoxedStream, EngineError> {
    let failed = |source| EngineError::Buildx {
        name: name.to_owned(),
        source,
    };
    let mut child = Command::new(docker)
        .args(["buildx", "dial-stdio", "--builder", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let reason = format!("cannot run `{}`: {error}", docker.to_string_lossy());
            failed(io::Error::new(error.kind(), reason))
        })?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        unreachable!("all three streams are piped")
    };
    let stdout = BufReader::with_capacity(BUFFER, stdout);
    let end = process_end(child, tokio::spawn(last_words(stderr)));
    settle(stdout, Stdin(Some(stdin)), Some(end), BUILDX_TIME)
        .await
        .map_err(failed)
}

/// A process's standard input that closes when it is shut down; tokio's own does so only when it is dropped.
struct Stdin(Option<ChildStdin>);

impl AsyncWrite for Stdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(stdin) => Pin::new(stdin).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(stdin) => Pin::new(stdin).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// What a process says on its standard error, as much of its beginning as is kept.
async fn last_words(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    // An error of reading ends the text as the end of the process does.
    let _ = (&mut stderr)
        .take(STDERR_LIMIT)
        .read_to_end(&mut text)
        .await;
    // The rest is read so that the process does not stall.
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn process_end(mut child: Child, stderr: JoinHandle<String>) -> End {
    Box::pin(async move {
        let status = child.wait().await?;
        if status.success() {
            return Ok(());
        }
        let said = stderr.await.unwrap_or_default();
        let said = if said.is_empty() {
            "it said nothing"
        } else {
            &said
        };
        Err(io::Error::other(format!("it ended with {status}: {said}")))
    })
}

#[cfg(test)]
mod tests;
