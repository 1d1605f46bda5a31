//! The moments at which git calls us.

use serde::{Serialize, Serializer};

/// A hook of git's, by the moment that it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A commit was made, by whatever command.
    PostCommit,
    /// HEAD moved to another commit or branch, or files were checked out.
    PostCheckout,
    /// A merge or a pull ended.
    PostMerge,
    /// An amend or a rebase ended.
    PostRewrite,
    /// A push is about to begin.
    PrePush,
}

impl Event {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::PostCommit,
        Self::PostCheckout,
        Self::PostMerge,
        Self::PostRewrite,
        Self::PrePush,
    ];

    /// The name that git gives it, which is also the name of the hook's file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PostCommit => "post-commit",
            Self::PostCheckout => "post-checkout",
            Self::PostMerge => "post-merge",
            Self::PostRewrite => "post-rewrite",
            Self::PrePush => "pre-push",
        }
    }

    /// The event of a name; `None` for a hook that is no concern of ours.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for event in Event::ALL {
            assert_eq!(Event::from_name(event.name()), Some(event));
        }
        assert_eq!(Event::from_name("pre-commit"), None);
    }
}
