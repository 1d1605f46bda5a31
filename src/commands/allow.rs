//! `prewarm allow`: shows what would run, and allows it.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::AllowArgs;
use crate::config::{Target, load_user};
use crate::consent::{Allowed, Approval, Grant, Reason, Store};
use crate::error::{Error, Kind};
use crate::record::Records;
use crate::snapshot::Repository;
use crate::ui::Event;
use crate::ui::text::clean;
use crate::warm::review::{Difference, Review, State, review};
use crate::warm::terms::Terms;

/// So many changed files are named.
const SHOWN_FILES: usize = 20;

/// So many lines of a text that differs are shown.
const SHOWN_LINES: usize = 60;

pub(super) async fn run(context: &Context<'_>, arguments: &AllowArgs) -> Ended {
    let (world, ui) = (context.world, context.ui);
    let repository = Repository::discover(&arguments.path)?.careful();
    let user = load_user(&world.paths)?.value;
    let store = Store::at(world.paths.consent());
    let now = world.now_ms();
    let records = match Records::open(&world.paths.database(), now / 1000) {
        Ok((records, _)) => records,
        // Without it all files of the context count.
        Err(_) => Records::in_memory()?,
    };
    // What cannot be trusted says nothing; it is set aside when something is allowed.
    let allowed = store.load().unwrap_or_default();
    let work_dir = repository.main_work_dir();
    let grant = grant(&allowed, &repository, &work_dir);
    let terms = Terms {
        user: &user,
        records: &records,
    };
    let review = review(&repository, terms, &grant)?;
    let known = allowed.grant(repository.common_dir()).is_some();
    let shown = world.paths.shown(repository.work_dir());
    ui.result(&text(&shown, known, &review), &())?;
    let waits = review.states.iter().any(|state| state.waiting.is_some());
    if known && !waits && review.unseen.is_empty() {
        ui.result("Nothing waits for approval.\n", &())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.yes && !asked(context).await? {
        ui.result("Nothing was allowed.\n", &())?;
        return Ok(ExitCode::from(Kind::NeedsApproval.exit_code()));
    }
    // Exactly what was shown: the repository may have changed while it was read.
    let ((), aside) = store.update_or_set_aside(now, |allowed| {
        let grant = allowed.allow(repository.common_dir(), &work_dir, now);
        for digest in review
            .states
            .iter()
            .flat_map(|state| state.executed.execution.digests())
        {
            grant.approve(Approval {
                digest: digest.clone(),
                at: now,
                reason: Reason::ByHand {
                    commit: review.head.map(|head| head.to_string()),
                },
            });
        }
        if let Some(head) = review.head {
            grant.approve_commit(head);
        }
    })?;
    if let Some(aside) = aside {
        let message = format!(
            "what was allowed before could not be trusted ({}) and is now in {}; allow again what you trust",
            aside.reason,
            aside.path.display()
        );
        ui.event(&Event::Warning {
            target: None,
            message,
        });
    }
    ui.result(
        if known {
            "Allowed: exactly this, and what you write on top of it.\n"
        } else {
            "Allowed. What you write here is built unasked from now on; `prewarm deny` takes it back.\n"
        },
        &(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What is allowed so far.
fn grant(allowed: &Allowed, repository: &Repository, work_dir: &Path) -> Grant {
    let mut allowed = allowed.clone();
    allowed.allow(repository.common_dir(), work_dir, 0).clone()
}

/// Whether the person says yes.
async fn asked(context: &Context<'_>) -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "there is no terminal to ask on")
            .hint("`prewarm allow --yes` allows what is shown above"));
    }
    context.ui.ask("Allow? [y/N] ");
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = tokio::select! {
        answer = answer => answer.unwrap_or_else(|error| Err(std::io::Error::other(error))),
        // Nobody has to press Ctrl-C twice to say no.
        () = context.stop.cancelled() => return Ok(false),
    };
    let answer = answer.map_err(|error| {
        let message = format!("the answer cannot be read: {error}");
        Error::new(Kind::Environment, message)
    })?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn text(repository: &str, known: bool, review: &Review) -> String {
    let mut text = format!("repository  {}\n", clean(repository));
    if known {
        text.push_str("            is allowed already\n");
    }
    let mut shown: Vec<(&Target, Option<&String>)> = Vec::new();
    for state in &review.states {
        let this = (&state.target, state.platform.as_ref());
        if !shown.contains(&this) {
            shown.push(this);
            text.push_str(&target(state));
        }
    }
    for (tree, error) in &review.unseen {
        let _ = writeln!(
            text,
            "\n{tree} cannot be built: {}",
            clean(&error.to_string())
        );
    }
    let mut seen: Vec<&State> = Vec::new();
    for state in &review.states {
        let Some(difference) = &state.waiting else {
            continue;
        };
        if seen.is_empty() {
            text.push_str("\nNot made by you here, nor trusted yet:\n");
        }
        // The work tree without edits is HEAD.
        let execution = &state.executed.execution;
        if seen
            .iter()
            .all(|seen| seen.executed.execution != *execution)
        {
            text.push_str(&differences(state, difference));
        }
        seen.push(state);
    }
    text.push('\n');
    text
}

fn target(state: &State) -> String {
    let target = &state.target;
    let mut text = String::from("\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10}  {}", clean(value));
    };
    line("target", &target.name);
    if let Some(platform) = &state.platform {
        line("platform", platform);
    }
    line("dockerfile", &target.dockerfile);
    line("context", &target.context);
    line("stage", target.stage.as_deref().unwrap_or("the last"));
    for (name, value) in &target.args {
        line("argument", &format!("{name}={value}"));
    }
    for secret in &target.secrets {
        let (kind, place) = secret.source.written();
        line("secret", &format!("{} from {kind} {place}", secret.id));
    }
    for id in &target.ssh {
        line("ssh agent", id);
    }
    let cache = target.cache.as_deref();
    line("cache", cache.unwrap_or("stays on this machine"));
    text
}

fn differences(state: &State, difference: &Difference) -> String {
    let mut text = String::new();
    let target = clean(&state.target.name);
    let _ = match difference.from {
        Some(from) => writeln!(
            text,
            "\ntarget {target} from {}, compared with {}:",
            state.tree,
            &from.to_string()[..7]
        ),
        None => writeln!(
            text,
            "\ntarget {target} from {}: there is nothing trusted to compare it with",
            state.tree
        ),
    };
    for part in &difference.parts {
        let _ = writeln!(text, "  differs: {part}");
    }
    for (name, lines) in &difference.texts {
        let _ = writeln!(text, "  {}:", clean(name));
        for line in lines.lines().take(SHOWN_LINES) {
            let _ = writeln!(text, "    {}", clean(line));
        }
        more(&mut text, lines.lines().count(), SHOWN_LINES, "lines");
    }
    for file in difference.files.iter().take(SHOWN_FILES) {
        let _ = writeln!(text, "  file: {}", clean(file));
    }
    more(&mut text, difference.files.len(), SHOWN_FILES, "files");
    text
}

fn more(text: &mut String, count: usize, shown: usize, what: &str) {
    if let Some(more) = count.checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(text, "    and {more} more {what}");
    }
}
