//! How a checkout changes a file: git's `convert.c`, for git on Linux without configuration.

use super::ObjectId;

/// The content of a file as a checkout writes it: a blob, and how it is changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The blob; with LFS the pointer's.
    pub id: ObjectId,
    /// What the attributes say. It may come to nothing: there may be no line to end otherwise.
    pub conversion: Conversion,
}

/// What attributes say about a file. The default leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conversion {
    pub(super) crlf: Crlf,
    /// `$Id$` gets the blob's id.
    pub(super) ident: bool,
}

/// Whether lines end in CR LF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Crlf {
    #[default]
    Never,
    /// In a file that is text, by its content, and has no CR yet.
    Auto,
    Always,
}

impl Conversion {
    /// Whether the file stays as it is.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// A number of its own for each conversion, 0 for none. Part of keys: a value is never used again.
    #[must_use]
    pub fn code(self) -> u8 {
        let crlf = match self.crlf {
            Crlf::Never => 0,
            Crlf::Auto => 1,
            Crlf::Always => 2,
        };
        crlf | u8::from(self.ident) << 2
    }
}

impl Content {
    /// A blob that a checkout leaves as it is.
    #[must_use]
    pub fn plain(id: ObjectId) -> Self {
        Self {
            id,
            conversion: Conversion::default(),
        }
    }
}
