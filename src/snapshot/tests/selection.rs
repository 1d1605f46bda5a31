//! What a filter selects, and that the digest says the same.

use super::Fixture;
use super::fixture::{digest, paths};
use crate::snapshot::{Checkout, Filter, Repository, Snapshot, SnapshotError, Source};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn follow(list: &[&str]) -> Filter {
    Filter {
        follow: texts(list),
        ..Filter::default()
    }
}

fn include(list: &[&str]) -> Filter {
    Filter {
        include: texts(list),
        ..Filter::default()
    }
}

fn exclude(list: &[&str]) -> Filter {
    Filter {
        exclude: texts(list),
        ..Filter::default()
    }
}

#[track_caller]
fn check(fixture: &Fixture, cases: &[(Filter, &str)]) {
    let tree = fixture.head().context(".").expect("the root");
    for (filter, expected) in cases {
        assert_eq!(&paths(&tree, filter), expected, "{filter:?}");
    }
}

#[test]
fn directories_come_before_the_first_thing_in_them_that_is_selected() {
    let fixture = Fixture::with(&[
        ("README.md", "1"),
        ("src/main.rs", "1"),
        ("src/lib/deep/a.rs", "1"),
        ("src/lib/b.txt", "1"),
        ("docs/a.md", "1"),
        ("target/x", "1"),
    ]);
    check(
        &fixture,
        &[
            (
                include(&["**/*.rs"]),
                "src/ src/lib/ src/lib/deep/ src/lib/deep/a.rs src/main.rs",
            ),
            (
                include(&["src/lib"]),
                "src/ src/lib/ src/lib/b.txt src/lib/deep/ src/lib/deep/a.rs",
            ),
            (
                include(&["src/*"]),
                "src/ src/lib/ src/lib/b.txt src/lib/deep/ src/lib/deep/a.rs src/main.rs",
            ),
            (include(&["nothing", "docs/nothing"]), ""),
            (include(&["*.md"]), "README.md"),
            (exclude(&["*"]), ""),
            (exclude(&["*", "!src/main.rs"]), "src/ src/main.rs"),
            (
                exclude(&["src", "docs", "!src/lib/deep"]),
                "README.md src/ src/lib/ src/lib/deep/ src/lib/deep/a.rs target/ target/x",
            ),
            (
                exclude(&["**/*.md", "src/lib"]),
                "docs/ src/ src/main.rs target/ target/x",
            ),
            (
                Filter {
                    include: texts(&["src"]),
                    exclude: texts(&["**/lib", "!src/lib/b.txt"]),
                    ..Filter::default()
                },
                "src/ src/lib/ src/lib/b.txt src/main.rs",
            ),
            // fsutil's walk takes `a/*/**` for the directory `a` and does not enter what is two below.
            (include(&["src/*/**"]), ""),
        ],
    );
}

#[test]
fn followed_paths_bring_what_links_point_at() {
    let fixture = Fixture::with(&[
        ("real/file", "1"),
        ("real/other", "1"),
        ("pkg/a.json", "1"),
        ("pkg/z/b.json", "1"),
        ("requirements.txt", "1"),
        ("shared/base.txt", "1"),
        ("shared/more", "1"),
    ]);
    fixture.link("requirements-dev.txt", "shared/base.txt");
    fixture.link("link", "real");
    fixture.link("pkg/link.json", "../shared/more");
    fixture.link("absolute", "/real/other");
    fixture.link("loop", "loop");
    fixture.link("pkg/up", "../..");
    fixture.link("self", ".");
    fixture.commit();
    check(
        &fixture,
        &[
            (follow(&["real/file"]), "real/ real/file"),
            (follow(&["/real//file", "real/./file"]), "real/ real/file"),
            (follow(&["link"]), "link real/ real/file real/other"),
            (follow(&["link/file"]), "link real/ real/file"),
            (follow(&["absolute"]), "absolute real/ real/other"),
            (
                follow(&["requirements*.txt"]),
                "requirements-dev.txt requirements.txt shared/ shared/base.txt",
            ),
            (
                follow(&["pkg/*.json"]),
                "pkg/ pkg/a.json pkg/link.json shared/ shared/more",
            ),
            // Links in a directory that only a wildcard names are not followed.
            (follow(&["p*/link.json"]), "pkg/ pkg/link.json"),
            (follow(&["loop"]), "loop"),
            (follow(&["missing"]), ""),
            (follow(&["real", "real/file"]), "real/ real/file real/other"),
            (
                Filter {
                    follow: texts(&["self"]),
                    include: texts(&["real/file"]),
                    exclude: Vec::new(),
                },
                "real/ real/file",
            ),
            (
                Filter {
                    follow: texts(&["link"]),
                    include: Vec::new(),
                    exclude: texts(&["**/other"]),
                },
                "link real/ real/file",
            ),
        ],
    );
    let everything = paths(
        &fixture.head().context(".").expect("the root"),
        &Filter::default(),
    );
    check(
        &fixture,
        &[
            (follow(&["."]), &everything),
            (follow(&["self"]), &everything),
            (follow(&["pkg/up"]), &everything),
        ],
    );
}

