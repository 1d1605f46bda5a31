//! What the user pinned: the file `pins.json` in the state directory. Where it cannot be trusted, nothing may be pruned.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Kind, Remedy};
use crate::state_file::{StateFile, Trouble};

/// The version that this program writes.
const VERSION: u64 = 1;

/// Everything that is pinned, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// Records of BuildKit's caches.
    pub records: Vec<RecordPin>,
    /// Branches: what the newest warm of each needs stays, also when the branch is gone.
    pub branches: Vec<BranchPin>,
    /// Images of the Engine.
    pub images: Vec<ImagePin>,
}

/// A record that stays, and with it what it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPin {
    /// Its id.
    pub id: String,
    /// When it was pinned, in Unix milliseconds.
    pub at: i64,
}

/// A branch whose newest warm stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchPin {
    /// The work tree in which it was pinned, as the history names repositories. Another work tree of the same repository
    /// may have warmed it.
    pub repository: String,
    /// The git directory that all work trees of the repository share.
    pub common_dir: String,
    /// Its name, without `refs/heads/`.
    pub branch: String,
    /// When it was pinned, in Unix milliseconds.
    pub at: i64,
}

/// An image that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePin {
    /// As [`super::usage::Image::reference`], or the image's id.
    pub reference: String,
    /// When it was pinned, in Unix milliseconds.
    pub at: i64,
}

/// Something that can be pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Pin {
    /// A record.
    Record {
        /// Its id.
        id: String,
    },
    /// A branch.
    Branch {
        /// The work tree.
        repository: String,
        /// The git directory that all work trees of the repository share.
        common_dir: String,
        /// The branch.
        branch: String,
    },
    /// An image.
    Image {
        /// Its name or id.
        reference: String,
    },
}

impl Pins {
    /// Pins something; false where it was pinned before.
    pub fn add(&mut self, pin: &Pin, at: i64) -> bool {
        if self.all().any(|(known, _)| same(&known, pin)) {
            return false;
        }
        match pin.clone() {
            Pin::Record { id } => self.records.push(RecordPin { id, at }),
            Pin::Branch {
                repository,
                common_dir,
                branch,
            } => self.branches.push(BranchPin {
                repository,
                common_dir,
                branch,
                at,
            }),
            Pin::Image { reference } => self.images.push(ImagePin { reference, at }),
        }
        true
    }

    /// Takes a pin back; false where there was none.
    pub fn remove(&mut self, pin: &Pin) -> bool {
        let before = self.all().count();
        match pin {
            Pin::Record { id } => self.records.retain(|known| known.id != *id),
            Pin::Branch {
                common_dir, branch, ..
            } => self
                .branches
                .retain(|known| known.common_dir != *common_dir || known.branch != *branch),
            Pin::Image { reference } => self.images.retain(|known| known.reference != *reference),
        }
        self.all().count() < before
    }

    /// All of them, with the times when they were pinned: branches, images, records.
    pub fn all(&self) -> impl Iterator<Item = (Pin, i64)> {
        let branches = self.branches.iter().map(|pin| {
            let branch = Pin::Branch {
                repository: pin.repository.clone(),
                common_dir: pin.common_dir.clone(),
                branch: pin.branch.clone(),
            };
            (branch, pin.at)
        });
        let images = self.images.iter().map(|pin| {
            let reference = pin.reference.clone();
            (Pin::Image { reference }, pin.at)
        });
        let records = self
            .records
            .iter()
            .map(|pin| (Pin::Record { id: pin.id.clone() }, pin.at));
        branches.chain(images).chain(records)
    }
}

/// Work trees of one repository share its branches.
fn same(one: &Pin, other: &Pin) -> bool {
    match (one, other) {
        (
            Pin::Branch {
                common_dir: a,
                branch: x,
                ..
            },
            Pin::Branch {
                common_dir: b,
                branch: y,
                ..
            },
        ) => a == b && x == y,
        _ => one == other,
    }
}

/// The file of pins. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct PinStore {
    file: StateFile,
}

/// What is wrong with the file of pins. While it cannot be read nothing may be pruned.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", path.display(), self.what())]
pub struct PinsError {
    path: PathBuf,
    source: Trouble,
}

impl PinsError {
    fn is_known(&self) -> bool {
        matches!(&self.source, Trouble::Io { action, .. } if *action != "read")
    }

    fn what(&self) -> &'static str {
        if self.is_known() {
            "what is pinned cannot be changed"
        } else {
            "what is pinned cannot be known"
        }
    }
}

impl Remedy for PinsError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some(match &self.source {
            Trouble::Io { .. } if self.is_known() => {
                "look at the permissions of it and its directory, and at the disk's".to_owned()
            }
            Trouble::Io { .. } => {
                "nothing is pruned until it is known; look at the permissions of it and its directory"
                    .to_owned()
            }
            Trouble::Damaged(_) => {
                "nothing is pruned until it is known; move the file away and pin again what must stay"
                    .to_owned()
            }
            Trouble::Newer(_) => {
                "update prewarm, or move the file away and pin again what must stay".to_owned()
            }
        })
    }
}

impl PinStore {
    /// The store in a file, which need not exist.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self {
            file: StateFile::at(path, VERSION),
        }
    }

    /// What is pinned: nothing where there is no file.
    ///
    /// # Errors
    /// Whatever keeps the file from being trusted.
    pub fn load(&self) -> Result<Pins, PinsError> {
        let pins = self.file.load().map_err(|trouble| self.error(trouble))?;
        Ok(pins.unwrap_or_default())
    }

    /// Changes what is pinned; what nobody changed is not written. Nothing is written over a file that cannot be trusted.
    ///
    /// # Errors
    /// As for [`PinStore::load`], or when it cannot be written.
    pub fn update<T>(&self, change: impl FnOnce(&mut Pins) -> T) -> Result<T, PinsError> {
        let _lock = self.file.lock().map_err(|trouble| self.error(trouble))?;
        let before = self.load()?;
        let mut after = before.clone();
        let result = change(&mut after);
        if after != before {
            let written = self.file.write(&after);
            written.map_err(|trouble| self.error(trouble))?;
        }
        Ok(result)
    }

    fn error(&self, source: Trouble) -> PinsError {
        PinsError {
            path: self.file.path().to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
