//! What the history tells.

use super::*;
use crate::error::{Kind, Remedy};

#[test]
fn a_warm_is_running_until_it_has_finished() {
    let records = Records::in_memory().expect("there is memory");
    let warm = new_warm("k");
    let id = records.begin(&warm).expect("writable");
    let running = HistoryRow {
        id,
        warm: warm.clone(),
        state: State::Running,
        finished_at: None,
        steps_total: 0,
        steps_cached: 0,
        exported_bytes: 0,
        cache_digest: None,
        references: vec![],
        error: None,
    };
    assert_eq!(all(&records), std::slice::from_ref(&running));

    let end = Finished {
        error: Some("e".to_owned()),
        ..finished(Outcome::Salvaged, 2_000)
    };
    records.finish(id, &end).expect("writable");
    let done = HistoryRow {
        state: State::Finished(Outcome::Salvaged),
        finished_at: Some(2_000),
        steps_total: 2,
        steps_cached: 1,
        exported_bytes: 12_400_000,
        cache_digest: end.cache_digest,
        references: end.references,
        error: end.error,
        ..running
    };
    assert_eq!(all(&records), [done]);
}

#[test]
fn a_killed_run_is_shown_as_interrupted() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    records.begin(&new_warm("k")).expect("writable");
    sandbox
        .raw()
        .execute("UPDATE warms SET process_started = 'at another time'", [])
        .expect("writable");
    assert_eq!(all(&records)[0].state, State::Interrupted);
}

#[test]
fn finishing_an_unknown_warm_is_our_own_fault() {
    let records = Records::in_memory().expect("there is memory");
    let error = records
        .finish(WarmId(7), &finished(Outcome::Warm, 1))
        .expect_err("there is none");
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.to_string(), ":memory: holds no warm number 7");
}

