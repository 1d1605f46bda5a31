//! `prewarm logs`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::{Context, Ended};
use crate::cli::LogsArgs;
use crate::error::{Error, Kind};
use crate::logs::{self, Follower, Source};
use crate::service::systemctl;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context<'_>, arguments: &LogsArgs) -> Ended {
    let directory = context.world.paths.logs();
    let failed = |error: std::io::Error| {
        let shown = context.world.paths.shown(&directory);
        Error::new(
            Kind::Environment,
            format!("cannot read the log in {shown}: {error}"),
        )
    };
    let unit = systemctl::show().await.ok();
    let files = !logs::files(&directory).map_err(failed)?.is_empty();
    match logs::choose(unit.as_ref(), files) {
        Some(Source::Journal) => Err(journal(arguments)),
        Some(Source::Files) => read(context, &directory, arguments).await.map_err(failed)?,
        None => Err(Error::new(
            Kind::Environment,
            format!(
                "there is no log in {}: the daemon has not run yet",
                context.world.paths.shown(&directory)
            ),
        )
        .hint("`prewarm service install` starts it as a service, `prewarm daemon run` by hand")
        .hint(
            "what a service that was removed said is in `journalctl --user-unit=prewarm.service`",
        )),
    }
}

/// Becomes `journalctl`; returns only if that fails.
fn journal(arguments: &LogsArgs) -> Error {
    let error = Command::new("journalctl")
        .args(logs::journal(arguments.lines, arguments.follow))
        .exec();
    Error::new(
        Kind::Environment,
        format!("cannot run journalctl, which has the service's log: {error}"),
    )
}

async fn read(
    context: &Context<'_>,
    directory: &Path,
    arguments: &LogsArgs,
) -> std::io::Result<Ended> {
    let (mut follower, mut lines) = Follower::new(directory, arguments.lines)?;
    loop {
        match context.ui.lines(&lines) {
            Ok(true) if arguments.follow => {}
            Ok(_) => return Ok(Ok(ExitCode::SUCCESS)),
            Err(error) => return Ok(Err(error.into())),
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(Ok(ExitCode::SUCCESS)),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        lines = follower.more()?;
    }
}
