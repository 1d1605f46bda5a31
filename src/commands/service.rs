//! `prewarm service install|uninstall|status`.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Ended};
use crate::cli::ServiceCommand;
use crate::error::Kind;
use crate::service::plan::Existing;
use crate::service::{self, Change, Installed, Seen};

/// How to have services run without a session.
const LINGER: &str = "loginctl enable-linger";

pub(super) async fn run(context: &Context<'_>, command: ServiceCommand) -> Ended {
    match command {
        ServiceCommand::Install => {
            let installed = service::install(context.world).await?;
            let shown = |path: &std::path::Path| context.world.paths.shown(path);
            context
                .ui
                .result(&describe_installed(&installed, &shown), &())?;
            Ok(ExitCode::SUCCESS)
        }
        ServiceCommand::Uninstall => {
            let text = if service::uninstall(context.world).await? {
                "The service is stopped and removed.\n"
            } else {
                "There was no service.\n"
            };
            context.ui.result(text, &())?;
            Ok(ExitCode::SUCCESS)
        }
        ServiceCommand::Status { .. } => {
            let seen = service::look(context.world).await?;
            let shown = context.world.paths.shown(&seen.file);
            context
                .ui
                .result(&describe(&seen, &shown), &document(&seen))?;
            // As `systemctl status` does, so that scripts can tell.
            Ok(if seen.state.is_active() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Kind::Environment.exit_code())
            })
        }
    }
}

fn describe_installed(installed: &Installed, shown: &dyn Fn(&std::path::Path) -> String) -> String {
    let file = shown(&installed.file);
    let program = shown(&installed.program);
    let mut text = match installed.change {
        Change::Installed => format!(
            "The service runs {program} and starts with your session.\nIts unit is {file}.\n"
        ),
        Change::Updated => {
            format!("The service was brought up to date and runs {program} anew ({file}).\n")
        }
        Change::Started => format!("The service is installed ({file}); it was started.\n"),
        Change::Unchanged => {
            return format!("The service is installed and runs already ({file}).\n");
        }
    };
    for (name, value) in &installed.environment {
        let _ = writeln!(text, "It keeps {name}={value}, as it is here.");
    }
    if installed.lingers == Some(false) {
        let _ = writeln!(
            text,
            "It ends with your last session; `{LINGER}` lets it run on without one."
        );
    }
    text
}

fn describe(seen: &Seen, file: &str) -> String {
    let state = &seen.state;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    match (&seen.existing, state.is_loaded()) {
        (Existing::Nothing, false) => {
            return "There is no service; `prewarm service install` makes one.\n".to_owned();
        }
        (Existing::Foreign, _) => line("unit", &format!("{file}, which prewarm did not make")),
        (Existing::Nothing, true) if state.file.is_empty() => {
            line(
                "unit",
                "its file is gone; `prewarm service uninstall` tidies up",
            );
        }
        (Existing::Nothing, true) => line("unit", &state.file),
        (Existing::Ours(_), _) => line("unit", file),
    }
    let result = match state.result.as_str() {
        "" | "success" => String::new(),
        result => format!(", last failure {result}"),
    };
    line(
        "state",
        &format!("{} ({}){result}", state.active, state.sub),
    );
    if state.pid != 0 {
        line("process", &state.pid.to_string());
    }
    if !state.status.is_empty() {
        line("says", &state.status);
    }
    line("restarts", &state.restarts.to_string());
    let enabled = if state.is_enabled() {
        "starts with your session"
    } else {
        "does not start by itself"
    };
    line("start", enabled);
    match seen.lingers {
        Some(true) => line("lingering", "runs without a session, too"),
        Some(false) => line(
            "lingering",
            &format!("ends with your last session (`{LINGER}` changes that)"),
        ),
        None => {}
    }
    if state.active == "failed" {
        line("log", "`prewarm logs` shows what it said");
    }
    if state.replaced {
        line(
            "note",
            "the program was updated since; `prewarm service install` starts the new one",
        );
    }
    if state.stale {
        line(
            "note",
            "its file was changed since systemd read it; `prewarm service install` brings it up to date",
        );
    }
    text
}

fn document(seen: &Seen) -> serde_json::Value {
    let installed = match &seen.existing {
        Existing::Nothing => "no",
        Existing::Ours(_) => "yes",
        Existing::Foreign => "foreign",
    };
    json!({
        "installed": installed,
        "file": seen.file,
        "running": seen.state.is_active(),
        "enabled": seen.state.is_enabled(),
        "lingers": seen.lingers,
        "unit": seen.state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::systemctl::UnitState;

    #[test]
    fn what_was_installed_is_said_with_what_it_keeps() {
        let mut installed = Installed {
            change: Change::Installed,
            file: "/u/prewarm.service".into(),
            program: "/usr/bin/prewarm".into(),
            environment: vec![("DOCKER_HOST".to_owned(), "unix:///d".to_owned())],
            lingers: Some(false),
        };
        let shown = |path: &std::path::Path| path.display().to_string();
        insta::assert_snapshot!(describe_installed(&installed, &shown), @r"
        The service runs /usr/bin/prewarm and starts with your session.
        Its unit is /u/prewarm.service.
        It keeps DOCKER_HOST=unix:///d, as it is here.
        It ends with your last session; `loginctl enable-linger` lets it run on without one.
        ");
        installed.change = Change::Unchanged;
        insta::assert_snapshot!(
            describe_installed(&installed, &shown),
            @"The service is installed and runs already (/u/prewarm.service)."
        );
    }

    #[test]
    fn a_service_that_failed_says_how() {
        let seen = Seen {
            file: "/u/prewarm.service".into(),
            existing: Existing::Ours(String::new()),
            state: UnitState {
                load: "loaded".to_owned(),
                active: "failed".to_owned(),
                sub: "failed".to_owned(),
                enabled: "enabled".to_owned(),
                restarts: 10,
                result: "start-limit-hit".to_owned(),
                ..UnitState::default()
            },
            lingers: None,
        };
        insta::assert_snapshot!(describe(&seen, "~/u"), @r"
        unit      ~/u
        state     failed (failed), last failure start-limit-hit
        restarts  10
        start     starts with your session
        log       `prewarm logs` shows what it said
        ");
    }
}