#[test]
fn a_key_is_warm_where_its_newest_success_left_it() {
    use Outcome::{AlreadyWarm, Cancelled, Failed, LocalOnly, NotPushed, Salvaged, Warm};
    type Recorded = (Option<&'static str>, Outcome, i64);
    let pushed = Some("registry/app");
    // What was recorded (cache, outcome, when), where we ask, and when it was found warm.
    let table: &[(&[Recorded], Option<&str>, Option<i64>)] = &[
        (&[], pushed, None),
        (&[(pushed, Warm, 10)], pushed, Some(10)),
        (&[(pushed, Warm, 10)], Some("registry/other"), None),
        (&[(pushed, Warm, 10)], None, None),
        (
            &[(pushed, Warm, 10), (pushed, AlreadyWarm, 20)],
            pushed,
            Some(20),
        ),
        (&[(pushed, Warm, 20), (pushed, Warm, 10)], pushed, Some(20)),
        (
            &[(pushed, Warm, 10), (pushed, Failed, 20)],
            pushed,
            Some(10),
        ),
        (
            &[
                (pushed, Salvaged, 1),
                (pushed, NotPushed, 2),
                (pushed, Cancelled, 3),
                (pushed, LocalOnly, 4),
            ],
            pushed,
            None,
        ),
        (&[(None, LocalOnly, 10)], None, Some(10)),
        (&[(None, LocalOnly, 10)], pushed, None),
    ];
    for (recorded, asked, expected) in table {
        let records = Records::in_memory().expect("there is memory");
        for (cache, outcome, at) in *recorded {
            let warm = NewWarm {
                cache: cache.map(str::to_owned),
                ..new_warm("k")
            };
            let id = records.begin(&warm).expect("writable");
            records
                .finish(id, &finished(*outcome, *at))
                .expect("writable");
        }
        let fact = records.warm_key(*asked, "k").expect("readable");
        assert_eq!(
            fact.as_ref().map(|fact| fact.at),
            *expected,
            "{recorded:?} asked for {asked:?}"
        );
        assert_eq!(
            records.warm_key(*asked, "other key").expect("readable"),
            None
        );
        if let Some(fact) = fact {
            assert_eq!(fact.digest.as_deref(), Some("sha256:abc"));
            assert_eq!(fact.references, ["registry/app:k", "registry/app:main"]);
            assert_eq!(fact.builder, "container:1");
        }
    }
}

#[test]
fn a_tag_that_a_later_warm_has_taken_is_not_the_key_s_any_more() {
    let records = Records::in_memory().expect("there is memory");
    let record = |key: &str, references: &[&str], at| {
        let id = records.begin(&new_warm(key)).expect("writable");
        let end = Finished {
            references: references.iter().map(ToString::to_string).collect(),
            ..finished(Outcome::Warm, at)
        };
        records.finish(id, &end).expect("writable");
    };
    let tags = |key| {
        let fact = records
            .warm_key(Some("registry/app"), key)
            .expect("readable");
        fact.expect("it is warm").references
    };
    record("k1", &["k1", "branch"], 1);
    assert_eq!(tags("k1"), ["k1", "branch"]);
    record("k2", &["k2", "branch"], 2);
    assert_eq!(tags("k1"), ["k1"]);
    assert_eq!(tags("k2"), ["k2", "branch"]);
    record("k1", &["k1", "branch"], 3);
    assert_eq!(tags("k1"), ["k1", "branch"]);
    assert_eq!(tags("k2"), ["k2"]);
}

#[test]
fn the_last_warm_is_the_newest_that_ended_well() {
    let records = Records::in_memory().expect("there is memory");
    let mut good = WarmId(0);
    for (key, outcome) in [
        ("k1", Outcome::Warm),
        ("k2", Outcome::NotPushed),
        ("k3", Outcome::Failed),
    ] {
        let id = records.begin(&new_warm(key)).expect("writable");
        records
            .finish(id, &finished(outcome, 2_000))
            .expect("writable");
        if outcome == Outcome::NotPushed {
            good = id;
        }
    }
    let last = records
        .last("/home/a/app", "builder", "linux/amd64")
        .expect("readable")
        .expect("there is one");
    assert_eq!(last.row.id, good);
    assert_eq!(last.steps, finished(Outcome::Warm, 0).steps);
    assert_eq!(last.inputs.as_deref(), Some("{\"files\":[]}"));
    assert!(
        records
            .last("/home/a/app", "builder", "linux/arm64")
            .expect("readable")
            .is_none()
    );
    assert!(
        records
            .last("/home/a/other", "builder", "linux/amd64")
            .expect("readable")
            .is_none()
    );
}

#[test]
fn each_repository_keeps_its_newest_thousand_and_the_inputs_of_fifty() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    let elsewhere = NewWarm {
        repository: "/home/a/other".to_owned(),
        ..new_warm("k")
    };
    let other = records.begin(&elsewhere).expect("writable");
    records
        .finish(other, &finished(Outcome::Warm, 0))
        .expect("writable");
    for number in 0..1_005 {
        let id = records
            .begin(&new_warm(&number.to_string()))
            .expect("writable");
        records
            .finish(id, &finished(Outcome::Warm, number))
            .expect("writable");
    }
    let kept = all(&records);
    assert_eq!(kept.len(), 1_001);
    assert_eq!(kept[0].warm.key.as_deref(), Some("1004"));
    assert_eq!(kept[999].warm.key.as_deref(), Some("5"));
    assert_eq!(kept[1_000].warm, elsewhere);
    let count = |query: &str| -> i64 {
        sandbox
            .raw()
            .query_row(query, [], |row| row.get(0))
            .expect("readable")
    };
    assert_eq!(
        count("SELECT count(*) FROM warms WHERE inputs IS NOT NULL"),
        51
    );
    assert_eq!(count("SELECT count(*) FROM steps"), 2 * 1_001);
    let asked = Query {
        repository: Some("/home/a/other".to_owned()),
        limit: 5,
    };
    assert_eq!(records.history(&asked).expect("readable").len(), 1);
    let asked = Query {
        repository: None,
        limit: 3,
    };
    assert_eq!(records.history(&asked).expect("readable").len(), 3);
}

