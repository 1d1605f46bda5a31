//! The process that looks at the disk: started, heard and stopped. It decides by itself whether anything goes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::jobs::quiet;
use crate::prune::checked::Checked;

/// How long it may take to stop by itself: a deletion may be under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it prints is not longer.
const LONGEST: u64 = 1 << 20;

/// Builds and people go first.
const NICE: i32 = 10;

/// One that runs. Dropping it asks it to stop.
#[derive(Debug)]
pub(super) struct Running {
    _stop: oneshot::Sender<()>,
}

/// What it is called with.
pub(super) fn arguments() -> [&'static str; 3] {
    ["prune", "--automatic", "--json"]
}

/// Starts one; what came of it goes to `ended`, `None` if it was stopped or died.
pub(super) fn start(
    program: &Path,
    ended: impl FnOnce(Option<Checked>) + Send + 'static,
) -> std::io::Result<Running> {
    let mut command = Command::new(program);
    command
        .args(arguments())
        .current_dir("/")
        // What a terminal sends to the daemon does not reach it: it is told by the daemon.
        .process_group(0)
        .envs(quiet())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    // The service manager listens to the daemon alone.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    let child = command.spawn()?;
    // It does its work without, too.
    let _ = setpriority_process(pid(&child), NICE);
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move { ended(accompany(child, stopped).await) });
    Ok(Running { _stop: stop })
}

async fn accompany(mut child: Child, stopped: oneshot::Receiver<()>) -> Option<Checked> {
    let stdout = child.stdout.take().expect("it is piped");
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let read = stdout.take(LONGEST).read_to_end(&mut bytes).await;
        read.map(|_| bytes)
    });
    let status = tokio::select! {
        status = child.wait() => status.ok(),
        _ = stopped => {
            stop(&mut child).await;
            return None;
        }
    };
    let bytes = timeout(PATIENCE, reading).await;
    let bytes = bytes.ok()?.ok()?.ok()?;
    let checked = serde_json::from_slice(&bytes).ok();
    if checked.is_none() {
        let status = status.map_or_else(|| "killed".to_owned(), |status| status.to_string());
        tracing::warn!("the look at the disk left nothing behind ({status})");
    }
    checked
}

/// A signal is the sign to stop between two deletions; then there is force.
async fn stop(child: &mut Child) {
    if let Some(pid) = pid(child) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// `None` once it has ended, and has been waited for.
fn pid(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}
