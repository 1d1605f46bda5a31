//! Whether CI's next build will hit, and what the user should know about the steps. Pure.

use super::destination::{BranchTag, Destination};
use crate::builder::Identity;
use crate::config::CiContext;
use crate::snapshot::Reach;
use crate::ui::CiVerdict;

/// What hosted CI runners build for when nothing is said.
const USUAL_PLATFORM: &str = "linux/amd64";

/// What the verdict rests on.
pub(super) struct Grounds<'a> {
    pub(super) identity: &'a Identity,
    pub(super) destination: Option<&'a Destination>,
    /// Whether the configuration says which platforms CI builds for.
    pub(super) names_platforms: bool,
    /// Names of the target's instructions, as BuildKit shows them; empty when nothing was built.
    pub(super) steps: &'a [String],
    pub(super) ci_context: CiContext,
    /// What BuildKit took of CI's checkout besides tracked files.
    pub(super) reach: Reach,
    /// CI's checkout fills submodules.
    pub(super) fills_submodules: bool,
    /// Files of it that a checkout writes in another encoding, each with that.
    pub(super) encoded: &'a [(String, String)],
}

/// The verdict on a target whose cache is complete where it was to go.
pub(super) fn verdict(grounds: &Grounds<'_>) -> CiVerdict {
    let Some(destination) = grounds.destination else {
        return CiVerdict::WillNotHit {
            reason: "nothing was pushed".to_owned(),
        };
    };
    if let BranchTag::Skip { reason } = &destination.branch {
        return CiVerdict::WillNotHit {
            reason: format!("{reason}; the cache is under its key only"),
        };
    }
    if !grounds.names_platforms && grounds.identity.platform != USUAL_PLATFORM {
        let platform = &grounds.identity.platform;
        return CiVerdict::NotAssured {
            reason: format!(
                "this was built for {platform}, the builder's own; say in `platforms` what CI builds for"
            ),
            steps_at_risk: Vec::new(),
        };
    }
    if let Some(doubt) = &grounds.identity.doubt {
        let steps_at_risk = grounds
            .steps
            .iter()
            .filter(|step| is_at_risk(step))
            .cloned()
            .collect();
        return CiVerdict::NotAssured {
            reason: doubt.clone(),
            steps_at_risk,
        };
    }
    let copies = || {
        let copies = |step: &&String| step.contains("] COPY ") || step.contains("] ADD ");
        grounds.steps.iter().filter(copies).cloned().collect()
    };
    let reach = grounds.reach;
    match grounds.ci_context {
        CiContext::Path if reach.git_directory => CiVerdict::NotAssured {
            reason: "a step takes CI's `.git`, which is never the same twice; add `.git` to `.dockerignore`".to_owned(),
            steps_at_risk: copies(),
        },
        CiContext::Git if reach.root => CiVerdict::NotAssured {
            reason: "a step copies the whole context, and BuildKit gives the root of a Git context another checksum \
                     than that of any other; copy what the stage needs by name, or let CI build with `context: .`"
                .to_owned(),
            steps_at_risk: copies(),
        },
        CiContext::Path if reach.submodules && grounds.fills_submodules => CiVerdict::NotAssured {
            reason: "a step takes a submodule, in which CI's checkout leaves a `.git` file; add `**/.git` to \
                     `.dockerignore`"
                .to_owned(),
            steps_at_risk: copies(),
        },
        CiContext::Git if reach.submodules => CiVerdict::NotAssured {
            reason: "a step takes a submodule, in which BuildKit's own checkout leaves a `.git` file that is never the \
                     same twice; let CI build with `context: .`"
                .to_owned(),
            steps_at_risk: copies(),
        },
        CiContext::Path | CiContext::Git => match grounds.encoded {
            [] => CiVerdict::WillHit,
            [(path, encoding), more @ ..] => CiVerdict::NotAssured {
                reason: format!(
                    "CI's git writes {path}{} in the encoding {encoding} (`working-tree-encoding` in .gitattributes), \
                     which is not the same in each git; it was taken as the repository has it",
                    match more.len() {
                        0 => String::new(),
                        count => format!(" and {count} more"),
                    }
                ),
                steps_at_risk: copies(),
            },
        },
    }
}

/// Steps whose contents stay behind, as notes.
pub(super) fn unexported(steps: &[String]) -> Vec<String> {
    steps
        .iter()
        .filter(|step| step.contains("--mount=type=cache"))
        .map(|step| format!("the cache mount of {step} is not exported: its result is warm, its contents stay here"))
        .collect()
}

/// Whether BuildKit versions were seen to disagree about a step's key: mounts, and wildcards in copies.
fn is_at_risk(step: &str) -> bool {
    let copies = step.contains("] COPY ") || step.contains("] ADD ");
    step.contains("--mount=")
        || (copies
            && step.contains(['*', '?', '['])
            && step.matches('[').count() + step.matches(['*', '?']).count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_wildcards_are_at_risk_between_versions() {
        for (step, at_risk) in [
            ("[builder 2/5] RUN make", false),
            ("[builder 2/5] RUN --mount=type=bind,target=/x make", true),
            ("[builder 3/5] COPY a.txt b.txt /x/", false),
            ("[builder 3/5] COPY requirements*.txt /x/", true),
            ("[linux/arm64 builder 3/5] COPY a /x/", false),
            ("[builder 3/5] ADD pkg/*.json /x/", true),
            ("[builder 3/5] COPY file[0-9].txt /x/", true),
            ("[builder 4/5] RUN ls *.txt", false),
        ] {
            assert_eq!(is_at_risk(step), at_risk, "{step}");
        }
    }
}
