use std::collections::BTreeMap;

use super::*;
use crate::error::Remedy;

/// A machine with these variables and files; sockets are empty files.
fn on(env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Location, EngineError> {
    let env: BTreeMap<&str, &str> = env.iter().copied().collect();
    let files: BTreeMap<PathBuf, &str> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), *text))
        .collect();
    locate(&Surroundings {
        env: &|name| env.get(name).map(OsString::from),
        home: Some(Path::new("/home/ann")),
        exists: &|path| files.contains_key(path),
        read: &|path| {
            let text = files.get(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(text.as_bytes().to_vec())
        },
    })
}

fn shown(result: Result<Location, EngineError>) -> String {
    match result {
        Ok(location) => location.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

/// `sha256("work")`, which is where docker keeps a context of that name.
const WORK: &str = "00e13ed7af55b27622f1d6eab5bec0147e68efe28dc2b12461117afa1a5ed40e";

fn meta(name: &str) -> String {
    let id = hex(&Sha256::digest(name.as_bytes()));
    format!("/home/ann/.docker/contexts/meta/{id}/meta.json")
}

fn tls(name: &str, file: &str) -> String {
    let id = hex(&Sha256::digest(name.as_bytes()));
    format!("/home/ann/.docker/contexts/tls/{id}/docker/{file}")
}

#[test]
fn docker_host_comes_first_and_is_read_as_docker_reads_it() {
    let table = [
        ("unix:///run/d.sock", "unix:///run/d.sock (DOCKER_HOST)"),
        ("unix://", "unix:///var/run/docker.sock (DOCKER_HOST)"),
        ("tcp://build:1234", "tcp://build:1234 (DOCKER_HOST)"),
        ("tcp://build", "tcp://build:2375 (DOCKER_HOST)"),
        ("tcp://build/", "tcp://build:2375 (DOCKER_HOST)"),
        ("tcp://[::1]:99", "tcp://[::1]:99 (DOCKER_HOST)"),
        ("tcp://[::1]", "tcp://[::1]:2375 (DOCKER_HOST)"),
        ("build:1234", "tcp://build:1234 (DOCKER_HOST)"),
        (":1234", "tcp://localhost:1234 (DOCKER_HOST)"),
        (
            "tcp://build:x",
            "error: DOCKER_HOST names the Docker Engine as `tcp://build:x`: it is not host:port",
        ),
        (
            "tcp://::1",
            "error: DOCKER_HOST names the Docker Engine as `tcp://::1`: it is not host:port",
        ),
        (
            "unix://run/d.sock",
            "error: DOCKER_HOST names the Docker Engine as `unix://run/d.sock`: the socket's path must be absolute",
        ),
        (
            "ssh://ann@build",
            "error: DOCKER_HOST names the Docker Engine as `ssh://ann@build`: ssh is not supported",
        ),
        (
            "npipe:////./pipe/docker_engine",
            "error: DOCKER_HOST names the Docker Engine as `npipe:////./pipe/docker_engine`: \
             this kind of address is not supported",
        ),
    ];
    for (host, expected) in table {
        let found = on(
            &[("DOCKER_HOST", host), ("DOCKER_CONTEXT", "work")],
            &[("/var/run/docker.sock", "")],
        );
        assert_eq!(shown(found), expected, "DOCKER_HOST={host}");
    }
}

#[test]
fn docker_host_with_tls_takes_the_certificates_of_docker_cert_path() {
    let files = [
        ("/certs/ca.pem", ""),
        ("/certs/cert.pem", ""),
        ("/certs/key.pem", ""),
    ];
    let env = [
        ("DOCKER_HOST", "tcp://build"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", "/certs"),
    ];
    let expected = Host::Tcp {
        address: "build:2376".to_owned(),
        tls: Some(TlsFiles {
            ca: Some("/certs/ca.pem".into()),
            identity: Some(("/certs/cert.pem".into(), "/certs/key.pem".into())),
            verify: true,
        }),
    };
    assert_eq!(on(&env, &files).expect("located").host, expected);
    assert_eq!(
        shown(on(&env, &files[1..])),
        "error: DOCKER_HOST asks for TLS to tcp://build, but there is no ca.pem beside the client's certificate"
    );
}

#[test]
fn the_current_context_comes_next() {
    let config = (
        "/home/ann/.docker/config.json",
        r#"{"auths": {}, "currentContext": "work"}"#,
    );
    let work = meta("work");
    let home = meta("home");
    let files = [
        config,
        (
            work.as_str(),
            r#"{"Name":"work","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///work.sock"}}}"#,
        ),
        (
            home.as_str(),
            r#"{"Name":"home","Endpoints":{"docker":{"Host":"unix:///home.sock","SkipTLSVerify":false}}}"#,
        ),
        ("/var/run/docker.sock", ""),
    ];
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[], "unix:///work.sock (docker context `work`)"),
        (
            &[("DOCKER_CONTEXT", "home")],
            "unix:///home.sock (docker context `home`)",
        ),
        (
            &[("DOCKER_CONTEXT", "default")],
            "unix:///var/run/docker.sock (the usual socket)",
        ),
        // Another configuration directory has no contexts.
        (
            &[("DOCKER_CONFIG", "/etc/other")],
            "unix:///var/run/docker.sock (the usual socket)",
        ),
    ];
    for (env, expected) in table {
        assert_eq!(shown(on(env, &files)), expected, "{env:?}");
    }
}

#[test]
fn a_context_brings_its_certificates() {
    let path = meta("work");
    let ca = tls("work", "ca.pem");
    let files = [
        (
            path.as_str(),
            r#"{"Endpoints":{"docker":{"Host":"tcp://build:2376","SkipTLSVerify":false}}}"#,
        ),
        (ca.as_str(), ""),
    ];
    let expected = TlsFiles {
        ca: Some(PathBuf::from(&ca)),
        identity: None,
        verify: true,
    };
    let found = on(&[("DOCKER_CONTEXT", "work")], &files).expect("located");
    assert_eq!(
        found.host,
        Host::Tcp {
            address: "build:2376".to_owned(),
            tls: Some(expected)
        }
    );
}

#[test]
fn a_context_that_cannot_be_used_is_an_error_and_nothing_else_is_taken() {
    let path = meta("work");
    let table = [
        (
            "",
            "error: the docker context `work` cannot be used: it does not exist (no ",
        ),
        (
            "{",
            "error: the docker context `work` cannot be used: /home/ann/.docker/contexts/meta/",
        ),
        (
            r#"{"Endpoints":{}}"#,
            "error: the docker context `work` cannot be used: it names no Docker Engine",
        ),
        (
            r#"{"Endpoints":{"docker":{"Host":"ssh://build"}}}"#,
            "error: docker context `work` names the Docker Engine as `ssh://build`: ssh is not supported",
        ),
    ];
    for (text, expected) in table {
        let mut files = vec![("/var/run/docker.sock", "")];
        if !text.is_empty() {
            files.push((path.as_str(), text));
        }
        let found = shown(on(&[("DOCKER_CONTEXT", "work")], &files));
        assert!(found.starts_with(expected), "{text}: {found}");
    }
}

#[test]
fn a_broken_configuration_file_is_named() {
    let found = on(
        &[],
        &[
            ("/home/ann/.docker/config.json", "{]"),
            ("/var/run/docker.sock", ""),
        ],
    );
    assert_eq!(
        shown(found),
        "error: cannot use /home/ann/.docker/config.json: key must be a string at line 1 column 2"
    );
}

#[test]
fn the_usual_sockets_have_an_order() {
    let sockets = [
        ("/var/run/docker.sock", ""),
        ("/run/user/7/docker.sock", ""),
        ("/home/ann/.docker/run/docker.sock", ""),
        ("/home/ann/.docker/desktop/docker.sock", ""),
    ];
    for first in 0..sockets.len() {
        let found = on(&[("XDG_RUNTIME_DIR", "/run/user/7")], &sockets[first..]);
        assert_eq!(
            shown(found),
            format!("unix://{} (the usual socket)", sockets[first].0)
        );
    }
}

#[test]
fn without_an_engine_the_places_are_named() {
    let error = on(&[("XDG_RUNTIME_DIR", "/run/user/7")], &[]).expect_err("nothing is there");
    insta::assert_snapshot!(error, @"no Docker Engine found; looked at DOCKER_HOST, the current docker context, /var/run/docker.sock, /run/user/7/docker.sock, /home/ann/.docker/run/docker.sock, /home/ann/.docker/desktop/docker.sock");
    insta::assert_snapshot!(error.hint().expect("a hint"), @"start Docker, or set DOCKER_HOST or a docker context to where it runs");
}

#[test]
fn contexts_are_stored_by_the_hash_of_their_name() {
    assert_eq!(hex(&Sha256::digest(b"work")), WORK);
}
