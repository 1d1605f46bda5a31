//! The journal of prunes.

use super::*;
use crate::record::{Deleted, PruneEnd};

const DAY_MS: i64 = 24 * 3600 * 1000;

fn gone(item: &str, at: i64) -> Deleted {
    Deleted {
        builder: "engine".to_owned(),
        item: item.to_owned(),
        description: format!("RUN {item}"),
        kind: "regular".to_owned(),
        bytes: 10,
        used_at: Some(5),
        rule: "least recently used".to_owned(),
        at,
    }
}

fn names(deletions: &[Deleted]) -> Vec<&str> {
    deletions.iter().map(|one| one.item.as_str()).collect()
}

#[test]
fn what_went_is_told_for_30_days() {
    let records = Sandbox::new().open();
    let first = records
        .begin_prune("by hand", 20, DAY_MS)
        .expect("writable");
    let asked = [gone("a", 0), gone("b", 0)];
    records.note_deletions(first, &asked).expect("writable");
    let interrupted = &records.prunes(9).expect("readable")[0];
    assert_eq!((interrupted.ended_at, interrupted.items), (None, 0));
    records
        .note_deletions(first, &[gone("a", DAY_MS + 1)])
        .expect("writable");
    let end = PruneEnd {
        at: DAY_MS + 2,
        reported: 10,
        measured: Some(-3),
        items: 1,
    };
    records.end_prune(first, &end).expect("writable");
    let row = &records.prunes(9).expect("readable")[0];
    assert_eq!(
        (row.planned, row.reported, row.measured, row.items),
        (20, Some(10), Some(-3), 1)
    );
    // `b` was asked for and stayed.
    assert_eq!(names(&records.deletions(first).expect("readable")), ["a"]);
    assert_eq!(
        records.deletion("a").expect("readable"),
        Some(gone("a", DAY_MS + 1))
    );
    assert_eq!(records.deletion("b").expect("readable"), None);

    let later = records
        .begin_prune("by hand", 0, 40 * DAY_MS)
        .expect("writable");
    assert_eq!(records.deletion("a").expect("readable"), None);
    // One that deletes nothing is not worth telling, once it has ended.
    let end = PruneEnd { items: 0, ..end };
    records.end_prune(later, &end).expect("writable");
    assert_eq!(records.prunes(9).expect("readable"), []);
}
