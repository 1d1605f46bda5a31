//! Paths in a snapshot: contexts, files, links.

use super::Fixture;
use super::fixture::paths;
use crate::error::{Kind, Remedy as _};
use crate::snapshot::{Filter, Snapshot, SnapshotError};

fn linked() -> (Fixture, Snapshot) {
    let fixture = Fixture::with(&[
        ("Dockerfile", "FROM scratch"),
        ("services/api/Dockerfile", "FROM api"),
        ("shared/x", "1"),
    ]);
    fixture.link("services/api/shared", "../../shared");
    fixture.link("current", "services/api");
    fixture.link("services/Linked", "../current/../api/Dockerfile");
    fixture.link("out", "../outside");
    fixture.link("absolute", "/etc/passwd");
    fixture.link("loop", "pool");
    fixture.link("pool", "loop");
    fixture.link("dangling", "nothing");
    fixture.commit();
    let snapshot = fixture.head();
    (fixture, snapshot)
}

#[test]
fn files_are_found_through_links() {
    let fixture = Fixture::with(&[("real/deep/file", "text")]);
    fixture.link("to-directory", "real");
    fixture.link("to-link", "to-directory/deep");
    fixture.link("real/deep/up", "../../to-link/file");
    fixture.commit();
    let snapshot = fixture.head();
    for path in [
        "real/deep/file",
        "./real//deep/file",
        "to-directory/deep/file",
        "to-link/file",
        "real/deep/up",
        "real/../real/deep/file",
    ] {
        let file = snapshot.file(path).expect(path);
        assert_eq!(
            (file.bytes.as_slice(), file.id),
            (&b"text"[..], fixture.id("HEAD:real/deep/file")),
            "{path}"
        );
        assert!(snapshot.exists(path));
    }
}

#[test]
fn contexts_are_directories() {
    let fixture = Fixture::with(&[("services/api/a", "1"), ("services/b", "2")]);
    fixture.link("link", "services/api");
    fixture.commit();
    let snapshot = fixture.head();
    let filter = Filter::default();
    for (path, expected) in [
        (
            ".",
            "link services/ services/api/ services/api/a services/b",
        ),
        ("", "link services/ services/api/ services/api/a services/b"),
        ("services/", "api/ api/a b"),
        ("./services/api", "a"),
        ("link", "a"),
    ] {
        assert_eq!(
            paths(&snapshot.context(path).expect(path), &filter),
            expected,
            "{path}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let (_fixture, snapshot) = linked();
    let file = |path: &str| snapshot.file(path).expect_err("refused");
    for (error, message) in [
        (
            file("missing"),
            "missing: no such file or directory in the snapshot (files that git does not track are not part of it)",
        ),
        (
            file("dangling"),
            "dangling: no such file or directory in the snapshot (files that git does not track are not part of it)",
        ),
        (file("services"), "services: is a directory"),
        (file("."), ".: is a directory"),
        (file("Dockerfile/x"), "Dockerfile/x: not a directory"),
        (file("../x"), "../x: leads out of the repository"),
        (
            file("/etc/passwd"),
            "/etc/passwd: leads out of the repository",
        ),
        (
            file("services/../../x"),
            "services/../../x: leads out of the repository",
        ),
        (file("out"), "out: leads out of the repository"),
        (file("absolute"), "absolute: leads out of the repository"),
        (file("loop"), "loop: too many levels of symbolic links"),
        (
            snapshot.context("Dockerfile").err().expect("refused"),
            "Dockerfile: not a directory",
        ),
        (
            snapshot.context("missing").err().expect("refused"),
            "missing: no such file or directory in the snapshot (files that git does not track are not part of it)",
        ),
    ] {
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), Kind::Usage);
    }
    assert!(!snapshot.exists("missing"));
    assert!(snapshot.exists("services/api"));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let fixture = Fixture::with(&[("l0", "end")]);
    for hop in 1..=41 {
        fixture.link(&format!("l{hop}"), &format!("l{}", hop - 1));
    }
    fixture.commit();
    let snapshot = fixture.head();
    assert_eq!(snapshot.file("l40").expect("read").bytes, b"end");
    assert!(matches!(
        snapshot.file("l41"),
        Err(SnapshotError::LinkLoop { .. })
    ));
}

#[test]
fn a_file_that_is_read_whole_has_a_limit() {
    let fixture = Fixture::new();
    fixture.write("big", vec![b'x'; (16 << 20) + 1]);
    fixture.write("largest", vec![b'x'; 16 << 20]);
    fixture.commit();
    let snapshot = fixture.head();
    assert_eq!(
        snapshot.file("largest").expect("read").bytes.len(),
        16 << 20
    );
    insta::assert_snapshot!(snapshot.file("big").expect_err("refused"), @"big: 16777217 bytes, more than the limit of 16777216");
}

#[test]
fn a_synthetic_tree_holds_what_it_is_given() {
    let fixture = Fixture::with(&[("a", "1")]);
    let snapshot = fixture.head();
    let tree = snapshot
        .synthetic(&[
            ("b/c", b"2"),
            ("Dockerfile", b"x"),
            ("Dockerfile", b"FROM"),
            ("b.d", b""),
        ])
        .expect("a tree");
    let filter = Filter::default();
    assert_eq!(
        super::fixture::list(&tree, &filter),
        "f 644 Dockerfile 4\nd 755 b/\nf 644 b/c 1\nf 644 b.d 0"
    );
    assert_eq!(
        paths(&snapshot.synthetic(&[]).expect("a tree"), &filter),
        ""
    );
    for path in ["../x", "/x", ".", "..", "a/../../x"] {
        assert!(
            matches!(
                snapshot.synthetic(&[(path, b"")]),
                Err(SnapshotError::Outside { .. })
            ),
            "{path}"
        );
    }
    assert!(matches!(
        snapshot.synthetic(&[("a", b""), ("a/b", b"")]),
        Err(SnapshotError::NotADirectory { .. })
    ));
}

#[test]
fn threads_share_a_snapshot() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let fixture = Fixture::with(&[("a/b", "1"), ("c", "2")]);
    let snapshot = fixture.head();
    let tree = snapshot.context(".").expect("the root");
    shared(&snapshot);
    shared(&tree);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(paths(&tree, &Filter::default()), "a/ a/b c"));
        }
    });
}
