//! The daemon's status for people: what needs them first, one block per work tree.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::disk;
use super::paint::Paint;
use super::text::{ago, clean, duration};
use crate::daemon::state::View;
use crate::daemon::status::{
    BuildStatus, Mode, Phase, Problem, Status, TargetStatus, TreeStatus, ViewStatus,
};
use crate::record::Lead;

/// Characters of a bar.
const BAR: usize = 20;

/// The status as text; `now` in Unix milliseconds.
pub(super) fn human(status: &Status, leads: &[Lead], now: i64, paint: Paint) -> String {
    let mut text = String::new();
    match status.mode {
        // That there is none is told as a problem.
        Mode::Running | Mode::Absent => {}
        Mode::Paused => add(
            &mut text,
            &paint.doubtful("paused"),
            &paused(status.paused_seconds),
        ),
        Mode::Stopping => add(
            &mut text,
            &paint.doubtful("stopping"),
            "the daemon ends when its builds have",
        ),
    }
    for problem in &status.problems {
        tell(&mut text, "", problem, paint);
    }
    if status.trees.is_empty() && status.problems.is_empty() {
        text.push_str("no repository is allowed yet; `prewarm allow` in one begins\n");
    }
    for tree in &status.trees {
        block(&mut text, tree, leads, now, paint);
    }
    if let Some(checked) = &status.disk {
        text.push_str(&disk::human(checked, now, paint));
    }
    text
}

/// What the last line of a pause says.
fn paused(seconds: Option<u64>) -> String {
    match seconds {
        Some(seconds) => {
            let time = duration(Duration::from_secs(seconds));
            format!("no builds are started for {time}; `prewarm resume` goes on at once")
        }
        None => "no builds are started; `prewarm resume` goes on".to_owned(),
    }
}

fn block(text: &mut String, tree: &TreeStatus, leads: &[Lead], now: i64, paint: Paint) {
    let path = clean(&tree.path.to_string_lossy());
    let _ = writeln!(text, "{}", paint.bold(&path));
    for problem in &tree.problems {
        tell(text, "  ", problem, paint);
    }
    if let Some(busy) = &tree.busy {
        let _ = writeln!(
            text,
            "  {} for the end of {}",
            paint.doubtful("waits"),
            clean(busy)
        );
    }
    let mut views = tree.views.iter();
    let Some(first) = views.next() else { return };
    view(text, &tree.path, first, leads, now, paint);
    for other in views {
        if is_as(other, first) {
            let _ = writeln!(text, "  {}  as HEAD", name(other));
        } else {
            view(text, &tree.path, other, leads, now, paint);
        }
    }
}

/// Whether a view needs its user for the same reasons as another: once is enough.
fn is_as(view: &ViewStatus, other: &ViewStatus) -> bool {
    let needs = |target: &TargetStatus| {
        let routine = target.outcome.as_deref().is_some_and(is_warm);
        (
            !routine,
            target.outcome.clone(),
            target.reason.clone(),
            target.build.clone(),
        )
    };
    let of = |view: &ViewStatus| view.targets.iter().map(needs).collect::<Vec<_>>();
    let told = view.targets.iter().any(|target| needs(target).0) || !view.errors.is_empty();
    told && view.phase == other.phase && (of(view), &view.errors) == (of(other), &other.errors)
}

fn name(view: &ViewStatus) -> String {
    match (view.view, &view.branch) {
        (View::Head, Some(branch)) => format!("HEAD ({})", clean(branch)),
        (View::Head, None) => "HEAD".to_owned(),
        (View::Worktree, _) => "work tree".to_owned(),
    }
}

fn view(text: &mut String, tree: &Path, view: &ViewStatus, leads: &[Lead], now: i64, paint: Paint) {
    let name = name(view);
    let phase = match (view.phase, view.retry_seconds) {
        (Phase::Idle | Phase::Queued, Some(0)) => ", tried again now".to_owned(),
        (Phase::Idle | Phase::Queued, Some(seconds)) => {
            let time = duration(Duration::from_secs(seconds));
            format!(", next try in {time}")
        }
        (Phase::Queued, None) => ", queued".to_owned(),
        (Phase::Looking, _) => ", looking".to_owned(),
        (Phase::Building | Phase::Idle, _) => String::new(),
    };
    if view.targets.is_empty() && view.errors.is_empty() && view.warnings.is_empty() {
        let said = if phase.is_empty() {
            ", not looked at yet".to_owned()
        } else {
            phase
        };
        let _ = writeln!(text, "  {name}{said}");
        return;
    }
    let _ = writeln!(text, "  {name}{phase}");
    let mut errors: Vec<&Problem> = view.errors.iter().collect();
    for target in &view.targets {
        let own = errors.iter().position(|error| {
            let first = error.message.lines().next();
            first.is_some_and(|line| !line.is_empty() && line == target.reason)
        });
        let error = own.map(|at| errors.remove(at));
        self::target(text, tree, target, error, now, paint);
        // What is not committed is not built by CI yet.
        if view.view == View::Head {
            doubt(text, target, paint);
            let of_branch = leads.iter().filter(|lead| lead.push.branch == view.branch);
            lead(text, tree, target, of_branch, now, paint);
        }
    }
    for error in errors {
        tell(text, "    ", error, paint);
    }
    for warning in &view.warnings {
        let problem = Problem {
            message: warning.clone(),
            remedy: None,
        };
        tell(text, "    ", &problem, paint);
    }
}

