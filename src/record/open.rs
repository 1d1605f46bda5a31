//! Opening the database: making it, bringing it up to date, and getting a damaged one out of the way.
//!
//! A file that other processes may have open is only ever renamed, and only under a lock file, so that two processes
//! that meet the same damage do not set aside each other's new database.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{RecordError, is_damage};
use super::{in_memory_name, schema};

/// Between the name of a database that was set aside and when that was, in Unix seconds.
const ASIDE: &str = ".corrupt-";

/// How long a call waits for another process's transaction. Ours take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The files that `SQLite` keeps beside a database in WAL mode, the database itself last: while it is there, nobody
/// mistakes the place for an empty one.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", ""];

/// What the caller should tell the user; the records can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The database was damaged; a new one was begun.
    #[error("{} was damaged ({reason}); it is now {}, and a new history begins", path.display(), aside.display())]
    SetAside {
        /// Where it was.
        path: PathBuf,
        /// Where it is.
        aside: PathBuf,
        /// What `SQLite` said.
        reason: String,
    },
}

/// Which file a connection is on.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    /// Device and inode when it was opened; `None` for a database in memory.
    identity: Option<(u64, u64)>,
    /// Unix seconds when it was opened.
    opened_at: i64,
}

impl OpenFile {
    pub(super) fn path(&self) -> Option<&Path> {
        self.identity.map(|_| self.path.as_path())
    }

    /// How messages call it.
    pub(super) fn name(&self) -> &Path {
        &self.path
    }

    /// Renames the file that we have open because `SQLite` found it damaged, unless another process did so already.
    pub(super) fn set_aside_damaged(&self, error: &rusqlite::Error) -> RecordError {
        let reason = error.to_string();
        let moved = lock(&self.path).and_then(|_lock| {
            if self.identity.is_some() && identity(&self.path) == self.identity {
                set_aside(&self.path, self.opened_at)?;
            }
            Ok(())
        });
        match moved {
            Ok(()) => RecordError::Damaged {
                path: self.path.clone(),
                reason,
            },
            Err(error) => error,
        }
    }
}

/// Opens `path` in about a millisecond when it is a database of the current version; otherwise makes it so first.
pub(super) fn open(
    path: &Path,
    now: i64,
) -> Result<(Connection, OpenFile, Option<Warning>), RecordError> {
    // To open a pipe would be to wait for whoever writes to it.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let source = io::Error::other("it is not a regular file");
        return Err(RecordError::from_io(path, "open the records in", source));
    }
    let (connection, warning) = match try_current(path) {
        Ok(Some(connection)) => (connection, None),
        Ok(None) => prepare(path, now)?,
        Err(error) if is_damage(&error) => prepare(path, now)?,
        Err(error) => return Err(cannot_open(path, &error)),
    };
    let file = OpenFile {
        path: path.to_path_buf(),
        identity: identity(path),
        opened_at: now,
    };
    Ok((connection, file, warning))
}

/// Opens a database of the current version where nothing can be written: its index of what was written last, which is a
/// file otherwise, is made in memory (<https://sqlite.org/wal.html#use_of_wal_without_shared_memory>).
pub(super) fn read_only(path: &Path) -> rusqlite::Result<(Connection, OpenFile)> {
    let exclusive = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        current(connection)
    };
    let connection = exclusive().or_else(|error| {
        // Without a log everything is in the file itself, which can then be read as what never changes.
        match fs::metadata(with_suffix(path, SUFFIXES[0])) {
            Ok(log) if log.len() > 0 => Err(error),
            _ => current(unchanging(path)?),
        }
    })?;
    let file = OpenFile {
        path: path.to_path_buf(),
        identity: identity(path),
        opened_at: 0,
    };
    Ok((connection, file))
}

fn current(connection: Connection) -> rusqlite::Result<Connection> {
    match schema::version(&connection)? {
        schema::CURRENT => Ok(connection),
        _ => Err(rusqlite::Error::InvalidQuery),
    }
}

