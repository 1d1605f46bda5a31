//! Results and errors.

use insta::assert_snapshot;
use serde_json::Value;

use super::*;
use crate::record::{Lead, NewWarm, Outcome, Push, State, WarmId};

fn target(outcome: Verdict) -> TargetSummary {
    TargetSummary {
        label: "builder".to_owned(),
        target: "builder".to_owned(),
        platform: Some("linux/amd64".to_owned()),
        outcome,
        steps_total: 5,
        steps_cached: 3,
        steps_run: 2,
        steps_salvaged: 0,
        bytes_exported: 12_400_000,
        duration: Duration::from_secs(72),
        source: "commit 1a2b3c4".to_owned(),
        key: Some("0123456789abcdef".to_owned()),
        tags: vec![
            "ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567".to_owned(),
            "ghcr.io/acme/app:builder-cache-feature-x".to_owned(),
        ],
        ci: CiVerdict::WillHit,
        reason: "requirements.txt changed".to_owned(),
        notes: vec!["[builder 4/5]: the contents of its cache mount are not warmed".to_owned()],
    }
}

fn already_warm() -> TargetSummary {
    TargetSummary {
        steps_total: 0,
        steps_cached: 0,
        steps_run: 0,
        bytes_exported: 0,
        reason: "no input changed since 2 h ago".to_owned(),
        notes: vec![],
        ..target(Verdict::AlreadyWarm)
    }
}

fn shown(mode: Mode, targets: Vec<TargetSummary>) -> String {
    let captured = capture(mode);
    captured
        .ui
        .summary(&Summary { targets })
        .expect("it is written to memory");
    assert_eq!(captured.stderr.text(), "");
    captured.stdout.text()
}

