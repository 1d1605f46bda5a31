//! `prewarm daemon`, `pause` and `resume`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Context, Ended};
use crate::cli::{DaemonArgs, DaemonCommand, PauseArgs};
use crate::client::{Client, ClientError};
use crate::daemon::status::Mode;
use crate::daemon::{self, Start};
use crate::error::{Error, Kind};
use crate::protocol::{Reply, Request};
use crate::ui::{Look, Ui};
use crate::world::World;

/// Stopping takes the grace that the configuration gives to builds, and then this.
const STOP: Duration = Duration::from_secs(30);

/// Whether these arguments run the daemon in this process.
pub(super) fn runs(arguments: &DaemonArgs) -> bool {
    matches!(arguments.command, None | Some(DaemonCommand::Run { .. }))
}

/// Runs the daemon. Before this nothing may have started a thread.
pub(super) fn run(arguments: &DaemonArgs, look: Look) -> Ended {
    let world = World::from_process()?;
    let detach =
        arguments.detach || matches!(arguments.command, Some(DaemonCommand::Run { detach: true }));
    let start = if detach {
        Start::Detached
    } else {
        Start::Foreground
    };
    if let Some(hello) = daemon::start(&world, start)? {
        let text = format!(
            "the daemon runs in the background (process {})\n",
            hello.pid
        );
        Ui::stdio(look).result(&text, &json!({"pid": hello.pid, "version": hello.version}))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Speaks to the daemon that runs.
pub(super) async fn speak(context: &Context<'_>, command: &DaemonCommand) -> Ended {
    match command {
        DaemonCommand::Run { .. } => unreachable!("that runs the daemon, and was done before"),
        DaemonCommand::Status { json: _ } => status(context),
        DaemonCommand::Stop { now } => stop(context, *now),
        DaemonCommand::Reload => {
            ask(context, &Request::Reload)?;
            said(
                context,
                "the daemon reads configuration and consent again\n",
            )
        }
        DaemonCommand::Pause(arguments) => pause(context, arguments),
        DaemonCommand::Resume => resume(context),
        DaemonCommand::Logs(arguments) => super::logs::run(context, arguments).await,
    }
}

pub(super) fn pause(context: &Context<'_>, arguments: &PauseArgs) -> Ended {
    let seconds = arguments.time.map(|time| time.as_secs().max(1));
    ask(context, &Request::Pause { seconds })?;
    match arguments.time {
        None => said(
            context,
            "no more builds are started until `prewarm resume`\n",
        ),
        Some(time) => {
            let time = crate::config::units::format_duration(time);
            said(context, &format!("no more builds are started for {time}\n"))
        }
    }
}

pub(super) fn resume(context: &Context<'_>) -> Ended {
    ask(context, &Request::Resume)?;
    said(context, "builds are started again\n")
}

fn status(context: &Context<'_>) -> Ended {
    let client = Client::connect(&context.world.paths)?;
    let (pid, version) = (client.hello.pid, client.hello.version.clone());
    let status = client.status()?;
    let runs = match status.mode {
        Mode::Paused => "runs, but is paused",
        Mode::Stopping => "is stopping",
        Mode::Running | Mode::Absent => "runs",
    };
    let text = format!(
        "prewarm {version} {runs} (process {pid}): {}, {} of {} builds, {} directories watched\n",
        counted(status.trees.len()),
        status.builds,
        status.parallel,
        status.watches
    );
    let document = json!({
        "pid": pid, "version": version, "mode": status.mode, "started_at": status.started_at,
        "work_trees": status.trees.len(), "builds": status.builds, "parallel": status.parallel, "watches": status.watches,
    });
    context.ui.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

fn counted(work_trees: usize) -> String {
    match work_trees {
        1 => "1 work tree".to_owned(),
        several => format!("{several} work trees"),
    }
}

fn stop(context: &Context<'_>, now: bool) -> Ended {
    let mut client = match Client::connect(&context.world.paths) {
        Err(ClientError::NotRunning) => return said(context, "the daemon does not run\n"),
        client => client?,
    };
    // A second connection, to hear of its end.
    client.follow()?;
    match ask(context, &Request::Stop { now }) {
        // It may be gone before its answer is.
        Ok(_) | Err(ClientError::Ended | ClientError::NotRunning) => {}
        Err(error) => return Err(error.into()),
    }
    let end = Instant::now() + STOP;
    let grace = crate::config::load_user(&context.world.paths).map(|user| user.value.daemon.grace);
    let end = end + grace.unwrap_or_default();
    while crate::daemon::lock::Lock::is_taken(&context.world.paths.daemon_lock()) {
        if Instant::now() >= end || context.stop.is_cancelled() {
            let error = Error::new(
                Kind::Environment,
                "the daemon has been asked to end, but has not ended yet",
            );
            return Err(error.hint("`prewarm daemon stop --now` does not wait for builds that run"));
        }
        // Its end is the end of the connection; a lock is free a moment later.
        if client.next(Duration::from_millis(200)).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    said(context, "the daemon has ended\n")
}

fn ask(context: &Context<'_>, request: &Request) -> Result<Reply, ClientError> {
    Client::connect(&context.world.paths)?.ask(request)
}

fn said(context: &Context<'_>, text: &str) -> Ended {
    context
        .ui
        .result(text, &json!({"message": text.trim_end()}))?;
    Ok(ExitCode::SUCCESS)
}
