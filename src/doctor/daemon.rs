//! Whether changes are seen: by the daemon, and by git's hooks.

use super::{Finding, Subject};
use crate::client::{Client, ClientError};
use crate::config::load_user;
use crate::consent::Store;
use crate::daemon::status::Problem;
use crate::error::Error;
use crate::hooks::{EventStatus, Installation, State};
use crate::snapshot::Repository;

const DAEMON: &str = "daemon";
const HOOKS: &str = "hooks";
const ALLOWED: &str = "allowed";

/// Whether a daemon answers, and what it complains of.
pub(super) async fn daemon(subject: &Subject) -> Vec<Finding> {
    let paths = subject.world.paths.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let client = Client::connect(&paths)?;
        let version = client.hello.version.clone();
        Ok::<_, ClientError>((version, client.status()?))
    });
    let Ok(answer) = asked.await else {
        return vec![Finding::unknown(DAEMON, "it could not be asked")];
    };
    let (version, status) = match answer {
        Ok(answer) => answer,
        Err(error @ ClientError::NotRunning) => {
            let remedy = crate::error::Remedy::hint(&error).unwrap_or_default();
            return vec![Finding::warn(DAEMON, error.to_string(), remedy)];
        }
        Err(error) => return vec![Finding::error(DAEMON, &error.into())],
    };
    let mut findings = vec![match version.as_str() {
        env!("CARGO_PKG_VERSION") => Finding::ok(
            DAEMON,
            match status.trees.len() {
                1 => format!("prewarm {version} runs, with 1 work tree"),
                trees => format!("prewarm {version} runs, with {trees} work trees"),
            },
        ),
        other => Finding::warn(
            DAEMON,
            format!(
                "it is prewarm {other}, and this is {}",
                env!("CARGO_PKG_VERSION")
            ),
            "restart it: `systemctl --user restart prewarm`, or `prewarm daemon stop` and start it again",
        ),
    }];
    let warn = |path: Option<&std::path::Path>, problem: &Problem| {
        let remedy = problem.remedy.clone().unwrap_or_default();
        let seen = match path {
            Some(path) => format!("{}: {}", path.display(), problem.message),
            None => problem.message.clone(),
        };
        Finding::warn(DAEMON, seen, remedy)
    };
    findings.extend(status.problems.iter().map(|problem| warn(None, problem)));
    // The Engine that it has, and its logins, need not be those of this shell.
    for tree in &status.trees {
        let errors = tree.views.iter().flat_map(|view| &view.errors);
        let problems = tree.problems.iter().chain(errors);
        let mut told: Vec<&Problem> = Vec::new();
        for problem in problems {
            if !told.contains(&problem) {
                told.push(problem);
                findings.push(warn(Some(&tree.path), problem));
            }
        }
    }
    findings
}

/// Whether the repository is allowed, and whether git runs its hooks.
pub(super) async fn hooks(subject: &Subject) -> Vec<Finding> {
    let Some(work_dir) = subject.work_dir.clone() else {
        return vec![];
    };
    let paths = subject.world.paths.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let repository = Repository::discover(&work_dir)?;
        let allowed = Store::at(paths.consent()).load()?;
        let allowed = allowed.grant(repository.common_dir()).is_some();
        let user = load_user(&paths).map(|user| user.value);
        let user = user.unwrap_or_default();
        let events = Installation::new(&repository, &user, &paths)?.status()?;
        Ok::<_, Error>((allowed, events))
    });
    match looked.await {
        Ok(Ok((allowed, events))) => vec![judge_allowed(allowed), judge_hooks(&events)],
        Ok(Err(error)) => vec![Finding::error(HOOKS, &error)],
        Err(_) => vec![Finding::unknown(HOOKS, "they could not be looked at")],
    }
}

fn judge_allowed(allowed: bool) -> Finding {
    if allowed {
        Finding::ok(ALLOWED, "this repository is warmed unasked")
    } else {
        Finding::warn(
            ALLOWED,
            "nothing is built unasked in this repository",
            "`prewarm allow` shows what would run, and allows it",
        )
    }
}

/// Hooks are a courtesy: without them changes are seen a little later, and pushes are not in the history.
fn judge_hooks(events: &[EventStatus]) -> Finding {
    let not: Vec<&str> = events
        .iter()
        .filter(|event| event.state != State::InForce)
        .map(|event| event.event.name())
        .collect();
    if not.is_empty() {
        return Finding::ok(HOOKS, "git runs all of them");
    }
    if not.len() == events.len() {
        return Finding::unknown(
            HOOKS,
            "none is in force; `prewarm hooks install` has pushes told to the history",
        );
    }
    Finding::warn(
        HOOKS,
        format!("not in force: {}", not.join(", ")),
        "`prewarm hooks status` says why, `prewarm hooks install` brings them up to date",
    )
}

#[cfg(test)]
mod tests {
    use super::super::State as Found;
    use super::*;
    use crate::hooks::Event;

    #[test]
    fn hooks_are_judged_together() {
        let all = |state: fn(usize) -> State| {
            let events = Event::ALL.into_iter().enumerate();
            let events = events.map(|(number, event)| EventStatus {
                event,
                state: state(number),
                at: None,
                reason: None,
            });
            judge_hooks(&events.collect::<Vec<_>>()).state
        };
        assert_eq!(all(|_| State::InForce), Found::Ok);
        assert_eq!(all(|_| State::Missing), Found::Unknown);
        let one_outdated = |number| {
            if number == 0 {
                State::Outdated
            } else {
                State::InForce
            }
        };
        assert_eq!(all(one_outdated), Found::Warn);
    }

    #[test]
    fn what_is_not_allowed_comes_with_the_cure() {
        assert_eq!(judge_allowed(true).state, Found::Ok);
        let not = judge_allowed(false);
        assert!(
            not.remedy
                .is_some_and(|remedy| remedy.contains("prewarm allow"))
        );
    }
}
