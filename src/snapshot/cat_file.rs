//! Blobs of the repository, in little memory.
//!
//! libgit2 maps packs in windows of 1 GiB, and the limit is a C global that safe code cannot set: after a context of 1 GB
//! was read, all of it counts as ours. So packed blobs come from `git cat-file --batch`, which is told to map less, and loose
//! ones, which git maps whole, we inflate ourselves.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ObjectId;
use super::blob::Blob;
use super::error::SnapshotError;
use super::git::Git;
use super::loose::Loose;

/// Ids in one question for sizes. The question, and its answer of at most 70 bytes an id, each fit into a pipe (64 KiB on
/// Linux), so that neither side waits for the other.
const QUESTION: usize = 512;

/// Reads the blobs of one repository; shared by threads.
#[derive(Debug)]
pub(super) struct CatFile {
    git: Git,
    /// The repository's own objects, then those of alternates.
    directories: Mutex<Vec<PathBuf>>,
    /// Children that wait for the next question.
    readers: Mutex<Vec<Batch>>,
    measurer: Mutex<Option<Batch>>,
}

impl CatFile {
    pub(super) fn new(git: Git, objects: PathBuf) -> Self {
        Self {
            git,
            directories: Mutex::new(vec![objects]),
            readers: Mutex::default(),
            measurer: Mutex::default(),
        }
    }

    /// Reads from one more directory of objects.
    pub(super) fn add_alternate(&self, objects: PathBuf) {
        lock(&self.directories).push(objects);
        // They were told of the directories when they started.
        lock(&self.readers).clear();
        *lock(&self.measurer) = None;
    }

    /// Opens a blob; `None` when there is no such object.
    pub(super) fn open(self: &Arc<Self>, id: ObjectId) -> Result<Option<Blob>, SnapshotError> {
        if let Some(blob) = self.open_loose(id)? {
            return Ok(Some(blob));
        }
        let idle = lock(&self.readers).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.start("--batch")?,
        };
        reader.ask(&[id])?;
        let Some(size) = reader.answer(id)? else {
            self.keep(reader);
            return Ok(None);
        };
        let content = Content::new(reader, Arc::clone(self));
        let blob = Blob::packed(content, size);
        blob.map(Some).map_err(|error| ended(&error))
    }

    /// The sizes of blobs, in bytes; `None` for one that is not there.
    pub(super) fn sizes(&self, ids: &[ObjectId]) -> Result<Vec<Option<u64>>, SnapshotError> {
        let mut measurer = lock(&self.measurer);
        // One that fails must not be asked again: it is put back only at the end.
        let mut batch = match measurer.take() {
            Some(batch) => batch,
            None if ids.is_empty() => return Ok(Vec::new()),
            None => self.start("--batch-check")?,
        };
        let mut sizes = Vec::with_capacity(ids.len());
        for ids in ids.chunks(QUESTION) {
            batch.ask(ids)?;
            for id in ids {
                sizes.push(batch.answer(*id)?);
            }
        }
        *measurer = Some(batch);
        Ok(sizes)
    }

    fn start(&self, mode: &'static str) -> Result<Batch, SnapshotError> {
        let directories = lock(&self.directories).clone();
        let mut child = self.git.cat_file(mode, &directories[1..])?;
        let input = child.stdin.take().expect("stdin was piped");
        let output = child.stdout.take().expect("stdout was piped");
        Ok(Batch {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn keep(&self, reader: Batch) {
        lock(&self.readers).push(reader);
    }

    fn open_loose(&self, id: ObjectId) -> Result<Option<Blob>, SnapshotError> {
        let hex = id.to_string();
        let (directory, name) = hex.split_at(2);
        let directories = lock(&self.directories).clone();
        for objects in directories {
            let path = objects.join(directory).join(name);
            let opened = match Loose::open(&path, id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Ok(None) => return Err(not_a_blob(id)),
                Ok(Some((content, size))) => Blob::loose(content, size),
                Err(error) => Err(error),
            };
            return opened
                .map(Some)
                .map_err(|source| SnapshotError::Read { path, source });
        }
        Ok(None)
    }
}

fn not_a_blob(id: ObjectId) -> SnapshotError {
    SnapshotError::ObjectDamaged {
        id,
        reason: "it is not a blob",
    }
}

/// What a lock guards is whole even where its holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running `git cat-file`; it ends with the value.
#[derive(Debug)]
struct Batch {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Batch {
    fn ask(&mut self, ids: &[ObjectId]) -> Result<(), SnapshotError> {
        let question: Vec<_> = ids.iter().map(ToString::to_string).collect();
        writeln!(self.input, "{}", question.join("\n")).map_err(|error| ended(&error))
    }

    /// The size of a blob; `None` when it is not there.
    fn answer(&mut self, id: ObjectId) -> Result<Option<u64>, SnapshotError> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(|error| ended(&error))?;
        let mut words = line.split_ascii_whitespace();
        let (_, kind, size) = (words.next(), words.next(), words.next());
        match (kind, size.map(str::parse)) {
            (Some("missing"), None) => Ok(None),
            (Some("blob"), Some(Ok(size))) => Ok(Some(size)),
            (Some(_), Some(_)) => Err(not_a_blob(id)),
            _ => Err(ended(&io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It holds nothing that it would have to put away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(error: &io::Error) -> SnapshotError {
    SnapshotError::GitFailed {
        command: "cat-file",
        message: error.to_string(),
    }
}

/// The content of one blob on its way from a child, which serves the next one afterwards.
#[derive(Debug)]
pub(super) struct Content {
    /// There until the end.
    batch: Option<Batch>,
    home: Arc<CatFile>,
}

impl Content {
    fn new(batch: Batch, home: Arc<CatFile>) -> Self {
        let batch = Some(batch);
        Self { batch, home }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.batch {
            Some(batch) => batch.output.read(buffer),
            None => Ok(0),
        }
    }

    /// All of it was read.
    pub(super) fn finish(&mut self) {
        if let Some(mut batch) = self.batch.take() {
            let mut end = [0];
            if batch.output.read_exact(&mut end).is_ok() && end == *b"\n" {
                self.home.keep(batch);
            }
        }
    }
}
