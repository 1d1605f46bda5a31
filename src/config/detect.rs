//! What to warm when nobody says: the stage of a Dockerfile that holds the dependencies.

use std::sync::LazyLock;

use regex::Regex;

pub use super::dockerfile::{Instruction, Stage, find_stage, frontends, stages, syntax};
use super::origin::{Loaded, Origin};
use super::{RepositoryConfig, Target, values};
use crate::error::{Kind, Remedy};

/// The Dockerfile that is read when none is configured, in the repository's root.
pub const DOCKERFILE: &str = "Dockerfile";

/// Names of the stage that holds the dependencies, the likeliest first.
const NAMES: [&str; 4] = ["builder", "build", "deps", "dependencies"];

/// Commands that install dependencies, with flags between their words.
static INSTALL: LazyLock<Regex> = LazyLock::new(|| {
    let commands = [
        r"pip[0-9.]*FLAGS\s+(?:install|wheel|download|sync)",
        r"poetryFLAGS\s+(?:install|sync)",
        r"uvFLAGS\s+sync",
        r"pipenvFLAGS\s+(?:install|sync)",
        r"(?:conda|mamba|micromamba)FLAGS\s+(?:install|create|env)",
        r"npmFLAGS\s+(?:ci|i|install|clean-install)",
        r"(?:pnpm|bun)FLAGS\s+(?:i|install|fetch)",
        r"yarn(?:FLAGS\s+install|(?:\s+-\S+)*\s*(?:$|[;&|\n]))",
        r"cargoFLAGS\s+(?:build|fetch|install|chef\s+cook)",
        r"goFLAGS\s+mod\s+(?:download|vendor)",
        r"(?:mvn|mvnw|gradle|gradlew)",
        r"bundleFLAGS\s+install",
        r"composerFLAGS\s+install",
        r"dotnetFLAGS\s+restore",
        r"(?:apt|apt-get|dnf|microdnf|yum|zypper)FLAGS\s+install",
        r"apkFLAGS\s+add",
    ];
    // A flag may be followed by its value: `npm --prefix web ci`.
    let pattern = commands
        .join("|")
        .replace("FLAGS", r"(?:\s+-\S+(?:\s+[^\s-]\S*)??)*");
    Regex::new(&format!(r"(?:^|[\s/;&|(])(?:{pattern})(?:$|[\s;&|)])"))
        .expect("a constant pattern is valid")
});

/// Why nothing could be detected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// The Dockerfile has no stage at all.
    #[error("{DOCKERFILE} has no FROM")]
    NoStage,
    /// No stage looks like it installs dependencies.
    #[error("no stage of {DOCKERFILE} is called {}, and none installs dependencies in a way that is known", NAMES.join(", "))]
    NothingToWarm,
}

impl Remedy for DetectError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoStage => None,
            Self::NothingToWarm => Some(
                "say which stage to warm in .prewarm.toml: `version = 1`, then `[target.builder]` with `stage = \"…\"`"
                    .to_owned(),
            ),
        }
    }
}

/// Adds the detected target to a configuration that has none; `dockerfile` is the text of [`DOCKERFILE`].
///
/// Start from `Loaded::default()` where there is no `.prewarm.toml`. A configuration with targets stays as it is.
///
/// # Errors
///
/// When no stage is a candidate.
pub fn detect(config: &mut Loaded<RepositoryConfig>, dockerfile: &str) -> Result<(), DetectError> {
    if !config.value.targets.is_empty() {
        return Ok(());
    }
    let stages = stages(dockerfile);
    let position = candidate(&stages)?;
    let name = stages[position]
        .name
        .clone()
        .filter(|name| values::target_name(name).is_ok());
    let mut target = Target::new(name.as_deref().unwrap_or(NAMES[0]), ".");
    target.stage = Some(name.unwrap_or_else(|| position.to_string()));
    for key in ["dockerfile", "stage"] {
        config.detected(&format!(
            "target.{}.{key}",
            super::quote::bare_or_quoted(&target.name)
        ));
    }
    config.value.targets.push(target);
    config.value.detected = true;
    Ok(())
}

/// Takes the remote's default branch where the file names none.
pub fn detect_default_branch(config: &mut Loaded<RepositoryConfig>, branch: String) {
    const KEY: &str = "ci.default_branch";
    if config.origin(KEY) == Origin::Default {
        config.detected(KEY);
        if !config.value.ci.protected.contains(&branch) {
            config.value.ci.protected.push(branch.clone());
        }
        config.value.ci.default_branch = branch;
    }
}

fn candidate(stages: &[Stage]) -> Result<usize, DetectError> {
    if stages.is_empty() {
        return Err(DetectError::NoStage);
    }
    let named = NAMES.iter().find_map(|name| {
        let called = |stage: &Stage| {
            stage
                .name
                .as_ref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        stages.iter().rposition(called)
    });
    let installing = || {
        stages
            .iter()
            .position(|stage| stage.instructions.iter().any(installs))
    };
    named.or_else(installing).ok_or(DetectError::NothingToWarm)
}

fn installs(instruction: &Instruction) -> bool {
    // The exec form is a JSON array: without its punctuation it reads like the shell form.
    instruction.name == "RUN"
        && INSTALL.is_match(&instruction.text.replace(['"', '\'', ',', '[', ']'], " "))
}

#[cfg(test)]
mod tests;
