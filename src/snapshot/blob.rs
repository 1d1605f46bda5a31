//! The content of one file, read as a stream.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::process::{Child, ChildStdout};

/// The content of one file. Reading blocks; memory stays bounded whatever the size.
///
/// An end before [`Blob::size`] bytes is an error, never a short file.
#[derive(Debug)]
pub struct Blob {
    source: Source,
    size: u64,
    remaining: u64,
}

#[derive(Debug)]
enum Source {
    Memory(Cursor<Vec<u8>>),
    File(File),
    Process(Process),
}

/// A child that is not left behind.
#[derive(Debug)]
struct Process {
    child: Child,
    output: ChildStdout,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or nobody reads it any more; either way only its exit is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Blob {
    pub(super) fn memory(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self::new(Source::Memory(Cursor::new(bytes)), size)
    }

    pub(super) fn file(file: File, size: u64) -> Self {
        Self::new(Source::File(file), size)
    }

    pub(super) fn process((child, output): (Child, ChildStdout), size: u64) -> Self {
        Self::new(Source::Process(Process { child, output }), size)
    }

    fn new(source: Source, size: u64) -> Self {
        Self {
            source,
            size,
            remaining: size,
        }
    }

    /// How many bytes the whole content has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..wanted];
        let count = match &mut self.source {
            Source::Memory(cursor) => cursor.read(buffer),
            Source::File(file) => file.read(buffer),
            Source::Process(process) => process.output.read(buffer),
        }?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("content ended {} bytes early", self.remaining),
            ));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}