#[test]
fn a_warm_target() {
    assert_snapshot!(shown(Mode::Plain, vec![target(Verdict::Warm)]), @r"
    builder linux/amd64: warm, CI will hit
      source   commit 1a2b3c4
      why      requirements.txt changed
      steps    5: 3 cached, 2 run in 1m 12s
      cache    12.4 MB exported
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
      note     [builder 4/5]: the contents of its cache mount are not warmed
    ");
}

#[test]
fn a_target_that_was_warm_already() {
    assert_snapshot!(shown(Mode::Plain, vec![already_warm()]), @r"
    builder linux/amd64: already warm, CI will hit
      source   commit 1a2b3c4
      why      no input changed since 2 h ago
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
    ");
}

#[test]
fn a_target_that_would_be_warmed() {
    let dry = TargetSummary {
        tags: vec![],
        notes: vec![],
        ..already_warm()
    };
    let dry = TargetSummary {
        outcome: Verdict::WouldWarm,
        reason: "base image python:3.11-slim moved".to_owned(),
        ..dry
    };
    assert_snapshot!(shown(Mode::Plain, vec![dry]), @r"
    builder linux/amd64: would be warmed
      source   commit 1a2b3c4
      why      base image python:3.11-slim moved
    ");
}

#[test]
fn a_warm_target_that_ci_may_miss() {
    let ci = CiVerdict::NotAssured {
        reason: "built with BuildKit 0.13.2, CI runs another".to_owned(),
        steps_at_risk: vec![
            "[builder 2/5] COPY *.txt .".to_owned(),
            "[builder 4/5] RUN --mount=type=cache…".to_owned(),
        ],
    };
    assert_snapshot!(shown(Mode::Plain, vec![TargetSummary { ci, ..target(Verdict::Warm) }]), @r"
    builder linux/amd64: warm, CI hits are not assured
      source   commit 1a2b3c4
      why      requirements.txt changed
      steps    5: 3 cached, 2 run in 1m 12s
      cache    12.4 MB exported
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
      ci       built with BuildKit 0.13.2, CI runs another
      at risk  [builder 2/5] COPY *.txt .
               [builder 4/5] RUN --mount=type=cache…
      note     [builder 4/5]: the contents of its cache mount are not warmed
    ");
}

#[test]
fn several_targets_that_ended_in_different_ways() {
    let miss = |reason: &str| CiVerdict::WillNotHit {
        reason: reason.to_owned(),
    };
    let salvaged = TargetSummary {
        target: "final".to_owned(),
        platform: None,
        steps_run: 1,
        steps_cached: 2,
        steps_salvaged: 3,
        reason: "[final 5/6] RUN make failed: exit code: 2\nmake: *** [all] Error 2".to_owned(),
        ci: miss("the step that failed here fails there"),
        ..target(Verdict::Salvaged)
    };
    let not_pushed = TargetSummary {
        target: "deps".to_owned(),
        tags: vec![],
        bytes_exported: 0,
        reason: "evil\x1b[2J \u{202e}name changed".to_owned(),
        ci: miss("ghcr.io refused the push: denied"),
        ..target(Verdict::NotPushed)
    };
    let targets = vec![already_warm(), salvaged, not_pushed, already_warm()];
    assert_snapshot!(shown(Mode::Plain, targets), @r"
    4 targets: 2 already warm, 1 salvaged, 1 warm here, not pushed
    builder linux/amd64: already warm, CI will hit
      source   commit 1a2b3c4
      why      no input changed since 2 h ago
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
    final: salvaged, CI will not hit
      source   commit 1a2b3c4
      why      [final 5/6] RUN make failed: exit code: 2
               make: *** [all] Error 2
      steps    5: 2 cached, 1 run, 3 salvaged in 1m 12s
      cache    12.4 MB exported
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
      ci       the step that failed here fails there
      note     [builder 4/5]: the contents of its cache mount are not warmed
    deps linux/amd64: warm here, not pushed, CI will not hit
      source   commit 1a2b3c4
      why      evil �name changed
      steps    5: 3 cached, 2 run in 1m 12s
      ci       ghcr.io refused the push: denied
      note     [builder 4/5]: the contents of its cache mount are not warmed
    builder linux/amd64: already warm, CI will hit
      source   commit 1a2b3c4
      why      no input changed since 2 h ago
      tags     ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567
               ghcr.io/acme/app:builder-cache-feature-x
    ");
}

#[test]
fn a_summary_in_json() {
    let ci = CiVerdict::NotAssured {
        reason: "another BuildKit".to_owned(),
        steps_at_risk: vec!["[2/5] COPY".to_owned()],
    };
    let text = shown(
        Mode::Json,
        vec![TargetSummary {
            ci,
            ..target(Verdict::LocalOnly)
        }],
    );
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_snapshot!(format!("{document:#}"), @r#"
    {
      "targets": [
        {
          "bytes_exported": 12400000,
          "ci": {
            "reason": "another BuildKit",
            "steps_at_risk": [
              "[2/5] COPY"
            ],
            "verdict": "not-assured"
          },
          "duration_ms": 72000,
          "key": "0123456789abcdef",
          "notes": [
            "[builder 4/5]: the contents of its cache mount are not warmed"
          ],
          "outcome": "local-only",
          "platform": "linux/amd64",
          "reason": "requirements.txt changed",
          "source": "commit 1a2b3c4",
          "steps_cached": 3,
          "steps_run": 2,
          "steps_salvaged": 0,
          "steps_total": 5,
          "tags": [
            "ghcr.io/acme/app:builder-cache-k-0123456789abcdef01234567",
            "ghcr.io/acme/app:builder-cache-feature-x"
          ],
          "target": "builder"
        }
      ]
    }
    "#);
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn every_outcome_of_a_record_reads_the_same_in_a_summary() {
    for outcome in [
        Outcome::Warm,
        Outcome::AlreadyWarm,
        Outcome::Salvaged,
        Outcome::Failed,
        Outcome::NotPushed,
        Outcome::LocalOnly,
        Outcome::Cancelled,
    ] {
        assert_eq!(
            serde_json::to_value(Verdict::from(outcome)).expect("a name"),
            outcome.name()
        );
    }
}

#[test]
fn colors_mark_verdicts_and_nothing_else_changes() {
    let summary = Summary {
        targets: vec![target(Verdict::Warm), target(Verdict::Failed)],
    };
    let painted = summary::human(&summary, Paint { color: true });
    assert!(painted.contains("\x1b[32mwarm\x1b[0m"), "{painted:?}");
    assert!(painted.contains("\x1b[31mfailed\x1b[0m"), "{painted:?}");
    assert_eq!(
        console::strip_ansi_codes(&painted),
        summary::human(&summary, Paint { color: false })
    );
}

fn row(repository: &str, state: State) -> HistoryRow {
    HistoryRow {
        id: WarmId(7),
        warm: NewWarm {
            repository: repository.to_owned(),
            target: "builder".to_owned(),
            platform: "linux/amd64".to_owned(),
            commit: Some("1a2b3c4d5e6f".to_owned()),
            tree: "9f8e7d6".to_owned(),
            source: "HEAD".to_owned(),
            key: Some("k".to_owned()),
            recipe: "r".to_owned(),
            cache: Some("ghcr.io/acme/app".to_owned()),
            branch: Some("feature/x".to_owned()),
            builder: "container:1".to_owned(),
            buildkit: "0.25.1".to_owned(),
            started_at: 1_000_000,
        },
        state,
        finished_at: Some(1_072_000),
        steps_total: 5,
        steps_cached: 3,
        exported_bytes: 12_400_000,
        cache_digest: Some("sha256:abc".to_owned()),
        references: vec![
            "ghcr.io/acme/app:builder-cache-k-01".to_owned(),
            "ghcr.io/acme/app:builder-cache-feature-x".to_owned(),
        ],
        error: None,
    }
}

#[test]
fn the_history_is_a_table() {
    let begun = |state, source: &str| {
        let mut begun = HistoryRow {
            finished_at: None,
            steps_total: 0,
            steps_cached: 0,
            exported_bytes: 0,
            references: vec![],
            ..row("/home/a/web", state)
        };
        begun.warm.commit = None;
        begun.warm.source = source.to_owned();
        begun
    };
    let mut arm = row("/srv/b/app", State::Finished(Outcome::Failed));
    arm.warm.platform = "linux/arm64".to_owned();
    let rows = [
        begun(State::Running, "worktree"),
        begun(State::Interrupted, "sta\x1b[2Jged"),
        row("/home/a/app", State::Finished(Outcome::Warm)),
        row("/srv/b/app", State::Finished(Outcome::AlreadyWarm)),
        arm,
    ];
    let mut pushed = row("/home/a/app", State::Finished(Outcome::Warm));
    pushed.id = WarmId(77);
    let lead = Lead {
        push: Push {
            repository: "/home/a/app".to_owned(),
            branch: Some("feature/x".to_owned()),
            commit: "1a2b3c4d5e6f".to_owned(),
            at: 1_172_000,
        },
        target: "builder".to_owned(),
        platform: "linux/amd64".to_owned(),
        warm: Some(WarmId(77)),
        lead_ms: Some(100_000),
    };
    let rows: Vec<_> = rows.into_iter().chain([pushed]).collect();
    let captured = capture(Mode::Plain);
    captured
        .ui
        .history(&rows, &[lead], 1_000_000 + 7_200_000)
        .expect("it is written to memory");
    assert_snapshot!(captured.stdout.text(), @r"
    WHEN     TARGET                          OUTCOME       COMMIT    STEPS            EXPORTED  TIME    LEAD    TAGS
    2 h ago  web/builder                     running       worktree
    2 h ago  web/builder                     interrupted   staged
    2 h ago  /home/a/app/builder             warm          1a2b3c4   3 cached, 2 run  12.4 MB   1m 12s          builder-cache-feature-x (+1)
    2 h ago  /srv/b/app/builder linux/amd64  already-warm  1a2b3c4   3 cached, 2 run  12.4 MB   1m 12s          builder-cache-feature-x (+1)
    2 h ago  /srv/b/app/builder linux/arm64  failed        1a2b3c4   3 cached, 2 run  12.4 MB   1m 12s          builder-cache-feature-x (+1)
    2 h ago  /home/a/app/builder             warm          1a2b3c4   3 cached, 2 run  12.4 MB   1m 12s  1m 40s  builder-cache-feature-x (+1)
    ");
}

#[test]
fn an_empty_history_says_so() {
    let captured = capture(Mode::Plain);
    captured
        .ui
        .history(&[], &[], 0)
        .expect("it is written to memory");
    assert_snapshot!(captured.stdout.text(), @"nothing was warmed yet");
}

#[test]
fn the_history_in_json() {
    let captured = capture(Mode::Json);
    captured
        .ui
        .history(
            &[row("/home/a/app", State::Finished(Outcome::Warm))],
            &[],
            0,
        )
        .expect("it is written to memory");
    let document: Value = serde_json::from_str(&captured.stdout.text()).expect("it is JSON");
    assert_snapshot!(format!("{document:#}"), @r#"
    {
      "pushes": [],
      "warms": [
        {
          "branch": "feature/x",
          "builder": "container:1",
          "buildkit": "0.25.1",
          "cache": "ghcr.io/acme/app",
          "cache_digest": "sha256:abc",
          "commit": "1a2b3c4d5e6f",
          "error": null,
          "exported_bytes": 12400000,
          "finished_at": 1072000,
          "id": 7,
          "key": "k",
          "outcome": "warm",
          "platform": "linux/amd64",
          "recipe": "r",
          "references": [
            "ghcr.io/acme/app:builder-cache-k-01",
            "ghcr.io/acme/app:builder-cache-feature-x"
          ],
          "repository": "/home/a/app",
          "source": "HEAD",
          "started_at": 1000000,
          "state": "finished",
          "steps_cached": 3,
          "steps_total": 5,
          "target": "builder",
          "tree": "9f8e7d6"
        }
      ]
    }
    "#);
}

fn an_error() -> Error {
    let mut error = Error::new(
        Kind::NotPushed,
        "cannot push to ghcr.io/acme/app:x\nthe registry said\x1b[2J: denied",
    );
    error.causes = vec!["connection reset".to_owned()];
    error
        .hint("log in with `docker login ghcr.io`")
        .hint("or warm without pushing: --no-push")
}

#[test]
fn an_error_says_what_failed_why_and_what_to_do() {
    let captured = capture(Mode::Plain);
    captured.ui.error(&an_error());
    assert_snapshot!(captured.stderr.text(), @r"
    error: cannot push to ghcr.io/acme/app:x
        the registry said: denied
      because connection reset
    hint: log in with `docker login ghcr.io`
    hint: or warm without pushing: --no-push
    ");
    assert_eq!(captured.stdout.text(), "");
}

#[test]
fn an_error_in_json() {
    let captured = capture(Mode::Json);
    captured.ui.error(&an_error());
    assert_snapshot!(captured.stderr.text(), @r#"{"error":{"causes":["connection reset"],"hints":["log in with `docker login ghcr.io`","or warm without pushing: --no-push"],"kind":"not-pushed","message":"cannot push to ghcr.io/acme/app:x\nthe registry said\u001b[2J: denied"}}"#);
}
