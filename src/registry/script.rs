//! A registry for tests that says exactly what a test tells it to: HTTP/1.1 on loopback, one request a connection.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What to send back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Ends the connection before the body is complete.
    cut: bool,
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        cut: false,
    }
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }
}

/// The running registry.
pub(crate) struct Script {
    pub(crate) host: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Script {
    /// Answers every request by `answer`, which gets the host's name, the request's number from 0, and the request.
    pub(crate) async fn start(
        answer: impl Fn(&str, usize, &Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = listener.local_addr().expect("bound").to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, name, answer) = (Arc::clone(&received), host.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, name, answer) = (Arc::clone(&log), name.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    // A client that goes away early is part of some tests.
                    drop(serve(stream, &name, &log, answer.as_ref()).await);
                });
            }
        });
        Self { host, received }
    }

    /// Answers by `replies`, one after the other; a request too many gets status 418.
    pub(crate) async fn sequence(replies: Vec<Reply>) -> Self {
        Self::start(move |_, number, _| replies.get(number).cloned().unwrap_or_else(|| reply(418)))
            .await
    }

    /// `METHOD PATH` of all requests so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.received()
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(
    stream: TcpStream,
    host: &str,
    log: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&str, usize, &Received) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Received {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    let number = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(request.clone());
        log.len() - 1
    };
    let reply = answer(host, number, &request);
    let mut text = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        write!(text, "{name}: {value}\r\n").expect("writing to a String");
    }
    let promised = reply.body.len() + usize::from(reply.cut);
    write!(text, "Content-Length: {promised}\r\n\r\n").expect("writing to a String");
    let mut bytes = text.into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(&reply.body);
    }
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}
