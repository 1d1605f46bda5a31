//! What of a cache repository was of use.

use super::*;

const CACHE: &str = "registry/app";

fn commit(commit: &str, key: &str, cache: &str) -> CommitKey {
    CommitKey {
        commit: commit.to_owned(),
        target: "builder".to_owned(),
        platform: "linux/amd64".to_owned(),
        cache: cache.to_owned(),
        key: key.to_owned(),
    }
}

#[test]
fn what_was_warmed_looked_at_or_pushed_was_of_use() {
    let records = Records::in_memory().expect("there is memory");
    for (key, branch, at) in [("old", "gone", 4_999), ("new", "topic", 5_000)] {
        let warm = NewWarm {
            branch: Some(branch.to_owned()),
            ..new_warm(key)
        };
        let id = records.begin(&warm).expect("writable");
        let end = Finished {
            key: None,
            ..finished(Outcome::Warm, at)
        };
        records.finish(id, &end).expect("writable");
    }
    // In seconds.
    for (id, key, cache, seen) in [
        ("1", "seen-before", CACHE, 4),
        ("2", "seen", CACHE, 5),
        ("3", "pushed", CACHE, 1),
        ("4", "elsewhere", "registry/other", 9),
    ] {
        let commit = commit(id, key, cache);
        records.note_commit(&commit, seen).expect("writable");
    }
    let push = Push {
        repository: "/home/a/app".to_owned(),
        branch: Some("topic".to_owned()),
        commit: "3".to_owned(),
        at: 6_000,
    };
    records.note_push(&push).expect("writable");
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let uses = records.uses(CACHE, 5_000).expect("readable");
    assert_eq!(uses.keys, set(&["new", "pushed", "seen"]));
    assert_eq!(uses.branches, set(&["topic"]));
    assert_eq!(
        records.uses("registry/none", 0).expect("readable"),
        Uses::default()
    );
}
