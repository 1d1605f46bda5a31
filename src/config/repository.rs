//! Reads a repository's `.prewarm.toml`.

use std::collections::BTreeSet;

use super::origin::Loaded;
use super::problem::ConfigErrors;
use super::section::{self, Section};
use super::user::utf8;
use super::{Ci, CiContext, RepositoryConfig, Secret, SecretSource, Target, values};

/// The file's name in a repository's root.
pub const REPOSITORY_FILE: &str = ".prewarm.toml";

/// The only version of the file's format.
const VERSION: u32 = 1;

/// How a secret is written.
const SECRET: &str = r#"{ id = "pip", env = "PIP_CONF" }"#;

/// Reads the bytes of a `.prewarm.toml`, as a git tree or a work tree holds them.
///
/// # Errors
///
/// When they are not UTF-8, and as [`parse_repository`].
pub fn parse_repository_bytes(
    bytes: &[u8],
    file: &str,
) -> Result<Loaded<RepositoryConfig>, ConfigErrors> {
    parse_repository(&utf8(bytes, file)?, file)
}

/// Reads the text of a `.prewarm.toml`; `file` is its name in messages.
///
/// A file without targets is fine: they are then detected.
///
/// # Errors
///
/// When anything in it is wrong: all of it at once. Of a file in another version only that is said.
pub fn parse_repository(text: &str, file: &str) -> Result<Loaded<RepositoryConfig>, ConfigErrors> {
    section::read(file, text, |root| {
        if !root.has("version") {
            root.problem(
                "version",
                "is missing",
                Some(&format!("begin the file with `version = {VERSION}`")),
            );
        }
        let version = root.integer("version", 1..=u32::MAX);
        if version.is_some_and(|version| version != VERSION) {
            root.problem(
                "version",
                "this prewarm reads version 1 only",
                Some("install a newer prewarm"),
            );
            root.skip_rest();
            return RepositoryConfig::default();
        }
        RepositoryConfig {
            ci: root.table("ci", ci),
            targets: root.table("target", targets),
            detected: false,
        }
    })
}

fn ci(section: &mut Section<'_, '_>) -> Ci {
    let default = Ci::default();
    let mut ci = Ci {
        context: section
            .parsed("context", "git", values::context_kind)
            .unwrap_or(default.context),
        umask: section
            .parsed("umask", "022", values::umask)
            .unwrap_or(default.umask),
        default_branch: section
            .parsed("default_branch", "main", values::branch)
            .unwrap_or(default.default_branch),
        pull_requests: section
            .boolean("pull_requests")
            .unwrap_or(default.pull_requests),
        buildkit: section
            .parsed(
                "buildkit",
                "moby/buildkit:buildx-stable-1",
                values::buildkit,
            )
            .unwrap_or(default.buildkit),
        protected: section
            .list("protected", "release/*", values::branch_pattern)
            .map_or(default.protected.clone(), |more| {
                with_defaults(default.protected, more)
            }),
        lfs: section.boolean("lfs").unwrap_or(default.lfs),
        submodules: section.boolean("submodules").unwrap_or(default.submodules),
    };
    if !ci.protected.contains(&ci.default_branch) {
        ci.protected.push(ci.default_branch.clone());
    }
    if ci.lfs && ci.context == CiContext::Git {
        let help = "write `context = \"path\"` if CI checks out with LFS and builds from there, else leave `lfs` out";
        section.problem(
            "lfs",
            "BuildKit does not fetch LFS files for a Git context",
            Some(help),
        );
    }
    ci
}

fn targets(section: &mut Section<'_, '_>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for name in section.names() {
        if let Err(message) = values::target_name(name) {
            section.problem(name, &message, None);
        }
        let target = section.table(name, |section| target(section, name));
        if let Some(other) = targets.iter().find(|other| share_a_tag(other, &target)) {
            let message = format!(
                "two targets would write the same tag: `{}` and `{name}`",
                other.name
            );
            let help =
                "give one of them another `tag` or `cache`, or platforms that the other has not";
            section.problem(name, &message, Some(help));
        }
        targets.push(target);
    }
    targets
}

fn target(section: &mut Section<'_, '_>, name: &str) -> Target {
    let context = section
        .parsed("context", "services/api", values::inside)
        .unwrap_or_else(|| ".".to_owned());
    let default = Target::new(name, &context);
    Target {
        name: default.name,
        dockerfile: section
            .parsed("dockerfile", "Dockerfile", values::file_inside)
            .unwrap_or(default.dockerfile),
        context,
        stage: section
            .parsed("stage", "builder", values::stage)
            .unwrap_or(default.stage),
        platforms: section
            .list("platforms", "linux/amd64", values::platform)
            .unwrap_or_default(),
        cache: section.parsed("cache", "ghcr.io/acme/app", values::cache),
        tag: section
            .parsed("tag", "builder-cache-{branch}", values::tag)
            .unwrap_or(default.tag),
        args: section.strings("args", "3.11", values::variable),
        secrets: secrets(section),
        ssh: section
            .list("ssh", "default", values::id)
            .unwrap_or_default(),
        compression: section
            .parsed("compression", "zstd", values::compression)
            .unwrap_or(default.compression),
    }
}

/// Secrets, as both files write them.
pub(super) fn secrets(section: &mut Section<'_, '_>) -> Vec<Secret> {
    let mut ids: Vec<String> = Vec::new();
    section.tables("secrets", SECRET, |section| {
        let id = section.parsed("id", "pip", values::id);
        let env = section.parsed("env", "PIP_CONF", values::variable);
        let file = section.parsed("file", "~/.config/pip/pip.conf", values::own_file);
        if !section.has("id") {
            section.problem(
                "id",
                "is missing: the Dockerfile names the secret by it",
                None,
            );
        }
        match (section.has("env"), section.has("file")) {
            (true, true) => {
                section.problem("file", "a secret has one source: `env` or `file`", None);
            }
            (false, false) => section.problem(
                "env",
                "is missing: a secret has a source, `env` or `file`",
                None,
            ),
            _ => {}
        }
        let id = id?;
        if ids.contains(&id) {
            section.problem("id", &format!("\"{id}\" is there twice"), None);
        }
        ids.push(id.clone());
        let source = env
            .map(SecretSource::Env)
            .or(file.map(SecretSource::File))?;
        Some(Secret { id, source })
    })
}

/// A repository can protect more branches than the usual ones, but not fewer.
fn with_defaults(mut protected: Vec<String>, more: Vec<String>) -> Vec<String> {
    protected.extend(more);
    let mut seen = BTreeSet::new();
    protected.retain(|pattern| seen.insert(pattern.clone()));
    protected
}

/// Platforms tell tags apart; without any, the builder's own may be one of the other's.
fn share_a_tag(a: &Target, b: &Target) -> bool {
    let platforms_meet = a.platforms.is_empty()
        || b.platforms.is_empty()
        || a.platforms
            .iter()
            .any(|platform| b.platforms.contains(platform));
    // With `x-{branch}` and `x-y-{branch}`, the branch `y-main` would write the other's tag for `main`.
    let (one, other) = (prefix(&a.tag), prefix(&b.tag));
    let nested = one != other && (one.starts_with(other) || other.starts_with(one));
    a.cache.is_some() && a.cache == b.cache && (nested || (a.tag == b.tag && platforms_meet))
}

/// What stands before the branch in a tag.
fn prefix(tag: &str) -> &str {
    tag.split('{').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
