//! What the user's service manager says of our unit, by systemd's own commands.

use std::time::Duration;

use serde::Serialize;

use super::unit::UNIT;
use crate::program::{self, ProgramError};

/// Longer than the unit may take to start or stop.
const LIMIT: Duration = Duration::from_secs(60);

/// What is asked of a unit.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,Result,\
                          StatusText,ExecMainStatus,FragmentPath,NeedDaemonReload";

/// A unit as the service manager sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// `enabled`, `disabled`, …; empty where there is no unit.
    pub enabled: String,
    /// The daemon's process; 0 when none runs.
    pub pid: u32,
    /// How often it was started again after a crash.
    pub restarts: u32,
    /// `success`, or how it last failed: `exit-code`, `watchdog`, `start-limit-hit`, …
    pub result: String,
    /// The exit status of its last process.
    pub exit_status: i32,
    /// What the daemon says of itself.
    pub status: String,
    /// The unit's file.
    pub file: String,
    /// Whether the file was changed since it was read.
    pub stale: bool,
    /// Whether the program's file was replaced since it was started: an update that does not run yet.
    pub replaced: bool,
}

impl UnitState {
    /// Reads what `systemctl show` prints: a `Name=value` on each line.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut state = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let owned = || value.to_owned();
            match name {
                "LoadState" => state.load = owned(),
                "ActiveState" => state.active = owned(),
                "SubState" => state.sub = owned(),
                "UnitFileState" => state.enabled = owned(),
                "MainPID" => state.pid = value.parse().unwrap_or_default(),
                "NRestarts" => state.restarts = value.parse().unwrap_or_default(),
                "Result" => state.result = owned(),
                "ExecMainStatus" => state.exit_status = value.parse().unwrap_or_default(),
                "StatusText" => state.status = owned(),
                "FragmentPath" => state.file = owned(),
                "NeedDaemonReload" => state.stale = value == "yes",
                _ => {}
            }
        }
        state
    }

    /// Whether there is nothing to bring up to date.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.stale && !self.replaced
    }

    /// Whether there is such a unit.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.load == "loaded"
    }

    /// Whether the daemon runs.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading")
    }

    /// Whether it starts with the session.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled == "enabled"
    }
}

/// Asks the user's service manager to do something.
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn systemctl(arguments: &[&str]) -> Result<String, ProgramError> {
    let arguments: Vec<&str> = ["--user", "--no-ask-password", "--no-pager"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    program::success("systemctl", &arguments, LIMIT).await
}

/// How our unit is.
///
/// # Errors
/// When there is no service manager of the user's to ask.
pub async fn show() -> Result<UnitState, ProgramError> {
    let property = format!("--property={PROPERTIES}");
    match systemctl(&["show", &property, UNIT]).await {
        Ok(text) => {
            let mut state = UnitState::parse(&text);
            state.replaced = state.pid != 0 && replaced(state.pid);
            Ok(state)
        }
        // The list of properties helps nobody.
        Err(ProgramError::Failed { said, .. }) => Err(ProgramError::Failed {
            line: format!("systemctl --user show {UNIT}"),
            said,
        }),
        Err(error) => Err(error),
    }
}

/// Whether a process runs from a file that has gone, as the kernel marks it.
fn replaced(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| {
        program
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(b" (deleted)")
    })
}

/// Whether the user's services run without a session; `None` where nobody can tell.
pub async fn lingers() -> Option<bool> {
    let arguments = [
        "show-user",
        &rustix::process::getuid().as_raw().to_string(),
        "--property=Linger",
        "--value",
    ];
    let said = program::run("loginctl", &arguments, Duration::from_secs(5))
        .await
        .ok()?;
    match said.stdout.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        // Without a session of the user's there is nothing to show; who may linger has one nevertheless.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_read() {
        let state = UnitState::parse(
            "LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\nMainPID=0\nNRestarts=9\n\
             Result=start-limit-hit\nStatusText=a=b\nExecMainStatus=70\nNeedDaemonReload=yes\nNew=1\n",
        );
        assert_eq!(
            state,
            UnitState {
                load: "loaded".to_owned(),
                active: "failed".to_owned(),
                sub: "failed".to_owned(),
                enabled: "enabled".to_owned(),
                pid: 0,
                restarts: 9,
                result: "start-limit-hit".to_owned(),
                exit_status: 70,
                status: "a=b".to_owned(),
                file: String::new(),
                stale: true,
                replaced: false,
            }
        );
        assert!(state.is_loaded() && state.is_enabled() && !state.is_active());
        assert!(!UnitState::parse("LoadState=not-found\n").is_loaded());
    }
}
