//! Which keys matter, and what they need.

use super::*;

#[test]
fn a_key_needs_what_it_was_made_of_on_any_builder() {
    let records = Sandbox::new().open();
    let store = |key: &str, builder: &str, created: &[i64]| {
        let leaf = Leaf {
            created: created[0],
            description: format!("RUN {key}"),
            parents: vec!["base".to_owned()],
        };
        let layers = Layers {
            created: created.iter().copied().collect(),
            leaves: vec![leaf],
        };
        records
            .store_need(key, builder, &layers, NOW)
            .expect("writable");
    };
    store("k", "engine", &[1, 2]);
    store("k", "engine", &[2, 3]);
    store("k", "container x", &[4]);
    store("other", "engine", &[5]);
    let needs = records.needs().expect("readable");
    assert_eq!(needs["k"].created, [2, 3, 4].into());
    assert_eq!(needs["other"].created, [5].into());
    let leaves = needs["k"].leaves.iter();
    let mut leaves: Vec<_> = leaves.map(|leaf| leaf.created).collect();
    leaves.sort_unstable();
    assert_eq!(leaves, [2, 4]);
}

#[test]
fn the_newest_warm_of_each_branch_counts_unless_it_came_to_nothing() {
    let records = Sandbox::new().open();
    let add = |branch: Option<&str>, source: &str, outcome: Outcome, key: &str| {
        let id = records
            .begin(&NewWarm {
                branch: branch.map(str::to_owned),
                source: source.to_owned(),
                ..new_warm(key)
            })
            .expect("writable");
        records
            .finish(id, &finished(outcome, 2_000))
            .expect("writable");
    };
    add(Some("main"), "HEAD", Outcome::Warm, "old");
    add(Some("main"), "HEAD", Outcome::LocalOnly, "new");
    add(Some("main"), "HEAD", Outcome::Failed, "failed");
    add(Some("main"), "worktree", Outcome::NotPushed, "saved");
    add(Some("topic"), "HEAD", Outcome::Salvaged, "salvaged");
    add(None, "HEAD", Outcome::AlreadyWarm, "detached");
    add(Some("never"), "HEAD", Outcome::Cancelled, "cancelled");
    let rows = records.branch_warms().expect("readable");
    let keys: Vec<_> = rows.iter().filter_map(|row| row.key.as_deref()).collect();
    assert_eq!(keys, ["new", "saved", "salvaged", "detached"]);
}

#[test]
fn the_time_of_a_loss_is_in_the_name_of_what_was_set_aside() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    assert_eq!(records.lost_at(), None);
    for second in [5, 70, 9] {
        let aside = format!("{}.corrupt-{second}", sandbox.path().display());
        fs::write(aside, "").expect("it can be written");
    }
    fs::write(sandbox.path().with_file_name("other.corrupt-99"), "").expect("it can be written");
    assert_eq!(records.lost_at(), Some(70));
}
