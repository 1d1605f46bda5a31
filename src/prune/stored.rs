//! The plan that was shown last, so that exactly it can be done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::{Deletion, Plan, Policy};
use crate::error::{Error, Kind};
use crate::registry::Digest;
use crate::state_file::StateFile;

/// The version that this program writes.
const VERSION: u64 = 1;

/// How long a plan may be given back.
const VALID: Duration = Duration::from_secs(60);

/// Digits of a plan's id.
const DIGITS: usize = 12;

/// A plan as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// When it was made, in Unix milliseconds.
    pub made_at: i64,
    /// The rules that it was made by.
    pub policy: Policy,
    /// Builders that were named.
    pub only: Vec<String>,
    /// The identity of the Engine that it is about; `None` without one.
    pub engine: Option<String>,
    /// What was to go.
    pub deletions: BTreeSet<Shown>,
}

/// What a plan is called by: a hash of what it deletes.
#[must_use]
pub fn id(plan: &Plan) -> String {
    let names: BTreeSet<_> = plan.deletions.iter().map(Deletion::name).collect();
    let text = serde_json::json!(names).to_string();
    Digest::of(text.as_bytes()).hex()[..DIGITS].to_owned()
}

impl Stored {
    /// A plan that was made now.
    #[must_use]
    pub fn new(
        plan: &Plan,
        policy: &Policy,
        only: &[String],
        engine: Option<&str>,
        made_at: i64,
    ) -> Self {
        Self {
            id: id(plan),
            made_at,
            policy: policy.clone(),
            only: only.to_vec(),
            engine: engine.map(str::to_owned),
            deletions: plan.deletions.iter().map(Shown::of).collect(),
        }
    }

    /// Keeps it in the place of the last one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: PathBuf) -> Result<(), String> {
        let file = StateFile::at(path, VERSION);
        file.write(self).map_err(|trouble| trouble.to_string())
    }

    /// Forgets it: it can be done once.
    pub fn forget(path: &Path) {
        // Who gives it back again will be told that nothing of it is left.
        let _ = std::fs::remove_file(path);
    }

    /// The plan of this id.
    ///
    /// # Errors
    /// When another one was shown last, or this one too long ago.
    pub fn read(path: PathBuf, id: &str, now: i64) -> Result<Self, Error> {
        let again = |message: String| {
            Error::new(Kind::Work, message).hint("`prewarm prune` shows what would go now")
        };
        let file = StateFile::at(path, VERSION);
        let stored: Option<Self> = file
            .load()
            .map_err(|trouble| again(format!("the plan {id} cannot be read: {trouble}")))?;
        let stored = stored.filter(|stored| stored.id == id).ok_or_else(|| {
            again(format!(
                "{id} is not the plan that was shown last, or it was done already"
            ))
        })?;
        let age = now.saturating_sub(stored.made_at);
        if age < 0 || age > i64::try_from(VALID.as_millis()).unwrap_or(i64::MAX) {
            return Err(again(format!(
                "the plan {id} is more than a minute old, and much can have changed"
            )));
        }
        Ok(stored)
    }

    /// What may be done of what would go now: nothing that was not shown, and nothing that was used since.
    ///
    /// # Errors
    /// When more would go, or on another Engine.
    pub fn confirm(&self, engine: Option<&str>, now: Plan) -> Result<Vec<Deletion>, Error> {
        if engine != self.engine.as_deref() {
            let message = format!("the plan {} is of another Engine", self.id);
            return Err(Error::new(Kind::Work, message)
                .hint("set DOCKER_HOST or the docker context as they were then"));
        }
        let names: BTreeSet<_> = self.deletions.iter().map(Shown::name).collect();
        let more = now
            .deletions
            .iter()
            .filter(|deletion| !names.contains(&deletion.name()));
        match more.count() {
            // What stands on something that was used stays or was used as well, so that nothing loses what it stands on.
            0 => Ok(now
                .deletions
                .into_iter()
                .filter(|deletion| self.deletions.contains(&Shown::of(deletion)))
                .collect()),
            more => Err(Error::new(
                Kind::Work,
                format!(
                    "since the plan {} was shown things have changed: {more} more would go",
                    self.id
                ),
            )
            .hint("`prewarm prune` shows what would go now")),
        }
    }
}

/// What is kept of a deletion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    /// As [`super::plan::Item::builder`].
    builder: String,
    /// As [`super::plan::Item::name`].
    name: String,
    /// As [`super::plan::Item::description`].
    description: String,
    /// When it was used last, in Unix milliseconds.
    used: Option<i64>,
}

impl Shown {
    fn of(deletion: &Deletion) -> Self {
        let (builder, name, description) = deletion.name();
        Self {
            builder: builder.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            used: deletion.item.used,
        }
    }

    fn name(&self) -> (&str, &str, &str) {
        (&self.builder, &self.name, &self.description)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Goal, Item};
    use super::super::reason::Rule;
    use super::super::usage::Kind;
    use super::*;
    use crate::config::PruneImages;

    fn plan(items: &[(&str, i64)]) -> Plan {
        let deletions = items.iter().map(|(name, used)| Deletion {
            item: Item {
                builder: "engine".to_owned(),
                name: (*name).to_owned(),
                description: String::new(),
                kind: Some(Kind::Regular),
                bytes: 1,
                used: Some(*used),
            },
            rule: Rule::LeastRecentlyUsed,
        });
        Plan {
            deletions: deletions.collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn what_was_not_shown_is_refused_and_what_was_used_since_stays() {
        let policy = Policy {
            goal: Goal::default(),
            floor: 0,
            min_age: Duration::ZERO,
            images_min_age: Duration::ZERO,
            images: PruneImages::Off,
            cache_mounts: false,
            insist: false,
        };
        let shown = plan(&[("a", 1), ("b", 2), ("c", 3)]);
        let stored = Stored::new(&shown, &policy, &[], Some("engine"), 9);
        let left = |now: &[(&str, i64)]| {
            let done = stored.confirm(Some("engine"), plan(now)).ok()?;
            let names = done.into_iter().map(|deletion| deletion.item.name);
            Some(names.collect::<String>())
        };
        assert_eq!(left(&[("a", 1), ("c", 3)]), Some("ac".to_owned()));
        assert_eq!(left(&[("a", 1), ("b", 4), ("c", 3)]), Some("ac".to_owned()));
        assert_eq!(left(&[("a", 1), ("d", 1)]), None);
        assert_eq!(left(&[]), Some(String::new()));
        assert!(stored.confirm(Some("another"), shown.clone()).is_err());
        // The name of an image can come to mean another image.
        let mut other = shown;
        other.deletions[0].item.description = "sha256:other".to_owned();
        assert!(stored.confirm(Some("engine"), other).is_err());
    }
}
