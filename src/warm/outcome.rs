//! From a decision to an end: confirms what is warm, builds what is not, and sums up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::build::Build;
use super::confirm::{Confirmed, confirm};
use super::destination::Destination;
use super::evaluate::{Evaluation, differences, evaluate};
use super::job::{Job, View};
use super::run::Run;
use super::sight;
use super::turn::Turn;
use super::verdict::{Grounds, unexported, verdict};
use crate::error::{Error, Kind};
use crate::plan::inputs::Inputs;
use crate::plan::{Decision, Warm, WarmSource};
use crate::record::{CommitKey, Finished, NewWarm, Outcome, WarmId};
use crate::registry::Reference;
use crate::snapshot::Source;
use crate::ui::{CiVerdict, TargetSummary, Verdict};

/// What to do where nothing says where the cache goes.
const NO_CACHE: &str = "to share this with CI, name a registry: `cache = \"registry.example.com/team/app\"` in the \
                        target's table in .prewarm.toml, and `cache-from` with the branch's tag in CI";

/// Why a dry run cannot tell more.
const NO_CONTAINER: &str = "whether it is warm depends on the BuildKit that builds, and there is no container of it \
                            yet; `prewarm warm` makes one";

/// So many files are named.
const SHOWN: usize = 3;

/// How a job ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) summary: TargetSummary,
    pub(super) error: Option<Error>,
    /// A merge that CI builds exactly like the branch itself: not worth a word.
    pub(super) same_as_head: bool,
}

impl Ended {
    pub(super) fn new(summary: TargetSummary) -> Self {
        Self {
            summary,
            error: None,
            same_as_head: false,
        }
    }

    pub(super) fn failed(mut summary: TargetSummary, error: Error) -> Self {
        summary.outcome = match error.kind {
            Kind::Signal(_) => Verdict::Cancelled,
            Kind::NotPushed => Verdict::NotPushed,
            Kind::NeedsApproval => Verdict::NeedsApproval,
            Kind::Unsettled => Verdict::Unsettled,
            _ => Verdict::Failed,
        };
        summary.reason = error.headline();
        if error.kind == Kind::NeedsApproval {
            // What differs from what is trusted.
            let lines = error.message.lines().skip(1);
            summary.notes.extend(lines.map(str::to_owned));
        }
        summary.ci = CiVerdict::WillNotHit {
            reason: "nothing was pushed".to_owned(),
        };
        Self {
            summary,
            error: Some(error),
            same_as_head: false,
        }
    }
}

/// Decides, and carries out the decision.
pub(super) async fn decide(run: &Run<'_>, job: &Job) -> Result<Ended, Error> {
    if let Some(evaluation) = evaluate(run, job).await? {
        sight::inputs(run, job, evaluation.inputs.as_ref()).await?;
        let ended = carry_out(run, job, evaluation).await?;
        note_commit(run, job, &ended.summary);
        return Ok(ended);
    }
    let mut summary = TargetSummary::new(&job.target.name, job.platform.clone());
    summary.source.clone_from(&job.source);
    summary.outcome = Verdict::WouldWarm;
    NO_CONTAINER.clone_into(&mut summary.reason);
    Ok(Ended::new(summary))
}

/// Remembers which key the commit came to, for whoever wants to know whether its cache was there when it was pushed.
fn note_commit(run: &Run<'_>, job: &Job, summary: &TargetSummary) {
    let (Some(commit), Some(key)) = (job.snapshot.commit(), &summary.key) else {
        return;
    };
    if job.view != View::Tree {
        return;
    }
    let cache = match (summary.outcome, &job.destination) {
        (Verdict::Warm | Verdict::AlreadyWarm, Some(destination)) => {
            destination.repository.to_string()
        }
        // No push waits for it, but the branch needs it, whatever it will be called.
        (Verdict::Warm | Verdict::AlreadyWarm | Verdict::LocalOnly | Verdict::NotPushed, _) => {
            String::new()
        }
        _ => return,
    };
    let known = CommitKey {
        commit: commit.to_string(),
        target: job.target.name.clone(),
        platform: summary.platform.clone().unwrap_or_default(),
        cache,
        key: key.clone(),
    };
    run.note(run.records.note_commit(&known, run.world.now_ms() / 1000));
}

