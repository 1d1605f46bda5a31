//! What to do about our container, decided from what is there.

/// The container that has our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Existing {
    /// Its id.
    pub(super) id: String,
    /// Whether it carries our label.
    pub(super) ours: bool,
    /// The digest of the image that it was made from, by its label.
    pub(super) image: String,
    /// The hash of the settings that it was made with, by its label.
    pub(super) settings: String,
    /// What it is doing.
    pub(super) state: State,
    /// Commands that run in it: connections to its BuildKit.
    pub(super) sessions: usize,
}

impl Existing {
    /// Whether it would be made anew if nobody used it.
    pub(super) fn is_outdated(&self, wanted: &Wanted<'_>) -> bool {
        self.ours && (self.image != wanted.image || self.settings != wanted.settings)
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or the Engine is starting it again after a crash.
    Running,
    /// It was made but never started, or it ended.
    Stopped,
    /// It cannot be used any more: paused by somebody, being removed, or half removed.
    Unusable,
}

/// The container that we want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// The image's digest.
    pub(super) image: &'a str,
    /// The hash of the settings.
    pub(super) settings: &'a str,
}

/// The next step towards the container that we want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It runs as wanted, or from an older image and somebody uses it.
    Reuse,
    /// It is as wanted, but does not run.
    Start,
    /// It is not as wanted: remove it and make it anew, keeping its volume.
    Recreate(&'static str),
    /// There is none.
    Create,
    /// Somebody else's container has our name.
    Foreign,
}

/// The next step towards `wanted`.
pub(super) fn plan(existing: Option<&Existing>, wanted: &Wanted<'_>) -> Action {
    match existing {
        None => Action::Create,
        Some(container) if !container.ours => Action::Foreign,
        Some(container) if container.settings != wanted.settings => {
            Action::Recreate("its settings have changed")
        }
        Some(container) if container.image != wanted.image => {
            // A newer image can wait until nobody builds; it is no reason to fail either.
            if container.state == State::Running && container.sessions > 0 {
                Action::Reuse
            } else {
                Action::Recreate("its image has changed")
            }
        }
        Some(container) => match container.state {
            State::Running => Action::Reuse,
            State::Stopped => Action::Start,
            State::Unusable => Action::Recreate("it is paused or half removed"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_next_step() {
        let ours = |image: &str, settings: &str, state| Existing {
            id: "1".to_owned(),
            ours: true,
            image: image.to_owned(),
            settings: settings.to_owned(),
            state,
            sessions: 0,
        };
        let foreign = Existing {
            ours: false,
            ..ours("new", "same", State::Running)
        };
        let busy = |image, settings| Existing {
            sessions: 1,
            ..ours(image, settings, State::Running)
        };
        let wanted = Wanted {
            image: "new",
            settings: "same",
        };
        let image = Action::Recreate("its image has changed");
        let settings = Action::Recreate("its settings have changed");
        let table = [
            (None, Action::Create),
            (Some(foreign), Action::Foreign),
            (Some(ours("new", "same", State::Running)), Action::Reuse),
            (Some(ours("new", "same", State::Stopped)), Action::Start),
            (
                Some(ours("new", "same", State::Unusable)),
                Action::Recreate("it is paused or half removed"),
            ),
            (Some(ours("old", "same", State::Running)), image),
            (Some(ours("old", "other", State::Stopped)), settings),
            (Some(busy("old", "same")), Action::Reuse),
            (Some(busy("new", "other")), settings),
            (Some(ours("new", "other", State::Running)), settings),
            (Some(ours("new", "other", State::Stopped)), settings),
        ];
        for (existing, expected) in table {
            assert_eq!(plan(existing.as_ref(), &wanted), expected, "{existing:?}");
        }
    }
}
