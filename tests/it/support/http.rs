//! As much of HTTP/1.1 as a proxy and a registry's client need: one request per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The first line and the headers of a message, as they came.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` where the connection ended before one.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let first = first.trim_end().to_owned();
        Ok(Some(Self { first, headers }))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// Sends one request and reads the whole answer.
pub(super) fn request(
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    exchange(host, method, path, headers, body)
        .unwrap_or_else(|error| panic!("{method} http://{host}{path}: {error}"))
}

fn exchange(
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut head = Head {
        first: format!("{method} {path} HTTP/1.1"),
        headers: Vec::new(),
    };
    head.set("Host", host);
    head.set("Connection", "close");
    head.set("Content-Length", &body.len().to_string());
    for (name, value) in headers {
        head.set(name, value);
    }
    let mut connection = TcpStream::connect(host)?;
    connection.write_all(&head.to_bytes())?;
    connection.write_all(body)?;
    let mut answer = BufReader::new(connection);
    let head = Head::read(&mut answer)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    answer.read_to_end(&mut body)?;
    let status = head
        .first
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Response { status, head, body })
}