/// <https://sqlite.org/uri.html#uriimmutable>
fn unchanging(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let name = path.display().to_string();
    let name = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

/// A current database in memory.
pub(super) fn in_memory() -> Result<(Connection, OpenFile), RecordError> {
    let path = in_memory_name();
    let made = Connection::open_in_memory().and_then(|mut connection| {
        configure(&connection)?;
        schema::migrate(&mut connection)?;
        Ok(connection)
    });
    let connection =
        made.map_err(|error| RecordError::from_sqlite(&path, "make the records in", &error))?;
    Ok((
        connection,
        OpenFile {
            path,
            identity: None,
            opened_at: 0,
        },
    ))
}

/// Opens a database that needs nothing done to it; `None` when something is to do.
fn try_current(path: &Path) -> rusqlite::Result<Option<Connection>> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path)?;
    Ok((schema::version(&connection)? == schema::CURRENT).then_some(connection))
}

/// Makes, upgrades or replaces the database, one process at a time.
fn prepare(path: &Path, now: i64) -> Result<(Connection, Option<Warning>), RecordError> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| RecordError::from_io(directory, "make the directory", source))?;
    }
    let _lock = lock(path)?;
    let mut warning = None;
    if let Err(error) = try_current(path) {
        if !is_damage(&error) {
            return Err(cannot_open(path, &error));
        }
        let aside = set_aside(path, now)?;
        warning = Some(Warning::SetAside {
            path: path.to_path_buf(),
            aside,
            reason: error.to_string(),
        });
    }
    private_file(path).map_err(|source| RecordError::from_io(path, "make", source))?;
    let failed =
        |error: &rusqlite::Error| RecordError::from_sqlite(path, "set up the records in", error);
    let mut connection = connect(path).map_err(|error| failed(&error))?;
    let found = schema::version(&connection).map_err(|error| failed(&error))?;
    if found > schema::CURRENT {
        return Err(RecordError::Newer {
            path: path.to_path_buf(),
            found,
            known: schema::CURRENT,
        });
    }
    // WAL is a property of the file: readers never wait for a writer, and a process killed in mid transaction leaves
    // nothing to undo.
    let set_up = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .and_then(|()| schema::migrate(&mut connection));
    set_up.map_err(|error| failed(&error))?;
    Ok((connection, warning))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // In WAL mode NORMAL keeps the database consistent through SIGKILL and power cuts; a power cut may take back the
    // last transactions, which costs a question asked again. FULL would add a disk flush to each of them.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Why the database did not open. Where `SQLite` only knows that it did not, the system knows more.
fn cannot_open(path: &Path, error: &rusqlite::Error) -> RecordError {
    const ACTION: &str = "open the records in";
    if error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
        && let Err(source) = private_file(path)
    {
        return RecordError::from_io(path, ACTION, source);
    }
    RecordError::from_sqlite(path, ACTION, error)
}

/// Makes the file so that only its owner can read it; `SQLite` gives its companions the same mode.
fn private_file(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Waits for the lock on making and replacing the database; held for milliseconds, until the file is dropped.
fn lock(path: &Path) -> Result<File, RecordError> {
    let path = with_suffix(path, ".lock");
    let locked = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .and_then(|file| {
            file.lock()?;
            Ok(file)
        });
    locked.map_err(|source| RecordError::from_io(&path, "lock", source))
}

/// Renames the database and its companions. To be called under the lock.
fn set_aside(path: &Path, now: i64) -> Result<PathBuf, RecordError> {
    let aside = aside_name(path, now);
    for suffix in SUFFIXES {
        let from = with_suffix(path, suffix);
        match fs::rename(&from, with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RecordError::from_io(&from, "set aside", error));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// When a database was last set aside here, in Unix seconds: their names tell.
pub(super) fn newest_aside(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    let prefix = format!("{name}{ASIDE}");
    let there = fs::read_dir(path.parent()?).ok()?;
    let times = there.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_prefix(&prefix)?.parse().ok()
    });
    times.max()
}

/// The first free name from `now` on.
fn aside_name(path: &Path, now: i64) -> PathBuf {
    let mut second = now;
    loop {
        let name = with_suffix(path, &format!("{ASIDE}{second}"));
        if !name.exists() {
            return name;
        }
        second += 1;
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
