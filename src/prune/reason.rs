//! Why something goes or stays.

use std::time::Duration;

use serde::Serialize;

use super::usage::Kind;
use crate::config::units::format_duration;
use crate::ui::text::duration;

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A build's context, which the next build sends again.
    LocalSource,
    /// A git context, which the next build fetches again.
    GitCheckout,
    /// A layer that nothing stands on and that was used least recently.
    LeastRecentlyUsed,
    /// An image without a name.
    DanglingImage,
    /// An image that no container was made from.
    UnusedImage,
    /// The contents of a cache mount.
    CacheMount,
}

impl Rule {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::LocalSource => "a build's context",
            Self::GitCheckout => "a git context",
            Self::LeastRecentlyUsed => "least recently used",
            Self::DanglingImage => "an image without a name",
            Self::UnusedImage => "an image that no container uses",
            Self::CacheMount => "a cache mount",
        }
    }
}

/// Why something stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why", content = "detail")]
pub enum Reason {
    /// Something uses it at this moment.
    InUse,
    /// An image uses its files: they would not be freed.
    Shared,
    /// BuildKit's own, or a frontend's.
    Internal,
    /// A kind of record that this version does not know.
    UnknownKind(String),
    /// Its id is not one that names exactly one record.
    UnknownId,
    /// BuildKit does not say when it was used or made.
    UnknownAge,
    /// It was used too recently.
    Young {
        /// Milliseconds since it was used; negative if that is to come.
        age_ms: i64,
        /// Milliseconds that it must not have been used for.
        least_ms: i64,
    },
    /// A branch that is alive needs it, or what somebody pinned.
    Needed(String),
    /// A pattern of `prune.keep` matches it.
    Keep(String),
    /// What was needed then is not known.
    Lost,
    /// Cache mounts were not asked for.
    CacheMount,
    /// Something stands on it that stays.
    Child(String),
    /// A container was made from it.
    Container(String),
    /// Images were not asked for.
    Images,
    /// There is enough without it.
    Enough,
    /// BuildKit would forget what is needed, whatever is deleted there.
    Forgetful,
    /// It is not where something is missing.
    Elsewhere,
    /// The caches are left this much in any case.
    Floor(u64),
}

impl Reason {
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::InUse => "in use".to_owned(),
            Self::Shared => "shared with an image, says BuildKit".to_owned(),
            Self::Internal => "BuildKit's own".to_owned(),
            Self::UnknownKind(kind) => format!("of a kind that is not known: {kind}"),
            Self::UnknownId => "its id could name others, too".to_owned(),
            Self::UnknownAge => "nobody knows when it was used".to_owned(),
            Self::Young { age_ms, .. } if *age_ms < 0 => {
                "used in the future: is the clock right?".to_owned()
            }
            Self::Young { age_ms, least_ms } => {
                let time = |ms: i64| Duration::from_millis(ms.unsigned_abs());
                format!(
                    "used {} ago, less than {}",
                    duration(time(*age_ms)),
                    format_duration(time(*least_ms))
                )
            }
            Self::Needed(who) => format!("needed by {who}"),
            Self::Keep(pattern) => format!("kept by the pattern \"{pattern}\""),
            Self::Lost => "what was needed then is not known: the history was lost".to_owned(),
            Self::CacheMount => "a cache mount; --cache-mounts lets them go".to_owned(),
            Self::Child(child) => format!("{child} stands on it and stays"),
            Self::Container(container) => format!("the container {container} was made from it"),
            Self::Images => "an image; --images lets them go".to_owned(),
            Self::Enough => "there is enough without it".to_owned(),
            Self::Forgetful => "BuildKit would forget what is needed there, as it stands on an image of `docker pull`; \
                 `--builder` insists"
                .to_owned(),
            Self::Elsewhere => "it would free nothing where space is missing".to_owned(),
            Self::Floor(bytes) => format!(
                "caches are left {} in any case (`prune.floor`)",
                crate::ui::text::bytes(*bytes)
            ),
        }
    }

    /// Whether it could go if more space were needed.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        matches!(self, Self::Enough | Self::Elsewhere | Self::Floor(_))
    }
}

/// What tells from a record's kind alone that it stays.
pub(super) fn of_kind(kind: &Kind, cache_mounts: bool) -> Result<Rule, Reason> {
    match kind {
        Kind::Regular => Ok(Rule::LeastRecentlyUsed),
        Kind::LocalSource => Ok(Rule::LocalSource),
        Kind::GitCheckout => Ok(Rule::GitCheckout),
        Kind::CacheMount if cache_mounts => Ok(Rule::CacheMount),
        Kind::CacheMount => Err(Reason::CacheMount),
        Kind::Internal | Kind::Frontend => Err(Reason::Internal),
        Kind::Unknown(name) => Err(Reason::UnknownKind(name.clone())),
    }
}
