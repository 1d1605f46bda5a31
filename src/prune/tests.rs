//! What plans promise: tables for the order and the reasons, and a hundred thousand generated snapshots for what never
//! happens.

mod generated;
mod images;

use std::collections::BTreeSet;
use std::time::Duration;

use super::cost::Costs;
use super::guard::{Guard, Need};
use super::plan::{Goal, Plan, Policy, plan};
use super::reason::Reason;
use super::usage::{Cache, Disk, Image, Kind, Record, Snapshot};
use crate::config::PruneImages;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The time of all tables, in Unix milliseconds.
const NOW: i64 = 1_800_000_000_000;

/// An id that begins with a name.
fn id(name: &str) -> String {
    format!("{name:0<25}")
}

/// A layer of ten bytes that was used so many milliseconds ago.
fn layer(name: &str, parents: &[&str], age: i64) -> Record {
    Record {
        id: id(name),
        kind: Kind::Regular,
        description: format!("[builder 1/1] RUN {name}"),
        bytes: 10,
        created_ns: Some((NOW - age) * 1_000_000),
        used_ns: Some((NOW - age) * 1_000_000),
        uses: 1,
        in_use: false,
        shared: false,
        parents: parents.iter().map(|parent| id(parent)).collect(),
    }
}

/// One cache on a disk of 1,000 bytes that is full.
fn snapshot(records: Vec<Record>) -> Snapshot {
    Snapshot {
        caches: vec![Cache {
            builder: "engine".to_owned(),
            on_disk: true,
            records,
        }],
        images: Vec::new(),
        disk: Some(Disk {
            path: "/var/lib/docker".to_owned(),
            total: 1_000,
            free: 0,
        }),
    }
}

/// Everything that may go.
fn policy() -> Policy {
    Policy {
        goal: Goal {
            everything: true,
            ..Goal::default()
        },
        floor: 0,
        min_age: Duration::from_secs(24 * 3600),
        images_min_age: Duration::from_secs(24 * 3600),
        images: PruneImages::Off,
        cache_mounts: false,
        insist: false,
    }
}

fn free(bytes: u64) -> Policy {
    Policy {
        goal: Goal {
            free: Some(bytes),
            ..Goal::default()
        },
        ..policy()
    }
}

/// The names of what goes, in order.
fn gone(plan: &Plan) -> Vec<String> {
    let name = |name: &str| name.trim_end_matches('0').to_owned();
    let deletions = plan.deletions.iter();
    deletions
        .map(|deletion| name(&deletion.item.name))
        .collect()
}

fn decide(snapshot: &Snapshot, policy: &Policy) -> Plan {
    plan(snapshot, policy, &Guard::default(), &Costs::default(), NOW)
}

fn why(plan: &Plan, name: &str) -> Reason {
    let found = plan.kept.iter().find(|kept| kept.item.name == id(name));
    found.expect("it stays").reason.clone()
}

#[test]
fn leaves_go_before_what_they_stand_on_and_the_oldest_first() {
    let snapshot = snapshot(vec![
        layer("base", &[], 30 * DAY),
        layer("old", &["base"], 20 * DAY),
        layer("new", &["base"], 2 * DAY),
    ]);
    assert_eq!(gone(&decide(&snapshot, &policy())), ["old", "new", "base"]);
    assert_eq!(gone(&decide(&snapshot, &free(10))), ["old"]);
    assert_eq!(gone(&decide(&snapshot, &free(11))), ["old", "new"]);
    assert_eq!(gone(&decide(&snapshot, &free(0))), [""; 0]);
}

#[test]
fn of_the_same_day_what_frees_most_for_a_second_goes_first() {
    let step = |name: &str, bytes: u64| Record {
        bytes,
        ..layer(name, &[], 3 * DAY)
    };
    let snapshot = snapshot(vec![
        step("slow", 1_000),
        step("quick", 100),
        step("unknown", 50),
        layer("older", &[], 5 * DAY),
    ]);
    let costs = Costs::new([
        ("[builder 1/1] RUN slow", 60_000),
        ("[builder 1/1] RUN quick", 100),
    ]);
    let plan = plan(&snapshot, &policy(), &Guard::default(), &costs, NOW);
    assert_eq!(gone(&plan), ["older", "quick", "unknown", "slow"]);
}

