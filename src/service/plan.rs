//! What is done to install and uninstall, decided from what is there. No I/O.

use super::systemctl::UnitState;
use super::unit::HEADER;

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes the unit's file.
    Write(String),
    /// Removes it.
    Remove,
    /// Has the service manager read its units again.
    Reload,
    /// Has the service start with the session.
    Enable,
    /// No longer.
    Disable,
    /// Starts it, forgetting earlier failures, and waits until it is ready.
    Start,
    /// The same, after stopping what runs.
    Restart,
    /// Stops it.
    Stop,
}

/// What is where the unit's file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Nothing,
    /// A unit of ours.
    Ours(String),
    /// Somebody else's.
    Foreign,
}

impl Existing {
    /// Tells whose a file is.
    #[must_use]
    pub fn of(text: Option<String>) -> Self {
        match text {
            None => Self::Nothing,
            Some(text) if text.lines().next() == Some(HEADER) => Self::Ours(text),
            Some(_) => Self::Foreign,
        }
    }
}

/// Steps, and those that undo them when one fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; the first that fails is the last that is tried.
    pub steps: Vec<Step>,
    /// In order; each is tried, whatever becomes of the others.
    pub undo: Vec<Step>,
}

/// How to get the service to run from `wanted`; `None` where the file is not ours to write.
#[must_use]
pub fn install(existing: &Existing, wanted: &str, state: &UnitState) -> Option<Plan> {
    let (enabled, active) = (state.is_enabled(), state.is_active());
    let plan = match existing {
        Existing::Foreign => return None,
        Existing::Nothing => Plan {
            steps: vec![
                Step::Write(wanted.to_owned()),
                Step::Reload,
                Step::Enable,
                Step::Start,
            ],
            undo: vec![Step::Stop, Step::Disable, Step::Remove, Step::Reload],
        },
        Existing::Ours(text) if text == wanted && enabled && active && state.is_current() => {
            Plan::default()
        }
        Existing::Ours(text) => {
            let changed = text != wanted;
            let mut plan = Plan::default();
            if changed {
                plan.steps.push(Step::Write(wanted.to_owned()));
                plan.undo.push(Step::Write(text.clone()));
            }
            plan.steps.push(Step::Reload);
            plan.undo.push(Step::Reload);
            if !enabled {
                plan.steps.push(Step::Enable);
                plan.undo.push(Step::Disable);
            }
            plan.steps
                .push(if active { Step::Restart } else { Step::Start });
            plan.undo
                .push(if active { Step::Restart } else { Step::Stop });
            plan
        }
    };
    Some(plan)
}

/// How to get rid of the service; `None` where the file is not ours to remove.
#[must_use]
pub fn uninstall(existing: &Existing, state: Option<&UnitState>) -> Option<Plan> {
    let mut steps = match existing {
        Existing::Foreign => return None,
        Existing::Nothing => Vec::new(),
        Existing::Ours(_) => vec![Step::Remove],
    };
    if let Some(state) = state {
        // A unit whose file is gone may still run.
        let lives = state.is_active() || state.active == "activating" || state.is_enabled();
        if lives || !steps.is_empty() {
            steps.splice(0..0, [Step::Stop, Step::Disable]);
            steps.push(Step::Reload);
        }
    }
    Some(Plan {
        steps,
        undo: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> Existing {
        Existing::of(Some(format!("{HEADER}\n{text}")))
    }

    fn state(active: &str, enabled: &str, stale: bool) -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            active: active.to_owned(),
            enabled: enabled.to_owned(),
            stale,
            ..UnitState::default()
        }
    }

    /// A plan as letters, with what is undone after a bar.
    fn letters(plan: Option<Plan>) -> String {
        let letter = |step: &Step| match step {
            Step::Write(_) => "write",
            Step::Remove => "remove",
            Step::Reload => "reload",
            Step::Enable => "enable",
            Step::Disable => "disable",
            Step::Start => "start",
            Step::Restart => "restart",
            Step::Stop => "stop",
        };
        let Some(plan) = plan else {
            return "refused".to_owned();
        };
        let words = |steps: &[Step]| steps.iter().map(letter).collect::<Vec<_>>().join(" ");
        format!("{} | {}", words(&plan.steps), words(&plan.undo))
    }

    #[test]
    fn installing_does_what_is_missing_and_knows_the_way_back() {
        let wanted = format!("{HEADER}\nnew");
        let absent = UnitState::default();
        for (existing, state, expected) in [
            (
                Existing::Nothing,
                absent,
                "write reload enable start | stop disable remove reload",
            ),
            (
                Existing::of(Some("[Unit]\n".to_owned())),
                state("active", "enabled", false),
                "refused",
            ),
            (ours("new"), state("active", "enabled", false), " | "),
            (
                ours("new"),
                state("active", "enabled", true),
                "reload restart | reload restart",
            ),
            (
                ours("new"),
                state("failed", "enabled", false),
                "reload start | reload stop",
            ),
            (
                ours("new"),
                state("inactive", "disabled", false),
                "reload enable start | reload disable stop",
            ),
            (
                ours("old"),
                state("active", "enabled", false),
                "write reload restart | write reload restart",
            ),
            (
                ours("old"),
                state("inactive", "disabled", false),
                "write reload enable start | write reload disable stop",
            ),
        ] {
            let plan = install(&existing, &wanted, &state);
            assert_eq!(letters(plan), expected, "{existing:?} {state:?}");
        }
    }

    #[test]
    fn uninstalling_leaves_nothing_and_may_be_repeated() {
        for (existing, state, expected) in [
            (
                ours("x"),
                Some(state("active", "enabled", false)),
                "stop disable remove reload | ",
            ),
            (ours("x"), None, "remove | "),
            (Existing::Nothing, Some(UnitState::default()), " | "),
            (
                Existing::Nothing,
                Some(state("active", "", false)),
                "stop disable reload | ",
            ),
            (Existing::Nothing, None, " | "),
            (Existing::Foreign, None, "refused"),
        ] {
            assert_eq!(
                letters(uninstall(&existing, state.as_ref())),
                expected,
                "{existing:?} {state:?}"
            );
        }
    }
}
