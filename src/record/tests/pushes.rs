//! By how much a cache was there before the push that needed it.

use super::*;

fn push(commit: &str, at: i64) -> Push {
    Push {
        repository: "/src/app".to_owned(),
        branch: Some("topic".to_owned()),
        commit: commit.to_owned(),
        at,
    }
}

fn commit(commit: &str, key: &str) -> CommitKey {
    CommitKey {
        commit: commit.to_owned(),
        target: "builder".to_owned(),
        platform: "linux/amd64".to_owned(),
        cache: "ghcr.io/acme/app".to_owned(),
        key: key.to_owned(),
    }
}

/// A warm of a key that ended at `at`, for a branch.
fn warm(records: &Records, key: &str, branch: Option<&str>, at: i64) -> WarmId {
    let warm = NewWarm {
        branch: branch.map(str::to_owned),
        cache: Some("ghcr.io/acme/app".to_owned()),
        ..new_warm(key)
    };
    let id = records.begin(&warm).expect("writable");
    let end = Finished {
        key: None,
        ..finished(Outcome::Warm, at)
    };
    records.finish(id, &end).expect("writable");
    id
}

#[test]
fn a_push_is_told_with_its_lead() {
    let records = Records::in_memory().expect("there is memory");
    // Saved at 1 s, committed at 5 s: then the branch's tag was pointed there.
    warm(&records, "k1", None, 1_000);
    let pointed = warm(&records, "k1", Some("topic"), 5_000);
    for (name, key) in [("early", "k1"), ("late", "k2"), ("never", "k3")] {
        records
            .note_commit(&commit(name, key), NOW)
            .expect("writable");
    }
    for (name, at) in [
        ("early", 9_000),
        ("late", 10_000),
        ("never", 11_000),
        ("unknown", 12_000),
    ] {
        records.note_push(&push(name, at)).expect("writable");
    }
    // The hook of a second push, which sends nothing.
    records.note_push(&push("late", 20_000)).expect("writable");
    let late = warm(&records, "k2", Some("topic"), 13_000);

    let leads = records.leads(None, 10).expect("readable");
    let told: Vec<_> = leads
        .iter()
        .map(|lead| (lead.push.commit.as_str(), lead.warm, lead.lead_ms))
        .collect();
    assert_eq!(
        told,
        [
            ("never", None, None),
            ("late", Some(late), Some(-3_000)),
            ("early", Some(pointed), Some(4_000)),
        ]
    );
    assert_eq!(records.leads(Some("/src/other"), 10).expect("readable"), []);
    assert_eq!(
        records.leads(Some("/src/app"), 1).expect("readable").len(),
        1
    );
}

#[test]
fn a_database_from_before_pushes_were_recorded_keeps_its_history() {
    let sandbox = Sandbox::new();
    drop(sandbox.open());
    fs::remove_file(sandbox.path()).expect("it is there");
    sandbox
        .raw()
        .execute_batch(&format!(
            "{}; PRAGMA user_version = 1;",
            schema::MIGRATIONS[0]
        ))
        .expect("writable");
    let records = sandbox.open();
    warm(&records, "k1", Some("topic"), 1_000);
    records
        .note_push(&push("one", 2_000))
        .expect("it has been brought up to date");
}
