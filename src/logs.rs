//! What the daemon logged: in the journal where it is a service, in daily files elsewhere.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::service::systemctl::UnitState;
use crate::service::unit::UNIT;

/// As much is read at once, from the end of a file.
const BLOCK: u64 = 64 << 10;

/// Where the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the journal.
    Journal,
    /// In daily files.
    Files,
}

/// Decides where to look: with the service where it runs or failed, else in files where there are any. `None` where nothing
/// was ever logged.
#[must_use]
pub fn choose(unit: Option<&UnitState>, files: bool) -> Option<Source> {
    match unit {
        Some(unit) if unit.is_loaded() && (unit.active != "inactive" || !files) => {
            Some(Source::Journal)
        }
        _ if files => Some(Source::Files),
        _ => None,
    }
}

/// The arguments of `journalctl`.
///
/// Not `--user -u`: that reads files of the user's own, which there are none of where the journal is not kept on disk.
#[must_use]
pub fn journal(lines: usize, follow: bool) -> Vec<String> {
    let mut arguments = vec![format!("--user-unit={UNIT}"), format!("--lines={lines}")];
    if follow {
        arguments.push("--follow".to_owned());
    }
    arguments
}

/// The daily files, oldest first. Their names are dates, so that they sort as they were written.
///
/// # Errors
/// When the directory is there but cannot be read.
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b"prewarm.") && name.ends_with(b".log") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the log: its last lines first, then what is added.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// The file that is read, and how far.
    at: Option<(PathBuf, u64)>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl Follower {
    /// Begins with the last `count` lines of all files together.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(directory: &Path, count: usize) -> io::Result<(Self, Vec<String>)> {
        let files = files(directory)?;
        let mut found = Vec::new();
        let mut at = None;
        for path in files.iter().rev() {
            let (mut lines, end) = tail(path, count - found.len())?;
            at = at.or_else(|| Some((path.clone(), end)));
            lines.append(&mut found);
            found = lines;
            if found.len() >= count {
                break;
            }
        }
        let follower = Self {
            directory: directory.to_owned(),
            at,
            begun: Vec::new(),
        };
        Ok((follower, found))
    }

    /// The lines that were added since, also in files that are newer.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            if let Some((path, offset)) = &mut self.at {
                let bytes = from(path, offset)?;
                self.begun.extend_from_slice(&bytes);
                let end = self.begun.iter().rposition(|byte| *byte == b'\n');
                if let Some(end) = end {
                    let whole: Vec<u8> = self.begun.drain(..=end).collect();
                    lines.extend(split(&whole));
                }
            }
            // Nothing is added to a file any more once there is a newer one.
            let current = self.at.as_ref().map(|(path, _)| path);
            let newer = files(&self.directory)?
                .into_iter()
                .find(|path| current.is_none_or(|current| path > current));
            let Some(newer) = newer else {
                return Ok(lines);
            };
            if !self.begun.is_empty() {
                lines.extend(split(&std::mem::take(&mut self.begun)));
            }
            self.at = Some((newer, 0));
        }
    }
}

/// What stands in a file from `offset` on, which is moved to its end. A file that became shorter is read anew, one that is
/// gone has nothing.
fn from(path: &Path, offset: &mut u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    if file.metadata()?.len() < *offset {
        *offset = 0;
    }
    file.seek(SeekFrom::Start(*offset))?;
    let mut bytes = Vec::new();
    *offset += file.read_to_end(&mut bytes)? as u64;
    Ok(bytes)
}

/// The last whole lines of a file, and where they end. Reads no more of it than it has to.
fn tail(path: &Path, count: usize) -> io::Result<(Vec<String>, u64)> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let (mut start, mut bytes) = (length, Vec::new());
    // Besides them there may be the rest of a line before, and a line that is not written to its end.
    while start > 0 && split(&bytes).len() <= count + 1 {
        let size = start.min(BLOCK);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; usize::try_from(size).expect("a block fits into memory")];
        file.read_exact(&mut block)?;
        block.append(&mut bytes);
        bytes = block;
    }
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let end = start + whole as u64;
    let mut lines = split(&bytes[..whole]);
    lines.drain(..lines.len().saturating_sub(count));
    Ok((lines, end))
}

fn split(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