/// Whether the user may think that more was warmed than was: of what decides the result, something is not committed.
async fn uncommitted(run: &Run<'_>, job: &Job, inputs: Option<&Inputs>) -> Option<String> {
    // A courtesy to whoever asked; the daemon warms the work tree by itself.
    if !run.request.attended || !run.is_head() || job.view != View::Tree {
        return None;
    }
    let (context, work_dir) = (job.context.clone(), PathBuf::from(&run.repository));
    let filters = inputs.map(|inputs| inputs.filters.clone());
    let dockerfile = work_dir.join(&job.target.dockerfile);
    let mut names = BTreeSet::new();
    let regular = std::fs::symlink_metadata(&dockerfile).is_ok_and(|file| file.is_file());
    if regular && std::fs::read(&dockerfile).is_ok_and(|text| text != job.dockerfile) {
        names.insert(job.target.dockerfile.clone());
    }
    let edited = tokio::task::spawn_blocking(move || {
        let edited = |filter| context.edited(filter, &work_dir).unwrap_or_default();
        filters
            .iter()
            .flatten()
            .flat_map(edited)
            .collect::<Vec<_>>()
    });
    names.extend(edited.await.unwrap_or_default());
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let have = if names.len() == 1 { "has" } else { "have" };
    (!names.is_empty()).then(|| {
        format!(
            "{}{more} {have} changes that are not committed, and so not part of this; --worktree includes them",
            shown.join(", ")
        )
    })
}

/// Carries out the decision.
async fn carry_out(run: &Run<'_>, job: &Job, evaluation: Evaluation) -> Result<Ended, Error> {
    let mut summary = begin(job, &evaluation);
    if evaluation.inputs.is_some() {
        summary
            .notes
            .extend(uncommitted(run, job, evaluation.inputs.as_ref()).await);
    }
    if let View::Merge { head_key, .. } = &job.view
        && summary.key.is_some()
        && summary.key == *head_key
    {
        return Ok(Ended {
            same_as_head: true,
            ..Ended::new(summary)
        });
    }
    summary.reason = match evaluation.decision.clone() {
        Decision::Build { reason } => reason,
        Decision::AlreadyWarm(warm) => {
            match already(run, job, &evaluation, warm, &mut summary).await? {
                Some(Conclusion(error)) => {
                    return Ok(Ended {
                        error,
                        ..Ended::new(summary)
                    });
                }
                None => "the registry does not have its cache any more".to_owned(),
            }
        }
    };
    if run.request.dry_run {
        summary.outcome = Verdict::WouldWarm;
        summary.tags = tags(job, &evaluation)?;
        summary.ci = judge(run, job, &evaluation, evaluation.inputs.as_ref(), &[]).await?;
        return Ok(Ended::new(summary));
    }
    let builder = run.builder().await?;
    if builder.identity != evaluation.identity {
        // The decision rests on what was remembered of it.
        return Box::pin(decide(run, job)).await;
    }
    match Turn::take(run, job, &evaluation).await {
        Turn::Now(_claim) => build(run, job, &evaluation, summary).await,
        Turn::AfterAnother => Box::pin(decide(run, job)).await,
        Turn::Later(reason) => {
            summary.outcome = Verdict::Deferred;
            reason.clone_into(&mut summary.reason);
            Ok(Ended::new(summary))
        }
    }
}

fn begin(job: &Job, evaluation: &Evaluation) -> TargetSummary {
    let mut summary = TargetSummary::new(&job.target.name, Some(evaluation.platform.clone()));
    summary.source.clone_from(&job.source);
    summary.key = evaluation.key.as_ref().map(ToString::to_string);
    summary.notes.clone_from(&evaluation.notes);
    summary
}

