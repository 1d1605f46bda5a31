//! What people see of the daemon.

use insta::assert_snapshot;

use super::*;
use crate::daemon::state::View;
use crate::daemon::status::{
    BuildStatus, Mode as DaemonMode, Phase, Problem, Status, TargetStatus, TreeStatus, ViewStatus,
};
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