fn is_warm(outcome: &str) -> bool {
    matches!(outcome, "warm" | "already-warm")
}

/// An outcome in words; the JSON has it as it is.
fn words_of(outcome: &str) -> String {
    match outcome {
        "missing" => "not possible now".to_owned(),
        "local-only" => "warm on this machine only".to_owned(),
        "not-pushed" => "warm here, not pushed".to_owned(),
        "salvaged" => "failed, the steps before it are saved".to_owned(),
        outcome => clean(&outcome.replace('-', " ")),
    }
}

fn target(
    text: &mut String,
    tree: &Path,
    target: &TargetStatus,
    error: Option<&Problem>,
    now: i64,
    paint: Paint,
) {
    let name = clean(&target.target);
    if let Some(build) = &target.build {
        let _ = writeln!(text, "    {name}  {}", building(build, now, paint));
    }
    let Some(outcome) = &target.outcome else {
        return;
    };
    let words = words_of(outcome);
    let painted = match outcome.as_str() {
        "warm" | "already-warm" => paint.good(&words),
        "failed" | "salvaged" => paint.bad(&words),
        _ => paint.doubtful(&words),
    };
    let when = target
        .at
        .map_or(String::new(), |at| format!(", {}", ago(at, now)));
    let source = match target.source.as_str() {
        "" => String::new(),
        source => format!(": {}", clean(source)),
    };
    let before = if target.build.is_some() {
        "before: "
    } else {
        ""
    };
    let _ = writeln!(text, "    {name}  {before}{painted}{source}{when}");
    if is_warm(outcome) {
        return;
    }
    let message = error.map_or(target.reason.as_str(), |error| error.message.as_str());
    for line in message.lines() {
        let _ = writeln!(text, "      {}", clean(line));
    }
    let hint = paint.bold("hint:");
    if outcome == "needs-approval" {
        let path = clean(&tree.to_string_lossy());
        let _ = writeln!(
            text,
            "      {hint} `prewarm allow {path}` shows what differs, and asks"
        );
    } else if let Some(remedy) = error.and_then(|error| error.remedy.as_ref()) {
        let _ = writeln!(text, "      {hint} {}", clean(remedy));
    }
}

/// Why CI may not hit what is warm.
fn doubt(text: &mut String, target: &TargetStatus, paint: Paint) {
    let warm = target.outcome.as_deref().is_some_and(is_warm);
    let Some(ci) = target.ci.as_ref().filter(|_| warm) else {
        return;
    };
    let verdict = match ci.verdict.as_str() {
        "not-assured" => "hits are not assured",
        "will-not-hit" => "CI will not hit",
        _ => return,
    };
    let _ = writeln!(
        text,
        "      {}: {}",
        paint.doubtful(verdict),
        clean(&ci.reason)
    );
}

fn building(build: &BuildStatus, now: i64, paint: Paint) -> String {
    let filled = match build.steps_total {
        0 => 0,
        total => build.steps_done.min(total) * BAR / total,
    };
    let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled));
    let time = duration(Duration::from_millis(
        u64::try_from(now - build.since).unwrap_or(0),
    ));
    let what = build.step.as_ref().unwrap_or(&build.message);
    format!(
        "{} {}/{} {time}  {}",
        paint.good(&bar),
        build.steps_done,
        build.steps_total,
        clean(what)
    )
}

fn lead<'l>(
    text: &mut String,
    tree: &Path,
    target: &TargetStatus,
    mut leads: impl Iterator<Item = &'l Lead>,
    now: i64,
    paint: Paint,
) {
    let name = target.target.split(' ').next().unwrap_or_default();
    let path = tree.to_string_lossy();
    let last = leads.find(|lead| lead.push.repository == path && lead.target == name);
    if let Some(last) = last {
        let when = ago(last.push.at, now);
        let said = format!("last push {when}: {}", words(last));
        let _ = writeln!(text, "      {}", paint.dim(&said));
    }
}

/// A lead in words.
pub(super) fn words(lead: &Lead) -> String {
    match lead.lead_ms {
        None => "the cache was not ready".to_owned(),
        Some(ms) => {
            let time = duration(Duration::from_millis(ms.unsigned_abs()));
            if ms >= 0 {
                format!("the cache was ready {time} before")
            } else {
                format!("the cache came {time} later")
            }
        }
    }
}

fn tell(text: &mut String, indent: &str, problem: &Problem, paint: Paint) {
    let mut lines = problem.message.lines().map(clean);
    let first = lines.next().unwrap_or_default();
    let _ = writeln!(text, "{indent}{} {first}", paint.doubtful("problem:"));
    for line in lines {
        let _ = writeln!(text, "{indent}  {line}");
    }
    if let Some(remedy) = &problem.remedy {
        let _ = writeln!(text, "{indent}{} {}", paint.bold("hint:"), clean(remedy));
    }
}

fn add(text: &mut String, word: &str, message: &str) {
    let _ = writeln!(text, "{word}: {message}");
}