async fn build(
    run: &Run<'_>,
    job: &Job,
    evaluation: &Evaluation,
    mut summary: TargetSummary,
) -> Result<Ended, Error> {
    let build = Build::new(run, job, evaluation).await?;
    let id = run.note(run.records.begin(&new_warm(run, job, evaluation)));
    let mut done = build.run().await;
    if done.inputs.is_some() {
        sight::inputs(run, job, done.inputs.as_ref()).await?;
    }
    done.apply(&mut summary);
    if evaluation.inputs.is_none() {
        summary
            .notes
            .extend(uncommitted(run, job, done.inputs.as_ref()).await);
    }
    let steps: Vec<String> = done.steps.iter().map(|step| step.name.clone()).collect();
    match summary.outcome {
        Verdict::Warm => {
            summary.ci = judge(run, job, evaluation, done.inputs.as_ref(), &steps).await?;
            summary.notes.extend(unexported(&steps));
        }
        Verdict::Salvaged => {
            let moved = job.destination.as_ref().and_then(Destination::writable);
            let moved = moved.is_some_and(|tag| summary.tags.contains(&tag.to_string()));
            let before = if moved {
                ", after hits on the steps before it"
            } else {
                "; the steps before it are saved for the next warm, and the tags that CI reads stay as they are"
            };
            let reason = format!("it will fail on the same step{before}");
            summary.ci = CiVerdict::WillNotHit { reason };
        }
        Verdict::LocalOnly if done.local_image.is_some() => {
            let image = done.local_image.as_deref().unwrap_or_default();
            let reason = format!("{image} is on this machine only, so that nothing was pushed");
            summary.ci = CiVerdict::WillNotHit { reason };
        }
        Verdict::LocalOnly if job.target.cache.is_none() => summary.notes.push(NO_CACHE.to_owned()),
        Verdict::LocalOnly => {
            let reason =
                "--no-push was given; what the registry had before is still there".to_owned();
            summary.ci = CiVerdict::WillNotHit { reason };
        }
        _ => {}
    }
    let error = done.error.take();
    record(run, id, &done.finished(run.world.now_ms(), error.as_ref()));
    Ok(Ended {
        error,
        ..Ended::new(summary)
    })
}

/// An end without an error is one, too.
struct Conclusion(Option<Error>);

/// Sums up a target that is warm; `None` when the registry has lost it.
async fn already(
    run: &Run<'_>,
    job: &Job,
    evaluation: &Evaluation,
    warm: Warm,
    summary: &mut TargetSummary,
) -> Result<Option<Conclusion>, Error> {
    summary.outcome = Verdict::AlreadyWarm;
    summary.ci = judge(run, job, evaluation, evaluation.inputs.as_ref(), &[]).await?;
    summary.reason = match warm.source {
        WarmSource::History => "nothing that decides its result has changed".to_owned(),
        WarmSource::Registry => "somebody has pushed exactly this already".to_owned(),
    };
    let (Some(destination), Some(key)) = (&job.destination, &evaluation.key) else {
        return Ok(Some(Conclusion(None)));
    };
    if run.request.dry_run || !run.request.push {
        unconfirmed(destination, &destination.key(key)?, evaluation, summary);
        return Ok(Some(Conclusion(None)));
    }
    match confirm(run, destination, key, &warm, evaluation).await? {
        Confirmed::Gone => Ok(None),
        Confirmed::Yes { digest, tags } => {
            if tags
                .iter()
                .any(|tag| !evaluation.known_references.contains(tag))
            {
                let id = run.note(run.records.begin(&new_warm(run, job, evaluation)));
                record(
                    run,
                    id,
                    &already_recorded(run, digest, tags.clone(), evaluation),
                );
            }
            summary.tags = tags;
            Ok(Some(Conclusion(None)))
        }
        Confirmed::Unknown { error, tags } => {
            let pointed = destination
                .writable()
                .is_none_or(|tag| tags.contains(&tag.to_string()));
            summary.tags = tags;
            if pointed {
                summary
                    .notes
                    .push(format!("not confirmed with the registry: {error}"));
                return Ok(Some(Conclusion(None)));
            }
            summary.outcome = Verdict::NotPushed;
            summary.ci = CiVerdict::WillNotHit {
                reason: "the branch's tag could not be written".to_owned(),
            };
            Ok(Some(Conclusion(Some(Error {
                kind: Kind::NotPushed,
                ..error
            }))))
        }
    }
}

