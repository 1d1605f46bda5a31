//! `prewarm warm`.

use std::path::Path;
use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::WarmArgs;
use crate::client::Client;
use crate::config::load_user;
use crate::protocol;
use crate::snapshot::Source;
use crate::warm::permit::Permit;
use crate::warm::{Report, Request, warm};

pub(super) async fn run(context: &Context<'_>, arguments: WarmArgs) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    let source = match arguments.rev {
        _ if arguments.staged => Source::Staged,
        _ if arguments.worktree => Source::Worktree,
        revision => revision.map_or_else(head, Source::Revision),
    };
    let request = Request {
        path: arguments.path,
        targets: arguments.targets,
        source,
        force: arguments.force,
        dry_run: arguments.dry_run,
        push: !arguments.no_push,
        attended: true,
        permit: Permit::Open,
    };
    let moves_the_tag = request.push && !request.dry_run && request.source != head();
    let path = request.path.clone();
    let warmed = warm(context.world, user, context.ui, request, context.stop).await?;
    if moves_the_tag {
        have_looked_at(context, &path);
    }
    report(context, &warmed)
}

fn head() -> Source {
    Source::Revision("HEAD".to_owned())
}

/// Where a daemon takes care of a work tree, the branch's tag names what is committed: it is to see that it does.
fn have_looked_at(context: &Context<'_>, path: &Path) {
    let Ok(path) = std::fs::canonicalize(path) else {
        return;
    };
    let client = Client::connect(&context.world.paths);
    // Without one, or where it knows nothing of this work tree, nobody is to see to it.
    let _ = client.and_then(|client| client.ask(&protocol::Request::Look { path }));
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
