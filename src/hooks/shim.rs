//! What a hook says in the language of the shell: pure text, from the templates in `hooks/`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Event, block};
use crate::config::{HookSettings, PrePush};

const HAND_OVER: &str = include_str!("../../hooks/hand-over.sh");
const PRE_PUSH: &str = include_str!("../../hooks/pre-push.sh");
const STANDALONE: &str = include_str!("../../hooks/standalone.sh");
const LOOK: &str = include_str!("../../hooks/look.sh");
const ORIGINAL: &str = include_str!("../../hooks/original.sh");

/// What the hook of one event is to do.
#[derive(Clone, Debug)]
pub struct Shim {
    /// The event that it tells of.
    pub event: Event,
    /// The file in the spool, absolute.
    pub spool_file: PathBuf,
    /// Our program, absolute.
    pub program: PathBuf,
    /// The file of a daemon that runs, absolute, where hooks are to look after the disk without one.
    pub daemon: Option<PathBuf>,
    /// What the user wants of hooks.
    pub settings: HookSettings,
}

impl Shim {
    /// As a command for git's configuration: one line, to which git may add ` "$@"`.
    #[must_use]
    pub fn command(&self) -> Vec<u8> {
        let parts: Vec<_> = self
            .templates()
            .map(|template| {
                let lines: Vec<&str> = code(template).map(str::trim).collect();
                self.filled(&lines.join(" "))
            })
            .collect();
        parts.join(&b"; "[..])
    }

    /// As lines between our marks, to stand in somebody's script.
    #[must_use]
    pub fn block(&self) -> Vec<u8> {
        block::marked(block::Extent::Lines, &self.lines())
    }

    /// As a whole file, which then goes on with the hook that was there before.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        [block::SHEBANG, &self.file_block(), b"\n"].concat()
    }

    /// All of [`Shim::file`] but its first line.
    pub(super) fn file_block(&self) -> Vec<u8> {
        let mut lines = self.lines();
        for line in code(ORIGINAL) {
            lines.extend(line.bytes().chain([b'\n']));
        }
        block::marked(block::Extent::File, &lines)
    }

    fn lines(&self) -> Vec<u8> {
        let mut text = String::new();
        for line in self.templates().flat_map(code) {
            text.push_str(line);
            text.push('\n');
        }
        self.filled(&text)
    }

    fn templates(&self) -> impl Iterator<Item = &'static str> {
        let more = match self.event {
            Event::PrePush => (self.settings.pre_push != PrePush::Off).then_some(PRE_PUSH),
            _ if self.settings.standalone => Some(STANDALONE),
            _ => self.daemon.is_some().then_some(LOOK),
        };
        [HAND_OVER].into_iter().chain(more)
    }

    /// Puts the values in. What a value holds is never taken for a place of another one.
    fn filled(&self, template: &str) -> Vec<u8> {
        let mut filled = Vec::new();
        for (number, part) in template.split('@').enumerate() {
            match (number % 2, part) {
                (0, text) => filled.extend(text.bytes()),
                (_, "SPOOL") => filled.extend(quoted(&self.spool_file)),
                (_, "PROGRAM") => filled.extend(quoted(&self.program)),
                (_, "DAEMON") => {
                    filled.extend(self.daemon.iter().flat_map(|path| quoted(path)));
                }
                (_, "EVENT") => filled.extend(self.event.name().bytes()),
                (_, text) => unreachable!("no template has a place for {text}"),
            }
        }
        filled
    }
}

/// The lines of a template that are not comments.
fn code(template: &'static str) -> impl Iterator<Item = &'static str> {
    template
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// A path as one word of the shell, whatever is in it.
fn quoted(path: &Path) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => word.extend(br"'\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}
