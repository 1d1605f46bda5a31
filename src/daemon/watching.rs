//! Which directories are watched for which work trees, and what is polled because it cannot be watched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::interest::{Interest, Meaning};
use super::state::View;
use super::status::Problem;
use super::watch::{Seen, WatchError, Watcher};
use crate::snapshot::WorkTree;

/// Directories that are watched for all work trees together. The system's limit may be 8,192 for all programs of a user.
const MOST: usize = 1_000;

/// What file events mean for the daemon.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Something that decides may have changed in these work trees.
    pub(super) trees: BTreeSet<PathBuf>,
    /// A repository may have other work trees than before.
    pub(super) work_trees: bool,
    /// Hooks have left word.
    pub(super) spool: bool,
    /// The user's configuration may be another, or the login to a registry.
    pub(super) settings: bool,
    /// Something was allowed or denied, by the user or by a job.
    pub(super) consent: bool,
    /// Where we say how we are reached may say something else.
    pub(super) discovery: bool,
}

/// Our own files whose change concerns the daemon.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) spool: PathBuf,
    pub(super) consent: PathBuf,
    pub(super) config: PathBuf,
    /// Where docker keeps logins.
    pub(super) logins: PathBuf,
    pub(super) discovery: PathBuf,
}

/// Watches work trees.
pub(super) struct Watching {
    watcher: Watcher,
    own: Own,
    interests: BTreeMap<PathBuf, Interest>,
    /// Per work tree, what is watched for it.
    directories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Why a work tree is not watched as it should be.
    lacking: BTreeMap<PathBuf, Lack>,
}

/// Why a work tree is not watched as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lack {
    why: String,
    /// The user can mend it.
    remedy: Option<&'static str>,
}

impl From<String> for Lack {
    fn from(why: String) -> Self {
        Self { why, remedy: None }
    }
}

impl From<WatchError> for Lack {
    fn from(error: WatchError) -> Self {
        Self {
            remedy: (error == WatchError::Limit).then_some(
                "raise the limit: `sudo sysctl fs.inotify.max_user_watches=524288`, and in /etc/sysctl.d to keep it",
            ),
            why: error.to_string(),
        }
    }
}

