//! The client against a registry that misbehaves to order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::script::{Script, reply};
use super::*;

mod login;
mod tags;
mod upload;

const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A client whose pauses take no time and are written down; chance is always one half.
fn client(
    docker_config_dir: Option<PathBuf>,
    retries: u32,
) -> (Registry, Arc<Mutex<Vec<Duration>>>) {
    let slept = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&slept);
    let pauses = Pauses {
        sleep: Box::new(move |pause| {
            log.lock().expect("no panic while locked").push(pause);
            Box::pin(std::future::ready(()))
        }),
        random: || 0.5,
    };
    let credentials = CredentialStore::new(docker_config_dir);
    (
        Registry {
            client: Client::new(BTreeMap::new(), credentials, retries, pauses),
        },
        slept,
    )
}

fn anonymous() -> Registry {
    client(None, 0).0
}

fn repository(script: &Script) -> Repository {
    Repository::parse(&format!("{}/acme/app", script.host)).expect("a repository")
}

fn reference(script: &Script) -> Reference {
    repository(script).tag("x").expect("a tag")
}

fn millis(slept: &Mutex<Vec<Duration>>) -> Vec<u128> {
    slept
        .lock()
        .expect("no panic while locked")
        .iter()
        .map(Duration::as_millis)
        .collect()
}

fn index() -> script::Reply {
    reply(200).header("Content-Type", OCI_INDEX).body(INDEX)
}

#[tokio::test]
async fn head_gives_the_digest_in_one_request() {
    let digest = Digest::of(b"x");
    let script = Script::sequence(vec![
        reply(200).header("Docker-Content-Digest", digest.as_str()),
    ])
    .await;
    let registry = anonymous();
    assert_eq!(
        registry
            .head_manifest(&reference(&script))
            .await
            .expect("an answer"),
        Some(digest)
    );
    assert_eq!(script.lines(), ["HEAD /v2/acme/app/manifests/x"]);
    let accepted = script.received()[0]
        .header("accept")
        .expect("an Accept header")
        .to_owned();
    for media_type in [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX] {
        assert!(accepted.contains(media_type), "{accepted}");
    }
    assert_eq!((registry.requests(), registry.token_requests()), (1, 0));
}

#[tokio::test]
async fn head_falls_back_to_get_only_where_it_must() {
    for first in [reply(405), reply(200)] {
        let script = Script::sequence(vec![first, index()]).await;
        let found = anonymous()
            .head_manifest(&reference(&script))
            .await
            .expect("an answer");
        assert_eq!(found, Some(Digest::of(INDEX.as_bytes())));
        assert_eq!(
            script.lines(),
            [
                "HEAD /v2/acme/app/manifests/x",
                "GET /v2/acme/app/manifests/x"
            ]
        );
    }
    let script = Script::sequence(vec![reply(404)]).await;
    assert_eq!(
        anonymous()
            .head_manifest(&reference(&script))
            .await
            .expect("an answer"),
        None
    );
    assert_eq!(script.lines().len(), 1);
}

#[tokio::test]
async fn a_manifest_is_checked_against_every_digest() {
    let digest = Digest::of(INDEX.as_bytes());
    let other = Digest::of(b"other");
    let by_tag = |announced: &Digest| index().header("Docker-Content-Digest", announced.as_str());

    let script = Script::sequence(vec![by_tag(&digest), by_tag(&other), index()]).await;
    let (registry, tagged) = (anonymous(), reference(&script));
    let manifest = registry
        .manifest(&tagged)
        .await
        .expect("an answer")
        .expect("a manifest");
    assert_eq!(manifest, Manifest::new(OCI_INDEX, INDEX));
    let wrong = registry
        .manifest(&tagged)
        .await
        .expect_err("announced another digest");
    assert!(
        matches!(&wrong, RegistryError::Protocol { reason, .. } if reason.contains(other.as_str())),
        "{wrong}"
    );
    let wrong = registry
        .manifest(&repository(&script).digest(other.clone()))
        .await
        .expect_err("asked for another");
    assert!(
        matches!(&wrong, RegistryError::Protocol { reason, .. } if reason.contains(other.as_str())),
        "{wrong}"
    );
}

