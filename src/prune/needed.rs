//! Who needs what: from the history of warms, and the branches that repositories have now.

use std::collections::{BTreeMap, BTreeSet};

use super::guard::Need;
use super::pins::BranchPin;
use crate::record::{BranchWarm, Layers, SeenKey};
use crate::ui::text::ago;

/// A warm's time can be a little off what BuildKit's clock says of it.
const SLACK_MS: i64 = 2_000;

/// What git knows of a work tree's repository now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    /// The local branches, each with the keys that its commit came to.
    pub heads: BTreeMap<String, Vec<SeenKey>>,
    /// Those that some work tree has checked out; alive however old their warm is.
    pub checked_out: BTreeSet<String>,
    /// The commits that they are at.
    pub commits: BTreeSet<String>,
    /// The git directory that all its work trees share.
    pub common_dir: String,
}

/// Everything that decides who needs what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The newest warms of branches.
    pub warms: Vec<BranchWarm>,
    /// What keys consist of.
    pub needs: BTreeMap<String, Layers>,
    /// By work tree; without an entry its repository cannot be read, and all its branches count as there.
    pub branches: BTreeMap<String, Branches>,
    /// Branches that were pinned.
    pub pinned: Vec<BranchPin>,
    /// Names of branches that were pinned in a repository that is not where it was: of whichever, they stay.
    pub pinned_anywhere: BTreeSet<String>,
}

impl History {
    /// Who needs what. A branch is alive while it is there and was warmed within `alive_ms`, or is checked out; `now` in
    /// Unix milliseconds.
    #[must_use]
    pub fn needed(&self, alive_ms: i64, now: i64) -> Vec<Need> {
        let young = |at: i64| now.saturating_sub(at) <= alive_ms;
        let mut needs = Vec::new();
        for warm in &self.warms {
            if self.is_alive(warm, &young) {
                needs.push(self.of_warm(warm, now));
            }
        }
        for (path, branches) in &self.branches {
            for (branch, keys) in &branches.heads {
                let checked_out = branches.checked_out.contains(branch);
                let alive = keys
                    .iter()
                    .filter(|key| checked_out || young(key.seen_at.saturating_mul(1_000)));
                needs.extend(alive.filter_map(|key| {
                    let layers = self.needs.get(&key.key)?.clone();
                    Some(Need {
                        who: format!("{} of {branch}", target(path, &key.target)),
                        created: layers.created,
                        leaves: layers.leaves,
                        ran: None,
                    })
                }));
            }
        }
        needs
    }

    fn is_alive(&self, warm: &BranchWarm, young: &dyn Fn(i64) -> bool) -> bool {
        let Some(branch) = &warm.branch else {
            return young(warm.finished_at);
        };
        if self.is_pinned(&warm.repository, branch) {
            return true;
        }
        match self.branches.get(&warm.repository) {
            None => young(warm.finished_at),
            Some(there) if there.checked_out.contains(branch) => true,
            // A branch may have another name by now, and what was saved may be on another.
            Some(there) => {
                let renamed = warm.commit.as_ref();
                let renamed = renamed.is_some_and(|commit| there.commits.contains(commit));
                let there = there.heads.contains_key(branch) || renamed || !warm.committed;
                there && young(warm.finished_at)
            }
        }
    }

    fn is_pinned(&self, repository: &str, branch: &str) -> bool {
        if self.pinned_anywhere.contains(branch) {
            return true;
        }
        let common_dir = self.branches.get(repository).map(|there| &there.common_dir);
        let mut pins = self.pinned.iter().filter(|pin| pin.branch == branch);
        pins.any(|pin| pin.repository == repository || Some(&pin.common_dir) == common_dir)
    }

    fn of_warm(&self, warm: &BranchWarm, now: i64) -> Need {
        let of = warm
            .branch
            .as_ref()
            .map_or_else(String::new, |branch| format!(" of {branch}"));
        let layers = warm.key.as_ref().and_then(|key| self.needs.get(key));
        let gone = if self.branches.contains_key(&warm.repository) {
            ""
        } else {
            ", whose repository is not there now"
        };
        let ran = warm.started_at - SLACK_MS..=warm.finished_at + SLACK_MS;
        Need {
            who: format!(
                "{}{of}, warmed {}{gone}",
                target(&warm.repository, &warm.target),
                ago(warm.finished_at, now)
            ),
            ran: layers.is_none().then_some(ran),
            created: layers
                .map(|layers| layers.created.clone())
                .unwrap_or_default(),
            leaves: layers
                .map(|layers| layers.leaves.clone())
                .unwrap_or_default(),
        }
    }
}

