//! `prewarm history`.

use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::HistoryArgs;
use crate::record::{Query, Records};
use crate::snapshot::Repository;

/// Pushes that are told: as many as the history keeps.
const PUSHES: usize = 1_000;

pub(super) fn run(context: &Context<'_>, arguments: &HistoryArgs) -> Ended {
    let repository = match &arguments.path {
        Some(path) => Some(Repository::discover(path)?.work_dir().display().to_string()),
        None => None,
    };
    let now = context.world.now_ms();
    let (records, warning) = Records::open_to_look(&context.world.paths.database(), now / 1000)?;
    if let Some(warning) = warning {
        context.ui.event(&crate::ui::Event::Warning {
            target: None,
            message: warning.to_string(),
        });
    }
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let leads = records.leads(repository.as_deref(), PUSHES)?;
    let rows = records.history(&Query { repository, limit })?;
    context.ui.history(&rows, &leads, now)?;
    Ok(ExitCode::SUCCESS)
}
