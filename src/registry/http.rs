//! One HTTP request and its whole answer. The only file that names `reqwest`.
//!
//! Redirects are ours to follow: `Authorization` goes to the registry's own origin and nowhere else, and nothing is followed
//! from HTTPS to plain HTTP.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use http::{HeaderName, Method};
pub(super) use reqwest::Url;

/// For one request with its answer, redirects apart.
const TIMEOUT: Duration = Duration::from_secs(30);

/// For a connection with its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// As many redirects are followed.
const REDIRECTS: usize = 5;

/// A client for one registry and the token server that it names.
pub(super) struct Http {
    client: reqwest::Client,
}

/// What to send.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Bytes,
    /// Which redirects are followed (of `GET` and `HEAD` alone); any other is the answer itself.
    pub(super) follow: Follow,
    /// The longest body that is read, in bytes.
    pub(super) limit: usize,
}

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// Those within the same host.
    SameHost,
    /// All, without our login where they leave the origin.
    Any,
}

/// What came back, body included. No `Debug`: a body may be a token.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// True when a redirect led to another origin: that one's demands for a login are not ours to meet.
    pub(super) foreign: bool,
}

impl Answer {
    /// A header as text; `None` when it is absent or not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why no answer came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Refused, reset, timed out, cut short.
    Broken(String),
    /// A TLS greeting was answered in plain HTTP.
    PlainHttp,
    /// The certificate was not accepted.
    Untrusted(String),
    /// The body is longer than the limit.
    TooLarge,
    /// It answered, but not as the protocol says: a redirect that must not be followed, for example.
    Protocol(String),
}

/// Why a client cannot be made: the certificate authority's file.
#[derive(Debug)]
pub(super) struct Unusable(pub(super) String);

impl Http {
    /// A client for `host`. System roots count in any case; `ca` (PEM, one or more certificates) is added to them.
    pub(super) fn new(host: &str, ca: Option<&PathBuf>) -> Result<Self, Unusable> {
        // Fails only if the process has a provider already, which does as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("prewarm/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        if is_loopback(host) {
            // As Go programs, docker among them, do: a proxy cannot reach our own loopback.
            builder = builder.no_proxy();
        }
        if let Some(path) = ca {
            let pem = std::fs::read(path).map_err(|error| Unusable(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| Unusable("it holds no PEM certificate".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder
            .build()
            .map_err(|error| Unusable(root_cause(&error)))?;
        Ok(Self { client })
    }

    /// Sends a request and reads the whole answer, after at most [`REDIRECTS`] redirects.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let foreign = url.origin() != request.url.origin();
            let answer = self.once(request, &url, foreign).await?;
            let redirected = matches!(request.method, Method::GET | Method::HEAD)
                && matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.header(LOCATION.as_str()).filter(|_| redirected) else {
                return Ok(answer);
            };
            let to = follow(&url, location)?;
            if request.follow == Follow::SameHost && to.host() != request.url.host() {
                return Ok(answer);
            }
            url = to;
        }
        Err(Failure::Protocol(format!(
            "more than {REDIRECTS} redirects"
        )))
    }

    async fn once(&self, request: &Request, url: &Url, foreign: bool) -> Result<Answer, Failure> {
        let mut builder = self.client.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(authorization) = request.authorization.as_ref().filter(|_| !foreign) {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if matches!(request.method, Method::PUT | Method::POST) {
            // Also when it is empty: some registries answer a POST without Content-Length with 411.
            builder = builder.body(request.body.clone());
        }
        let mut response = builder.send().await.map_err(|error| failure(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > request.limit {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
            foreign,
        })
    }
}

/// Where a redirect from `from` leads.
fn follow(from: &Url, location: &str) -> Result<Url, Failure> {
    let to = from
        .join(location)
        .map_err(|_| Failure::Protocol("a redirect to no address".to_owned()))?;
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(to),
        (from, to) => Err(Failure::Protocol(format!("a redirect from {from} to {to}"))),
    }
}

/// Whether `host` (with or without port) is this machine: 127.0.0.0/8, `::1` or `localhost`.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn failure(error: &reqwest::Error) -> Failure {
    match tls_error(error) {
        // The record header of TLS did not come: whatever answers speaks another protocol, which is HTTP.
        Some(rustls::Error::InvalidMessage(_)) => Failure::PlainHttp,
        Some(rustls::Error::InvalidCertificate(reason)) => Failure::Untrusted(untrusted(reason)),
        _ if error.is_timeout() => Failure::Broken("timed out".to_owned()),
        _ => Failure::Broken(root_cause(error)),
    }
}

fn untrusted(reason: &rustls::CertificateError) -> String {
    match reason.to_string() {
        // What `openssl req -x509` makes; Go programs take it, rustls does not.
        text if text.contains("CaUsedAsEndEntity") => {
            "it is an authority's own certificate, and one that the authority issued is wanted"
                .to_owned()
        }
        text => text,
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            // `source` of an `io::Error` skips the error that it wraps.
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_with_and_without_port() {
        let table = [
            ("127.0.0.1:5000", true),
            ("127.8.9.10", true),
            ("localhost", true),
            ("LocalHost:80", true),
            ("[::1]:5000", true),
            ("128.0.0.1", false),
            ("localhost.example:5000", false),
            ("127.0.0.1.example", false),
            ("ghcr.io", false),
            ("[::2]:5000", false),
        ];
        for (host, expected) in table {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn redirects_never_leave_tls() {
        let table = [
            (
                "https://a.example/v2/x",
                "/v2/y?z",
                Some("https://a.example/v2/y?z"),
            ),
            (
                "https://a.example/v2/x",
                "https://b.example/y",
                Some("https://b.example/y"),
            ),
            (
                "http://a.example/v2/x",
                "https://b.example/y",
                Some("https://b.example/y"),
            ),
            ("https://a.example/v2/x", "http://a.example/y", None),
            ("https://a.example/v2/x", "file:///etc/passwd", None),
            ("https://a.example/v2/x", "https://", None),
        ];
        for (from, location, expected) in table {
            let to = follow(&Url::parse(from).expect("a URL"), location).ok();
            assert_eq!(
                to.as_ref().map(Url::as_str),
                expected,
                "{from} -> {location}"
            );
        }
    }

    #[test]
    fn a_missing_or_empty_authority_is_said() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let empty = directory.path().join("ca.pem");
        std::fs::write(&empty, "not a certificate").expect("written");
        for (path, expected) in [
            (empty, "no PEM certificate"),
            (directory.path().join("missing"), "No such file"),
        ] {
            let reason = Http::new("a.example", Some(&path))
                .err()
                .expect("unusable")
                .0;
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