#[test]
fn a_filter_is_written_as_json() {
    let filter = Filter {
        follow: texts(&["a"]),
        include: Vec::new(),
        exclude: texts(&["!b"]),
    };
    let json = serde_json::to_string(&filter).expect("written");
    assert_eq!(json, r#"{"follow":["a"],"include":[],"exclude":["!b"]}"#);
    assert_eq!(serde_json::from_str::<Filter>(&json).expect("read"), filter);
    assert_eq!(
        serde_json::from_str::<Filter>("{}").expect("read"),
        Filter::default()
    );
}

#[test]
fn a_pattern_that_docker_refuses_is_named() {
    let fixture = Fixture::with(&[("a", "1")]);
    let tree = fixture.head().context(".").expect("the root");
    let error = tree
        .digest(&include(&["a["]), &mut |_| {})
        .expect_err("refused");
    assert!(matches!(&error, SnapshotError::Pattern { .. }));
    insta::assert_snapshot!(error, @"pattern `a[`: a bracket or backslash is not closed");
}

#[test]
fn the_digest_is_the_same_from_every_source_and_clone() {
    let fixture = Fixture::with(&[("a/b", "1"), ("a/c.md", "2"), ("d", "3")]);
    let filters = [
        Filter::default(),
        include(&["a"]),
        follow(&["d"]),
        exclude(&["**/*.md"]),
    ];
    fixture.write("a/b", "changed");
    let worktree = fixture.worktree();
    fixture.commit();
    fixture.git_in(fixture.root.path(), &["clone", "--quiet", "work", "clone"]);
    let clone = Repository::discover(&fixture.root.path().join("clone")).expect("found");
    let clone = clone
        .snapshot(
            &Source::Revision("HEAD".to_owned()),
            0o022,
            Checkout::default(),
        )
        .expect("a snapshot");
    for filter in &filters {
        let of = |snapshot: &Snapshot| digest(&snapshot.context(".").expect("the root"), filter);
        assert_eq!(of(&worktree), of(&fixture.head()), "{filter:?}");
        assert_eq!(of(&worktree), of(&clone), "{filter:?}");
    }
}

#[test]
fn the_digest_does_not_look_below_what_is_selected_whole() {
    let fixture = Fixture::with(&[("a/b/c", "1"), ("d/e", "1")]);
    let tree = fixture.head().context(".").expect("the root");
    let records = |filter: &Filter| {
        let mut tags = Vec::new();
        tree.digest(filter, &mut |part| {
            if let [tag @ (b'T' | b'D' | b'F')] = part {
                tags.push(char::from(*tag));
            }
        })
        .expect("digested");
        tags.into_iter().collect::<String>()
    };
    for (filter, expected) in [
        (Filter::default(), "T"),
        (include(&["a", "d"]), "TT"),
        (include(&["a/b"]), "DT"),
        (exclude(&["a/b"]), "DT"),
        (exclude(&["*.md"]), "TT"),
        (exclude(&["**/*.md"]), "DDFDF"),
    ] {
        assert_eq!(records(&filter), expected, "{filter:?}");
    }
}

#[test]
fn modes_and_kinds_are_in_the_digest() {
    let fixture = Fixture::with(&[("a", "b")]);
    let filter = include(&["a"]);
    let of =
        |fixture: &Fixture| digest(&fixture.worktree().context(".").expect("the root"), &filter);
    let plain = of(&fixture);
    fixture.mode("a", 0o755);
    let executable = of(&fixture);
    fixture.remove("a");
    fixture.link("a", "b");
    let link = of(&fixture);
    assert!(plain != executable && executable != link && plain != link);
    let umask = fixture
        .repository()
        .snapshot(&Source::Revision("HEAD".to_owned()), 0, Checkout::default())
        .expect("a snapshot");
    assert_ne!(
        digest(&umask.context(".").expect("the root"), &filter),
        plain
    );
}
