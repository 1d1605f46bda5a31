//! Tells the desktop of a failure, through `notify-send`.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// Says that a target failed. Where there is no desktop, nothing happens.
pub(super) fn notify(tree: &Path, target: &str, verdict: &str) {
    let name = tree
        .file_name()
        .unwrap_or(tree.as_os_str())
        .to_string_lossy();
    let spawned = Command::new("notify-send")
        .args(["--app-name=prewarm", "--"])
        .arg(format!("prewarm: {name}: {target} {verdict}"))
        .arg("prewarm status tells more")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(false)
        .spawn();
    match spawned {
        Ok(mut child) => drop(tokio::spawn(async move {
            // Whether it was shown is the desktop's affair.
            let _ = child.wait().await;
        })),
        Err(error) => tracing::info!("notify-send cannot be run: {error}"),
    }
}
