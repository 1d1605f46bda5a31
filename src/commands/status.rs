//! `prewarm status`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{Context, Ended};
use crate::cli::StatusArgs;
use crate::client::{Client, ClientError};
use crate::daemon::status::{Mode, Status};
use crate::error::{Error, Kind};
use crate::prune::checked::Checked;
use crate::record::{Lead, Records};

/// How soon Ctrl-C is noticed while nothing happens.
const BEAT: Duration = Duration::from_millis(250);

/// Pushes that are looked at for the last one of each target.
const PUSHES: usize = 200;

pub(super) fn run(context: &Context<'_>, arguments: &StatusArgs) -> Ended {
    let canonical = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let only = arguments.path.as_ref().map(canonical);
    let mut client = match Client::connect(&context.world.paths) {
        Err(error @ ClientError::NotRunning) if !arguments.follow => {
            return without_daemon(context, only.as_deref(), error);
        }
        client => client?,
    };
    if !arguments.follow {
        let mut status = client.status()?;
        narrow(&mut status, only.as_ref());
        if let (Some(path), true) = (&only, status.trees.is_empty()) {
            let message = format!("{} is in no work tree that is allowed", path.display());
            let error = Error::new(Kind::Usage, message);
            return Err(
                error.hint("`prewarm allow` there allows it; `prewarm repos` lists what is")
            );
        }
        context.ui.status(
            &status,
            &leads(records(context).as_ref()),
            context.world.now_ms(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    client.follow()?;
    while !context.stop.is_cancelled() && context.ui.is_read() {
        if let Some(mut status) = client.next(BEAT)? {
            narrow(&mut status, only.as_ref());
            context.ui.live_status(
                &status,
                &leads(records(context).as_ref()),
                context.world.now_ms(),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known without a daemon: that there is none, and how the disk was when it was last looked at.
fn without_daemon(context: &Context<'_>, only: Option<&Path>, error: ClientError) -> Ended {
    let mut status = Status {
        mode: Mode::Absent,
        problems: vec![crate::daemon::status::Problem {
            message: error.to_string(),
            remedy: crate::error::Remedy::hint(&error),
        }],
        ..Status::default()
    };
    narrow(&mut status, only.map(Path::to_owned).as_ref());
    let records = records(context);
    let newest = records
        .as_ref()
        .and_then(|records| Checked::newest(records).ok());
    status.disk = newest.flatten();
    let leads = leads(records.as_ref());
    context.ui.status(&status, &leads, context.world.now_ms())?;
    Ok(ExitCode::from(Error::from(error).kind.exit_code()))
}

fn narrow(status: &mut Status, only: Option<&PathBuf>) {
    if let Some(only) = only {
        status
            .trees
            .retain(|tree| only.starts_with(&tree.path) || tree.path.starts_with(only));
    }
}

/// The records, if there are any yet. Records that cannot be read are told by other commands.
fn records(context: &Context<'_>) -> Option<Records> {
    let now = context.world.now_ms() / 1000;
    let database = context.world.paths.database();
    let opened = database.exists().then(|| Records::open(&database, now));
    opened?.ok().map(|(records, _)| records)
}

/// The last pushes.
fn leads(records: Option<&Records>) -> Vec<Lead> {
    let leads = records.and_then(|records| records.leads(None, PUSHES).ok());
    leads.unwrap_or_default()
}
