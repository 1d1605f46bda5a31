//! `prewarm hook`: what git's hooks run beyond leaving word. Whatever happens, git goes on: nothing here is an error.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError};
use crate::config::{HookSettings, PrePush, load_user};
use crate::daemon::state::View;
use crate::daemon::status::{Phase, Status, TargetStatus, TreeStatus};
use crate::daemon::{self, oneshot};
use crate::protocol::Request;
use crate::ui::{Look, Surroundings, Ui};
use crate::world::World;

/// Whoever is only told does not wait longer for that.
const GLANCE: Duration = Duration::from_millis(1500);

/// How often the terminal shows that time passes.
const BEAT: Duration = Duration::from_millis(500);

pub(super) fn run(event: &str) {
    let Ok(world) = World::from_process() else {
        return;
    };
    let Ok(user) = load_user(&world.paths) else {
        return;
    };
    if world.variable("PREWARM_DISABLE").is_some() {
        return;
    }
    let hooks = &user.value.hooks;
    if !oneshot::is_needless(&world) {
        if hooks.standalone {
            standalone(&world, event);
        } else if user.value.prune.automatic && event != "pre-push" {
            look_after_disk(&world);
        }
    }
    if event == "pre-push" && hooks.pre_push != PrePush::Off {
        pre_push(&world, hooks);
    }
}

/// Starts a process that warms. For a push, only the process that is left behind goes on.
fn standalone(world: &World, event: &str) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    if event == "pre-push" {
        // What it has to say is said by this process, which must not be the one that leaves.
        let _ = std::process::Command::new(program)
            .args(["hook", "post-push"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        return;
    }
    if let Ok(true) = daemon::leave(world) {
        oneshot::run(world, &program);
    }
}

/// Starts a process that looks at the disk.
fn look_after_disk(world: &World) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    if let Ok(true) = daemon::leave(world) {
        oneshot::look(world, &program);
    }
}

fn pre_push(world: &World, hooks: &HookSettings) {
    let no_color = std::env::var("NO_COLOR").ok();
    let term = std::env::var("TERM").ok();
    let ui = Ui::stdio(Look::choose(&Surroundings {
        stderr_terminal: std::io::stderr().is_terminal(),
        no_color: no_color.as_deref(),
        term: term.as_deref(),
        ..Surroundings::default()
    }));
    let Ok(here) = std::env::current_dir().and_then(std::fs::canonicalize) else {
        return;
    };
    let limit = match hooks.pre_push {
        PrePush::Wait => hooks.wait,
        PrePush::Notify | PrePush::Off => GLANCE,
    };
    let said = match look(world, &here, limit, hooks.pre_push == PrePush::Wait, &ui) {
        Ok(said) => said,
        Err(ClientError::NotRunning) => {
            "the daemon does not run, so that nothing is known of the cache".to_owned()
        }
        // It is not allowed here: none of our business.
        Err(ClientError::Refused(_)) => return,
        Err(error) => error.to_string(),
    };
    ui.aside(&format!("prewarm: {said}"));
}

/// Has the daemon look at once, and waits for what it finds.
fn look(
    world: &World,
    here: &Path,
    limit: Duration,
    wait: bool,
    ui: &Ui,
) -> Result<String, ClientError> {
    let began = world.now_ms();
    let request = Request::Look {
        path: here.to_owned(),
    };
    Client::connect(&world.paths)?.ask(&request)?;
    let mut client = Client::connect(&world.paths)?;
    client.follow()?;
    let end = Instant::now() + limit;
    let mut last = String::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let status = client.next(left.min(BEAT).max(Duration::from_millis(1)))?;
        if let Some(tree) = status.as_ref().and_then(|status| of(status, here)) {
            match judge(tree, began) {
                Judged::Done(said) => return Ok(said),
                Judged::Goes(said) => {
                    if wait && said != last {
                        ui.aside(&format!("prewarm: {said}"));
                    }
                    last = said;
                }
            }
        }
        if Instant::now() >= end {
            let hint = if wait {
                ""
            } else {
                "; `pre_push = \"wait\"` in [hooks] of your configuration waits for it"
            };
            let last = if last.is_empty() {
                "the cache is being looked at".to_owned()
            } else {
                last
            };
            return Ok(format!("{last}; the push goes on{hint}"));
        }
    }
}

fn of<'s>(status: &'s Status, here: &Path) -> Option<&'s TreeStatus> {
    status
        .trees
        .iter()
        .find(|tree| here.starts_with(&tree.path))
}

enum Judged {
    Done(String),
    Goes(String),
}

/// Whether the cache of HEAD is there, as of a look since `began`.
fn judge(tree: &TreeStatus, began: i64) -> Judged {
    let Some(head) = tree.views.iter().find(|view| view.view == View::Head) else {
        return Judged::Done("nothing is warmed here".to_owned());
    };
    if let Some(target) = head
        .targets
        .iter()
        .find_map(|target| target.build.as_ref().map(|build| (target, build)))
    {
        let (target, build) = target;
        let what = build.step.as_ref().unwrap_or(&build.message);
        return Judged::Goes(format!(
            "{} is being built, {} of {} steps: {what}",
            target.target, build.steps_done, build.steps_total
        ));
    }
    let fresh = |at: Option<i64>| at.is_some_and(|at| at >= began);
    let looked =
        !head.targets.is_empty() && head.targets.iter().all(|target| fresh(target.looked_at));
    if head.phase != Phase::Idle || tree.changing || !looked && head.errors.is_empty() {
        return Judged::Goes("the cache is being looked at".to_owned());
    }
    if let Some(error) = head.errors.first().filter(|_| !looked) {
        return Judged::Done(format!("the cache is not ready: {}", error.message));
    }
    let doubtful = |target: &&TargetStatus| {
        let ci = target.ci.as_ref();
        ci.is_none_or(|ci| ci.verdict != "will-hit")
    };
    Judged::Done(match head.targets.iter().find(doubtful) {
        None => "the cache of HEAD is ready".to_owned(),
        Some(target) => unready(target),
    })
}

/// Why CI will not hit for sure.
fn unready(target: &TargetStatus) -> String {
    let name = &target.target;
    let outcome = target.outcome.as_deref().unwrap_or_default();
    let warm = matches!(outcome, "warm" | "already-warm");
    match &target.ci {
        Some(ci) if warm && ci.verdict == "not-assured" => {
            format!(
                "the cache of {name} is there, but hits are not assured: {}",
                ci.reason
            )
        }
        Some(ci) if warm || outcome == "local-only" => {
            format!("CI will not hit {name}: {}", ci.reason)
        }
        _ => {
            let outcome = outcome.replace('-', " ");
            format!(
                "the cache of {name} is not ready: {outcome}: {}",
                target.reason
            )
        }
    }
}
