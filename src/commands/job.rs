//! `prewarm job`: a warm that nobody asked for. Events and the result are JSON, as of `warm --json`; for the daemon, as
//! [`crate::worker`] says.

use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::warm::report;
use super::{Context, Ended};
use crate::cli::{JobArgs, JobSource};
use crate::config::load_user;
use crate::error::{Error, Kind};
use crate::snapshot::{Repository, Source};
use crate::ui::Ui;
use crate::warm::permit::{Asked, Permit};
use crate::warm::{Report, Request, warm};
use crate::worker::{Answer, Failure, Outcome, Stopped, Told};

pub(super) async fn run(context: &Context<'_>, arguments: JobArgs) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    let mut request = Request {
        path: arguments.path,
        targets: Vec::new(),
        source: match arguments.source {
            JobSource::Head => Source::Revision("HEAD".to_owned()),
            JobSource::Worktree => Source::Worktree,
        },
        force: false,
        dry_run: false,
        push: true,
        attended: false,
        permit: Permit::Open,
    };
    if !arguments.supervised {
        let warmed = warm(context.world, user, context.ui, request, context.stop).await?;
        return report(context, &warmed);
    }
    let (permit, mut asked) = Permit::ask();
    request.permit = permit;
    let path = request.path.clone();
    let warming = warm(context.world, user, context.ui, request, context.stop);
    let supervising = supervise(context.ui, context.stop, &mut asked);
    let warmed = tokio::select! {
        warmed = warming => warmed,
        never = supervising => match never {},
    };
    let outcome = outcome(&path, warmed);
    context.ui.result("", &outcome)?;
    Ok(ExitCode::SUCCESS)
}

/// Nothing has this type.
enum Never {}

/// Hands questions to the daemon and its answers back, as long as the warm lasts.
async fn supervise(
    ui: &Ui,
    stop: &CancellationToken,
    asked: &mut tokio::sync::mpsc::UnboundedReceiver<Asked>,
) -> Never {
    let mut waiting: Vec<(u64, oneshot::Sender<Answer>)> = Vec::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut listens = true;
    loop {
        tokio::select! {
            Some(Asked { question, answer }) = asked.recv() => {
                waiting.push((question.id, answer));
                ui.question(&question);
            }
            line = lines.next_line(), if listens => {
                let Ok(Some(line)) = line else {
                    // The daemon has gone, or wants no more of this.
                    listens = false;
                    waiting.clear();
                    stop.cancel();
                    continue;
                };
                let Ok(told) = serde_json::from_str::<Told>(&line) else { continue };
                if let Some(at) = waiting.iter().position(|(id, _)| *id == told.id) {
                    let (_, answer) = waiting.swap_remove(at);
                    // The target may have been stopped meanwhile.
                    let _ = answer.send(told.answer);
                }
            }
            else => std::future::pending().await,
        }
    }
}

fn outcome(path: &std::path::Path, warmed: Result<Report, Error>) -> Outcome {
    let failure = |error: &Error| Failure {
        message: error.to_string(),
        hints: error.hints.clone(),
    };
    let report = match warmed {
        Ok(report) => report,
        Err(error) => {
            return Outcome {
                stopped: Some(match error.kind {
                    Kind::Unsettled => Stopped::Moved,
                    Kind::Environment | Kind::NotPushed => Stopped::Missing,
                    _ => Stopped::Hopeless,
                }),
                errors: vec![failure(&error)],
                ..Outcome::default()
            };
        }
    };
    let root = Repository::discover(path).map(|repository| repository.work_dir().to_owned());
    let root = root.unwrap_or_else(|_| path.to_owned());
    let moved = report
        .errors
        .iter()
        .any(|error| error.kind == Kind::Unsettled);
    let missing = |error: &Error| matches!(error.kind, Kind::Environment | Kind::NotPushed);
    let missing = report.errors.iter().any(missing);
    let targets = report.summary.targets.iter().map(|target| {
        let mut document = json!(target);
        // To try it again is the cure for some failures, and not for others.
        if missing && document["outcome"] == "failed" {
            document["outcome"] = Value::from("missing");
        }
        document
    });
    Outcome {
        stopped: moved.then_some(Stopped::Moved),
        branch: report.branch,
        labels: report
            .summary
            .targets
            .iter()
            .map(|target| target.label.clone())
            .collect(),
        targets: targets.collect(),
        errors: report.errors.iter().map(failure).collect(),
        files: report
            .sight
            .files
            .iter()
            .map(|file| root.join(file))
            .collect(),
        more_files: report.sight.more,
    }
}
