//! `prewarm warm`.

use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::WarmArgs;
use crate::config::load_user;
use crate::snapshot::Source;
use crate::warm::{Report, Request, warm};

pub(super) async fn run(context: &Context<'_>, arguments: WarmArgs) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    let source = match arguments.rev {
        _ if arguments.staged => Source::Staged,
        _ if arguments.worktree => Source::Worktree,
        revision => Source::Revision(revision.unwrap_or_else(|| "HEAD".to_owned())),
    };
    let request = Request {
        path: arguments.path,
        targets: arguments.targets,
        source,
        force: arguments.force,
        dry_run: arguments.dry_run,
        push: !arguments.no_push,
        attended: true,
    };
    report(
        context,
        &warm(context.world, user, context.ui, request, context.stop).await?,
    )
}

/// Shows what came of it.
pub(super) fn report(context: &Context<'_>, report: &Report) -> Ended {
    for error in &report.errors {
        context.ui.error(error);
    }
    context.ui.summary(&report.summary)?;
    Ok(report
        .kind()
        .map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}
