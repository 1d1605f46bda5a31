//! The key: a hash of everything that decides a target's result.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::config::Compression;

/// A target's key: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// Computes the key from the recipe's hash, the digests of the files that each filter selects, the images' digests,
    /// and how the cache is compressed.
    #[must_use]
    pub fn new(
        recipe: &str,
        files: &[[u8; 32]],
        images: &BTreeMap<String, String>,
        compression: Compression,
    ) -> Self {
        let mut hasher = Hasher::new("prewarm key 1");
        hasher.field(recipe.as_bytes());
        hasher.field(&files.len().to_be_bytes());
        for digest in files {
            hasher.field(digest);
        }
        hasher.field(&images.len().to_be_bytes());
        for (image, digest) in images {
            hasher.field(image.as_bytes());
            hasher.field(digest.as_bytes());
        }
        hasher.field(match compression {
            Compression::Zstd => b"zstd",
            Compression::Gzip => b"gzip",
            Compression::Uncompressed => b"none",
        });
        Self(hasher.finish())
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// SHA-256 over fields, each with its length before it, so that no two lists of fields read the same.
pub(super) struct Hasher(Sha256);

impl Hasher {
    /// A hasher for one purpose; purposes never share a hash.
    pub(super) fn new(purpose: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.field(purpose.as_bytes());
        hasher
    }

    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(super) fn optional(&mut self, bytes: Option<&[u8]>) {
        self.field(&[u8::from(bytes.is_some())]);
        self.field(bytes.unwrap_or_default());
    }

    pub(super) fn finish(self) -> String {
        self.0
            .finalize()
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                hex.extend(
                    [byte >> 4, byte & 15]
                        .map(|digit| char::from_digit(u32::from(digit), 16).expect("a nibble")),
                );
                hex
            })
    }
}