#[tokio::test]
async fn the_media_type_comes_from_the_header_or_else_from_the_manifest() {
    let table = [
        (
            Some("application/vnd.oci.image.index.v1+json; charset=utf-8"),
            INDEX,
            OCI_INDEX,
        ),
        (Some("application/octet-stream"), INDEX, OCI_INDEX),
        (None, INDEX, OCI_INDEX),
        (None, "{}", OCI_MANIFEST),
    ];
    for (sent, body, expected) in table {
        let mut answer = reply(200).body(body);
        if let Some(sent) = sent {
            answer = answer.header("Content-Type", sent);
        }
        let script = Script::sequence(vec![answer]).await;
        let manifest = anonymous()
            .manifest(&reference(&script))
            .await
            .expect("an answer")
            .expect("a manifest");
        assert_eq!(manifest.media_type, expected, "{sent:?}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let page = reply(200)
        .header("Content-Type", "text/html")
        .body("<!DOCTYPE html><h1>Wi-Fi login</h1>");
    let script = Script::sequence(vec![
        page,
        reply(200).body("words"),
        reply(200).body(vec![b' '; MANIFEST_LIMIT + 1]),
    ])
    .await;
    let (registry, reference) = (anonymous(), reference(&script));
    let error = registry
        .manifest(&reference)
        .await
        .expect_err("a page")
        .to_string();
    assert!(
        error.ends_with(
            "does not answer like a registry: it sent an HTML page instead of a manifest"
        ),
        "{error}"
    );
    let error = registry
        .manifest(&reference)
        .await
        .expect_err("not JSON")
        .to_string();
    assert!(
        error.ends_with("it sent a manifest that is not JSON"),
        "{error}"
    );
    let error = registry.manifest(&reference).await.expect_err("too large");
    assert!(
        matches!(
            error,
            RegistryError::TooLarge {
                limit: MANIFEST_LIMIT,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn transient_failures_are_tried_again_with_growing_pauses() {
    let script = Script::sequence(vec![
        reply(500),
        index().cut(),
        reply(429).header("Retry-After", "7"),
        reply(503).header("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"),
        index(),
    ])
    .await;
    let (registry, slept) = client(None, 4);
    assert!(
        registry
            .manifest(&reference(&script))
            .await
            .expect("an answer")
            .is_some()
    );
    assert_eq!(millis(&slept), [100, 200, 7_000, 0]);
    assert_eq!(registry.requests(), 5);
}

#[tokio::test]
async fn retries_are_bounded_and_the_last_failure_is_told() {
    let limited = reply(429)
        .header("Retry-After", "120")
        .body(r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#);
    let script = Script::sequence(vec![limited.clone(), limited.clone(), limited]).await;
    let (registry, slept) = client(None, 2);
    let error = registry
        .manifest(&reference(&script))
        .await
        .expect_err("limited");
    let RegistryError::RateLimited {
        message,
        retry_after,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (message.as_str(), *retry_after),
        (
            "slow down (TOOMANYREQUESTS)",
            Some(Duration::from_secs(120))
        )
    );
    assert_eq!(millis(&slept), [60_000, 60_000]);

    let script = Script::start(|_, _, _| reply(502).body("Bad gateway")).await;
    let (registry, slept) = client(None, 3);
    let error = registry
        .head_manifest(&reference(&script))
        .await
        .expect_err("broken");
    assert!(
        matches!(error, RegistryError::Server { status: 502, .. }),
        "{error}"
    );
    assert_eq!((millis(&slept).len(), registry.requests()), (3, 4));
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    for status in [400, 401, 403, 404, 418] {
        let script = Script::start(move |_, _, _| reply(status)).await;
        let (registry, slept) = client(None, 5);
        let _ = registry.manifest(&reference(&script)).await;
        assert_eq!(
            (millis(&slept).len(), registry.requests()),
            (0, 1),
            "{status}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable_after_retries() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let reference = Reference::parse(&format!("{address}/acme/app:x")).expect("a reference");
    let (registry, slept) = client(None, 2);
    let error = registry
        .head_manifest(&reference)
        .await
        .expect_err("nobody")
        .to_string();
    assert!(
        error.contains("cannot be reached: Connection refused"),
        "{error}"
    );
    assert_eq!(millis(&slept).len(), 2);
}

/// Any certificate: with one configured, loopback speaks TLS as well.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIUQzFYQs+CQRhKQCUQODcdDTEjPGswCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMcHJld2FybS10ZXN0MCAXDTI2MTEyMjA4MzMyOVoYDzIxMjYx
MDI5MDgzMzI5WjAXMRUwEwYDVQQDDAxwcmV3YXJtLXRlc3QwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAREl6T7csrO9k4Z/FhtiTx/cUwgvUHKOPEafDYl1Pxvzyku
f6xiYcwsauwZ/y3LCN6vHco8TBvJBj/bGER7jCjRo1MwUTAdBgNVHQ4EFgQUL99E
pJB2RnOX5YELNW5BKL8D7lwwHwYDVR0jBBgwFoAUL99EpJB2RnOX5YELNW5BKL8D
7lwwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAnFvS+N6FqTjLP
YB5iUiaqaJkKvkiW1SqLxptE3s0J0QIhAK+KlSn/SlJsYGl9uMq/9fwt6x0SceBs
1+9bMgjV0RNj
-----END CERTIFICATE-----
";

#[tokio::test]
async fn a_registry_without_tls_is_recognised() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let host = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        // What Go's HTTP server says to a TLS greeting.
        let greeted = stream.read(&mut [0; 4096]).await.expect("a greeting");
        assert!(greeted > 0);
        stream
            .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            .await
            .expect("answered");
    });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, CA).expect("written");
    let settings = BTreeMap::from([(
        host.clone(),
        RegistrySettings {
            insecure: false,
            ca: Some(ca),
        },
    )]);
    let registry = Registry::new(&settings, None, 0);
    let reference = Reference::parse(&format!("{host}/acme/app:x")).expect("a reference");
    let error = registry
        .head_manifest(&reference)
        .await
        .expect_err("no TLS");
    assert!(matches!(error, RegistryError::PlainHttp { .. }), "{error}");
    assert_eq!(registry.requests(), 1);
}

#[test]
fn the_scheme_follows_the_settings() {
    let insecure = RegistrySettings {
        insecure: true,
        ca: None,
    };
    let with_ca = RegistrySettings {
        insecure: false,
        ca: Some("ca.pem".into()),
    };
    let settings = BTreeMap::from([
        ("10.0.0.5:5000".to_owned(), insecure),
        ("localhost:6000".to_owned(), with_ca),
    ]);
    let registry = Registry::new(&settings, None, 0);
    let table = [
        ("ghcr.io/a/b", "https://ghcr.io/v2/a/b/x"),
        ("a/b", "https://registry-1.docker.io/v2/a/b/x"),
        ("127.0.0.1:5000/b", "http://127.0.0.1:5000/v2/b/x"),
        ("localhost:5000/b", "http://localhost:5000/v2/b/x"),
        ("[::1]:5000/b", "http://[::1]:5000/v2/b/x"),
        ("localhost:6000/b", "https://localhost:6000/v2/b/x"),
        ("10.0.0.5:5000/b", "http://10.0.0.5:5000/v2/b/x"),
        ("10.0.0.5:5001/b", "https://10.0.0.5:5001/v2/b/x"),
    ];
    for (name, expected) in table {
        let repository = Repository::parse(name).expect(name);
        assert_eq!(
            registry.client.url(&repository, "x").expect(name).as_str(),
            expected
        );
    }
}

#[tokio::test]
async fn requests_may_run_on_any_thread() {
    let script = Script::start(|_, _, _| reply(404)).await;
    let registry = Arc::new(anonymous());
    let reference = reference(&script);
    let found = tokio::spawn(async move {
        let digest = registry.head_manifest(&reference).await?;
        registry
            .put_blob(reference.repository(), "blob")
            .await
            .map(|_| digest)
    });
    let error = found
        .await
        .expect("no panic")
        .expect_err("no such repository");
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}
