//! What is served for files that a checkout changes, against what `git` itself checks out.

use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Fixture;
use super::fixture::digest;
use crate::snapshot::{Checkout, EntryKind, Filter, Snapshot, Source, Tree};

const CONTENTS: [(&str, &[u8]); 21] = [
    ("empty", b""),
    ("lf", b"a\nb\n"),
    ("no-end", b"a\nb"),
    ("crlf", b"a\r\nb\r\n"),
    ("mixed", b"a\r\nb\nc\r\n"),
    ("lone-cr", b"a\rb\nc\r"),
    ("cr-cr-lf", b"a\r\r\nb\n\n"),
    ("nul", b"a\0b\n"),
    ("control", b"\x01\x02\n"),
    ("dos-end", b"a\nb\n\x1a"),
    ("latin1", b"gr\xfc\xdfe\n"),
    ("id", b"// $Id$\nx\n"),
    ("id-old", b"$Id: old $\n$Id:x$ $Id:$ $Id: $\n"),
    ("id-foreign", b"$Id: a.c 1.2 2001/01/01 me $\n$Id: \tx $\n"),
    ("id-broken", b"$Id: no\nend $ $Id $ID$ $Idx$ $Id"),
    ("id-doubled", b"$$Id$ $Id$Id$ $Idx$Id: foo$ $Id\0$Id$\n"),
    ("id-open", b"$Id$ \n$Id: until the end"),
    ("id-crlf", b"$Id$\r\n$Id: a\r\n$"),
    ("id-nul", b"$Id: a\0b c$\n$Id: a b\0$\n"),
    ("id-at-end", b"\n$Id$"),
    ("id-tail", b"\n$I"),
];

/// A line of `.gitattributes` for each directory, which has all of [`CONTENTS`].
const RULES: [(&str, &str); 32] = [
    ("none", ""),
    ("crlf", "* eol=crlf"),
    ("text-crlf", "* text eol=crlf"),
    ("auto-crlf", "* text=auto eol=crlf"),
    ("auto", "* text=auto"),
    ("text", "* text"),
    ("lf", "* eol=lf"),
    ("auto-lf", "* text=auto eol=lf"),
    ("not-text", "* -text eol=crlf"),
    ("unspecified", "* eol=crlf !text"),
    ("input", "* text=input eol=crlf"),
    ("unknown-text", "* text=yes eol=crlf"),
    ("binary", "* eol=crlf\n*o* binary"),
    ("unknown-eol", "* text eol=CRLF"),
    ("eol-set", "* eol"),
    ("old-crlf", "* crlf eol=crlf"),
    ("old-not-crlf", "* -crlf eol=crlf"),
    ("old-input", "* crlf=input eol=crlf"),
    ("both", "* text=auto -crlf eol=crlf"),
    ("last-wins", "* eol=crlf\n*o* eol=lf"),
    ("same-line", "* eol=crlf eol=lf\n*o* eol=lf eol=crlf"),
    ("forgotten", "* eol=crlf\nid* !eol"),
    ("ident", "* ident"),
    ("ident-value", "* ident=yes"),
    ("not-ident", "* ident\n*o* -ident"),
    ("ident-crlf", "* ident eol=crlf"),
    ("ident-auto", "* ident text=auto eol=crlf"),
    ("filter", "* filter=none eol=crlf ident"),
    ("macro", "* windows"),
    ("not-macro", "* -windows"),
    ("macro-here", "[attr]here eol=crlf\n* here"),
    (
        "odd",
        "!*o* eol=crlf\n# * ident\n  *f   eol=crlf\r\n\"id*\" ident\n*d -a=b eol=crlf\n*l $ eol=crlf",
    ),
];

/// Compares everything that is served with a clone of the repository.
#[track_caller]
fn assert_as_checked_out(fixture: &Fixture, snapshot: &Snapshot) -> usize {
    let clone = fixture.root.path().join("clone");
    fixture.git_in(
        fixture.root.path(),
        &[
            "-c",
            "core.autocrlf=false",
            "clone",
            "--quiet",
            "--recurse-submodules",
            "work",
            "clone",
        ],
    );
    let compared = assert_same(&snapshot.context(".").expect("the root"), &clone);
    fs::remove_dir_all(clone).expect("removed");
    compared
}

/// The number of files that a checkout changes.
#[track_caller]
fn assert_same(tree: &Tree, directory: &Path) -> usize {
    let mut changed = 0;
    tree.walk(&Filter::default(), &mut |entry| {
        if entry.kind == EntryKind::File {
            let path = directory.join(std::ffi::OsStr::from_bytes(&entry.path));
            let mut reader = tree.open(entry.content).expect("opened");
            assert_eq!(reader.size(), entry.size, "{}", path.display());
            let mut served = Vec::new();
            reader.read_to_end(&mut served).expect("read");
            let expected = fs::read(&path).expect("checked out");
            assert_eq!(served.len() as u64, entry.size, "{}", path.display());
            assert!(
                served == expected,
                "{}: {} instead of {}",
                path.display(),
                served.escape_ascii(),
                expected.escape_ascii()
            );
            changed += usize::from(!entry.content.conversion.is_none());
        }
        ControlFlow::Continue(())
    })
    .expect("walked");
    changed
}

