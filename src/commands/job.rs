//! `prewarm job`: a warm that nobody asked for. Events and the result are JSON, as of `warm --json`.

use super::warm::report;
use super::{Context, Ended};
use crate::cli::{JobArgs, JobSource};
use crate::config::load_user;
use crate::snapshot::Source;
use crate::warm::{Request, warm};

pub(super) async fn run(context: &Context<'_>, arguments: JobArgs) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    let request = Request {
        path: arguments.path,
        targets: Vec::new(),
        source: match arguments.source {
            JobSource::Head => Source::Revision("HEAD".to_owned()),
            JobSource::Worktree => Source::Worktree,
        },
        force: false,
        dry_run: false,
        push: true,
        attended: false,
    };
    report(
        context,
        &warm(context.world, user, context.ui, request, context.stop).await?,
    )
}
