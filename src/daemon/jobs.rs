//! Job processes: started, told, heard and stopped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::state::{JobId, View};
use crate::worker::{Outcome, Told};

/// How long a job may take to stop by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event is not longer.
const LONGEST_LINE: u64 = 1 << 20;

/// An outcome is not longer.
const LONGEST_OUTCOME: u64 = 16 << 20;

/// What comes from a job.
#[derive(Debug)]
pub(super) enum Heard {
    /// An event.
    Event(Value),
    /// Its end, with what came of it, unless it was stopped or died.
    Ended(Option<Outcome>),
}

/// How jobs are started.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// Our own program.
    pub(super) program: PathBuf,
}

/// A job that runs. Dropping it asks it to stop.
#[derive(Debug)]
pub(super) struct Running {
    tell: mpsc::UnboundedSender<Told>,
}

impl Running {
    pub(super) fn tell(&self, told: Told) {
        // It has ended otherwise.
        let _ = self.tell.send(told);
    }
}

impl Launcher {
    /// Starts a job; what comes of it is sent to `heard`.
    pub(super) fn start(
        &self,
        id: JobId,
        tree: &Path,
        view: View,
        heard: mpsc::Sender<(JobId, Heard)>,
    ) -> std::io::Result<Running> {
        let source = match view {
            View::Head => "head",
            View::Worktree => "worktree",
        };
        let mut command = Command::new(&self.program);
        command
            .args(["job", "--supervised", "--source", source])
            .arg(tree)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in quiet() {
            command.env(name, value);
        }
        // The service manager listens to the daemon alone.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let child = command.spawn()?;
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(accompany(id, child, told, heard));
        Ok(Running { tell })
    }
}

/// Nobody is there to answer.
pub(super) fn quiet() -> [(&'static str, OsString); 4] {
    [
        ("GIT_TERMINAL_PROMPT", "0".into()),
        ("GCM_INTERACTIVE", "never".into()),
        ("GIT_ASKPASS", "true".into()),
        ("SSH_ASKPASS", "true".into()),
    ]
}

async fn accompany(
    id: JobId,
    mut child: Child,
    mut told: mpsc::UnboundedReceiver<Told>,
    heard: mpsc::Sender<(JobId, Heard)>,
) {
    let mut stdin = child.stdin.take();
    let events = child.stderr.take().expect("it is piped");
    let result = child.stdout.take().expect("it is piped");
    let listening = tokio::spawn(listen(id, events, heard.clone()));
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let read = result.take(LONGEST_OUTCOME).read_to_end(&mut bytes).await;
        read.map(|_| bytes)
    });
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.ok(),
            answer = told.recv() => match answer {
                Some(answer) => answer_to(&mut stdin, &answer).await,
                None => break stop(&mut child, stdin.take()).await,
            },
        }
    };
    // Whatever a killed job left behind may hold the pipes open.
    let _ = timeout(PATIENCE, listening).await;
    let bytes = match timeout(PATIENCE, reading).await {
        Ok(Ok(Ok(bytes))) => bytes,
        _ => Vec::new(),
    };
    let outcome = serde_json::from_slice(&bytes).ok();
    if outcome.is_none() {
        let status = status.map_or_else(|| "killed".to_owned(), |status| status.to_string());
        tracing::warn!(job = id, "a job left nothing behind ({status})");
    }
    // The daemon has ended otherwise.
    let _ = heard.send((id, Heard::Ended(outcome))).await;
}

async fn answer_to(stdin: &mut Option<ChildStdin>, told: &Told) {
    let Some(pipe) = stdin else { return };
    let mut line = serde_json::to_vec(told).expect("an answer is JSON");
    line.push(b'\n');
    if pipe.write_all(&line).await.is_err() {
        *stdin = None;
    }
}

/// The end of its standard input is the sign to stop; then there is force.
async fn stop(child: &mut Child, stdin: Option<ChildStdin>) -> Option<ExitStatus> {
    drop(stdin);
    if let Ok(status) = timeout(PATIENCE, child.wait()).await {
        return status.ok();
    }
    // It may have ended just now.
    let _ = child.kill().await;
    None
}

/// Sends on the events that matter for the status.
async fn listen(
    id: JobId,
    events: tokio::process::ChildStderr,
    heard: mpsc::Sender<(JobId, Heard)>,
) {
    let mut events = BufReader::new(events);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut events)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(length) if length > 0) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(&line) else {
            tracing::info!(job = id, "{}", String::from_utf8_lossy(&line).trim_end());
            continue;
        };
        if matches!(event["event"].as_str(), Some("bytes" | "log")) {
            continue;
        }
        if heard.send((id, Heard::Event(event))).await.is_err() {
            return;
        }
    }
}
