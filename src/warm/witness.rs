//! What the repository and the store know of whose code a job would run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::configured::{checkout, configured};
use super::terms::{Executed, Terms};
use crate::config::{Ci, Target};
use crate::consent::Grant;
use crate::error::{Error, Kind};
use crate::plan::execution::Execution;
use crate::plan::warrant::Evidence;
use crate::snapshot::{Checkout, ObjectId, Repository, Snapshot, SnapshotError, Source};
use crate::ui::text::clean;

/// So many files are named where something needs approval.
const SHOWN: usize = 10;

/// So many of the commits that were approved by hand are compared with.
const BY_HAND: usize = 3;

/// What is to be built.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// What CI does.
    pub(super) ci: &'a Ci,
    pub(super) target: &'a Target,
    pub(super) platform: Option<&'a str>,
    pub(super) source: &'a Source,
    /// The tree of the source.
    pub(super) snapshot: &'a Snapshot,
    /// What would run.
    pub(super) executed: &'a Executed,
}

/// What the repository and the store know.
pub(super) struct Witness<'a> {
    terms: Terms<'a>,
    repository: &'a Repository,
    grant: &'a Grant,
    subject: Subject<'a>,
    /// The commit that is checked out; `None` before the first.
    head: Option<ObjectId>,
    /// The tree is that of a merge with the trusted upstream.
    pub(super) merged: bool,
    known: BTreeMap<ObjectId, Option<Execution>>,
}

impl<'a> Witness<'a> {
    /// # Errors
    /// What is checked out cannot be told.
    pub(super) fn new(
        terms: Terms<'a>,
        repository: &'a Repository,
        grant: &'a Grant,
        subject: Subject<'a>,
    ) -> Result<Self, SnapshotError> {
        let head = match repository.head() {
            Ok(head) => Some(head),
            Err(SnapshotError::Unborn { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            terms,
            repository,
            grant,
            subject,
            head,
            merged: false,
            known: BTreeMap::new(),
        })
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
        match self.subject.source {
            Source::Revision(_) if !self.merged => self.subject.snapshot.commit(),
            _ => self.head,
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

    /// Foreign commits whose files are in the work tree or the index though HEAD is not at them: git writes those before it
    /// moves HEAD, and leaves them where it cannot. The index tells of what was edited since.
    fn arriving(&self, head: ObjectId, own: bool) -> Result<BTreeSet<ObjectId>, SnapshotError> {
        let mut known: BTreeSet<ObjectId> = self.grant.commits().collect();
        known.extend(self.repository.trusted_upstream());
        // Otherwise something that was undone since may come back out of HEAD's own history.
        known.extend(own.then_some(head));
        let arriving = |snapshot| self.repository.arriving(snapshot, head, &known);
        let mut found = arriving(self.subject.snapshot)?;
        if *self.subject.source != Source::Staged {
            let staged = Source::Staged;
            let index = self
                .repository
                .snapshot(&staged, 0o022, Checkout::default())?;
            found.extend(arriving(&index)?);
        }
        Ok(found)
    }

    fn executed(&self, commit: ObjectId) -> Option<Executed> {
        let plain = self.tree(commit).ok()?;
        let (loaded, snapshot) = configured(self.repository, &plain).ok()?;
        let mut targets = loaded.value.targets.iter();
        let target = targets.find(|target| target.name == self.subject.target.name)?;
        let ci = &loaded.value.ci;
        let executed = self
            .terms
            .execution(ci, target, self.subject.platform, &snapshot);
        executed.ok()
    }

    /// Says what needs approval, and how it differs from what is trusted.
    pub(super) fn refusal(&self, foreign: &BTreeSet<ObjectId>) -> Error {
        let short = |commit: &ObjectId| commit.to_string()[..7].to_owned();
        let commits: Vec<_> = foreign.iter().take(SHOWN).map(short).collect();
        let mut message = format!(
            "target {}: needs approval: it rests on commits that were not made here ({})",
            clean(&self.subject.target.name),
            commits.join(", ")
        );
        if let Some((commit, known)) = self.nearest_trusted() {
            let parts = self
                .subject
                .executed
                .execution
                .differences(&known.execution);
            let files = self
                .subject
                .executed
                .changed_files(&known)
                .unwrap_or_default();
            let of = short(&commit);
            if !parts.is_empty() {
                let _ = write!(message, "\nnot as in {of}: {}", parts.join(", "));
            }
            if !files.is_empty() {
                let shown: Vec<_> = files.iter().take(SHOWN).map(|name| clean(name)).collect();
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
        let of_revision = matches!(self.subject.source, Source::Revision(_));
        if commit.is_none() && (of_revision || !self.repository.is_new()) {
            // A tree without a history is nobody's, except where there is nobody else yet.
            foreign.insert(self.subject.snapshot.tree_id());
        }
        let uncommitted = matches!(self.subject.source, Source::Staged | Source::Worktree);
        if uncommitted && !self.merged {
            let arriving = commit.map_or_else(
                || Ok(BTreeSet::new()),
                |head| self.arriving(head, foreign.is_empty()),
            );
            // What cannot be compared may be anybody's.
            foreign.extend(
                arriving.unwrap_or_else(|_| BTreeSet::from([self.subject.snapshot.tree_id()])),
            );
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

    fn inputs(&mut self, commit: ObjectId) -> Option<[u8; 32]> {
        let Subject { ci, target, .. } = self.subject;
        let plain = self.tree(commit).ok()?;
        let snapshot = plain.checked_out(ci.umask, checkout(ci)).ok()?;
        self.subject.executed.taken(ci, target, &snapshot).ok()
    }
}