impl Watching {
    pub(super) fn new(own: Own) -> Result<Self, WatchError> {
        let mut watcher = Watcher::new()?;
        for directory in [
            Some(own.spool.as_path()),
            own.consent.parent(),
            own.logins.parent(),
        ]
        .into_iter()
        .flatten()
        {
            match watcher.watch(directory) {
                Ok(()) | Err(WatchError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        watch_settings(&mut watcher, &own.config)?;
        Ok(Self {
            watcher,
            own,
            interests: BTreeMap::new(),
            directories: BTreeMap::new(),
            lacking: BTreeMap::new(),
        })
    }

    pub(super) fn wake(&self) -> std::sync::Arc<tokio::sync::Notify> {
        self.watcher.wake()
    }

    pub(super) fn count(&self) -> usize {
        self.watcher.count()
    }

    /// Begins with a work tree.
    pub(super) fn add(&mut self, place: WorkTree) {
        let tree = place.work_dir.clone();
        self.interests.insert(tree.clone(), Interest::new(place));
        self.renew(&tree);
    }

    /// Ends with a work tree.
    pub(super) fn remove(&mut self, tree: &Path) {
        self.interests.remove(tree);
        self.lacking.remove(tree);
        let gone = self.directories.remove(tree).unwrap_or_default();
        self.release(&gone);
    }

    /// Takes in what a look has read. True if something is watched now that was not: what happened there until now was
    /// not seen.
    pub(super) fn read(
        &mut self,
        tree: &Path,
        view: View,
        files: Vec<PathBuf>,
        more: bool,
    ) -> bool {
        let Some(interest) = self.interests.get_mut(tree) else {
            return false;
        };
        interest.read(view, files, more);
        self.renew(tree)
    }

    /// Work trees that must be polled.
    pub(super) fn polled(&self) -> impl Iterator<Item = &Path> {
        self.lacking.keys().map(PathBuf::as_path)
    }

    /// What is not as it should be with a work tree.
    pub(super) fn problem(&self, tree: &Path) -> Option<Problem> {
        let Lack { why, remedy } = self.lacking.get(tree)?;
        Some(Problem {
            message: format!("some changes are seen only once a minute or by git hooks: {why}"),
            remedy: remedy.map(str::to_owned),
        })
    }

    /// What has happened since the last call.
    pub(super) fn changes(&mut self) -> Changes {
        let Seen { paths, rescan } = self.watcher.take();
        let mut changes = Changes {
            spool: rescan,
            settings: rescan,
            consent: rescan,
            discovery: rescan,
            work_trees: rescan,
            ..Changes::default()
        };
        let mut moved = BTreeSet::new();
        if rescan {
            changes.trees.extend(self.interests.keys().cloned());
        }
        for path in paths {
            changes.spool |= path.parent() == Some(&self.own.spool);
            changes.discovery |= path == self.own.discovery;
            changes.consent |= path == self.own.consent;
            changes.settings |= path == self.own.logins;
            if self.own.config.starts_with(&path) {
                changes.settings = true;
                // Its directory may have come, or have been replaced. Where the limit is reached SIGHUP still works.
                let _ = watch_settings(&mut self.watcher, &self.own.config);
            }
            for (tree, interest) in &self.interests {
                match interest.meaning(&path) {
                    Meaning::Nothing => {}
                    Meaning::Changed => drop(changes.trees.insert(tree.clone())),
                    Meaning::WorkTrees => drop(moved.insert(tree.clone())),
                }
            }
        }
        changes.work_trees |= !moved.is_empty();
        for tree in moved {
            // The directory that tells of further ones may have come just now.
            self.renew(&tree);
        }
        changes
    }

    fn renew(&mut self, tree: &Path) -> bool {
        let Some(interest) = self.interests.get(tree) else {
            return false;
        };
        let (wanted, complete) = interest.directories();
        let mut lack = (!complete)
            .then(|| Lack::from("its inputs are in more directories than are watched".to_owned()));
        let before = self.directories.remove(tree).unwrap_or_default();
        let mut watched = BTreeSet::new();
        for directory in wanted {
            if !before.contains(&directory) && self.watcher.count() >= MOST {
                lack = Some(Lack::from(format!(
                    "prewarm watches {MOST} directories already"
                )));
                continue;
            }
            match self.watcher.watch(&directory) {
                Ok(()) => drop(watched.insert(directory)),
                Err(WatchError::Missing) => {}
                Err(error) => lack = Some(error.into()),
            }
        }
        if let Some(name) = deaf(tree) {
            lack = Some(Lack::from(format!(
                "{} is on {name}, where changes elsewhere are not told",
                tree.display()
            )));
        }
        let gone: BTreeSet<_> = before.difference(&watched).cloned().collect();
        let added = watched.difference(&before).next().is_some();
        self.directories.insert(tree.to_owned(), watched);
        self.release(&gone);
        match lack {
            Some(lack) => drop(self.lacking.insert(tree.to_owned(), lack)),
            None => drop(self.lacking.remove(tree)),
        }
        added
    }

    /// Watches directories no longer that no work tree needs.
    fn release(&mut self, directories: &BTreeSet<PathBuf>) {
        for directory in directories {
            let needed = self.directories.values().any(|all| all.contains(directory));
            if !needed {
                self.watcher.unwatch(directory);
            }
        }
    }
}

/// Watches the directory of the configuration; where there is none yet, the one in which it would come.
fn watch_settings(watcher: &mut Watcher, config: &Path) -> Result<(), WatchError> {
    for directory in config.ancestors().skip(1) {
        match watcher.watch(directory) {
            Err(WatchError::Missing) => {}
            result => return result,
        }
    }
    Ok(())
}

/// File systems that tell only of changes by this machine's own programs, or of none, by their numbers in `statfs(2)`.
#[cfg(target_os = "linux")]
fn deaf(tree: &Path) -> Option<&'static str> {
    const KINDS: [(u32, &str); 6] = [
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x786f_4256, "a VirtualBox share"),
    ];
    let kind = rustix::fs::statfs(tree).ok()?.f_type;
    // The numbers have 32 bits; their sign is an accident of the machine.
    let kind = u32::try_from(kind & 0xffff_ffff).ok()?;
    let known = KINDS.iter().find(|(number, _)| *number == kind);
    known.map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn deaf(_tree: &Path) -> Option<&'static str> {
    None
}
