//! Before something is built: whether it may be now, that there is room for it, and that nobody else builds the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::evaluate::Evaluation;
use super::job::Job;
use super::join::{Claim, claim, others};
use super::room;
use super::run::Run;
use crate::client::{Client, ClientError};
use crate::daemon::status::Status;
use crate::registry::Digest;
use crate::ui::Event;
use crate::worker::Answer;

/// How soon is noticed that nobody waits any more.
const BEAT: Duration = Duration::from_millis(200);

/// What to do with something that is not warm.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is to be built now, while this is held.
    Now(Option<Claim>),
    /// Another process has just built it, or tried to: to be looked at again.
    AfterAnother,
    /// It is not to be built now, for this reason.
    Later(&'static str),
}

impl Turn {
    /// Asks whoever has to permit it, sees to it that there is room, and waits for others that build the same.
    pub(super) async fn take(run: &Run<'_>, job: &Job, evaluation: &Evaluation) -> Self {
        let fingerprint = fingerprint(job, evaluation);
        let permit = &run.request.permit;
        let answer = permit.may_build(&job.label, fingerprint.clone()).await;
        if let Some(reason) = put_off(answer) {
            return Self::Later(reason);
        }
        // Nothing is pruned while something is built, so that this comes before the claim.
        room::make(run, job, evaluation).await;
        let place = match &job.destination {
            Some(destination) => destination.repository.to_string(),
            None => run.connector().choice().label(),
        };
        let name = Digest::of(format!("{place}\0{fingerprint}").as_bytes());
        let builds = run.world.paths.builds();
        match claim(&builds, name.hex()) {
            // Another may have ended between our look and now.
            Ok(Some(_)) if was_built(run, job, evaluation) => return Self::AfterAnother,
            Ok(Some(claim)) => return Self::Now(Some(claim)),
            Ok(None) => {}
            // It spares a second build of the same, and nothing more.
            Err(_) => return Self::Now(None),
        }
        let say = |message: String| {
            let target = job.label.clone();
            run.ui.event(&Event::Target { target, message });
        };
        say("waiting for another prewarm that builds exactly this".to_owned());
        tokio::select! {
            _ = others(&builds, name.hex()) => {}
            () = echo(run, job, say) => {}
        }
        Self::AfterAnother
    }
}

/// Whether something of this recipe was built since it was looked at.
fn was_built(run: &Run<'_>, job: &Job, evaluation: &Evaluation) -> bool {
    if run.request.force {
        return false;
    }
    // What ended in the future did so before the clock was set.
    let during = (evaluation.looked_at, run.world.now_ms());
    let cache = job.destination.as_ref();
    let cache = cache.map(|destination| destination.repository.to_string());
    let built = run
        .records
        .built_since(&evaluation.recipe, cache.as_deref(), during);
    run.note(built) == Some(true)
}

/// Says what the daemon says of that build, if it is the daemon's. Never ends.
async fn echo(run: &Run<'_>, job: &Job, say: impl Fn(String)) {
    let (sender, mut said) = mpsc::unbounded_channel();
    let (paths, label) = (run.world.paths.clone(), job.label.clone());
    let tree = PathBuf::from(&run.repository);
    tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(&paths)?;
        client.follow()?;
        let mut last = None;
        while !sender.is_closed() {
            let step = client
                .next(BEAT)?
                .and_then(|status| step(&status, &tree, &label));
            if step.is_some() && step != last {
                last.clone_from(&step);
                // Who listened has seen enough otherwise.
                let _ = step.map(|step| sender.send(step));
            }
        }
        Ok::<_, ClientError>(())
    });
    while let Some(step) = said.recv().await {
        say(format!("the daemon builds it: {step}"));
    }
    std::future::pending::<()>().await;
}

/// The step at which the daemon's build of a target is.
fn step(status: &Status, tree: &Path, label: &str) -> Option<String> {
    let tree = status.trees.iter().find(|known| known.path == tree)?;
    let targets = tree.views.iter().flat_map(|view| &view.targets);
    let mut builds = targets.filter(|target| target.target == label);
    let build = builds.find_map(|target| target.build.as_ref())?;
    Some(build.step.as_ref().unwrap_or(&build.message).clone()).filter(|step| !step.is_empty())
}

/// Equal for what gives equal results, as far as that is known before it was built for the first time.
fn fingerprint(job: &Job, evaluation: &Evaluation) -> String {
    match &evaluation.key {
        Some(key) => key.to_string(),
        None => format!("{} {}", evaluation.recipe, job.snapshot.tree_id()),
    }
}

/// Why something is not built now, if so.
fn put_off(answer: Answer) -> Option<&'static str> {
    match answer {
        Answer::Go => None,
        Answer::Running => Some("exactly this is being built"),
        Answer::FailedBefore => Some("exactly this has failed before"),
        Answer::Full => Some("other builds run"),
        Answer::Stopping => Some("no builds are started now"),
    }
}
