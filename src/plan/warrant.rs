//! Whose code runs: whether something may be built though nobody asked for it just now.

use std::collections::BTreeSet;

use super::execution::Execution;
use crate::snapshot::ObjectId;

/// So many foreign commits are looked at. More than that is nobody's everyday work.
const MOST_FOREIGN: usize = 50;

/// What the decision rests on. Each is asked for only when it decides.
pub trait Evidence {
    /// Whether the user's store has this digest.
    fn approves(&self, digest: &str) -> bool;

    /// The foreign commits that the state rests on, nearest first: neither made here, nor trusted.
    fn foreign(&mut self) -> BTreeSet<ObjectId>;

    /// Commits that are trusted and near: the upstream's tip, and where the histories of the state and of the foreign
    /// commits left it.
    fn trusted(&mut self, foreign: &BTreeSet<ObjectId>) -> Vec<ObjectId>;

    /// What a commit would execute; `None` where that cannot be told.
    fn execution(&mut self, commit: ObjectId) -> Option<Execution>;

    /// A digest of what the state's own recipe would take from a commit: that may be more than what the commit's own recipe
    /// asks for. `None` where that cannot be told.
    fn inputs(&mut self, commit: ObjectId) -> Option<[u8; 32]>;
}

/// Whether something may be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warrant {
    /// It may.
    Granted(Ground),
    /// Somebody has to look at it first.
    NeedsApproval {
        /// The foreign commits that would execute something which nobody approved.
        foreign: BTreeSet<ObjectId>,
    },
}

/// Why something may be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Exactly this was approved before.
    Approved,
    /// The user wrote whatever in it executes something, and whatever that takes in.
    OwnWork,
    /// It executes exactly what a trusted commit executes.
    Upstream,
}

/// Decides whether `subject` may be built.
pub fn decide(subject: &Execution, evidence: &mut dyn Evidence) -> Warrant {
    if approved(subject, evidence) {
        return Warrant::Granted(Ground::Approved);
    }
    let foreign = evidence.foreign();
    if foreign.is_empty() {
        return Warrant::Granted(Ground::OwnWork);
    }
    if foreign.len() > MOST_FOREIGN {
        return Warrant::NeedsApproval { foreign };
    }
    let commits = evidence.trusted(&foreign);
    let trusted: Vec<Execution> = commits
        .iter()
        .filter_map(|commit| evidence.execution(*commit))
        .collect();
    let is_trusted = |execution: &Execution| trusted.iter().any(|known| known.is(execution));
    if is_trusted(subject) {
        return Warrant::Granted(Ground::Upstream);
    }
    let inputs: BTreeSet<[u8; 32]> = commits
        .into_iter()
        .filter_map(|commit| evidence.inputs(commit))
        .collect();
    let refused: BTreeSet<ObjectId> = foreign
        .into_iter()
        .filter(|commit| {
            let execution = evidence.execution(*commit);
            let harmless = execution.is_some_and(|it| is_trusted(&it) || approved(&it, evidence));
            let mut familiar = || {
                let brought = evidence.inputs(*commit);
                brought.is_some_and(|it| inputs.contains(&it))
            };
            !(harmless && familiar())
        })
        .collect();
    if refused.is_empty() {
        Warrant::Granted(Ground::OwnWork)
    } else {
        Warrant::NeedsApproval { foreign: refused }
    }
}

fn approved(execution: &Execution, evidence: &dyn Evidence) -> bool {
    let mut digests = execution.digests().iter();
    digests.any(|digest| evidence.approves(digest))
}
