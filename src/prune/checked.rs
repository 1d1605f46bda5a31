//! What a look at the disk came to: for `status`, and for whoever wants to know why space cannot be had.

use serde::{Deserialize, Serialize};

use super::usage::Disk;
use crate::record::{RecordError, Records};

/// Where the records keep the newest [`Checked`].
const CHECKED: &str = "prune.checked";

/// What a look at the disk came to. The automatic prune prints it, and the newest one is kept in the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// What was done about it.
    pub state: State,
    /// Why, where that is no matter of course; one sentence, without a full stop.
    pub reason: Option<String>,
    /// The disk that the caches are on; `None` where it is not known.
    pub disk: Option<DiskUse>,
    /// The caches that were looked at.
    pub caches: Vec<CacheUse>,
    /// What all caches may have together.
    pub max_cache: Option<u64>,
    /// The last prune that deleted something.
    pub last: Option<LastPrune>,
    /// What holds the space that cannot be had, the largest first, ten at most; empty unless `state` is [`State::Short`].
    pub holders: Vec<Holder>,
}

impl Checked {
    /// Before anything was ever looked at.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            at: 0,
            state: State::Unknown,
            reason: None,
            disk: None,
            caches: Vec::new(),
            max_cache: None,
            last: None,
            holders: Vec::new(),
        }
    }

    /// Keeps it as the newest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, records: &Records) -> Result<(), RecordError> {
        let text = serde_json::json!(self).to_string();
        records.set_meta(CHECKED, &text)
    }

    /// Something was deleted since.
    pub fn after(&mut self, records: &Records, disk: Option<Disk>) {
        self.last = LastPrune::newest(records);
        self.holders.clear();
        if let (Some(known), Some(disk)) = (&mut self.disk, disk) {
            known.free = disk.free;
        }
    }

    /// The newest that the records know of; one of another version counts as none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn newest(records: &Records) -> Result<Option<Self>, RecordError> {
        let stored = records.meta(CHECKED)?;
        Ok(stored.and_then(|stored| serde_json::from_str(&stored).ok()))
    }
}

/// What was done about the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is enough.
    Enough,
    /// There is enough again.
    Pruned,
    /// There is not enough, and nothing more may go.
    Short,
    /// There is not enough, but it has to wait: something builds, or another prune runs.
    Waiting,
    /// It cannot be known, and no limit says more.
    Unknown,
    /// Nothing may be deleted: what is protected cannot be known, or the engine does not answer.
    Failed,
}

/// The disk that the caches are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Where it was measured.
    pub path: String,
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that may be written.
    pub free: u64,
    /// Pruning begins when less is free.
    pub start: u64,
    /// Pruning ends when so much is free.
    pub until: u64,
}

/// A BuildKit's cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// Which.
    pub builder: String,
    /// How many records it has.
    pub records: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What may go if space is needed.
    pub prunable_bytes: u64,
}

/// A prune that deleted something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPrune {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Records and images that went.
    pub items: usize,
    /// Bytes that the plan promised.
    pub planned: u64,
    /// Bytes that BuildKit and the Engine said were freed.
    pub reported: u64,
    /// By how much the disk's free space grew; `None` where that is not known. Others write to it, too.
    pub measured: Option<i64>,
}

impl LastPrune {
    /// The newest of the journal.
    #[must_use]
    pub fn newest(records: &Records) -> Option<Self> {
        let row = records.prunes(1).ok()?.into_iter().next()?;
        Some(Self {
            at: row.ended_at.unwrap_or(row.started_at),
            items: row.items,
            planned: row.planned,
            reported: row.reported.unwrap_or(0),
            measured: row.measured,
        })
    }
}

/// What holds space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The record or image, in words.
    pub what: String,
    /// Its bytes.
    pub bytes: u64,
    /// Why it stays.
    pub by: String,
}
