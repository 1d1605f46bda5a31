//! Where each setting comes from.

use std::collections::BTreeMap;
use std::fmt;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// The file, as people read it.
        file: String,
        /// Line, from 1.
        line: u32,
    },
    /// Found in the repository's Dockerfile.
    Detected,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { file, line } => write!(formatter, "{file}:{line}"),
            Self::Detected => formatter.write_str("detected"),
        }
    }
}

/// A configuration that remembers where its settings come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// The file that was read, as people read it; `None` when there is none.
    pub file: Option<String>,
    origins: BTreeMap<String, Origin>,
}

impl<T> Loaded<T> {
    pub(super) fn new(value: T, file: &str, origins: BTreeMap<String, Origin>) -> Self {
        Self {
            value,
            file: Some(file.to_owned()),
            origins,
        }
    }

    /// Where a setting comes from, by its dotted path as TOML writes it: `registry."127.0.0.1:5000".insecure`.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    pub(super) fn detected(&mut self, key: &str) {
        self.origins.insert(key.to_owned(), Origin::Detected);
    }
}