#[test]
fn contexts_go_before_layers_and_cache_mounts_last_and_only_when_asked_for() {
    let of = |kind: Kind, name: &str| Record {
        kind,
        ..layer(name, &[], 2 * DAY)
    };
    let snapshot = snapshot(vec![
        of(Kind::CacheMount, "mount"),
        layer("layer", &[], 30 * DAY),
        of(Kind::LocalSource, "local"),
        of(Kind::GitCheckout, "git"),
    ]);
    assert_eq!(
        gone(&decide(&snapshot, &policy())),
        ["git", "local", "layer"]
    );
    assert_eq!(
        why(&decide(&snapshot, &policy()), "mount"),
        Reason::CacheMount
    );
    let asked = Policy {
        cache_mounts: true,
        ..policy()
    };
    assert_eq!(
        gone(&decide(&snapshot, &asked)),
        ["git", "local", "layer", "mount"]
    );
}

#[test]
fn everything_that_stays_has_a_reason() {
    let old = |name: &str| layer(name, &[], 30 * DAY);
    let cases: Vec<(Record, Reason)> = vec![
        (
            Record {
                in_use: true,
                ..old("a")
            },
            Reason::InUse,
        ),
        (
            Record {
                shared: true,
                ..old("a")
            },
            Reason::Shared,
        ),
        (
            Record {
                kind: Kind::Internal,
                ..old("a")
            },
            Reason::Internal,
        ),
        (
            Record {
                kind: Kind::Frontend,
                ..old("a")
            },
            Reason::Internal,
        ),
        (
            Record {
                kind: Kind::Unknown("new".to_owned()),
                ..old("a")
            },
            Reason::UnknownKind("new".to_owned()),
        ),
        (
            Record {
                used_ns: None,
                created_ns: None,
                ..old("a")
            },
            Reason::UnknownAge,
        ),
        (
            layer("a", &[], HOUR),
            Reason::Young {
                age_ms: HOUR,
                least_ms: DAY,
            },
        ),
        (
            layer("a", &[], -HOUR),
            Reason::Young {
                age_ms: -HOUR,
                least_ms: DAY,
            },
        ),
    ];
    for (record, reason) in cases {
        let snapshot = snapshot(vec![record, layer("parent", &[], 30 * DAY)]);
        let plan = decide(&snapshot, &policy());
        assert_eq!(gone(&plan), ["parent"]);
        assert_eq!(why(&plan, "a"), reason);
    }
    let odd = Record {
        id: ".*".to_owned(),
        ..old("a")
    };
    let plan = decide(&snapshot(vec![odd]), &policy());
    assert_eq!(plan.kept[0].reason, Reason::UnknownId);
}

#[test]
fn what_a_branch_needs_stays_with_all_that_it_stands_on() {
    let records = vec![
        layer("base", &[], 40 * DAY),
        layer("deps", &["base"], 30 * DAY),
        layer("theirs", &["base"], 20 * DAY),
        layer("other", &[], 20 * DAY),
    ];
    let made = records[1].created_ns.expect("it was made");
    let snapshot = snapshot(records);
    let need = |need: Need| Guard {
        needs: vec![Need {
            who: "app/builder of branch main".to_owned(),
            ..need
        }],
        ..Guard::default()
    };
    let exported = need(Need {
        created: BTreeSet::from([made]),
        ..Need::default()
    });
    let at = NOW - 30 * DAY;
    let local = need(Need {
        ran: Some(at - 5..=at + 5),
        ..Need::default()
    });
    let pinned = Guard {
        records: BTreeSet::from([id("deps")]),
        ..Guard::default()
    };
    for guard in [exported, local, pinned] {
        let plan = plan(&snapshot, &policy(), &guard, &Costs::default(), NOW);
        assert_eq!(gone(&plan), ["other", "theirs"]);
        assert!(matches!(why(&plan, "base"), Reason::Needed(_)));
    }
}

