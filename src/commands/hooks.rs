//! `prewarm hooks install|uninstall|status`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Ended};
use crate::cli::HooksCommand;
use crate::config::load_user;
use crate::error::Kind;
use crate::hooks::{Done, Installation, Outcome, State};
use crate::paths::Paths;
use crate::snapshot::Repository;
use crate::ui::text::clean;

pub(super) fn run(context: &Context<'_>, command: &HooksCommand) -> Ended {
    let (HooksCommand::Install { path }
    | HooksCommand::Uninstall { path }
    | HooksCommand::Status { path, .. }) = command;
    let repository = Repository::discover(path)?;
    let user = load_user(&context.world.paths)?.value;
    let installation = Installation::new(&repository, &user, &context.world.paths)?;
    match command {
        HooksCommand::Install { .. } => install(context, &installation),
        HooksCommand::Uninstall { .. } => uninstall(context, &installation),
        HooksCommand::Status { .. } => status(context, &installation, repository.work_dir()),
    }
}

fn install(context: &Context<'_>, installation: &Installation<'_>) -> Ended {
    let installed = installation.install()?;
    let mut text = told(&installed.outcomes, &context.world.paths);
    if let Some(directory) = installed.managed {
        let _ = writeln!(
            text,
            "Note: {} is written anew by the program that made it (husky does so on its own install); run this again then.",
            shown(&context.world.paths, &directory)
        );
    }
    context.ui.result(&text, &())?;
    Ok(ExitCode::SUCCESS)
}

fn uninstall(context: &Context<'_>, installation: &Installation<'_>) -> Ended {
    let outcomes = installation.uninstall()?;
    let text = if outcomes.is_empty() {
        "There was nothing to remove.\n".to_owned()
    } else {
        told(&outcomes, &context.world.paths)
    };
    context.ui.result(&text, &())?;
    let left = outcomes
        .iter()
        .any(|outcome| matches!(outcome.done, Done::Left(_)));
    Ok(if left {
        ExitCode::from(Kind::Work.exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

/// What became of each event, on a line of its own.
fn told(outcomes: &[Outcome], paths: &Paths) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let place = match &outcome.file {
            Some(file) => shown(paths, file),
            None => "git's configuration of this repository".to_owned(),
        };
        let said = match &outcome.done {
            Done::Installed => format!("installed in {place}"),
            Done::Added => format!("added to {place}"),
            Done::Wrapped => format!("installed in {place}, which runs the hook that was there"),
            Done::Refreshed => format!("brought up to date in {place}"),
            Done::Already => format!("already installed in {place}"),
            Done::Removed => format!("removed from {place}"),
            Done::Nothing => format!("not in {place}"),
            Done::Left(reason) => format!("left alone: {}", reason.text(&place)),
        };
        let _ = writeln!(text, "{:<14} {said}", outcome.event.name());
    }
    text
}

fn status(context: &Context<'_>, installation: &Installation<'_>, work_dir: &Path) -> Ended {
    let events = installation.status()?;
    let spool = installation.spool();
    let heard = spool.is_dir();
    let in_force = heard && events.iter().all(|event| event.state == State::InForce);
    let mut text = String::new();
    for event in &events {
        let state = match event.state {
            State::InForce => "in force",
            State::Outdated => "outdated",
            State::NotRun => "not run",
            State::Missing => "not installed",
            State::LeftAlone => "left alone",
        };
        let _ = write!(text, "{:<14} {state:<14}", event.event.name());
        let about = match (&event.at, &event.reason) {
            (Some(at), None) => at.clone(),
            (None, Some(reason)) => reason.clone(),
            (Some(at), Some(reason)) if reason.contains(at.as_str()) => reason.clone(),
            (Some(at), Some(reason)) => format!("{at}: {reason}"),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "{}", clean(&about));
    }
    let curable = |state| matches!(state, State::Missing | State::Outdated);
    let missing = events.iter().any(|event| curable(event.state));
    if missing {
        text.push_str(
            "`prewarm hooks install` installs what is missing and brings up to date what is not.\n",
        );
    } else if !heard {
        let spool = shown(&context.world.paths, spool);
        let _ = writeln!(
            text,
            "{spool}, where hooks leave word, is missing; `prewarm hooks install` makes it."
        );
    }
    let text: String = text
        .lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect();
    let document = json!({
        "repository": work_dir.display().to_string(),
        "in_force": in_force,
        "spool": { "directory": spool.display().to_string(), "exists": heard },
        "events": events,
    });
    context.ui.result(&text, &document)?;
    Ok(if in_force {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Kind::Work.exit_code())
    })
}

/// A path as people read it, from which nothing drives the terminal.
fn shown(paths: &Paths, path: &Path) -> String {
    clean(&paths.shown(path))
}
