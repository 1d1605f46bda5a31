//! What to do about one event's file, given what is there. Pure: no file is touched here.

use super::block::{self, Extent, Mark};
use super::script::Script;
use super::{Event, Shim};

/// What is in the place of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// What is in it.
        content: Vec<u8>,
        /// Whether git would run it.
        executable: bool,
    },
    /// A symbolic link, whatever it leads to.
    Link,
    /// A directory, or something stranger.
    Other,
}

/// What is under the name that we give to a hook that ours runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// Nothing.
    None,
    /// The very hook that is still in its place: somebody ended us between two steps.
    Same,
    /// Another file.
    Another,
}

/// What is there for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In the place of the hook.
    pub existing: Existing,
    /// Beside it.
    pub original: Original,
}

impl Found {
    /// Whether git would run what is in the place of the hook.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        matches!(
            self.existing,
            Existing::File {
                executable: true,
                ..
            }
        )
    }
}

/// What to do to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it is there.
    Keep,
    /// Write our file, as an executable one.
    Write(Vec<u8>),
    /// Write this content with the mode that the file has.
    Edit {
        /// What to write.
        content: Vec<u8>,
        /// Whether our lines were there already, though not these.
        again: bool,
    },
    /// Put the hook aside under another name, and our file in its place.
    Wrap(Vec<u8>),
    /// Nothing: it would not be right.
    Leave(Reason),
}

/// What to do to uninstall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing: there is nothing of ours.
    Nothing,
    /// Remove our file.
    Delete,
    /// Put the hook back that was put aside.
    Restore,
    /// Remove the second name of a hook that is still in its place.
    Forget,
    /// Write this content, which is without our lines, with the mode that the file has.
    Edit(Vec<u8>),
    /// Nothing, though something of ours is there.
    Leave(Reason),
}

/// Why something is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Git LFS knows its hooks by their exact text.
    GitLfs,
    /// The program goes by the name that it is called by.
    Named,
    /// The kernel cannot start it.
    CarriageReturn,
    /// Somebody changed our lines.
    Edited,
    /// Somebody added to our file, and it runs another hook.
    Extended,
    /// Our lines stand in a hook that somebody switched off.
    SwitchedOff,
    /// There is a hook that was put aside, but not by the file that is in its place now.
    Orphan,
    /// It is not a file.
    NotAFile,
}

impl Reason {
    /// Says it about a file.
    #[must_use]
    pub fn text(self, file: &str) -> String {
        match self {
            Self::GitLfs => format!(
                "{file} is Git LFS's own, which an edit would break; changes are seen by the daemon's watcher instead"
            ),
            Self::Named => format!(
                "{file} belongs to Overcommit, which goes by the file's name; changes are seen by the daemon's watcher instead"
            ),
            Self::CarriageReturn => {
                format!("{file}: its first line ends in CR LF, so that git cannot run it here")
            }
            Self::Edited => format!(
                "{file}: the lines between prewarm's marks are not those that prewarm wrote; remove them, with both marks, by hand"
            ),
            Self::Extended => format!(
                "{file} has lines besides prewarm's, and runs {file}.prewarm-orig; put them together by hand"
            ),
            Self::SwitchedOff => {
                format!("{file} is not executable, so that git does not run it; `chmod +x` it")
            }
            Self::Orphan => format!(
                "{file}.prewarm-orig is a hook that prewarm put aside, but {file} does not run it any more; move it back or remove it"
            ),
            Self::NotAFile => format!("{file} is neither a file nor a link"),
        }
    }
}

/// Decides what to do to install.
#[must_use]
pub fn install(found: &Found, shim: &Shim) -> Action {
    match &found.existing {
        Existing::Other => Action::Leave(Reason::NotAFile),
        Existing::File {
            content,
            executable,
        } => match block::find(content) {
            Mark::Edited => Action::Leave(Reason::Edited),
            Mark::Ours(extent, at) => {
                let wanted = match extent {
                    Extent::Lines if !executable => return Action::Leave(Reason::SwitchedOff),
                    Extent::Lines => block::replace(content, &at, &shim.block()),
                    Extent::File => block::replace(content, &at, &shim.file_block()),
                };
                match extent {
                    _ if *executable && wanted == *content => Action::Keep,
                    Extent::File if !executable => Action::Write(wanted),
                    _ => Action::Edit {
                        content: wanted,
                        again: true,
                    },
                }
            }
            Mark::None if found.original == Original::Another => Action::Leave(Reason::Orphan),
            // Whoever took the permission away wants it not to run, which our file respects.
            Mark::None if !executable => Action::Wrap(shim.file()),
            Mark::None => beside(content, shim),
        },
        Existing::Nothing if found.original != Original::None => Action::Leave(Reason::Orphan),
        Existing::Link if found.original == Original::Another => Action::Leave(Reason::Orphan),
        Existing::Nothing => Action::Write(shim.file()),
        Existing::Link => Action::Wrap(shim.file()),
    }
}

/// Decides how to live with somebody else's program.
fn beside(content: &[u8], shim: &Shim) -> Action {
    match Script::of(content, shim.event) {
        Script::Shell => Action::Edit {
            content: block::insert(content, &shim.block()),
            again: false,
        },
        Script::Other => Action::Wrap(shim.file()),
        Script::GitLfs => Action::Leave(Reason::GitLfs),
        Script::Named => Action::Leave(Reason::Named),
        Script::CarriageReturn => Action::Leave(Reason::CarriageReturn),
    }
}

/// Decides what to do to uninstall.
#[must_use]
pub fn uninstall(found: &Found) -> Removal {
    let Existing::File { content, .. } = &found.existing else {
        return without(found.original);
    };
    match block::find(content) {
        Mark::None => without(found.original),
        Mark::Edited => Removal::Leave(Reason::Edited),
        Mark::Ours(Extent::Lines, at) => Removal::Edit(block::remove(content, &at)),
        Mark::Ours(Extent::File, at) => {
            let rest = block::remove(content, &at);
            match found.original {
                Original::None if rest == block::SHEBANG => Removal::Delete,
                Original::None => Removal::Edit(rest),
                _ if rest == block::SHEBANG => Removal::Restore,
                _ => Removal::Leave(Reason::Extended),
            }
        }
    }
}

/// Nothing of ours is in the place of the hook.
fn without(original: Original) -> Removal {
    match original {
        Original::None => Removal::Nothing,
        Original::Same => Removal::Forget,
        Original::Another => Removal::Leave(Reason::Orphan),
    }
}

/// Whether a hook's file holds lines of ours, be they edited.
#[must_use]
pub fn is_ours(existing: &Existing) -> bool {
    match existing {
        Existing::File { content, .. } => block::find(content) != Mark::None,
        _ => false,
    }
}

/// What to tell git's configuration about one event, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets `hook.<name>.command`.
    Command(Vec<u8>),
    /// Sets `hook.<name>.event`.
    Event(Event),
}

/// What git's configuration says about one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The values of `hook.<name>.command`.
    pub commands: Vec<Vec<u8>>,
    /// The values of `hook.<name>.event`.
    pub events: Vec<Vec<u8>>,
}

/// Decides what is to be set. Git refuses every command in a repository that has an event without its command: the
/// command comes first.
#[must_use]
pub fn configure(found: &Configured, shim: &Shim) -> Vec<Step> {
    let mut steps = Vec::new();
    let command = shim.command();
    if found.commands != [command.as_slice()] {
        steps.push(Step::Command(command));
    }
    if found.events != [shim.event.name().as_bytes()] {
        steps.push(Step::Event(shim.event));
    }
    steps
}
