//! What came of a warm, or with `--dry-run` would come of it.

use std::fmt::Write;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::event::milliseconds;
use super::paint::Paint;
use super::text::{bytes, clean, duration};
use crate::record::Outcome;

/// What came of all targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// In the configuration's order.
    pub targets: Vec<TargetSummary>,
}

/// What came of one target on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetSummary {
    /// What events call it.
    #[serde(skip)]
    pub label: String,
    /// The target's name.
    pub target: String,
    /// Such as `linux/amd64`; `None` for the builder's own.
    pub platform: Option<String>,
    /// How it ended.
    pub outcome: Verdict,
    /// Steps of the build.
    pub steps_total: u32,
    /// Those that were found in a cache.
    pub steps_cached: u32,
    /// Those that were executed.
    pub steps_run: u32,
    /// Those that were saved although a later one failed.
    pub steps_salvaged: u32,
    /// Bytes that went to the registry.
    pub bytes_exported: u64,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "as_milliseconds")]
    pub duration: Duration,
    /// What was built from, such as `commit 1a2b3c4`.
    pub source: String,
    /// The key, in hex; `None` where it came to none.
    pub key: Option<String>,
    /// The full references that point at the cache.
    pub tags: Vec<String>,
    /// Whether CI's next build of this source hits.
    pub ci: CiVerdict,
    /// Why it was warmed, why not, or why it failed; may be empty.
    pub reason: String,
    /// What else the user should know.
    pub notes: Vec<String>,
}

impl TargetSummary {
    /// A target of which nothing has come yet.
    #[must_use]
    pub fn new(target: &str, platform: Option<String>) -> Self {
        Self {
            label: target.to_owned(),
            target: target.to_owned(),
            platform,
            outcome: Verdict::Failed,
            steps_total: 0,
            steps_cached: 0,
            steps_run: 0,
            steps_salvaged: 0,
            bytes_exported: 0,
            duration: Duration::ZERO,
            source: String::new(),
            key: None,
            tags: Vec::new(),
            ci: CiVerdict::WillNotHit {
                reason: "nothing was pushed".to_owned(),
            },
            reason: String::new(),
            notes: Vec::new(),
        }
    }
}

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Built and pushed.
    Warm,
    /// There was nothing to do.
    AlreadyWarm,
    /// A step failed; the steps before it were pushed.
    Salvaged,
    /// Failed, and nothing was pushed.
    Failed,
    /// Built, but the registry did not take it.
    NotPushed,
    /// Built for this machine's BuildKit only.
    LocalOnly,
    /// Stopped on request.
    Cancelled,
    /// A dry run found that it is not warm.
    WouldWarm,
    /// It would run what the user has not approved, so that nothing was done.
    NeedsApproval,
    /// The repository changed meanwhile, so that nothing was done.
    Unsettled,
    /// It is not built now: see the reason.
    Deferred,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Warm => Self::Warm,
            Outcome::AlreadyWarm => Self::AlreadyWarm,
            Outcome::Salvaged => Self::Salvaged,
            Outcome::Failed => Self::Failed,
            Outcome::NotPushed => Self::NotPushed,
            Outcome::LocalOnly => Self::LocalOnly,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::AlreadyWarm => "already warm",
            Self::Salvaged => "salvaged",
            Self::Failed => "failed",
            Self::NotPushed => "warm here, not pushed",
            Self::LocalOnly => "warm on this machine only",
            Self::Cancelled => "cancelled",
            Self::WouldWarm => "would be warmed",
            Self::NeedsApproval => "needs approval",
            Self::Unsettled => "put off",
            Self::Deferred => "not now",
        }
    }

    pub(super) fn paint(self, text: &str, paint: Paint) -> String {
        match self {
            Self::Warm | Self::AlreadyWarm => paint.good(text),
            Self::Failed => paint.bad(text),
            Self::Salvaged
            | Self::NotPushed
            | Self::LocalOnly
            | Self::Cancelled
            | Self::NeedsApproval
            | Self::Unsettled
            | Self::Deferred => paint.doubtful(text),
            Self::WouldWarm => paint.bold(text),
        }
    }
}

