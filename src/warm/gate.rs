//! The gate before everything that nobody asked for: a job passes if [`crate::plan::warrant`] grants it, or not at all.

use std::path::PathBuf;

use super::job::{Job, View};
use super::run::Run;
use super::witness::{Subject, Witness};
use crate::consent::{Approval, Grant, Reason, Store};
use crate::error::{Error, Kind};
use crate::plan::execution::Execution;
use crate::plan::warrant::{Ground, Warrant, decide};
use crate::snapshot::{Moment, Repository};

/// Lets through what the user allows.
#[derive(Debug)]
pub struct Gate {
    store: Store,
    work_dir: PathBuf,
    common_dir: PathBuf,
    /// What the repository was at before its tree was taken.
    moment: Moment,
}

impl Gate {
    /// Opens the gate of a repository, before its tree is taken.
    ///
    /// # Errors
    /// The repository is not allowed, or a git is at work in it.
    pub fn open(store: Store, repository: &Repository) -> Result<Self, Error> {
        let gate = Self {
            store,
            work_dir: repository.work_dir().to_owned(),
            common_dir: repository.common_dir().to_owned(),
            moment: repository.moment()?,
        };
        gate.grant()?;
        Ok(gate)
    }

    /// What went wrong; where the repository changed meanwhile that is why, and it is worth another try.
    pub(super) fn unless_unsettled(&self, error: Error) -> Error {
        let still = Repository::discover(&self.work_dir).map(|it| it.still(&self.moment));
        match still {
            Ok(Err(unsettled)) => unsettled.into(),
            _ => error,
        }
    }

    fn grant(&self) -> Result<Grant, Error> {
        let allowed = self.store.load()?;
        allowed.grant(&self.common_dir).cloned().ok_or_else(|| {
            let message = format!("{}: nothing is allowed here yet", self.work_dir.display());
            Error::new(Kind::NeedsApproval, message)
                .hint("`prewarm allow` shows what would run, and allows it")
        })
    }

    /// Lets a job pass, and remembers that it did.
    ///
    /// # Errors
    /// It needs approval; or the repository changed since its tree was taken.
    pub(super) fn check(&self, run: &Run<'_>, job: &Job) -> Result<(), Error> {
        tokio::task::block_in_place(|| {
            let repository = Repository::discover(&self.work_dir)?.careful();
            let grant = self.grant()?;
            let terms = run.terms();
            let platform = job.platform.as_deref();
            let subject = terms.execution(&run.config.ci, &job.target, platform, &job.snapshot)?;
            let mut witness = Witness::new(
                terms,
                &repository,
                &grant,
                Subject {
                    ci: &run.config.ci,
                    target: &job.target,
                    platform,
                    source: &run.request.source,
                    snapshot: &job.snapshot,
                    executed: &subject,
                },
            )?;
            witness.merged = job.view != View::Tree;
            let warrant = decide(&subject.execution, &mut witness);
            repository.still(&self.moment)?;
            match warrant {
                Warrant::Granted(ground) => {
                    self.approve(run, &grant, ground, &subject.execution);
                    Ok(())
                }
                Warrant::NeedsApproval { foreign } => Err(witness.refusal(&foreign)),
            }
        })
    }

    /// Remembers a job that passed by what a build of it asked for, now that one may have shown that.
    pub(super) fn learn(&self, run: &Run<'_>, job: &Job) {
        let learnt = tokio::task::block_in_place(|| {
            let platform = job.platform.as_deref();
            let subject =
                run.terms()
                    .execution(&run.config.ci, &job.target, platform, &job.snapshot)?;
            let grant = self.grant()?;
            self.approve(run, &grant, Ground::Approved, &subject.execution);
            Ok::<_, Error>(())
        });
        if let Err(error) = learnt {
            run.warn(Some(job), format!("not remembered as allowed: {error}"));
        }
    }

    /// Adds what is new of it to what is approved.
    fn approve(&self, run: &Run<'_>, grant: &Grant, ground: Ground, execution: &Execution) {
        let (known, new): (Vec<_>, Vec<_>) = execution
            .digests()
            .iter()
            .partition(|digest| grant.approves(digest));
        let before = |digest: &&String| {
            let mut approved = grant.approved().iter();
            approved.find(|approval| approval.digest == ***digest)
        };
        let reason = match ground {
            Ground::OwnWork => Reason::OwnWork,
            Ground::Upstream => Reason::Upstream,
            Ground::Approved => match known.iter().find_map(before) {
                Some(approval) => approval.reason.clone(),
                // It was taken back meanwhile.
                None => return,
            },
        };
        if new.is_empty() {
            return;
        }
        let approvals: Vec<_> = new
            .into_iter()
            .map(|digest| Approval {
                digest: digest.clone(),
                at: run.world.now_ms(),
                reason: reason.clone(),
            })
            .collect();
        let stored = self
            .store
            .update(|allowed| allowed.approve(&self.common_dir, approvals));
        if let Err(error) = stored {
            run.warn(None, Error::from(error).to_string());
        }
    }
}
