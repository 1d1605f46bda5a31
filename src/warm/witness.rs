//! What the repository and the store know of whose code a job would run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::configured;
use super::terms::{Executed, Terms};
use crate::config::Target;
use crate::consent::Grant;
use crate::error::{Error, Kind};
use crate::plan::execution::Execution;
use crate::plan::warrant::Evidence;
use crate::snapshot::{Checkout, ObjectId, Repository, Snapshot, SnapshotError, Source};

/// So many files are named where something needs approval.
const SHOWN: usize = 10;

/// So many of the commits that were approved by hand are compared with.
const BY_HAND: usize = 3;

/// What the repository and the store know.
pub(super) struct Witness<'a> {
    terms: Terms<'a>,
    repository: &'a Repository,
    grant: &'a Grant,
    target: &'a Target,
    platform: Option<&'a str>,
    snapshot: &'a Snapshot,
    source: &'a Source,
    /// The tree is that of a merge with the trusted upstream.
    pub(super) merged: bool,
    known: BTreeMap<ObjectId, Option<Execution>>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(
        terms: Terms<'a>,
        repository: &'a Repository,
        grant: &'a Grant,
        target: &'a Target,
        platform: Option<&'a str>,
        snapshot: &'a Snapshot,
        source: &'a Source,
    ) -> Self {
        Self {
            terms,
            repository,
            grant,
            target,
            platform,
            snapshot,
            source,
            merged: false,
            known: BTreeMap::new(),
        }
    }

    /// The trusted commit that is nearest, of those that can be built, with what it executes.
    pub(super) fn nearest_trusted(&self) -> Option<(ObjectId, Executed)> {
        let mut trusted = self.near(&BTreeSet::new()).into_iter();
        trusted.find_map(|commit| Some((commit, self.executed(commit)?)))
    }

    /// A commit's tree.
    pub(super) fn tree(&self, commit: ObjectId) -> Result<Snapshot, SnapshotError> {
        let source = Source::Revision(commit.to_string());
        self.repository
            .snapshot(&source, 0o022, Checkout::default())
    }

    /// The commit that the tree is, or that it changes; `None` before the first, and for a tree of no commit.
    fn commit(&self) -> Option<ObjectId> {
        match self.source {
            Source::Revision(_) if !self.merged => self.snapshot.commit(),
            _ => self.repository.head().ok(),
        }
    }

    /// Trusted commits, the nearest first.
    fn near(&self, foreign: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        let mut trusted = Vec::new();
        if let Some(upstream) = self.repository.trusted_upstream() {
            let left = |tip| self.repository.merge_base(tip, upstream);
            trusted.extend(self.commit().and_then(left));
            trusted.push(upstream);
            trusted.extend(foreign.iter().copied().filter_map(left));
        }
        trusted.extend(self.grant.commits().rev().take(BY_HAND));
        let mut seen = BTreeSet::new();
        trusted.retain(|commit| seen.insert(*commit));
        trusted
    }

    fn foreign_heads(&self, tip: ObjectId) -> BTreeSet<ObjectId> {
        let approved = self.grant.commits().collect();
        let upstream = self.repository.trusted_upstream();
        self.repository.foreign_heads(tip, upstream, &approved)
    }

    /// Foreign commits that are being checked out: git writes the work tree and the index before it moves HEAD, so that
    /// for a moment somebody else's tree looks like the user's edits.
    fn arriving(&self) -> BTreeSet<ObjectId> {
        let mut trees = vec![self.snapshot.tree_id()];
        let staged = Source::Staged;
        let index = self
            .repository
            .snapshot(&staged, 0o022, Checkout::default());
        trees.extend(index.map(|index| index.tree_id()).ok());
        // What HEAD has, too, is judged by HEAD.
        let head = self
            .repository
            .head()
            .ok()
            .and_then(|head| self.tree(head).ok());
        trees.retain(|tree| head.as_ref().is_none_or(|head| head.tree_id() != *tree));
        let tips = self.repository.tips_with_tree(&trees);
        tips.into_iter()
            .flat_map(|tip| self.foreign_heads(tip))
            .collect()
    }

    fn executed(&self, commit: ObjectId) -> Option<Executed> {
        let plain = self.tree(commit).ok()?;
        let (loaded, snapshot) = configured(self.repository, &plain).ok()?;
        let mut targets = loaded.value.targets.iter();
        let target = targets.find(|target| target.name == self.target.name)?;
        let ci = &loaded.value.ci;
        let executed = self.terms.execution(ci, target, self.platform, &snapshot);
        executed.ok()
    }

    /// Says what needs approval, and how it differs from what is trusted.
    pub(super) fn refusal(&self, subject: &Executed, foreign: &BTreeSet<ObjectId>) -> Error {
        let short = |commit: &ObjectId| commit.to_string()[..7].to_owned();
        let commits: Vec<_> = foreign.iter().take(SHOWN).map(short).collect();
        let mut message = format!(
            "target {}: needs approval: it rests on commits that were not made here ({})",
            self.target.name,
            commits.join(", ")
        );
        if let Some((commit, known)) = self.nearest_trusted() {
            let parts = subject.execution.differences(&known.execution);
            let files = subject.changed_files(&known).unwrap_or_default();
            let of = short(&commit);
            if !parts.is_empty() {
                let _ = write!(message, "\nnot as in {of}: {}", parts.join(", "));
            }
            if !files.is_empty() {
                let shown: Vec<_> = files.iter().take(SHOWN).map(String::as_str).collect();
                let more = match files.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let list = shown.join(", ");
                let _ = write!(message, "\nfiles not as in {of}: {list}{more}");
            }
        }
        Error::new(Kind::NeedsApproval, message)
            .hint("`prewarm allow` shows the differences, and allows them")
    }
}

impl Evidence for Witness<'_> {
    fn approves(&self, digest: &str) -> bool {
        self.grant.approves(digest)
    }

    fn foreign(&mut self) -> BTreeSet<ObjectId> {
        let commit = self.commit();
        let mut foreign = commit.map_or_else(BTreeSet::new, |tip| self.foreign_heads(tip));
        if commit.is_none() && matches!(self.source, Source::Revision(_)) {
            // A tree without a history is nobody's.
            foreign.insert(self.snapshot.tree_id());
        }
        let uncommitted = matches!(self.source, Source::Staged | Source::Worktree);
        if uncommitted && !self.merged {
            foreign.extend(self.arriving());
            let merging = self.repository.merging().into_iter();
            foreign.extend(merging.flat_map(|tip| self.foreign_heads(tip)));
        }
        foreign
    }

    fn trusted(&mut self, foreign: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        self.near(foreign)
    }

    fn execution(&mut self, commit: ObjectId) -> Option<Execution> {
        if let Some(known) = self.known.get(&commit) {
            return known.clone();
        }
        let execution = self.executed(commit).map(|executed| executed.execution);
        self.known.insert(commit, execution.clone());
        execution
    }
}
