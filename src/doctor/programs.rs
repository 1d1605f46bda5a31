//! Programs that we call, and the service that calls us.

use std::time::Duration;

use super::{Finding, Subject};
use crate::error::Error;
use crate::program::{self, ProgramError};
use crate::service::plan::Existing;
use crate::service::{self, Seen, ServiceError};

const GIT: &str = "git";
const SERVICE: &str = "service";

/// Older ones lack options that we use, and are not maintained.
const OLDEST: (u32, u32) = (2, 30);

/// The first whose hooks can be configured instead of being files.
const CONFIGURED_HOOKS: (u32, u32) = (2, 54);

/// Less than a check's time.
const LIMIT: Duration = Duration::from_secs(9);

pub(super) async fn git() -> Vec<Finding> {
    let said = program::success("git", &["--version"], LIMIT).await;
    vec![match said {
        Ok(said) => judge_git(&said),
        Err(error) if error.is_absent() => Finding::fail(
            GIT,
            "there is no git in PATH",
            "install it; filters, LFS and hooks need it",
        ),
        Err(error) => Finding::error(GIT, &error.into()),
    }]
}

fn judge_git(said: &str) -> Finding {
    let said = said.trim();
    match version(said) {
        None => Finding::unknown(
            GIT,
            format!("its version is not to be read from \"{said}\""),
        ),
        Some(version) if version < OLDEST => Finding::fail(
            GIT,
            format!("{said} is too old"),
            format!("install git {}.{} or newer", OLDEST.0, OLDEST.1),
        ),
        Some(version) if version < CONFIGURED_HOOKS => {
            Finding::ok(GIT, format!("{said}; its hooks are files"))
        }
        Some(_) => Finding::ok(GIT, format!("{said}; its hooks can be configured")),
    }
}

/// Major and minor of `git version 2.39.5 (Apple Git-154)`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub(super) async fn service(subject: &Subject) -> Vec<Finding> {
    vec![match service::look(&subject.world).await {
        Ok(seen) => judge_service(&seen),
        Err(ServiceError::NoManager(ProgramError::Start { .. })) => {
            Finding::unknown(SERVICE, "there is no systemd here")
        }
        Err(ServiceError::NoManager(_)) => Finding::unknown(
            SERVICE,
            "no service manager of yours answers here; `prewarm daemon --detach` does without",
        ),
        Err(error) => Finding::error(SERVICE, &Error::from(error)),
    }]
}

fn judge_service(seen: &Seen) -> Finding {
    let state = &seen.state;
    let again =
        "`prewarm service install` installs and starts it again; `prewarm logs` shows what it said";
    match &seen.existing {
        Existing::Foreign => Finding::warn(
            SERVICE,
            format!("{} was not made by prewarm", seen.file.display()),
            "move it away if nobody needs it",
        ),
        Existing::Nothing if !state.is_loaded() => Finding::unknown(
            SERVICE,
            "not installed; `prewarm service install` has the daemon start with your session",
        ),
        _ if state.active == "failed" => Finding::fail(
            SERVICE,
            format!(
                "failed: {}, exit status {}, started again {} time(s)",
                state.result, state.exit_status, state.restarts
            ),
            again,
        ),
        _ if !state.is_active() => {
            Finding::warn(SERVICE, format!("installed, but {}", state.active), again)
        }
        _ if !state.is_current() => Finding::warn(
            SERVICE,
            "runs, but its unit or its program was changed since",
            "`prewarm service install` brings it up to date",
        ),
        _ if !state.is_enabled() => Finding::warn(
            SERVICE,
            "runs, but does not start by itself",
            "`prewarm service install` enables it",
        ),
        _ if seen.lingers == Some(false) => Finding::ok(
            SERVICE,
            "runs until your last session ends (`loginctl enable-linger` lets it run on)",
        ),
        _ => Finding::ok(SERVICE, "runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::service::systemctl::UnitState;

    #[test]
    fn git_is_judged_by_its_version() {
        for (said, expected, words) in [
            ("git version 2.47.3\n", State::Ok, "its hooks are files"),
            (
                "git version 2.39.5 (Apple Git-154)",
                State::Ok,
                "its hooks are files",
            ),
            ("git version 2.54.0", State::Ok, "can be configured"),
            ("git version 2.55.0.rc1", State::Ok, "can be configured"),
            ("git version 3.0.0", State::Ok, "can be configured"),
            ("git version 2.25.1", State::Fail, "too old"),
            ("hub version 2", State::Unknown, "not to be read"),
        ] {
            let found = judge_git(said);
            assert_eq!(found.state, expected, "{said}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_service_is_judged_by_its_state() {
        let seen = |existing: &Existing, active: &str, enabled: &str| Seen {
            file: "/u".into(),
            existing: existing.clone(),
            state: UnitState {
                load: "loaded".to_owned(),
                active: active.to_owned(),
                enabled: enabled.to_owned(),
                ..UnitState::default()
            },
            lingers: None,
        };
        let ours = Existing::Ours(String::new());
        for (seen, expected) in [
            (seen(&ours, "active", "enabled"), State::Ok),
            (seen(&ours, "active", "disabled"), State::Warn),
            (seen(&ours, "activating", "enabled"), State::Warn),
            (seen(&ours, "failed", "enabled"), State::Fail),
            (seen(&Existing::Foreign, "active", "enabled"), State::Warn),
            (seen(&Existing::Nothing, "active", "enabled"), State::Ok),
        ] {
            assert_eq!(judge_service(&seen).state, expected, "{seen:?}");
        }
        let mut absent = seen(&Existing::Nothing, "inactive", "");
        absent.state.load = "not-found".to_owned();
        assert_eq!(judge_service(&absent).state, State::Unknown);
    }
}
