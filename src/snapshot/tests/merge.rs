//! HEAD merged with its base, and merges that a person has to finish.

use std::fs;

use super::Fixture;
use crate::snapshot::{Checkout, ObjectId, Source};

fn taken(fixture: &Fixture, source: &Source) -> ObjectId {
    let snapshot = fixture.take(source, Checkout::default());
    snapshot.expect("a snapshot").tree_id()
}

#[test]
fn an_unmerged_index_is_refused() {
    let fixture = conflicting();
    let base = fixture.id("side");
    let output = std::process::Command::new("git")
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "merge",
            "--quiet",
            "side",
        ])
        .current_dir(fixture.work())
        .output()
        .expect("git runs");
    assert!(!output.status.success(), "{base} conflicts");
    for source in [Source::Staged, Source::Worktree] {
        let error = fixture
            .take(&source, Checkout::default())
            .err()
            .expect("refused");
        insta::allow_duplicates! { insta::assert_snapshot!(error, @"the index has unmerged paths: a") }
    }
}

fn conflicting() -> Fixture {
    let fixture = Fixture::with(&[("a", "1\n"), ("b", "1\n")]);
    fixture.git(&["checkout", "--quiet", "-b", "side"]);
    fixture.write("a", "side\n");
    fixture.commit();
    fixture.git(&["checkout", "--quiet", "main"]);
    fixture.write("a", "main\n");
    fixture.commit();
    fixture
}

#[test]
fn a_conflicting_merge_names_the_paths() {
    let fixture = conflicting();
    let base = fixture.id("side");
    let error = fixture
        .take(&Source::Merge { base }, Checkout::default())
        .err()
        .expect("refused");
    assert_eq!(
        error.to_string(),
        format!("merging {base} into HEAD conflicts in: a")
    );
}

#[test]
fn a_merge_is_what_git_merges() {
    let lines: Vec<String> = (1..=20).map(|line| line.to_string()).collect();
    let fixture = Fixture::with(&[("a", &lines.join("\n")), ("b", "1"), ("c/d", "1")]);
    fixture.git(&["checkout", "--quiet", "-b", "side"]);
    fixture.write("a", lines.join("\n").replacen("1\n", "first\n", 1));
    fixture.write("c/new", "side");
    fixture.commit();
    let base = fixture.id("side");
    fixture.git(&["checkout", "--quiet", "main"]);
    fixture.write("a", lines.join("\n").replace("\n20", "\nlast"));
    fixture.remove("b");
    fixture.commit();
    let snapshot = fixture
        .take(&Source::Merge { base }, Checkout::default())
        .expect("a snapshot");
    let merged = snapshot.file("a").expect("read").bytes;
    fixture.git(&["merge", "--quiet", "--message=x", "side"]);
    assert_eq!(snapshot.tree_id(), fixture.id("HEAD^{tree}"));
    assert_eq!(merged, fs::read(fixture.work().join("a")).expect("read"));
    assert_eq!(
        taken(&fixture, &Source::Merge { base }),
        fixture.id("HEAD^{tree}"),
        "already merged"
    );
}
