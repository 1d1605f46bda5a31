//! What people see of the daemon.

use insta::assert_snapshot;

use super::*;
use crate::daemon::state::View;
use crate::daemon::status::{
    BuildStatus, Mode as DaemonMode, Phase, Problem, Status, TargetStatus, TreeStatus, ViewStatus,
};
use crate::prune::checked::{CacheUse, Checked, DiskUse, Holder, LastPrune, State};
use crate::record::{Lead, Push, WarmId};

const NOW: i64 = 1_000_000_000;

fn view(view: View, phase: Phase, targets: Vec<TargetStatus>) -> ViewStatus {
    ViewStatus {
        view,
        phase,
        retry_seconds: None,
        branch: Some("topic".to_owned()).filter(|_| view == View::Head),
        targets,
        errors: vec![],
        warnings: vec![],
    }
}

fn target(outcome: &str, reason: &str) -> TargetStatus {
    TargetStatus {
        target: "builder".to_owned(),
        outcome: Some(outcome.to_owned()),
        reason: reason.to_owned(),
        source: "commit 1a2b3c4".to_owned(),
        at: Some(NOW - 120_000),
        ..TargetStatus::default()
    }
}

fn tree(path: &str, views: Vec<ViewStatus>) -> TreeStatus {
    TreeStatus {
        path: path.into(),
        busy: None,
        changing: false,
        problems: vec![],
        views,
    }
}

fn shown(status: &Status, leads: &[Lead]) -> String {
    let captured = capture(Mode::Plain);
    captured
        .ui
        .status(status, leads, NOW)
        .expect("it is written to memory");
    captured.stdout.text()
}