/// Files enter the repository as they are.
fn commit_as_is(fixture: &Fixture) {
    let info = fixture.work().join(".git/info/attributes");
    fs::create_dir_all(info.parent().expect("a parent")).expect("created");
    fs::write(&info, "* -text -ident !working-tree-encoding\n").expect("written");
    fixture.commit();
}

#[test]
fn files_are_served_as_git_checks_them_out() {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "[attr]windows text eol=crlf ident\n");
    for (directory, rules) in RULES {
        if !rules.is_empty() {
            fixture.write(&format!("{directory}/.gitattributes"), rules);
        }
        for (name, bytes) in CONTENTS {
            fixture.write(&format!("{directory}/{name}"), bytes);
        }
    }
    commit_as_is(&fixture);
    let changed = assert_as_checked_out(&fixture, &fixture.head());
    assert!(changed > 200, "{changed}");
}

#[test]
fn patterns_match_as_in_git() {
    let fixture = Fixture::new();
    let rules = "* text=auto\n\
        *.bat text eol=crlf\n\
        /top eol=crlf\n\
        dir/ eol=crlf\n\
        a/**/deep eol=crlf\n\
        **/any eol=crlf\n\
        b/** eol=crlf\n\
        b/c/* eol=lf\n\
        \"with space\" eol=crlf\n\
        \"q\\\"uote\" eol=crlf\n\
        \"\\303\\251\\377\" eol=crlf\n\
        br[a-c]ck?t eol=crlf\n\
        br[!a-c]ck eol=crlf\n\
        cl[[:digit:]] eol=crlf\n\
        esc\\*aped eol=crlf\n\
        UPPER eol=crlf\n\
        \\#hash eol=crlf\n";
    // git gives a line of 2048 bytes or more no thought.
    let long = |length: usize| format!("{:<1$} eol=crlf\n", format!("long{length}"), length - 9);
    fixture.write(
        ".gitattributes",
        format!("{rules}{}{}", long(2047), long(2048)),
    );
    fixture.write(
        "sub/.gitattributes",
        "*.bat -text\n/top eol=crlf\nleaf/x eol=crlf\n[attr]binary text\n*.txt binary\n",
    );
    fixture.write("sub/back/.gitattributes", "*.bat text\n*.cmd eol=crlf\n");
    fixture.write("dir/.gitattributes", "\u{feff}inside eol=crlf\n");
    for path in [
        "x.bat",
        "top",
        "in/top",
        "dir/inside",
        "dir/other",
        "a/deep",
        "a/b/c/deep",
        "any",
        "x/y/any",
        "b/x",
        "b/c/x",
        "b/c/d/x",
        "with space",
        "in/with space",
        "q\"uote",
        "brack@t",
        "bracket",
        "brbck",
        "brzck",
        "cl7",
        "clx",
        "esc*aped",
        "escxaped",
        "upper",
        "UPPER",
        "#hash",
        "sub/x.bat",
        "sub/top",
        "sub/in/top",
        "sub/leaf/x",
        "sub/in/leaf/x",
        "sub/x.txt",
        "sub/back/x.bat",
        "sub/back/x.cmd",
        "sub/x.cmd",
        "long2047",
        "long2048",
    ] {
        fixture.write(path, "one\ntwo\n");
    }
    let odd = fixture
        .work()
        .join(std::ffi::OsStr::from_bytes(b"\xc3\xa9\xff"));
    fs::write(odd, "one\n").expect("written");
    commit_as_is(&fixture);
    let changed = assert_as_checked_out(&fixture, &fixture.head());
    assert!(changed > 15, "{changed}");
}

#[test]
fn a_large_file_is_converted_as_it_is_read() {
    let fixture = Fixture::new();
    fixture.write(
        ".gitattributes",
        "*.csv eol=crlf\n*.auto text=auto eol=crlf\n*.id ident eol=crlf\n",
    );
    let text = "one, two, three\n".repeat(200_000);
    fixture.write("a.csv", &text);
    fixture.write("a.auto", &text);
    fixture.write("b.auto", format!("{text}\r\n"));
    fixture.write("a.id", format!("{text}$Id$\n"));
    commit_as_is(&fixture);
    assert_eq!(assert_as_checked_out(&fixture, &fixture.head()), 4);
}

#[test]
fn the_work_tree_and_the_index_bring_their_own_attributes() {
    let fixture = Fixture::with(&[("run.bat", "a\nb\n")]);
    let file = |snapshot: &Snapshot| snapshot.file("run.bat").expect("read").bytes;
    assert_eq!(file(&fixture.head()), b"a\nb\n");
    fixture.write(".gitattributes", "*.bat eol=crlf\n");
    assert_eq!(file(&fixture.worktree()), b"a\nb\n", "it is not tracked");
    fixture.git(&["add", ".gitattributes"]);
    assert_eq!(file(&fixture.worktree()), b"a\r\nb\r\n");
    fixture.write(".gitattributes", "*.bat -text\n");
    assert_eq!(file(&fixture.worktree()), b"a\nb\n");
    let staged = fixture.take(&Source::Staged, Checkout::default());
    assert_eq!(file(&staged.expect("a snapshot")), b"a\r\nb\r\n");
}

