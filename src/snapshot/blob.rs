//! The content of one file, read as a stream.

use std::fs::File;
use std::io::{self, Cursor, Read};

use super::cat_file::Content;
use super::loose::Loose;

/// The content of one file. Reading blocks; memory stays bounded whatever the size.
///
/// An end before [`Blob::size`] bytes is an error, never a short file.
#[derive(Debug)]
pub(super) struct Blob {
    source: Source,
    size: u64,
    remaining: u64,
}

#[derive(Debug)]
enum Source {
    Memory(Cursor<Vec<u8>>),
    File(File),
    Loose(Loose),
    Packed(Content),
}

impl Blob {
    pub(super) fn memory(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self::new(Source::Memory(Cursor::new(bytes)), size)
    }

    pub(super) fn file(file: File, size: u64) -> Self {
        Self::new(Source::File(file), size)
    }

    pub(super) fn loose(content: Loose, size: u64) -> io::Result<Self> {
        Self::new(Source::Loose(content), size).begun()
    }

    pub(super) fn packed(content: Content, size: u64) -> io::Result<Self> {
        Self::new(Source::Packed(content), size).begun()
    }

    /// An empty one has ended already.
    fn begun(mut self) -> io::Result<Self> {
        self.advance(0)?;
        Ok(self)
    }

    fn new(source: Source, size: u64) -> Self {
        Self {
            source,
            size,
            remaining: size,
        }
    }

    fn advance(&mut self, count: usize) -> io::Result<()> {
        self.remaining -= count as u64;
        match &mut self.source {
            Source::Loose(content) if self.remaining == 0 => content.finish(),
            Source::Packed(content) if self.remaining == 0 => {
                content.finish();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How many bytes the whole content has.
    #[must_use]
    pub(super) fn size(&self) -> u64 {
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
            Source::Loose(content) => content.read(buffer),
            Source::Packed(content) => content.read(buffer),
        }?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("content ended {} bytes early", self.remaining),
            ));
        }
        self.advance(count)?;
        Ok(count)
    }
}