/// Whether CI's next build hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum CiVerdict {
    /// Every step of the stage.
    WillHit,
    /// It may miss.
    NotAssured {
        /// Why.
        reason: String,
        /// The names of the steps that may miss.
        steps_at_risk: Vec<String>,
    },
    /// It misses.
    WillNotHit {
        /// Why.
        reason: String,
    },
}

fn as_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(milliseconds(*duration))
}

/// A verdict for each target with what it rests on below; of several targets, first how many ended how.
pub(super) fn human(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    if let [_, _, ..] = summary.targets.as_slice() {
        text.push_str(&counts(&summary.targets));
    }
    for target in &summary.targets {
        text.push_str(&block(target, paint));
    }
    text
}

/// `3 targets: 2 warm, 1 failed`, in the order in which the verdicts come.
fn counts(targets: &[TargetSummary]) -> String {
    let mut counted: Vec<(Verdict, usize)> = Vec::new();
    for target in targets {
        match counted
            .iter_mut()
            .find(|(verdict, _)| *verdict == target.outcome)
        {
            Some((_, count)) => *count += 1,
            None => counted.push((target.outcome, 1)),
        }
    }
    let parts: Vec<_> = counted
        .iter()
        .map(|(verdict, count)| format!("{count} {}", verdict.words()))
        .collect();
    format!("{} targets: {}\n", targets.len(), parts.join(", "))
}

fn block(target: &TargetSummary, paint: Paint) -> String {
    let mut name = clean(&target.target);
    if let Some(platform) = &target.platform {
        let _ = write!(name, " {}", clean(platform));
    }
    let verdict = target.outcome.paint(target.outcome.words(), paint);
    let mut text = format!(
        "{}: {verdict}{}\n",
        paint.bold(&name),
        ci_words(target, paint)
    );

    add(&mut text, "source", &target.source);
    add(&mut text, "why", &target.reason);
    if target.steps_total > 0 {
        add(&mut text, "steps", &steps(target));
    }
    if target.bytes_exported > 0 {
        add(
            &mut text,
            "cache",
            &format!("{} exported", bytes(target.bytes_exported)),
        );
    }
    add_all(&mut text, "tags", &target.tags);
    match &target.ci {
        CiVerdict::WillHit => {}
        CiVerdict::NotAssured {
            reason,
            steps_at_risk,
        } => {
            add(&mut text, "ci", reason);
            add_all(&mut text, "at risk", steps_at_risk);
        }
        CiVerdict::WillNotHit { reason } => add(&mut text, "ci", reason),
    }
    for note in &target.notes {
        add(&mut text, "note", note);
    }
    text
}

fn ci_words(target: &TargetSummary, paint: Paint) -> String {
    match (&target.ci, target.outcome) {
        // What CI will do then is what a warm is for; only doubts are worth a word.
        (CiVerdict::WillHit, Verdict::WouldWarm) => String::new(),
        (CiVerdict::WillHit, _) => format!(", {}", paint.good("CI will hit")),
        (CiVerdict::NotAssured { .. }, _) => {
            format!(", {}", paint.doubtful("CI hits are not assured"))
        }
        (CiVerdict::WillNotHit { .. }, _) => format!(", {}", paint.bad("CI will not hit")),
    }
}

/// `5: 3 cached, 2 run in 1m 12s`.
fn steps(target: &TargetSummary) -> String {
    let counts = [
        (target.steps_cached, "cached"),
        (target.steps_run, "run"),
        (target.steps_salvaged, "salvaged"),
    ];
    let mut parts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        parts.push("none finished".to_owned());
    }
    format!(
        "{}: {} in {}",
        target.steps_total,
        parts.join(", "),
        duration(target.duration)
    )
}

/// Width of the labels, without the indentation.
const LABEL: usize = 7;

/// `  label    value`; nothing where there is no value. Further lines of a value stay lines.
fn add(text: &mut String, label: &str, value: &str) {
    let mut label = label;
    for line in value.lines() {
        let _ = writeln!(text, "  {label:LABEL$}  {}", clean(line));
        label = "";
    }
}

fn add_all(text: &mut String, label: &str, values: &[String]) {
    let values: Vec<_> = values.iter().map(|value| clean(value)).collect();
    add(text, label, &values.join("\n"));
}
