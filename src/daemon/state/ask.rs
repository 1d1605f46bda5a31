//! Before a job builds, it asks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Effect, JobId, State, View};

/// A job has found something to build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its number, of this job's.
    pub id: u64,
    /// The target, as progress calls it.
    pub target: String,
    /// Equal for equal results.
    pub fingerprint: String,
}

/// Whether it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It may.
    Go,
    /// An older job builds exactly this.
    Running,
    /// Exactly this has failed.
    FailedBefore,
    /// There are enough builds.
    Full,
    /// The daemon ends, or pauses.
    Stopping,
}

impl State {
    pub(super) fn asked(&mut self, id: JobId, question: Question, effects: &mut Vec<Effect>) {
        if self.lets_head_go_first(id) {
            self.held.push((id, question));
            return;
        }
        let answer = self.answer(id, &question);
        if let Some(job) = self.jobs.get_mut(&id) {
            let Question {
                target,
                fingerprint,
                ..
            } = question;
            job.asked.insert(target.clone(), fingerprint.clone());
            match answer {
                Answer::Go => drop(job.building.insert(target, fingerprint)),
                Answer::Full | Answer::Stopping => job.waits = true,
                Answer::Running | Answer::FailedBefore => {}
            }
        }
        effects.push(Effect::Answer {
            job: id,
            question: question.id,
            answer,
        });
    }

    /// HEAD is what CI builds next: what is saved does not take its room while it is being looked at.
    fn lets_head_go_first(&self, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id).filter(|job| job.view == View::Worktree) else {
            return false;
        };
        let mut heads = self
            .jobs
            .values()
            .filter(|other| other.is_of(&job.tree, View::Head));
        heads.any(|head| head.asked.is_empty() && !head.cancelled)
    }

    /// Answers whoever let HEAD go first, where it has.
    pub(super) fn answer_held(&mut self, effects: &mut Vec<Effect>) {
        for (id, question) in std::mem::take(&mut self.held) {
            if self.jobs.contains_key(&id) {
                self.asked(id, question, effects);
            }
        }
    }

    fn answer(&mut self, id: JobId, question: &Question) -> Answer {
        let halted = self.stop.is_some() || self.pause.is_some();
        let Some(job) = self.jobs.get(&id).filter(|job| !job.cancelled && !halted) else {
            return Answer::Stopping;
        };
        let (tree, view) = (job.tree.clone(), job.view);
        let target = &question.target;
        let slot = self.trees.get(&tree).map(|known| known.slot(view));
        if slot.is_some_and(|slot| slot.has_failed(target, &question.fingerprint)) {
            return Answer::FailedBefore;
        }
        let mut replaced = BTreeSet::new();
        for (&other, job) in &self.jobs {
            match job.building.get(target) {
                Some(_) if other == id || !job.is_of(&tree, view) => {}
                Some(same) if *same == question.fingerprint && !job.cancelled => {
                    return Answer::Running;
                }
                Some(_) => drop(replaced.insert(other)),
                None => {}
            }
        }
        // What it replaces makes room.
        if self.builds() >= self.settings.parallel + replaced.len() {
            return Answer::Full;
        }
        let job = self.jobs.get_mut(&id).expect("it was found above");
        job.replaces.insert(target.clone(), replaced);
        Answer::Go
    }
}
