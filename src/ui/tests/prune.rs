//! What a prune shows.

use super::*;
use crate::prune::execute::{Ended, Report};
use crate::prune::plan::{Deletion, Item, Kept};
use crate::prune::policy::Thresholds;
use crate::prune::reason::{Reason, Rule};
use crate::prune::usage::{Cache, Disk, Kind, Snapshot};
use crate::record::PruneId;

const GB: u64 = 1_000_000_000;
const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_700_000_000_000;

fn item(name: &str, description: &str, bytes: u64, hours: i64) -> Item {
    Item {
        builder: "engine".to_owned(),
        name: format!("{name:0<25}"),
        description: description.to_owned(),
        kind: Some(Kind::Regular),
        bytes,
        used: Some(NOW - hours * HOUR),
    }
}

fn plan() -> crate::prune::plan::Plan {
    let goes = |item: Item, rule: Rule| Deletion { item, rule };
    let stays = |item: Item, reason: Reason| Kept { item, reason };
    let young = |age: i64| Reason::Young {
        age_ms: age * HOUR,
        least_ms: 24 * HOUR,
    };
    crate::prune::plan::Plan {
        deletions: vec![
            goes(
                item("ctx", "local source for context", GB / 10, 30),
                Rule::LocalSource,
            ),
            goes(
                item(
                    "pip",
                    "mount / from exec /bin/sh -c pip install \u{1b}[31m-r requirements.txt && rm -rf /root/.cache /tmp/*",
                    2 * GB,
                    24 * 12,
                ),
                Rule::LeastRecentlyUsed,
            ),
        ],
        kept: vec![
            stays(
                item("dep", "RUN apt-get install", 3 * GB, 50),
                Reason::Needed("app/builder of main, warmed 3 h ago".to_owned()),
            ),
            stays(item("you", "COPY . .", GB, 2), young(2)),
            stays(item("ng", "COPY . .", GB, 3), young(3)),
        ],
        missing: 0,
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        caches: vec![Cache {
            builder: "engine".to_owned(),
            on_disk: true,
            records: Vec::new(),
        }],
        images: Vec::new(),
        disk: Some(Disk {
            path: "/var/lib/docker".to_owned(),
            total: 100 * GB,
            free: 18 * GB,
        }),
    }
}

fn shown(report: Option<&Report>) -> String {
    let captured = capture(Mode::Plain);
    let (plan, snapshot) = (plan(), snapshot());
    let pruning = Pruning {
        plan: &plan,
        id: "3f2a9c0d1e4b".to_owned(),
        kept: Some("3f2a9c0d1e4b"),
        snapshot: &snapshot,
        unknown: None,
        thresholds: Some(Thresholds {
            start: 20 * GB,
            until: 26 * GB,
        }),
        wanted: None,
        notes: &[],
        executes: false,
        report,
        now: NOW,
    };
    captured.ui.prune(&pruning).expect("it takes everything");
    captured.stdout.text()
}