#[test]
fn where_buildkit_would_forget_what_is_needed_nothing_goes() {
    let base = |description: &str| Record {
        description: description.to_owned(),
        ..layer("base", &[], 40 * DAY)
    };
    let records = |base: Record| {
        let needed = Record {
            shared: true,
            ..layer("needed", &["base"], 30 * DAY)
        };
        vec![base, needed, layer("other", &[], 30 * DAY)]
    };
    let guard = Guard {
        records: BTreeSet::from([id("needed")]),
        ..Guard::default()
    };
    let insisting = Policy {
        insist: true,
        ..policy()
    };
    for (base, policy, expected) in [
        (base("pulled from python:3"), policy(), vec!["other"]),
        (base(""), insisting, vec!["other"]),
        (base(""), policy(), vec![]),
    ] {
        let snapshot = snapshot(records(base));
        let plan = plan(&snapshot, &policy, &guard, &Costs::default(), NOW);
        assert_eq!(gone(&plan), expected);
        if expected.is_empty() {
            assert_eq!(why(&plan, "other"), Reason::Forgetful);
        }
    }
}

#[test]
fn where_the_history_was_lost_nothing_of_that_time_goes() {
    let snapshot = snapshot(vec![
        layer("before", &[], 30 * DAY),
        layer("then", &[], 10 * DAY),
        layer("since", &[], 2 * DAY),
    ]);
    let guard = Guard {
        lost: Some(NOW - 20 * DAY..=NOW - 5 * DAY),
        ..Guard::default()
    };
    let plan = plan(&snapshot, &policy(), &guard, &Costs::default(), NOW);
    assert_eq!(gone(&plan), ["before", "since"]);
    assert_eq!(why(&plan, "then"), Reason::Lost);
}

#[test]
fn the_floor_is_left_and_something_smaller_may_fit() {
    let snapshot = snapshot(vec![
        Record {
            bytes: 100,
            ..layer("large", &[], 30 * DAY)
        },
        layer("small", &[], 20 * DAY),
    ]);
    let floor = Policy {
        floor: 100,
        ..policy()
    };
    let plan = decide(&snapshot, &floor);
    assert_eq!(gone(&plan), ["small"]);
    assert_eq!(why(&plan, "large"), Reason::Floor(100));
}

#[test]
fn a_cap_counts_all_caches_and_free_space_only_those_on_the_disk() {
    let mut snapshot = snapshot(vec![layer("here", &[], 10 * DAY)]);
    snapshot.caches.push(Cache {
        builder: "tcp://far:1234".to_owned(),
        on_disk: false,
        records: vec![layer("far", &[], 20 * DAY)],
    });
    assert_eq!(gone(&decide(&snapshot, &free(5))), ["here"]);
    let cap = Policy {
        goal: Goal {
            cache: Some(15),
            ..Goal::default()
        },
        ..policy()
    };
    assert_eq!(gone(&decide(&snapshot, &cap)), ["far"]);
    let both = Policy {
        goal: Goal {
            cache: Some(15),
            free: Some(10),
            everything: false,
        },
        ..policy()
    };
    assert_eq!(gone(&decide(&snapshot, &both)), ["far", "here"]);
    snapshot.disk = None;
    let plan = decide(&snapshot, &free(5));
    assert_eq!((gone(&plan), plan.missing), (vec![], 0));
}

#[test]
fn what_is_missing_in_the_end_is_said() {
    let snapshot = snapshot(vec![layer("old", &[], 10 * DAY), layer("young", &[], HOUR)]);
    let plan = decide(&snapshot, &free(50));
    assert_eq!(
        (gone(&plan), plan.bytes(), plan.missing),
        (vec!["old".to_owned()], 10, 40)
    );
}

#[test]
fn a_listing_that_makes_no_sense_ends_all_the_same() {
    let looped = vec![
        layer("a", &["b"], 10 * DAY),
        layer("b", &["a"], 20 * DAY),
        layer("c", &["c", "gone", "gone"], 20 * DAY),
        layer("twin", &[], 20 * DAY),
        layer("twin", &[], HOUR),
    ];
    let plan = decide(&snapshot(looped), &policy());
    assert_eq!(gone(&plan), [""; 0]);
    let huge = Record {
        bytes: u64::MAX,
        used_ns: Some(i64::MIN),
        created_ns: Some(i64::MAX),
        ..layer("huge", &[], 0)
    };
    decide(
        &snapshot(vec![
            huge.clone(),
            Record {
                id: id("more"),
                ..huge
            },
        ]),
        &free(u64::MAX),
    );
}
