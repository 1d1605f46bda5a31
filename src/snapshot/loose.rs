//! One object with a file of its own, inflated as a stream and checked: it says its own size and its id is its hash.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::ZlibDecoder;
use sha1::{Digest as _, Sha1};

use super::ObjectId;

/// The longest header: `commit SP size NUL`.
const HEADER: usize = 32;

/// A blob's content, past its header.
#[derive(Debug)]
pub(super) struct Loose {
    content: ZlibDecoder<File>,
    hash: Sha1,
    id: ObjectId,
}

impl Loose {
    /// Opens an object's file, and says its size; `None` when it is no blob.
    pub(super) fn open(path: &Path, id: ObjectId) -> io::Result<Option<(Self, u64)>> {
        let mut content = ZlibDecoder::new(File::open(path)?);
        let mut header = Vec::with_capacity(HEADER);
        let mut byte = [0];
        while header.last() != Some(&0) && header.len() < HEADER {
            content.read_exact(&mut byte)?;
            header.push(byte[0]);
        }
        let size = std::str::from_utf8(&header).ok().and_then(|header| {
            header
                .strip_prefix("blob ")?
                .strip_suffix('\0')?
                .parse()
                .ok()
        });
        let hash = Sha1::new_with_prefix(&header);
        Ok(size.map(|size| (Self { content, hash, id }, size)))
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }

    /// To be called when as many bytes were read as there should be.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        // There zlib compares its own checksum, too.
        let ended = self.content.read(&mut [0])? == 0;
        let hash: [u8; 20] = self.hash.finalize_reset().into();
        if ended && hash == *self.id.as_bytes() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is damaged; look at `git fsck`",
        ))
    }
}