#[test]
fn a_plan_says_what_would_go_what_stays_and_how_to_do_it() {
    insta::assert_snapshot!(shown(None), @r"
    SIZE      LAST USED    WHY                  ID            WHAT
    100.0 MB  1 day ago    a build's context    ctx000000000  local source for context
    2.0 GB    12 days ago  least recently used  pip000000000  pip install -r requirements.txt && rm -rf /root/.cache /tmp…

    Stays: 5.0 GB
      3.0 GB  1 item   needed by app/builder of main, warmed 3 h ago
      2.0 GB  2 items  used in the last 1d
    /var/lib/docker: 18.0 GB free of 100.0 GB; pruned below 20.0 GB, up to 26.0 GB
    Would delete 2 items, 2.1 GB
    `prewarm prune --plan 3f2a9c0d1e4b` deletes exactly this, within a minute; the same command with --yes plans anew and deletes.
    ");
}

#[test]
fn nothing_to_do_says_how_to_ask_for_more() {
    let none = crate::prune::plan::Plan {
        deletions: Vec::new(),
        kept: Vec::new(),
        missing: 0,
    };
    let missing = crate::prune::plan::Plan {
        missing: 5 * GB,
        ..none.clone()
    };
    let notes = ["the BuildKit container does not run, so its cache is not looked at".to_owned()];
    let snapshot = Snapshot {
        disk: None,
        ..snapshot()
    };
    let unknown = Pruning {
        plan: &missing,
        id: String::new(),
        kept: None,
        snapshot: &snapshot,
        unknown: Some("/var/lib/docker is not on this machine"),
        thresholds: None,
        wanted: None,
        notes: &notes,
        executes: false,
        report: None,
        now: NOW,
    };
    let captured = capture(Mode::Plain);
    captured.ui.prune(&unknown).expect("it takes everything");
    let known = Pruning {
        plan: &none,
        ..unknown
    };
    captured.ui.prune(&known).expect("it takes everything");
    insta::assert_snapshot!(captured.stdout.text(), @r"
    What is free is not known: /var/lib/docker is not on this machine
    note: the BuildKit container does not run, so its cache is not looked at
    Nothing may go.
    5.0 GB more would have to go than may; `prewarm prune --help` has what lets more go
    What is free is not known: /var/lib/docker is not on this machine
    note: the BuildKit container does not run, so its cache is not looked at
    Nothing needs to go; --free, --max-cache or --keep-newer-than ask for more.
    ");
}

#[test]
fn what_was_done_is_told_in_three_numbers() {
    let report = Report {
        ended: Ended::Stopped,
        planned: 2 * GB,
        reported: GB,
        measured: Some(-5),
        items: 1,
        stayed: 1,
        unjournalled: Some("the disk is full".to_owned()),
    };
    insta::assert_snapshot!(shown(Some(&report)), @r"
    1 item deleted: planned 2.0 GB, reported 1.0 GB, measured 5 B less free (others write to that disk, too)
    1 item stayed: in use, or used so recently that BuildKit keeps them
    Stopped before everything was done.
    The journal lacks some of it: the disk is full
    ");
}

#[test]
fn an_explanation_says_what_it_is_and_why() {
    let captured = capture(Mode::Plain);
    let plan = plan();
    let gone = Deleted {
        builder: "engine".to_owned(),
        item: "gone".to_owned(),
        description: "RUN make".to_owned(),
        kind: "regular".to_owned(),
        bytes: GB,
        used_at: None,
        rule: "least recently used".to_owned(),
        at: NOW - HOUR,
    };
    let found = [plan.find("dep0000"), plan.find("pip0000")].concat();
    captured
        .ui
        .prune_explained(&found, Some(&gone), NOW)
        .expect("it takes everything");
    insta::assert_snapshot!(captured.stdout.text(), @r"
    dep0000000000000000000000  stays: needed by app/builder of main, warmed 3 h ago
      regular in engine, 3.0 GB, last used 2 days ago
      RUN apt-get install
    pip0000000000000000000000  would go now: least recently used
      regular in engine, 2.0 GB, last used 12 days ago
      mount / from exec /bin/sh -c pip install -r requirements.txt && rm -rf /root/.cache /tmp/*
    gone  was deleted 1 h ago: least recently used
      regular in engine, 1.0 GB, last used unknown
      RUN make
    ");
    assert!(plan.find("dep").is_empty(), "too short to tell it apart");
    let row = PruneRow {
        id: PruneId(1),
        started_at: NOW - HOUR,
        ended_at: Some(NOW),
        reason: "too little was free".to_owned(),
        planned: 2 * GB,
        reported: Some(GB),
        measured: None,
        items: 1,
    };
    let captured = capture(Mode::Plain);
    captured
        .ui
        .prune_history(&[(row, vec![gone])], false, NOW)
        .expect("it takes everything");
    captured
        .ui
        .prune_history(&[], false, NOW)
        .expect("it takes everything");
    insta::assert_snapshot!(captured.stdout.text(), @r"
    1 h ago: 1 item, 1.0 GB of 2.0 GB; too little was free
    SIZE    LAST USED  WHY                  ID    WHAT
    1.0 GB  unknown    least recently used  gone  RUN make
    nothing was pruned in the last 30 days
    ");
}