/// Sums up what is known without a look at the registry.
fn unconfirmed(
    destination: &Destination,
    key_tag: &Reference,
    evaluation: &Evaluation,
    summary: &mut TargetSummary,
) {
    let known = |tag: &Reference| evaluation.known_references.contains(&tag.to_string());
    summary.tags = [Some(key_tag), destination.writable()]
        .into_iter()
        .flatten()
        .filter(|tag| known(tag))
        .map(ToString::to_string)
        .collect();
    if let Some(tag) = destination.writable().filter(|tag| !known(tag)) {
        summary.ci = CiVerdict::WillNotHit {
            reason: format!("{tag} does not point at it yet; `prewarm warm` does that"),
        };
    }
}

/// The verdict on the target, provided that its cache is where it was to go.
async fn judge(
    run: &Run<'_>,
    job: &Job,
    evaluation: &Evaluation,
    inputs: Option<&Inputs>,
    steps: &[String],
) -> Result<CiVerdict, Error> {
    let asked = inputs
        .map(|inputs| inputs.filters.clone())
        .unwrap_or_default();
    // Where something was built, all of it was read anyway.
    let differences = differences(job, &asked, !steps.is_empty()).await?;
    let encoded: Vec<_> = differences.encoded.into_iter().collect();
    Ok(verdict(&Grounds {
        identity: &evaluation.identity,
        destination: job.destination.as_ref(),
        names_platforms: !job.target.platforms.is_empty(),
        steps,
        ci_context: run.config.ci.context,
        reach: differences.reach,
        fills_submodules: run.config.ci.submodules,
        encoded: &encoded,
    }))
}

/// The tags that a build would write.
fn tags(job: &Job, evaluation: &Evaluation) -> Result<Vec<String>, Error> {
    let Some(destination) = &job.destination else {
        return Ok(Vec::new());
    };
    let mut tags = Vec::new();
    if let Some(key) = &evaluation.key {
        tags.push(destination.key(key)?.to_string());
    }
    tags.extend(destination.writable().map(ToString::to_string));
    Ok(tags)
}

fn new_warm(run: &Run<'_>, job: &Job, evaluation: &Evaluation) -> NewWarm {
    NewWarm {
        repository: run.repository.clone(),
        target: job.target.name.clone(),
        platform: evaluation.platform.clone(),
        commit: job.snapshot.commit().map(|commit| commit.to_string()),
        tree: job.snapshot.tree_id().to_string(),
        source: match (&job.view, &run.request.source) {
            (View::Merge { .. }, _) | (_, Source::Merge { .. }) => "merge".to_owned(),
            (View::Tree, Source::Staged) => "staged".to_owned(),
            (View::Tree, Source::Worktree) => "worktree".to_owned(),
            (View::Tree, Source::Revision(revision)) => revision.clone(),
        },
        key: evaluation.key.as_ref().map(ToString::to_string),
        recipe: evaluation.recipe.clone(),
        cache: job
            .destination
            .as_ref()
            .map(|destination| destination.repository.to_string()),
        branch: run.branch.clone(),
        builder: run.connector().choice().label(),
        buildkit: evaluation.identity.version.clone(),
        started_at: run.world.now_ms(),
    }
}

fn already_recorded(
    run: &Run<'_>,
    digest: String,
    references: Vec<String>,
    evaluation: &Evaluation,
) -> Finished {
    Finished {
        outcome: Outcome::AlreadyWarm,
        key: evaluation.key.as_ref().map(ToString::to_string),
        steps: Vec::new(),
        exported_bytes: 0,
        cache_digest: Some(digest),
        references,
        error: None,
        finished_at: run.world.now_ms(),
        inputs: evaluation.inputs.as_ref().map(Inputs::to_json),
    }
}

fn record(run: &Run<'_>, id: Option<WarmId>, finished: &Finished) {
    if let Some(id) = id {
        run.note(run.records.finish(id, finished));
    }
}
