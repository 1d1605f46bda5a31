use super::*;

#[test]
fn endpoints() {
    let good = [
        ("auto", Endpoint::Auto),
        ("container", Endpoint::Container),
        ("engine", Endpoint::Engine),
        (
            "unix:///run/b.sock",
            Endpoint::Unix(PathBuf::from("/run/b.sock")),
        ),
        ("tcp://host:1234", Endpoint::Tcp("host:1234".to_owned())),
        ("tcp://[::1]:1234", Endpoint::Tcp("[::1]:1234".to_owned())),
        (
            "buildx:my-builder",
            Endpoint::Buildx("my-builder".to_owned()),
        ),
    ];
    for (text, expected) in good {
        assert_eq!(endpoint(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "Auto",
        "unix://run/b.sock",
        "unix:/b",
        "tcp://host",
        "tcp://host:0",
        "tcp://h:99999",
        "buildx:",
        "buildx:--help",
        "https://h:1",
    ] {
        assert!(endpoint(text).is_err(), "{text}");
    }
}

#[test]
fn cache_repositories() {
    for text in [
        "ghcr.io/acme/app",
        "acme/app",
        "127.0.0.1:5000/a",
        "[::1]:5000/a",
        "localhost/a__b/c-d.e",
        "app",
    ] {
        assert_eq!(cache(text), Ok(text.to_owned()));
    }
    let bad = [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "ghcr.io/acme/app:tag",
        "app:tag",
        "acme/app@sha256:0",
        "ghcr.io/Acme/app",
        "https://ghcr.io/a",
        "a b",
        "-a",
        "a..b/c",
        "h:0/a",
        "ghcr.io/é",
        "a/../b",
    ];
    for text in bad {
        assert!(cache(text).is_err(), "{text}");
    }
    assert!(cache(&"a".repeat(256)).is_err());
}

#[test]
fn buildkit_images() {
    let digest = format!("moby/buildkit:v0.25.1@sha256:{}", "0".repeat(64));
    for text in [
        "moby/buildkit:buildx-stable-1",
        "registry:5000/buildkit",
        "r:5000/b:1",
        "buildkit",
        &digest,
    ] {
        assert_eq!(buildkit(text), Ok(CiBuildkit::Image(text.to_owned())));
    }
    assert_eq!(buildkit("engine"), Ok(CiBuildkit::Engine));
    for text in [
        "",
        "a:",
        "a:-x",
        "a@sha256:12",
        "a@md5:1",
        "A",
        "docker://a",
    ] {
        assert!(buildkit(text).is_err(), "{text}");
    }
}

#[test]
fn platforms_stages_names_and_umasks() {
    type Check = fn(&str) -> bool;
    let checks: [(Check, &[&str], &[&str]); 8] = [
        (
            |t| platform(t).is_ok(),
            &["linux/amd64", "linux/arm/v7", "windows/amd64"],
            &["", "linux", "linux/", "LINUX/amd64", "a/b/c/d"],
        ),
        (
            |t| stage(t).is_ok(),
            &["builder", "0", "12", "a-b_c.d", ""],
            &[" ", "a b", "1a", "-a", "a/b"],
        ),
        (
            |t| target_name(t).is_ok(),
            &["builder", "a.b", "_x", "1"],
            &["", "-a", ".a", "a b", "a/b", "é"],
        ),
        (
            |t| umask(t) == Ok(0o022),
            &["022", "0022"],
            &["", "22", "22", "0o022", "028", "1022", "-22", "00022"],
        ),
        (
            |t| registry_host(t).is_ok(),
            &["ghcr.io", "127.0.0.1:5000", "[::1]:5000", "localhost"],
            &["", "a/b", "http://a", "a:", "a:0", "a:70000", "a b"],
        ),
        (
            |t| branch_pattern(t).is_ok(),
            &["main", "release/*", "*", "é"],
            &["", "a b", "a..b", "/a", "a/", "refs/heads/a", "a?"],
        ),
        (
            |t| id(t).is_ok(),
            &["pip", "a/b.c"],
            &["", "a b", "a,b", "a=b", "\n"],
        ),
        (
            |t| file(t).is_ok(),
            &["a", "/a", "~/a"],
            &["", "~", "~bob/a", "\0"],
        ),
    ];
    for (check, good, bad) in checks {
        for text in good {
            assert!(check(text), "{text}");
        }
        for text in bad {
            assert!(!check(text), "{text}");
        }
    }
}

#[test]
fn paths_lose_their_detours() {
    for (text, expected) in [
        (".", "."),
        ("./", "."),
        ("a/", "a"),
        ("./a//b/.", "a/b"),
        ("a/../b", "b"),
        ("a/..", "."),
    ] {
        assert_eq!(inside(text), Ok(expected.to_owned()));
    }
    for text in [
        "",
        "/a",
        "..",
        "a/../..",
        "../a",
        "https://github.com/a/b.git",
        "a\0",
    ] {
        assert!(inside(text).is_err(), "{text}");
    }
    for text in [".", "a/", "a/.."] {
        assert!(file_inside(text).is_err(), "{text}");
    }
}