#[test]
fn each_work_tree_says_what_needs_its_user() {
    let mut building = target("already-warm", "");
    building.build = Some(BuildStatus {
        message: "building".to_owned(),
        steps_done: 2,
        steps_total: 4,
        step: Some("[builder 3/4] RUN pip\x1b[2J install".to_owned()),
        since: NOW - 83_000,
    });
    let mut failing = view(
        View::Head,
        Phase::Idle,
        vec![target("failed", "RUN false: exit code 1")],
    );
    failing.retry_seconds = Some(240);
    let mut lost = view(View::Head, Phase::Queued, vec![]);
    lost.retry_seconds = Some(8);
    lost.errors = vec![Problem {
        message: "the Docker Engine does not answer".to_owned(),
        remedy: Some("start Docker".to_owned()),
    }];
    let mut rebasing = tree("/src/web", vec![lost]);
    rebasing.busy = Some("a rebase".to_owned());
    let status = Status {
        mode: DaemonMode::Paused,
        trees: vec![
            tree(
                "/src/app",
                vec![
                    view(
                        View::Head,
                        Phase::Idle,
                        vec![target("already-warm", "nothing has changed")],
                    ),
                    view(View::Worktree, Phase::Building, vec![building]),
                ],
            ),
            tree(
                "/src/fork",
                vec![view(
                    View::Head,
                    Phase::Idle,
                    vec![target("needs-approval", "the Dockerfile differs")],
                )],
            ),
            tree("/src/new", vec![view(View::Head, Phase::Looking, vec![])]),
            tree("/src/red", vec![failing]),
            rebasing,
        ],
        ..Status::default()
    };
    let lead = Lead {
        push: Push {
            repository: "/src/app".to_owned(),
            branch: Some("topic".to_owned()),
            commit: "1a2b3c4".to_owned(),
            at: NOW - 60_000,
        },
        target: "builder".to_owned(),
        platform: "linux/amd64".to_owned(),
        warm: Some(WarmId(1)),
        lead_ms: Some(34_000),
    };
    assert_snapshot!(shown(&status, &[lead]), @r"
    paused: no builds are started; `prewarm resume` goes on
    /src/app
      HEAD (topic)
        builder  already warm: commit 1a2b3c4, 2 min ago
          last push 1 min ago: the cache was ready 34.0 s before
      work tree
        builder  [##########----------] 2/4 1m 23s  [builder 3/4] RUN pip install
        builder  before: already warm: commit 1a2b3c4, 2 min ago
    /src/fork
      HEAD (topic)
        builder  needs approval: commit 1a2b3c4, 2 min ago
          the Dockerfile differs
          hint: `prewarm allow /src/fork` shows what differs, and asks
    /src/new
      HEAD (topic), looking
    /src/red
      HEAD (topic), next try in 4m 00s
        builder  failed: commit 1a2b3c4, 2 min ago
          RUN false: exit code 1
    /src/web
      waits for the end of a rebase
      HEAD (topic), next try in 8.0 s
        problem: the Docker Engine does not answer
        hint: start Docker
    ");
}

#[test]
fn nothing_allowed_and_no_daemon_come_with_the_next_command() {
    assert_snapshot!(shown(&Status::default(), &[]), @"no repository is allowed yet; `prewarm allow` in one begins");
    let none = Status {
        problems: vec![Problem {
            message: "the daemon does not run".to_owned(),
            remedy: Some("start it".to_owned()),
        }],
        ..Status::default()
    };
    assert_snapshot!(shown(&none, &[]), @r"
    problem: the daemon does not run
    hint: start it
    ");
}

const GB: u64 = 1_000_000_000;

fn checked(state: State, reason: Option<&str>) -> Checked {
    let cache = |builder: &str, bytes| CacheUse {
        builder: builder.to_owned(),
        records: 400,
        bytes,
        prunable_bytes: bytes / 4,
    };
    Checked {
        at: NOW - 180_000,
        state,
        reason: reason.map(str::to_owned),
        disk: Some(DiskUse {
            path: "/var/lib/docker".to_owned(),
            total: 500 * GB,
            free: 210 * GB,
            start: 75 * GB,
            until: 100 * GB,
        }),
        caches: vec![
            cache("container moby/buildkit:buildx-stable-1", 32 * GB),
            cache("engine", 8 * GB),
        ],
        max_cache: None,
        last: None,
        holders: vec![],
    }
}

fn disk(checked: Checked) -> String {
    let status = Status {
        trees: vec![tree("/src/app", vec![])],
        disk: Some(checked),
        ..Status::default()
    };
    shown(&status, &[])
}

#[test]
fn a_disk_with_room_is_two_lines() {
    assert_snapshot!(disk(checked(State::Enough, None)), @r"
    /src/app
    disk  210.0 GB free of 500.0 GB (/var/lib/docker), 3 min ago; pruned below 75.0 GB, up to 100.0 GB
      caches 40.0 GB, 10.0 GB may go
    ");
    let pruned = Checked {
        max_cache: Some(50 * GB),
        last: Some(LastPrune {
            at: NOW - 7_200_000,
            items: 132,
            planned: 12 * GB,
            reported: 11 * GB,
            measured: Some(9_500_000_000),
        }),
        ..checked(State::Pruned, None)
    };
    assert_snapshot!(disk(pruned), @r"
    /src/app
    disk  210.0 GB free of 500.0 GB (/var/lib/docker), 3 min ago; pruned below 75.0 GB, up to 100.0 GB
      caches 40.0 GB of at most 50.0 GB, 10.0 GB may go; last pruned 2 h ago: 132 items, planned 12.0 GB, reported 11.0 GB, measured 9.5 GB
    ");
}

#[test]
fn a_disk_that_stays_full_comes_with_what_holds_it() {
    let holder = |what: &str, bytes, by: &str| Holder {
        what: what.to_owned(),
        bytes,
        by: by.to_owned(),
    };
    let short = Checked {
        last: Some(LastPrune {
            at: NOW - 1_000,
            items: 1,
            planned: GB,
            reported: GB,
            measured: Some(-2_000_000),
        }),
        holders: vec![
            holder(
                "[builder 3/4] RUN pip\x1b[2J install",
                12 * GB,
                "branch main of /src/app",
            ),
            holder("app:latest", 900_000_000, "container web"),
        ],
        ..checked(State::Short, Some("what is left is needed"))
    };
    assert_snapshot!(disk(short), @r"
    /src/app
    disk  210.0 GB free of 500.0 GB (/var/lib/docker), 3 min ago; pruned below 75.0 GB, up to 100.0 GB
      caches 40.0 GB, 10.0 GB may go; last pruned just now: 1 item, planned 1.0 GB, reported 1.0 GB, measured 2.0 MB less free
      nothing more may go: what is left is needed
         12.0 GB  [builder 3/4] RUN pip install: branch main of /src/app
        900.0 MB  app:latest: container web
      hint: `prewarm prune` shows what stays and why, and takes other limits; `docker system df` shows what else the Engine keeps
    ");
}

#[test]
fn what_keeps_the_disk_from_being_pruned_is_told() {
    let last_lines =
        |checked: Checked| disk(checked).lines().skip(3).collect::<Vec<_>>().join("\n");
    assert_snapshot!(last_lines(checked(State::Waiting, Some("a build runs"))), @"  pruning waits: a build runs");
    assert_snapshot!(last_lines(checked(State::Failed, Some("the pins cannot be read"))), @r"
      pruning failed: the pins cannot be read
      hint: `prewarm prune` tries it, and tells more
    ");
    let unknown = Checked {
        disk: None,
        caches: vec![],
        ..checked(
            State::Unknown,
            Some("/var/lib/docker is not on this machine"),
        )
    };
    assert_snapshot!(disk(unknown), @r"
    /src/app
    disk  free space unknown, 3 min ago
      not pruned: /var/lib/docker is not on this machine
      hint: `max_cache` under `[prune]` in your configuration limits what caches take
    ");
}
