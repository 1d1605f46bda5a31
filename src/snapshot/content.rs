//! The content of one file as a checkout writes it, read as a stream.

use std::io::{self, Cursor, Read};

use super::blob::Blob;
use super::conversion::{Content, Crlf};
use super::eol::{CrlfReader, Statistics};
use super::error::SnapshotError;
use super::ident;
use super::store::Store;

/// The content of one file as a checkout writes it. Reading blocks; memory stays bounded whatever the size, unless
/// the file has the attribute `ident`.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    size: u64,
}

#[derive(Debug)]
enum Source {
    Blob(Blob),
    Crlf(CrlfReader<Blob>),
    Memory(Cursor<Vec<u8>>),
}

impl Reader {
    pub(super) fn open(store: &Store, content: Content, lfs: bool) -> Result<Self, SnapshotError> {
        let blob = || store.open_blob(content.id, lfs);
        let (source, size) = match Plan::new(store, content, lfs)? {
            Plan::AsIs => {
                let blob = blob()?;
                let size = blob.size();
                (Source::Blob(blob), size)
            }
            Plan::Crlf { size } => (Source::Crlf(CrlfReader::new(blob()?)), size),
            Plan::Whole(bytes) => {
                let size = bytes.len() as u64;
                (Source::Memory(Cursor::new(bytes)), size)
            }
        };
        Ok(Self { source, size })
    }

    /// How many bytes the whole content has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Blob(blob) => blob.read(buffer),
            Source::Crlf(converted) => converted.read(buffer),
            Source::Memory(cursor) => cursor.read(buffer),
        }
    }
}

/// The size that [`Reader::open`] would give; `stored` is the blob's own, where known. A file that a checkout changes is
/// read for it.
pub(super) fn size(
    store: &Store,
    content: Content,
    stored: Option<u64>,
    lfs: bool,
) -> Result<u64, SnapshotError> {
    match Plan::new(store, content, lfs)? {
        Plan::AsIs => {
            let size = match stored {
                Some(size) => size,
                None => store.size(content.id)?,
            };
            if !lfs {
                return Ok(size);
            }
            match store.pointer(content.id, size)? {
                None => Ok(size),
                Some(pointer) => store.lfs_file(content.id, &pointer).map(|_| pointer.size),
            }
        }
        Plan::Crlf { size } => Ok(size),
        Plan::Whole(bytes) => Ok(bytes.len() as u64),
    }
}

/// How a content comes about.
enum Plan {
    AsIs,
    Crlf { size: u64 },
    Whole(Vec<u8>),
}

impl Plan {
    fn new(store: &Store, content: Content, lfs: bool) -> Result<Self, SnapshotError> {
        let Content { id, conversion } = content;
        // The content of an LFS file is written as it is.
        if conversion.is_none() || lfs && store.pointer(id, store.size(id)?)?.is_some() {
            return Ok(Self::AsIs);
        }
        let unread = |source| SnapshotError::Read {
            path: format!("git object {id}").into(),
            source,
        };
        let mut blob = store.open_blob(id, false)?;
        let size = blob.size();
        if !conversion.ident {
            let added = Statistics::of(&mut blob)
                .map_err(unread)?
                .added(conversion.crlf);
            return Ok(match added {
                0 => Self::AsIs,
                added => Self::Crlf { size: size + added },
            });
        }
        let mut bytes = Vec::new();
        blob.read_to_end(&mut bytes).map_err(unread)?;
        // git must see a whole file before it knows whether it is text.
        let expand = match conversion.crlf {
            Crlf::Auto => ident::expand_whole,
            Crlf::Never | Crlf::Always => ident::expand_streamed,
        };
        let bytes = expand(&bytes, id);
        let statistics = Statistics::of(bytes.as_slice()).map_err(unread)?;
        if statistics.added(conversion.crlf) == 0 {
            return Ok(Self::Whole(bytes));
        }
        let mut converted = Vec::new();
        CrlfReader::new(bytes.as_slice())
            .read_to_end(&mut converted)
            .map_err(unread)?;
        Ok(Self::Whole(converted))
    }
}