#[test]
fn a_context_has_the_attributes_of_what_is_above_it() {
    let fixture = Fixture::with(&[
        (
            ".gitattributes",
            "*.bat eol=crlf\n/services/api/top eol=crlf\n",
        ),
        ("services/.gitattributes", "api/kept.bat -text\n"),
        ("services/api/run.bat", "1\n"),
        ("services/api/kept.bat", "1\n"),
        ("services/api/top", "1\n"),
        ("services/api/in/top", "1\n"),
    ]);
    fixture.link("link", "services/api");
    fixture.commit();
    let clone = fixture.root.path().join("clone");
    fixture.git_in(fixture.root.path(), &["clone", "--quiet", "work", "clone"]);
    for path in ["services/api", "link", "services/./x/../api"] {
        let Ok(tree) = fixture.head().context(path) else {
            continue;
        };
        assert_eq!(assert_same(&tree, &clone.join("services/api")), 2, "{path}");
    }
    assert_eq!(
        fixture.head().file("link/run.bat").expect("read").bytes,
        b"1\r\n"
    );
}

#[test]
fn a_submodule_has_its_own_attributes_alone() {
    let library = Fixture::with(&[
        ("x.bat", "1\n"),
        ("in/x.cmd", "1\n"),
        (".gitattributes", "/in/*.cmd eol=crlf\n"),
    ]);
    let fixture = Fixture::with(&[
        (".gitattributes", "*.bat eol=crlf\n"),
        ("x.bat", "1\n"),
        ("x.cmd", "1\n"),
    ]);
    let url = library.work().display().to_string();
    fixture.git(&["submodule", "--quiet", "add", &url, "vendor/lib"]);
    fixture.commit();
    let checkout = Checkout {
        submodules: true,
        ..Checkout::default()
    };
    let snapshot = fixture
        .take(&Source::Revision("HEAD".to_owned()), checkout)
        .expect("a snapshot");
    assert_eq!(assert_as_checked_out(&fixture, &snapshot), 2);
    let inside = snapshot.context("vendor/lib").expect("a directory");
    assert_eq!(assert_same(&inside, &fixture.work().join("vendor/lib")), 1);
}

#[test]
fn a_digest_without_conversions_is_what_it_was_before_there_were_any() {
    let files = [("a/run.bat", "1\n"), ("a/b/x", "1\n"), ("z.txt", "1\n")];
    let plain = Fixture::with(&files);
    let whole =
        |fixture: &Fixture| digest(&fixture.head().context("a").expect("a"), &Filter::default());
    let before = whole(&plain);
    assert_eq!(before.len(), b"prewarm tree 1\0".len() + 4 + 1 + 1 + 8 + 20);
    for (rules, same) in [
        ("* text=auto\n*.png binary\n", true),
        ("*.txt eol=crlf\n", true),
        ("*.bat eol=crlf\n", false),
        ("*.bat ident\n", false),
    ] {
        plain.write(".gitattributes", rules);
        plain.commit();
        assert_eq!(whole(&plain) == before, same, "{rules}");
    }
}

#[test]
fn another_encoding_is_named_and_left_alone() {
    let fixture = Fixture::new();
    for (path, text) in [
        (
            ".gitattributes",
            "*.rc text working-tree-encoding=UTF-16 eol=crlf\n*.txt working-tree-encoding=UTF-8\n",
        ),
        ("res/app.rc", "a\n"),
        ("res/read.txt", "a\n"),
        (
            "other/.gitattributes",
            "*.rc !working-tree-encoding\n*.sql working-tree-encoding=latin1\n",
        ),
        ("other/a.rc", "a\n"),
        ("other/in/a.sql", "a\n"),
        ("alone/app.rc", "a\n"),
    ] {
        fixture.write(path, text);
    }
    commit_as_is(&fixture);
    let snapshot = fixture.head();
    let tree = snapshot.context(".").expect("the root");
    for thorough in [false, true] {
        let encoded = |follow: &[&str]| {
            let follow = follow.iter().map(ToString::to_string).collect();
            let filter = Filter {
                follow,
                ..Filter::default()
            };
            tree.encoded(&filter, thorough).expect("walked")
        };
        let pair = |path: &str, encoding: &str| (path.to_owned(), encoding.to_owned());
        assert_eq!(
            encoded(&["res", "other"]),
            [
                pair("other/in/a.sql", "latin1"),
                pair("res/app.rc", "UTF-16")
            ]
        );
        assert_eq!(encoded(&["other/a.rc", "res/read.txt"]), []);
        // The root's own attributes are not from above.
        assert_eq!(encoded(&[]).len(), if thorough { 3 } else { 0 });
    }
    assert_eq!(snapshot.file("res/app.rc").expect("read").bytes, b"a\n");
}
