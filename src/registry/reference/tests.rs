use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_read_as_docker_reads_them() {
    let with_digest = format!("python:3.11-slim@{DIGEST}");
    let by_digest = format!("ghcr.io/acme/app@{DIGEST}");
    let table = [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("acme/app", "docker.io/acme/app:latest"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("index.docker.io/acme/app:1", "docker.io/acme/app:1"),
        (
            "registry-1.docker.io/library/python:3",
            "docker.io/library/python:3",
        ),
        ("ghcr.io/acme/app", "ghcr.io/acme/app:latest"),
        ("ghcr.io/a/b/c/d:v1", "ghcr.io/a/b/c/d:v1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:x", "localhost:5000/app:x"),
        (
            "127.0.0.1:5000/base/busybox:1",
            "127.0.0.1:5000/base/busybox:1",
        ),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("[2001:db8::1]/app", "[2001:db8::1]/app:latest"),
        ("Registry/app", "Registry/app:latest"),
        ("a--b/c__d/e.f_g", "docker.io/a--b/c__d/e.f_g:latest"),
    ];
    for (text, canonical) in table {
        let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reference.to_string(), canonical, "{text}");
    }
    let reference = Reference::parse(&with_digest).expect("tag and digest");
    assert_eq!(
        reference.to_string(),
        format!("docker.io/library/python:3.11-slim@{DIGEST}")
    );
    assert_eq!(
        (reference.tag(), reference.version()),
        (Some("3.11-slim"), DIGEST)
    );
    let reference = Reference::parse(&by_digest).expect("digest alone");
    assert_eq!((reference.tag(), reference.version()), (None, DIGEST));
}

#[test]
fn the_offending_part_is_shown() {
    let table = [
        ("", "an image reference is empty"),
        ("ghcr.io/Acme/app", "`Acme` is not a repository name"),
        ("Python", "`Python` is not a repository name"),
        ("ghcr.io/acme//app", "`` is not a repository name"),
        ("ghcr.io/acme/app/", "`` is not a repository name"),
        ("ghcr.io/", "`` is not a repository name"),
        ("acme/a___b", "`a___b` is not a repository name"),
        ("acme/-a", "`-a` is not a repository name"),
        ("acme/a..b", "`a..b` is not a repository name"),
        ("https://ghcr.io/acme/app", "`https:` is not a registry"),
        ("ghcr..io/app", "`ghcr..io` is not a registry"),
        ("host:99999/app", "`host:99999` is not a registry"),
        ("host:+80/app", "`host:+80` is not a registry"),
        ("[::g]:1/app", "`[::g]:1` is not a registry"),
        ("python:", "`` is not a tag"),
        ("python:-x", "`-x` is not a tag"),
        ("python:a b", "`a b` is not a tag"),
        ("python@sha256:abc", "`sha256:abc` is not a digest"),
    ];
    for (text, expected) in table {
        let error = Reference::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn limits_of_length_are_exact() {
    let tag = "t".repeat(128);
    assert!(Reference::parse(&format!("app:{tag}")).is_ok());
    assert!(matches!(
        Reference::parse(&format!("app:{tag}t")),
        Err(ReferenceError::Tag { .. })
    ));
    let path = "p".repeat(255 - "ghcr.io/".len());
    assert!(Repository::parse(&format!("ghcr.io/{path}")).is_ok());
    assert!(matches!(
        Repository::parse(&format!("ghcr.io/{path}p")),
        Err(ReferenceError::TooLong { .. })
    ));
}

#[test]
fn a_repository_takes_no_tag_or_digest() {
    assert_eq!(
        Repository::parse("ghcr.io/acme/app")
            .expect("a repository")
            .to_string(),
        "ghcr.io/acme/app"
    );
    insta::assert_snapshot!(
        Repository::parse("ghcr.io/acme/app:v1").expect_err("has a tag"),
        @"`ghcr.io/acme/app:v1` names one image, and a repository is wanted: leave out `:v1`"
    );
    let by_digest = format!("app@{DIGEST}");
    assert!(matches!(
        Repository::parse(&by_digest),
        Err(ReferenceError::NotARepository { .. })
    ));
}

#[test]
fn docker_hub_is_asked_at_its_own_host() {
    let hub = Repository::parse("acme/app").expect("a repository");
    assert_eq!(
        (hub.registry(), hub.host(), hub.path()),
        ("docker.io", "registry-1.docker.io", "acme/app")
    );
    let other = Repository::parse("localhost:5000/app").expect("a repository");
    assert_eq!(
        (other.registry(), other.host()),
        ("localhost:5000", "localhost:5000")
    );
}

proptest! {
    #[test]
    fn what_parses_is_its_own_canonical_form(text in "([a-zA-Z0-9.:-]{1,12}/)?[a-z0-9._/-]{1,20}(:[a-zA-Z0-9._-]{1,10})?") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}") {
        let _ = Reference::parse(&text);
        let _ = Repository::parse(&text);
    }
}
