//! What takes space, as values.

use std::fmt;

use serde::Serialize;

/// The id of a record: exactly 25 of `a`–`z` and `0`–`9` (BuildKit's `identity.NewID`). Anything else would be a
/// pattern that means other records, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RecordId(String);

impl RecordId {
    /// `None` for anything but an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 25
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        is_id.then(|| Self(text.to_owned()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Kind {
    /// A layer.
    Regular,
    /// Files of a build's context.
    LocalSource,
    /// A git context.
    GitCheckout,
    /// What `RUN --mount=type=cache` keeps.
    CacheMount,
    /// BuildKit's own.
    Internal,
    /// A frontend's.
    Frontend,
    /// Something that this version of prewarm does not know.
    Unknown(String),
}

impl Kind {
    /// As BuildKit calls them (`client.UsageRecordType`). Servers that name none mean layers.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "" | "regular" => Self::Regular,
            "source.local" => Self::LocalSource,
            "source.git.checkout" => Self::GitCheckout,
            "exec.cachemount" => Self::CacheMount,
            "internal" => Self::Internal,
            "frontend" => Self::Frontend,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// As BuildKit calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Regular => "regular",
            Self::LocalSource => "source.local",
            Self::GitCheckout => "source.git.checkout",
            Self::CacheMount => "exec.cachemount",
            Self::Internal => "internal",
            Self::Frontend => "frontend",
            Self::Unknown(name) => name,
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.name().to_owned()
    }
}

/// A record of a BuildKit's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As BuildKit names it; what is no [`RecordId`] is never deleted.
    pub id: String,
    /// What it holds.
    pub kind: Kind,
    /// What made it, in BuildKit's words.
    pub description: String,
    /// What it takes on disk.
    pub bytes: u64,
    /// Nanoseconds since 1970, by BuildKit's clock.
    pub created_ns: Option<i64>,
    /// Nanoseconds since 1970, by BuildKit's clock.
    pub used_ns: Option<i64>,
    /// How often it was used.
    pub uses: u64,
    /// Something uses it now.
    pub in_use: bool,
    /// An image uses its files, too.
    pub shared: bool,
    /// What it stands on.
    pub parents: Vec<String>,
}

impl Record {
    /// The ids of what it stands on, in order: BuildKit lists them in any.
    #[must_use]
    pub fn parents_in_order(&self) -> Vec<String> {
        let mut parents = self.parents.clone();
        parents.sort_unstable();
        parents
    }
}

/// The cache of one BuildKit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Which, as [`crate::builder::Choice::label`] names it.
    pub builder: String,
    /// Whether its files are on the disk whose free space is known.
    pub on_disk: bool,
    /// What it holds.
    pub records: Vec<Record>,
}

/// An image of the Engine. One with several names is several of these, and only the last name frees its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// A name with a tag, such as `app:latest`; the id of an image without any.
    pub reference: String,
    /// Such as `sha256:…`.
    pub id: String,
    /// Whether it has no name.
    pub dangling: bool,
    /// What only this image takes on disk.
    pub bytes: u64,
    /// Unix milliseconds of the last time that it was made, pulled or named, as far as is known.
    pub touched: Option<i64>,
    /// The container that was made from it, running or not, if there is one.
    pub container: Option<String>,
}

/// The file system that the caches are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Where it was measured.
    pub path: String,
    /// Its size in bytes.
    pub total: u64,
    /// What may still be written by others than root.
    pub free: u64,
}

/// Everything that a plan is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The caches.
    pub caches: Vec<Cache>,
    /// The Engine's images; empty unless they may be pruned.
    pub images: Vec<Image>,
    /// `None` where it is not known.
    pub disk: Option<Disk>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_ids() {
        assert!(RecordId::parse("0123456789abcdefghijklmno").is_some());
        for text in [
            "",
            "a",
            "0123456789abcdefghijklmn",
            "0123456789abcdefghijklmnop",
            "0123456789ABCDEFGHIJKLMNO",
            "0123456789abcdefghijklm.*",
            "0123456789abcdefghij|lmno",
            "0123456789abcdefghij\"lmno",
            "é123456789abcdefghijklmn",
        ] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn kinds_keep_their_names() {
        for name in [
            "regular",
            "source.local",
            "source.git.checkout",
            "exec.cachemount",
            "internal",
            "frontend",
            "something.new",
        ] {
            assert_eq!(Kind::from_name(name).name(), name);
        }
        assert_eq!(Kind::from_name(""), Kind::Regular);
    }
}
