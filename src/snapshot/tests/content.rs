//! What is served for files: sizes, modes, LFS content, submodules, large blobs.

use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;

use super::Fixture;
use super::fixture::{digest, list};
use crate::snapshot::{Checkout, Entry, Filter, Repository, Snapshot, Source, Tree};

const LFS: Checkout = Checkout {
    lfs: true,
    submodules: false,
};
const SUBMODULES: Checkout = Checkout {
    lfs: false,
    submodules: true,
};

fn head() -> Source {
    Source::Revision("HEAD".to_owned())
}

fn root(snapshot: &Snapshot) -> Tree {
    snapshot.context(".").expect("the root")
}

fn mixed() -> Fixture {
    let fixture = Fixture::with(&[
        ("z", "last"),
        ("empty", ""),
        ("a.b", "1"),
        ("a/x", "1"),
        ("a-b", "1"),
    ]);
    fixture.write("a/run", "#!/bin/sh");
    fixture.mode("a/run", 0o755);
    fixture.link("a/link", "../z");
    fixture.commit();
    fixture
}

#[test]
fn siblings_come_by_the_bytes_of_their_names() {
    insta::assert_snapshot!(list(&root(&mixed().head()), &Filter::default()), @r"
    d 755 a/
    l 777 a/link -> ../z
    f 755 a/run 9
    f 644 a/x 1
    f 644 a-b 1
    f 644 a.b 1
    f 644 empty 0
    f 644 z 4
    ");
}

#[test]
fn modes_are_what_the_umask_leaves_of_git_s() {
    let fixture = mixed();
    let snapshot = fixture
        .repository()
        .snapshot(&head(), 0, Checkout::default())
        .expect("a snapshot");
    insta::assert_snapshot!(list(&snapshot.context("a").expect("a directory"), &Filter::default()), @r"
    l 777 link -> ../z
    f 777 run 9
    f 666 x 1
    ");
}

#[test]
fn an_empty_repository_is_an_empty_tree() {
    let fixture = Fixture::new();
    let snapshot = fixture.worktree();
    assert_eq!(
        snapshot.tree_id().to_string(),
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    );
    assert_eq!(list(&root(&snapshot), &Filter::default()), "");
}

/// The content of a file, read in small pieces.
fn content(tree: &Tree, path: &str) -> Vec<u8> {
    let entry = entry(tree, path);
    let mut blob = tree.open(entry.content).expect("opened");
    assert_eq!(blob.size(), entry.size);
    let mut bytes = Vec::new();
    blob.read_to_end(&mut bytes).expect("read");
    bytes
}

fn entry(tree: &Tree, path: &str) -> Entry {
    let mut found = None;
    tree.walk(&Filter::default(), &mut |entry| {
        if entry.path == path.as_bytes() {
            found = Some(entry);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })
    .expect("walked");
    found.expect("it is there")
}

/// Bytes that do not compress, so that packing keeps them large.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn content_is_the_same_from_loose_packed_new_and_merged_objects() {
    let (small, large) = (noise(1000), noise(3 << 20));
    let fixture = Fixture::new();
    fixture.write("small", &small);
    fixture.write("large", &large);
    fixture.commit();
    let check = |snapshot: &Snapshot| {
        let tree = root(snapshot);
        assert_eq!(content(&tree, "small"), small);
        assert_eq!(content(&tree, "large"), large);
    };
    check(&fixture.head());
    fixture.git(&["repack", "-a", "-d", "--quiet"]);
    check(&fixture.head());
    fixture.write("newer", &large[1..]);
    fixture.git(&["add", "newer"]);
    fixture.write("newer", &large[2..]);
    let snapshot = fixture.worktree();
    check(&snapshot);
    assert_eq!(content(&root(&snapshot), "newer"), &large[2..]);
    let tree = snapshot
        .synthetic(&[("huge", &large[3..])])
        .expect("a tree");
    assert_eq!(content(&tree, "huge"), &large[3..]);
}

#[test]
fn one_process_reads_all_packed_files_and_goes_with_the_tree() {
    let fixture = Fixture::new();
    let contents: Vec<_> = (0..600)
        .map(|number| noise(number * 7 % 300 + number))
        .collect();
    for (number, content) in contents.iter().enumerate() {
        fixture.write(&format!("{number}"), content);
    }
    fixture.commit();
    fixture.git(&["repack", "-a", "-d", "--quiet"]);
    // Of this thread alone: other tests run `git` too.
    let children = || {
        let list = fs::read_to_string("/proc/thread-self/children").expect("Linux lists them");
        list.split_ascii_whitespace().count()
    };
    let tree = root(&fixture.head());
    let mut entries = Vec::new();
    tree.walk(&Filter::default(), &mut |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    })
    .expect("walked");
    assert_eq!(children(), 1, "one for the sizes");
    for entry in &entries {
        let number: usize = String::from_utf8_lossy(&entry.path)
            .parse()
            .expect("a number");
        let mut bytes = Vec::new();
        let mut blob = tree.open(entry.content).expect("opened");
        blob.read_to_end(&mut bytes).expect("read");
        assert_eq!(entry.size, bytes.len() as u64);
        assert_eq!(bytes, contents[number], "file {number}");
    }
    assert_eq!(children(), 2, "and one for the contents");
    drop(tree);
    assert_eq!(children(), 0);
}

#[test]
fn a_blob_read_in_part_does_not_spoil_the_next() {
    let fixture = Fixture::new();
    fixture.write("large", noise(3 << 20));
    fixture.commit();
    fixture.git(&["repack", "-a", "-d", "--quiet"]);
    let tree = root(&fixture.head());
    let id = entry(&tree, "large").content;
    let mut blob = tree.open(id).expect("opened");
    let mut start = [0; 16];
    blob.read_exact(&mut start).expect("read");
    assert_eq!(start.as_slice(), &noise(16));
    let mut other = tree.open(id).expect("opened at the same time");
    drop(blob);
    other.read_exact(&mut start).expect("read");
    assert_eq!(start.as_slice(), &noise(16));
    drop(other);
    assert_eq!(content(&tree, "large"), noise(3 << 20));
}

#[test]
fn a_loose_object_that_is_not_what_its_name_says_is_not_served() {
    let fixture = Fixture::with(&[("a", "hello"), ("b", "jello")]);
    let file = |path: &str| {
        let id = fixture.git(&["rev-parse", &format!("HEAD:{path}")]);
        let (directory, name) = id.trim().split_at(2);
        fixture
            .work()
            .join(".git/objects")
            .join(directory)
            .join(name)
    };
    // Objects are read-only.
    fs::remove_file(file("a")).expect("removed");
    fs::copy(file("b"), file("a")).expect("copied");
    let tree = root(&fixture.head());
    let mut blob = tree.open(entry(&tree, "a").content).expect("opened");
    let error = blob.read_to_end(&mut Vec::new()).expect_err("damaged");
    assert!(error.to_string().contains("git fsck"), "{error}");
    assert_eq!(content(&tree, "b"), b"jello");
}

const OID: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn with_pointer() -> Fixture {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 5\n");
    Fixture::with(&[("model.bin", &pointer), ("plain", "hello")])
}

#[test]
fn lfs_files_are_pointers_unless_ci_fetches_them() {
    let fixture = with_pointer();
    let store = fixture.work().join(format!(".git/lfs/objects/2c/f2/{OID}"));
    fs::create_dir_all(store.parent().expect("a parent")).expect("created");
    fs::write(&store, "hello").expect("written");
    let pointers = fixture
        .take(&head(), Checkout::default())
        .expect("a snapshot");
    let contents = fixture.take(&head(), LFS).expect("a snapshot");
    assert_eq!(entry(&root(&pointers), "model.bin").size, 126);
    assert_eq!(content(&root(&contents), "model.bin"), b"hello");
    assert_eq!(content(&root(&contents), "plain"), b"hello");
    assert_eq!(contents.file("model.bin").expect("read").bytes, b"hello");
    let filter = Filter::default();
    assert_ne!(
        digest(&root(&pointers), &filter),
        digest(&root(&contents), &filter)
    );
}

#[test]
fn a_missing_lfs_object_is_named() {
    let fixture = with_pointer();
    let snapshot = fixture.take(&head(), LFS).expect("a snapshot");
    let error = root(&snapshot)
        .walk(&Filter::default(), &mut |_| ControlFlow::Continue(()))
        .expect_err("its size alone is a promise");
    assert_eq!(
        error.to_string(),
        format!("model.bin: LFS object {OID} is not on this machine, or damaged")
    );
}

fn with_submodule() -> (Fixture, Fixture) {
    let library = Fixture::with(&[("lib.c", "int x;"), ("deep/er", "1")]);
    let fixture = Fixture::with(&[("main.c", "x"), ("vendor/z", "1")]);
    let url = library.work().display().to_string();
    fixture.git(&[
        "submodule",
        "--quiet",
        "add",
        "--name",
        "the lib",
        &url,
        "vendor/lib",
    ]);
    fixture.commit();
    (fixture, library)
}

#[test]
fn a_submodule_is_an_empty_directory_unless_ci_fetches_it() {
    let (fixture, _library) = with_submodule();
    let vendor = Filter {
        follow: vec!["vendor".to_owned()],
        ..Filter::default()
    };
    let plain = fixture.head();
    insta::assert_snapshot!(list(&root(&plain), &vendor), @r"
    d 755 vendor/
    d 755 vendor/lib/
    f 644 vendor/z 1
    ");
    let full = fixture.take(&head(), SUBMODULES).expect("a snapshot");
    insta::assert_snapshot!(list(&root(&full), &vendor), @r"
    d 755 vendor/
    d 755 vendor/lib/
    d 755 vendor/lib/deep/
    f 644 vendor/lib/deep/er 1
    f 644 vendor/lib/lib.c 6
    f 644 vendor/z 1
    ");
    assert_eq!(
        full.file("vendor/lib/lib.c").expect("read").bytes,
        b"int x;"
    );
    assert_eq!(plain.tree_id(), full.tree_id());
    let error = plain.file("vendor/lib/lib.c").expect_err("not checked out");
    insta::assert_snapshot!(error, @"vendor/lib/lib.c: is in submodule `vendor/lib`, which this snapshot does not hold");
    assert!(plain.context("vendor/lib").is_ok());
}

#[test]
fn moving_a_submodule_that_is_not_served_changes_nothing() {
    let (fixture, library) = with_submodule();
    let before = digest(
        &root(&fixture.head()),
        &Filter {
            include: vec!["vendor".to_owned()],
            ..Filter::default()
        },
    );
    library.write("lib.c", "int y;");
    let commit = library.commit();
    fixture.git_in(&fixture.work().join("vendor/lib"), &["fetch", "--quiet"]);
    fixture.git_in(
        &fixture.work().join("vendor/lib"),
        &["checkout", "--quiet", &commit.to_string()],
    );
    let moved = fixture.worktree();
    let after = digest(
        &root(&moved),
        &Filter {
            include: vec!["vendor".to_owned()],
            ..Filter::default()
        },
    );
    assert_eq!(before, after);
    fixture.git(&["add", "--update"]);
    assert_eq!(fixture.git(&["write-tree"]), moved.tree_id().to_string());
}

#[test]
fn a_missing_submodule_comes_with_the_cure() {
    let (fixture, _library) = with_submodule();
    fs::remove_dir_all(fixture.work().join(".git/modules")).expect("removed");
    let error = fixture.take(&head(), SUBMODULES).err().expect("refused");
    let hint = crate::error::Remedy::hint(&error).expect("a hint");
    assert!(
        error
            .to_string()
            .starts_with("submodule `vendor/lib`: commit "),
        "{error}"
    );
    assert_eq!(hint, "Run `git submodule update --init -- 'vendor/lib'`.");
}

#[test]
fn a_partial_clone_serves_what_it_has_and_fetches_nothing() {
    let origin = Fixture::with(&[("a", "1"), ("old", "before")]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let id = origin.id("HEAD:old");
    origin.write("old", "2");
    origin.commit();
    let url = format!("file://{}", origin.work().display());
    origin.git_in(
        origin.root.path(),
        &["clone", "--quiet", "--filter=blob:none", &url, "partial"],
    );
    let work = origin.root.path().join("partial");
    let repository = Repository::discover(&work).expect("a repository");
    let take = |source| {
        repository
            .snapshot(&source, 0o022, Checkout::default())
            .expect("a snapshot")
    };
    let before = take(Source::Revision("HEAD~1".to_owned()));
    assert_eq!(before.file("a").expect("read").bytes, b"1");
    let message = format!("old: its content (git object {id}) is not on this machine");
    assert_eq!(
        before.file("old").expect_err("not here").to_string(),
        message
    );
    let walked = root(&before).walk(&Filter::default(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(walked.expect_err("not here").to_string(), message);
    assert!(
        digest(&root(&before), &Filter::default())
            != digest(&root(&take(head())), &Filter::default())
    );
    fs::write(work.join("a"), "edited").expect("written");
    assert_eq!(
        take(Source::Worktree).file("a").expect("read").bytes,
        b"edited"
    );
}