/// `repository/target`, by the last part of the repository's path.
fn target(repository: &str, target: &str) -> String {
    let name = repository.rsplit('/').next().unwrap_or_default();
    format!("{name}/{target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;
    const NOW: i64 = 100 * DAY;

    fn warm(repository: &str, branch: Option<&str>, key: &str, age: i64) -> BranchWarm {
        BranchWarm {
            repository: repository.to_owned(),
            target: "builder".to_owned(),
            branch: branch.map(str::to_owned),
            commit: Some(format!("commit of {key}")),
            committed: true,
            key: Some(key.to_owned()),
            started_at: NOW - age - 10_000,
            finished_at: NOW - age,
        }
    }

    #[test]
    fn a_branch_is_alive_while_it_is_there_and_young_or_checked_out() {
        let keys = [
            "main", "old", "gone", "young", "detached", "pinned", "moved", "saved", "renamed",
            "away",
        ];
        let needs = (1..).zip(keys);
        let head = |key: &str, age: i64| SeenKey {
            target: "builder".to_owned(),
            key: key.to_owned(),
            seen_at: (NOW - age) / 1000,
        };
        let history = History {
            warms: vec![
                warm("/w/app", Some("main"), "main", 50 * DAY),
                warm("/w/app", Some("old"), "old", 20 * DAY),
                warm("/w/app", Some("gone"), "gone", DAY),
                warm("/w/app", Some("young"), "young", DAY),
                warm("/w/app", None, "detached", DAY),
                warm("/w/app", Some("pinned"), "pinned", 90 * DAY),
                BranchWarm {
                    committed: false,
                    ..warm("/w/app", Some("gone"), "saved", DAY)
                },
                warm("/w/app", Some("before"), "renamed", DAY),
                warm("/w/app", Some("elsewhere"), "away", 90 * DAY),
                warm("/w/away", Some("main"), "moved", DAY),
                warm("/w/away", Some("old"), "old", 20 * DAY),
                warm("/w/away", Some("unknown"), "unknown", DAY),
            ],
            needs: needs
                .map(|(made, key)| {
                    let layers = Layers {
                        created: BTreeSet::from([made]),
                        ..Layers::default()
                    };
                    (key.to_owned(), layers)
                })
                .collect(),
            branches: BTreeMap::from([(
                "/w/app".to_owned(),
                Branches {
                    heads: BTreeMap::from([
                        ("main".to_owned(), vec![head("main", 60 * DAY)]),
                        ("old".to_owned(), vec![head("old", 20 * DAY)]),
                        ("young".to_owned(), vec![head("young", DAY)]),
                    ]),
                    checked_out: BTreeSet::from(["main".to_owned()]),
                    commits: BTreeSet::from(["commit of renamed".to_owned()]),
                    common_dir: "/w/app/.git".to_owned(),
                },
            )]),
            pinned: vec![BranchPin {
                repository: "/w/app-linked".to_owned(),
                common_dir: "/w/app/.git".to_owned(),
                branch: "pinned".to_owned(),
                at: 0,
            }],
            pinned_anywhere: BTreeSet::from(["elsewhere".to_owned()]),
        };
        let needed = history.needed(14 * DAY, NOW);
        let made: BTreeSet<i64> = needed
            .iter()
            .flat_map(|need| need.created.clone())
            .collect();
        // All but old and gone.
        assert_eq!(made, BTreeSet::from([1, 4, 5, 6, 7, 8, 9, 10]));
        let unknown = needed.last_key("unknown");
        assert!(unknown.created.is_empty());
        assert_eq!(unknown.ran, Some(NOW - DAY - 12_000..=NOW - DAY + 2_000));
        assert_eq!(
            unknown.who,
            "away/builder of unknown, warmed 1 day ago, whose repository is not there now"
        );
    }

    trait Named {
        fn last_key(&self, branch: &str) -> &Need;
    }

    impl Named for Vec<Need> {
        fn last_key(&self, branch: &str) -> &Need {
            let of = format!(" of {branch},");
            let mut found = self.iter().filter(|need| need.who.contains(&of));
            found.next().expect("somebody needs it")
        }
    }
}