#[test]
fn a_key_that_only_the_build_told_counts_like_any_other() {
    let records = Records::in_memory().expect("there is memory");
    let unknown = NewWarm {
        key: None,
        ..new_warm("")
    };
    let id = records.begin(&unknown).expect("writable");
    let end = Finished {
        key: Some("told".to_owned()),
        ..finished(Outcome::Warm, 2_000)
    };
    records.finish(id, &end).expect("writable");
    assert_eq!(all(&records)[0].warm.key, end.key);
    let fact = records.warm_key(Some("registry/app"), "told");
    assert!(fact.expect("readable").is_some());
}

#[test]
fn only_a_build_of_our_own_tells_what_a_recipe_asks_for() {
    let records = Records::in_memory().expect("there is memory");
    let recipe = new_warm("k").recipe;
    let record = |outcome, inputs: Option<&str>| {
        let id = records.begin(&new_warm("k")).expect("writable");
        let end = Finished {
            inputs: inputs.map(str::to_owned),
            ..finished(outcome, 1)
        };
        records.finish(id, &end).expect("writable");
    };
    let known = || records.built_inputs(&recipe).expect("readable");
    records
        .store_inputs(&recipe, "from a registry", 1)
        .expect("writable");
    for outcome in [
        Outcome::AlreadyWarm,
        Outcome::Salvaged,
        Outcome::Failed,
        Outcome::Cancelled,
    ] {
        record(outcome, Some("not of a whole build"));
    }
    assert_eq!(known(), None);
    for outcome in [Outcome::LocalOnly, Outcome::NotPushed, Outcome::Warm] {
        record(outcome, Some(outcome.name()));
        assert_eq!(known().as_deref(), Some(outcome.name()));
    }
    record(Outcome::Warm, None);
    assert_eq!(known().as_deref(), Some("warm"));
    assert_eq!(records.built_inputs("another").expect("readable"), None);
}

#[test]
fn the_size_of_the_last_export_is_that_of_a_warm() {
    let records = Records::in_memory().expect("there is memory");
    let size = |platform: &str| {
        let warm = new_warm("k");
        let found = records.exported_bytes(&warm.repository, &warm.target, platform);
        found.expect("readable")
    };
    let platform = new_warm("k").platform;
    assert_eq!(size(&platform), None);
    for (outcome, exported_bytes) in [
        (Outcome::Warm, 1),
        (Outcome::Warm, 2),
        (Outcome::AlreadyWarm, 0),
        (Outcome::Failed, 0),
    ] {
        let id = records.begin(&new_warm("k")).expect("writable");
        let end = Finished {
            exported_bytes,
            ..finished(outcome, 1)
        };
        records.finish(id, &end).expect("writable");
    }
    records.begin(&new_warm("k")).expect("writable");
    assert_eq!(size(&platform), Some(2));
    assert_eq!(size("linux/other"), None);
}

#[test]
fn a_build_that_ended_meanwhile_is_seen() {
    let records = Sandbox::new().open();
    let id = records.begin(&new_warm("k")).expect("writable");
    let built = |cache: Option<&str>, since: i64| {
        let found = records.built_since("r1", cache, (since, 3_000));
        found.expect("readable")
    };
    assert!(!built(Some("registry/app"), 0));
    records
        .finish(id, &finished(Outcome::Warm, 2_000))
        .expect("writable");
    assert!(built(Some("registry/app"), 2_000));
    assert!(!built(Some("registry/app"), 2_001));
    assert!(!built(None, 0));
    // By a clock that was set back since.
    let past = records.built_since("r1", Some("registry/app"), (0, 1_999));
    assert!(!past.expect("readable"));
}
