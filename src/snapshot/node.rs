//! One entry of a git tree.

use super::ObjectId;

/// What an entry is, as far as serving it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File {
        executable: bool,
    },
    Symlink,
    /// The commit of a submodule.
    Submodule,
}

/// One entry of a git tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) id: ObjectId,
}

/// An entry still inside its tree object.
pub(super) type Raw<'a> = (Kind, &'a [u8], ObjectId);

impl Kind {
    /// From a git mode. Old gits wrote other permission bits; only the owner's execute bit counts.
    pub(super) fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o040_000 => Self::Directory,
            0o100_000 => Self::File {
                executable: mode & 0o100 != 0,
            },
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Submodule,
            _ => return None,
        })
    }

    /// The git mode.
    pub(super) fn mode(self) -> u32 {
        match self {
            Self::Directory => 0o040_000,
            Self::File { executable: false } => 0o100_644,
            Self::File { executable: true } => 0o100_755,
            Self::Symlink => 0o120_000,
            Self::Submodule => 0o160_000,
        }
    }
}

impl Node {
    /// The directory that a tree is.
    pub(super) fn root(id: ObjectId) -> Self {
        Self {
            name: Vec::new(),
            kind: Kind::Directory,
            id,
        }
    }

    /// Reads the entries of a raw tree object: `mode SP name NUL id`, repeated. An error is damage.
    pub(super) fn parse(
        mut raw: &[u8],
    ) -> impl Iterator<Item = Result<(Kind, &[u8], ObjectId), &'static str>> {
        std::iter::from_fn(move || {
            if raw.is_empty() {
                return None;
            }
            let parsed = split_entry(raw);
            raw = parsed.as_ref().map_or(&[], |(_, rest)| rest);
            Some(
                parsed
                    .map(|(entry, _)| entry)
                    .ok_or("a tree entry cannot be read"),
            )
        })
    }
}

fn split_entry(raw: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let space = raw.iter().position(|byte| *byte == b' ')?;
    let mode = u32::from_str_radix(std::str::from_utf8(&raw[..space]).ok()?, 8).ok()?;
    let raw = &raw[space + 1..];
    let end = raw.iter().position(|byte| *byte == 0)?;
    let (id, rest) = raw[end + 1..].split_first_chunk::<20>()?;
    Some((
        (
            Kind::from_mode(mode)?,
            &raw[..end],
            ObjectId::from_bytes(*id),
        ),
        rest,
    ))
}

/// Writes a raw tree object; `entries` must be in git's order.
pub(super) fn write_tree<'a>(entries: impl IntoIterator<Item = Raw<'a>>) -> Vec<u8> {
    let mut raw = Vec::new();
    for (kind, name, id) in entries {
        raw.extend_from_slice(format!("{:o} ", kind.mode()).as_bytes());
        raw.extend_from_slice(name);
        raw.push(0);
        raw.extend_from_slice(id.as_bytes());
    }
    raw
}
