//! `prewarm doctor`.

use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::DoctorArgs;
use crate::doctor;

pub(super) async fn run(context: &Context<'_>, arguments: DoctorArgs) -> Ended {
    let findings = tokio::select! {
        findings = doctor::examine(context.world, &arguments.path) => findings,
        // Whoever was asked to stop ends by that signal.
        () = context.stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    context.ui.findings(&findings)?;
    Ok(doctor::verdict(&findings)
        .map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}
