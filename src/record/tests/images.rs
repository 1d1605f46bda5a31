//! When images were first seen.

use std::collections::BTreeMap;

use super::*;

fn seen(records: &Records, ids: &[&str], now: i64) -> Vec<(String, i64)> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let seen: BTreeMap<_, _> = records.images_seen(&ids, now).expect("it can be written");
    seen.into_iter().collect()
}

#[test]
fn an_image_keeps_the_time_when_it_was_first_seen_until_it_is_gone() {
    let sandbox = Sandbox::new();
    let expected = |list: &[(&str, i64)]| {
        list.iter()
            .map(|(id, at)| ((*id).to_owned(), *at))
            .collect::<Vec<_>>()
    };
    let records = sandbox.open();
    assert_eq!(
        seen(&records, &["a", "b"], 1),
        expected(&[("a", 1), ("b", 1)])
    );
    assert_eq!(
        seen(&records, &["c", "b", "b"], 2),
        expected(&[("b", 1), ("c", 2)])
    );
    drop(records);
    let records = sandbox.open();
    assert_eq!(
        seen(&records, &["a", "b", "it's \"c\""], 3),
        expected(&[("a", 3), ("b", 1), ("it's \"c\"", 3)])
    );
    assert_eq!(seen(&records, &[], 4), []);
}

#[test]
fn a_database_from_before_prunes_keeps_its_history() {
    let sandbox = Sandbox::new();
    drop(sandbox.open());
    let raw = sandbox.raw();
    raw.execute_batch(
        "INSERT INTO meta (key, value) VALUES ('k', 'v');
        DROP TABLE images; DROP TABLE needs; DROP TABLE deletions; DROP TABLE prunes;
        PRAGMA user_version = 2;",
    )
    .expect("it can be written");
    drop(raw);
    let records = sandbox.open();
    assert_eq!(records.meta("k").expect("readable").as_deref(), Some("v"));
    assert_eq!(seen(&records, &["a"], 1).len(), 1);
}
