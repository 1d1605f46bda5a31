use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use super::*;
use crate::error::Remedy;

/// An empty SETTINGS frame: length 0, type 4, no flags, stream 0.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A server on a Unix socket that reads one request's head and answers with these bytes, then echoes.
fn server(directory: &tempfile::TempDir, answer: &'static [u8]) -> (Location, JoinHandle<String>) {
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket in a new directory");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("the request"));
        }
        stream.write_all(answer).await.expect("answered");
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write)
            .await
            .expect("echoed");
        String::from_utf8(head).expect("a head")
    });
    (location(path), serving)
}

fn location(path: PathBuf) -> Location {
    Location {
        host: Host::Unix(path),
        origin: "test".to_owned(),
    }
}

fn error_of(result: Result<BoxedStream, EngineError>) -> EngineError {
    match result {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_engines_connection_becomes_buildkits() {
    let directory = tempfile::tempdir().expect("a directory");
    let answer = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nfirst";
    let (location, serving) = server(&directory, answer);
    let mut stream = grpc(&location).await.expect("upgraded");
    stream.write_all(b" second").await.expect("sent");
    stream.shutdown().await.expect("closed");
    let mut all = String::new();
    stream.read_to_string(&mut all).await.expect("received");
    assert_eq!(all, "first second");
    let head = serving.await.expect("served").to_lowercase();
    assert!(head.starts_with("post /grpc http/1.1\r\n"), "{head}");
    for header in [
        "host: docker\r\n",
        "connection: upgrade\r\n",
        "upgrade: h2c\r\n",
    ] {
        assert!(head.contains(header), "{head}");
    }
}

#[tokio::test]
async fn an_engine_that_does_not_upgrade_is_told_with_its_status() {
    let directory = tempfile::tempdir().expect("a directory");
    let (location, _serving) = server(
        &directory,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    );
    let error = error_of(grpc(&location).await);
    assert!(
        matches!(error, EngineError::NoBuildkit { status: 404, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_missing_socket_is_told_with_its_place() {
    let error = error_of(connect_raw(&location("/nonexistent/docker.sock".into())).await);
    assert_eq!(
        error.to_string(),
        "cannot connect to unix:///nonexistent/docker.sock (test)"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("start it, or correct the address")
    );
}

#[tokio::test]
async fn a_socket_that_is_no_buildkitd_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream
            .write_all(b"220 mail.example.org\r\n")
            .await
            .expect("greeted");
    });
    let EngineError::Unreachable { source, .. } = error_of(connect_unix(&path).await) else {
        panic!("another error")
    };
    assert_eq!(
        source.to_string(),
        "what answers does not speak HTTP/2: 220 mail.example.org"
    );
}

/// A `docker` that is this shell script.
fn docker(directory: &tempfile::TempDir, script: &str) -> PathBuf {
    let path = directory.path().join("docker");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("made executable");
    path
}

#[tokio::test]
async fn a_buildx_builder_is_reached_through_its_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = r#"[ "$*" = "buildx dial-stdio --builder mine" ] || exit 9
printf '\0\0\0\4\0\0\0\0\0'; exec cat"#;
    let program = docker(&directory, script);
    let mut stream = buildx("mine", program.as_os_str())
        .await
        .expect("connected");
    stream.write_all(b"hello").await.expect("sent");
    stream.shutdown().await.expect("closed");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("received");
    assert_eq!(all, [&SETTINGS[..], b"hello"].concat());
}

#[tokio::test]
async fn what_buildx_says_is_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = docker(
        &directory,
        "echo 'ERROR: no builder \"mine\" found' >&2; exit 1",
    );
    let EngineError::Buildx { source, .. } = error_of(buildx("mine", program.as_os_str()).await)
    else {
        panic!("another error")
    };
    assert_eq!(
        source.to_string(),
        "it ended with exit status: 1: ERROR: no builder \"mine\" found"
    );
}

#[tokio::test]
async fn a_missing_docker_program_is_named() {
    let EngineError::Buildx { source, .. } =
        error_of(buildx("mine", "/nonexistent/docker".as_ref()).await)
    else {
        panic!("another error")
    };
    assert_eq!(
        source.to_string(),
        "cannot run `/nonexistent/docker`: No such file or directory (os error 2)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_when_asked_for_tls_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a loopback port is free");
    let address = listener.local_addr().expect("an address").to_string();
    let host = Host::Tcp {
        address: address.clone(),
        tls: Some(TlsFiles {
            ca: None,
            identity: None,
            verify: false,
        }),
    };
    let error = error_of(connect_buildkitd(&host).await);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to tcp://{address} with TLS")
    );
    let EngineError::Unreachable { source, .. } = error else {
        panic!("another error")
    };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn an_engine_that_hangs_up_before_the_request_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let EngineError::Unreachable { source, .. } = error_of(grpc(&location(path)).await) else {
        panic!("another error")
    };
    assert_ne!(source.to_string(), "operation was canceled");
}
