//! What is shown, and that exactly it is done.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{ALL, Desk, document, names, settle};
use crate::support::engines::engines;
use crate::support::prewarm::Machine;

/// Shows all that could go as JSON.
fn dry(desk: &Desk) -> Value {
    desk.shown(&[&ALL[..], &["--json"]].concat())
}

fn id(plan: &Value) -> &str {
    plan["plan"].as_str().expect("it has an id")
}

#[test]
fn a_plan_that_is_given_back_deletes_exactly_what_was_shown() {
    let desk = Desk::new();
    desk.build(&desk.stranger("echo one"));
    let before = desk.records();
    let first = dry(&desk);
    assert!(first["bytes"].as_u64() > Some(0), "{first:#}");
    assert_eq!(names(&first["deletions"]), before, "nobody needs anything");
    assert_eq!(desk.records(), before, "a dry run deletes nothing");

    let unknown = desk.prune(&["--plan", "0123456789ab"]);
    assert_snapshot!(unknown.failure(), @"
    exit 1
    error: 0123456789ab is not the plan that was shown last, or it was done already
    hint: `prewarm prune` shows what would go now
    ");

    let stored = desk.machine.state().join("prune-plan.json");
    let text = fs::read_to_string(&stored).expect("it was written");
    let mut older: Value = serde_json::from_str(&text).expect("it is JSON");
    let made = older.pointer_mut("/made_at").expect("it has a time");
    *made = json!(made.as_i64().expect("a number") - 61_000);
    fs::write(&stored, older.to_string()).expect("it is ours");
    let late = desk.prune(&["--plan", id(&first)]);
    assert_eq!(late.code(), 1, "{}", late.stderr);
    assert!(
        late.stderr.contains("more than a minute old"),
        "{}",
        late.stderr
    );

    // What is new was not shown.
    let first = dry(&desk);
    let other = desk.stranger("echo two");
    desk.build(&other);
    let all = desk.records();
    let more = desk.prune(&["--plan", id(&first)]);
    assert_eq!(more.code(), 1, "{}", more.stderr);
    assert!(more.stderr.contains("more would go"), "{}", more.stderr);
    assert_eq!(desk.records(), all, "nothing was deleted");

    // What was used since stays, and the rest of what was shown goes.
    settle();
    let second = dry(&desk);
    desk.build(&other).assert_all_cached(1);
    settle();
    let done = document(&desk.prune(&["--plan", id(&second), "--json"]));
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    desk.build(&other).assert_all_cached(1);
    let left = desk.records();
    assert!(left.is_subset(&all) && left.len() < all.len(), "{done:#}");

    settle();
    let third = dry(&desk);
    let done = document(&desk.prune(&["--plan", id(&third), "--json"]));
    assert_eq!(done["report"]["stayed"], 0, "{done:#}");
    assert_eq!(done["report"]["unjournalled"], Value::Null);
    assert_eq!(done["report"]["measured"], Value::Null, "another disk");
    let gone = names(&third["deletions"]);
    let expected = left.difference(&gone).cloned().collect();
    assert_eq!(desk.records(), expected);
}

#[test]
fn what_went_what_stays_and_what_is_missing_is_explained() {
    let desk = Desk::new();
    let repo = desk.project();
    desk.machine.warm(repo.path()).json().is("warm");
    desk.build(&desk.stranger("echo explained"));
    let (needed, gone) = (desk.record("sort /app"), desk.record("echo explained"));
    let explain = |what: &str| desk.prune(&[&["--explain", what], &ALL[..]].concat());
    let stays = explain(&needed);
    assert!(
        stays
            .stdout
            .contains("stays: needed by project/builder of topic, warmed "),
        "{}{}",
        stays.stdout,
        stays.stderr
    );
    let goes = explain(&gone[..8]);
    assert!(
        goes.stdout.contains("would go now: least recently used"),
        "{}",
        goes.stdout
    );

    // An id may be as short as it is shown.
    let pin = |verb: &str| desk.machine.ask(&[verb, &needed[..12]]);
    assert_eq!(pin("pin").stdout, format!("Pinned the record {needed}.\n"));
    assert_eq!(pin("unpin").code(), 0);

    desk.prune_all(&[]);
    assert!(!desk.records().contains(&gone));
    let went = explain(&gone);
    let expected = format!("{gone}  was deleted just now: least recently used");
    assert!(
        went.stdout.contains(&expected),
        "{}{}",
        went.stdout,
        went.stderr
    );
    assert!(went.stdout.contains("echo explained"), "{}", went.stdout);
    let history = desk.shown(&["--history", "--json"]);
    let text = history.to_string();
    assert!(
        text.contains(&gone) && text.contains("by hand"),
        "{history:#}"
    );
    assert!(!text.contains(&needed), "{history:#}");
    let history = desk.prune(&["--history"]).stdout;
    assert!(
        history.contains("; by hand\n") && history.contains("echo explained"),
        "{history}"
    );
    let nothing = desk.prune(&["--explain", "nothing-of-that-name"]);
    assert_eq!(nothing.code(), 2, "{}", nothing.stderr);

    // More than that cannot be had.
    let short = desk.shown(&[&ALL[..], &["--json"]].concat());
    assert!(short["missing"].as_u64() > Some(0), "{short:#}");
    let said = desk.prune(&ALL).stdout;
    assert!(said.contains("more would have to go than may"), "{said}");
    assert_snapshot!(desk.prune(&["--free", "95%"]).failure(), @"
    exit 2
    error: --free: what is free cannot be known: /var/lib/buildkit/engine is not on this machine
    hint: say with --max-cache what all caches may have together
    ");
    // Where the disk is this machine's.
    let machine = Machine::with_engine(&engines().b);
    let short = document(&machine.ask(&["prune", "--free", "95%", "--json"]));
    assert!(short["missing"].as_u64() > Some(0), "{short:#}");
}
