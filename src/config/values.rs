//! What single values may look like. Each function reads one string; its error completes "`key`: …".

use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;

use super::{CiBuildkit, CiContext, Compression, Endpoint};

/// Stands for the branch in a tag.
pub(super) const BRANCH: &str = "{branch}";

/// Longest tag, by the OCI distribution specification.
const TAG: usize = 128;

/// What a tag must leave of [`TAG`] for the branch, so that branches stay recognisable.
const BRANCH_ROOM: usize = 32;

/// Longest repository name with its host, by the distribution specification.
const REPOSITORY: usize = 255;

/// Least memory that the Engine lets a container have.
const MEMORY: u64 = 6 << 20;

/// A registry's host name or address; an IPv6 address has brackets.
macro_rules! host {
    () => {
        r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*(?:\.[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*)*)"
    };
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a constant pattern is valid"));
    };
}

// The grammar of github.com/distribution/reference, and the names of the Engine's and BuildKit's own checks.
pattern!(
    PATH_COMPONENTS,
    r"^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$"
);
pattern!(HOST, concat!("^", host!(), r"(?::[0-9]{1,5})?$"));
pattern!(HOST_AND_PORT, concat!("^", host!(), r":[0-9]{1,5}$"));
pattern!(TAG_CHARACTERS, r"^[A-Za-z0-9_][A-Za-z0-9._-]*$");
pattern!(DIGEST, r"^sha256:[0-9a-f]{64}$");
pattern!(PLATFORM, r"^[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?$");
pattern!(NAME, r"^[A-Za-z0-9][A-Za-z0-9_.-]*$");
pattern!(VARIABLE, r"^[A-Za-z_][A-Za-z0-9_]*$");
pattern!(STAGE, r"^(?:[A-Za-z][A-Za-z0-9_.-]*|[0-9]+)?$");
pattern!(UMASK, r"^0?[0-7]{3}$");

pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    match text {
        "auto" => return Ok(Endpoint::Auto),
        "container" => return Ok(Endpoint::Container),
        "engine" => return Ok(Endpoint::Engine),
        _ => {}
    }
    if let Some(path) = text.strip_prefix("unix://") {
        return if path.starts_with('/') {
            Ok(Endpoint::Unix(PathBuf::from(path)))
        } else {
            Err(format!("\"{text}\" needs an absolute path after unix://"))
        };
    }
    if let Some(address) = text.strip_prefix("tcp://") {
        return if HOST_AND_PORT.is_match(address) && port_is_real(address) {
            Ok(Endpoint::Tcp(address.to_owned()))
        } else {
            Err(format!("\"{text}\" needs host:port after tcp://"))
        };
    }
    match text.strip_prefix("buildx:") {
        Some(name) if NAME.is_match(name) => Ok(Endpoint::Buildx(name.to_owned())),
        Some(_) => Err(format!("\"{text}\" needs a builder's name after buildx:")),
        None => Err(format!(
            "\"{text}\" is not an endpoint: write auto, container, engine, unix:///path, tcp://host:port or buildx:NAME"
        )),
    }
}

/// A registry: `host` or `host:port`.
pub(super) fn registry_host(text: &str) -> Result<(), String> {
    if text.contains("://") {
        Err(format!(
            "\"{text}\" is an address: write the host alone, as images name it"
        ))
    } else if HOST.is_match(text) && port_is_real(text) {
        Ok(())
    } else {
        Err(format!("\"{text}\" is not host or host:port"))
    }
}

/// A repository in a registry, without tag and digest.
pub(super) fn cache(text: &str) -> Result<String, String> {
    if text.contains('@')
        || text
            .rsplit('/')
            .next()
            .is_some_and(|last| text.contains('/') && last.contains(':'))
    {
        return Err(format!(
            "\"{text}\" has a tag or digest: `cache` names the repository, `tag` the tag"
        ));
    }
    repository_name(text).map(|()| text.to_owned())
}

/// `engine`, or an image with an optional tag and digest.
pub(super) fn buildkit(text: &str) -> Result<CiBuildkit, String> {
    if text == "engine" {
        return Ok(CiBuildkit::Engine);
    }
    let (name, digest) = text
        .split_once('@')
        .map_or((text, None), |(name, digest)| (name, Some(digest)));
    if digest.is_some_and(|digest| !DIGEST.is_match(digest)) {
        return Err(format!(
            "\"{text}\" has a digest that is not sha256 and 64 hexadecimal digits"
        ));
    }
    let tagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (name, tag) = tagged.map_or((name, None), |(name, tag)| (name, Some(tag)));
    if tag.is_some_and(|tag| !TAG_CHARACTERS.is_match(tag) || tag.len() > TAG) {
        return Err(format!("\"{text}\" has a tag that registries do not take"));
    }
    repository_name(name).map(|()| CiBuildkit::Image(text.to_owned()))
}

fn repository_name(text: &str) -> Result<(), String> {
    if text.contains("://") {
        return Err(format!(
            "\"{text}\" is an address: leave out the part up to ://"
        ));
    }
    // The first component is a host if it could not be a name: that is how docker tells them apart.
    let path = match text.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => {
            registry_host(host)?;
            path
        }
        _ => text,
    };
    if text.len() > REPOSITORY {
        Err(format!(
            "the name has {} characters, registries take {REPOSITORY}",
            text.len()
        ))
    } else if path.chars().any(char::is_uppercase) {
        Err(format!(
            "\"{text}\" has capital letters, registries take small ones"
        ))
    } else if PATH_COMPONENTS.is_match(path) {
        Ok(())
    } else {
        Err(format!("\"{text}\" is not an image reference"))
    }
}

fn port_is_real(address: &str) -> bool {
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.ends_with(']'));
    port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A tag with `{branch}` in it.
pub(super) fn tag(text: &str) -> Result<String, String> {
    let literal = text.replacen(BRANCH, "", 1);
    if literal.len() > TAG {
        return Err(format!(
            "the tag has {} characters without {BRANCH}, registries take {TAG}",
            literal.len()
        ));
    }
    if !text.contains(BRANCH) {
        return Err(format!(
            "the tag has no {BRANCH}: all branches, protected ones too, would share it"
        ));
    }
    if literal.contains(['{', '}']) {
        return Err(format!("\"{text}\" has braces other than one {BRANCH}"));
    }
    // `x` stands for any branch: what becomes of its characters is the slug's business.
    if !TAG_CHARACTERS.is_match(&text.replacen(BRANCH, "x", 1)) {
        return Err(format!(
            "\"{text}\" is not a tag: letters, digits, `_`, `.` and `-`, the first no `.` or `-`"
        ));
    }
    if literal.len() > TAG - BRANCH_ROOM {
        return Err(format!(
            "the tag leaves less than {BRANCH_ROOM} of {TAG} characters for the branch"
        ));
    }
    Ok(text.to_owned())
}

/// Architectures that Go and so Docker knows of (`GOARCH`), for which there are base images.
const ARCHITECTURES: [&str; 9] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x",
];

pub(super) fn platform(text: &str) -> Result<String, String> {
    if !PLATFORM.is_match(text) {
        return Err(format!(
            "\"{text}\" is not a platform: write os/architecture or os/architecture/variant"
        ));
    }
    let architecture = text.split('/').nth(1).unwrap_or_default();
    if ARCHITECTURES.contains(&architecture) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "\"{architecture}\" is not an architecture that images are built for: {}",
            ARCHITECTURES.join(", ")
        ))
    }
}

/// A path of the repository, relative to its root, without detours.
pub(super) fn inside(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err(format!(
            "\"{text}\" is an address, not a path of the repository"
        ));
    }
    if text.starts_with('/') {
        return Err(format!(
            "\"{text}\" is absolute, write it relative to the repository's root"
        ));
    }
    if text.is_empty() || text.contains('\0') {
        return Err("not a path".to_owned());
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => return Err(format!("\"{text}\" leaves the repository")),
            part => parts.push(part),
        }
    }
    Ok(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

/// A path of the Dockerfile, which is a file.
pub(super) fn file_inside(text: &str) -> Result<String, String> {
    let path = inside(text)?;
    if path == "." || text.ends_with('/') {
        Err(format!("\"{text}\" is a directory"))
    } else {
        Ok(path)
    }
}

/// A path on this machine, as written.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        Err("not a path".to_owned())
    } else if text.starts_with('~') && !text.starts_with("~/") {
        Err(format!("\"{text}\": of `~` forms only ~/ is understood"))
    } else {
        Ok(PathBuf::from(text))
    }
}

/// A file of the user's, at a place that no repository can choose.
pub(super) fn own_file(text: &str) -> Result<PathBuf, String> {
    let path = file(text)?;
    if path.is_absolute() || path.starts_with("~") {
        Ok(path)
    } else {
        Err(format!(
            "\"{text}\" is relative: write where the secret is from / or ~/ on"
        ))
    }
}

/// A stage's name or number; empty for the last stage.
pub(super) fn stage(text: &str) -> Result<Option<String>, String> {
    if STAGE.is_match(text) {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    } else {
        Err(format!("\"{text}\" is not a stage's name or number"))
    }
}

/// A target's name, which begins its default tag.
pub(super) fn target_name(text: &str) -> Result<(), String> {
    if text.len() <= 64 && TAG_CHARACTERS.is_match(text) {
        Ok(())
    } else {
        Err("a target's name is at most 64 letters, digits, `_`, `.` and `-`, the first no `.` or `-`".to_owned())
    }
}

/// A container network's name.
pub(super) fn network(text: &str) -> Result<String, String> {
    if NAME.is_match(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not a network's name"))
    }
}

/// A build argument's name, or an environment variable's.
pub(super) fn variable(text: &str) -> Result<String, String> {
    if VARIABLE.is_match(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not a variable's name"))
    }
}

/// The id of a secret or of an ssh agent.
pub(super) fn id(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == ',' || c == '=';
    if text.is_empty() || text.contains(bad) {
        Err(format!(
            "\"{text}\" is not an id: no blanks, commas and equals signs"
        ))
    } else {
        Ok(text.to_owned())
    }
}

/// A branch's name, without `refs/heads/`.
pub(super) fn branch(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err(format!("\"{text}\" is a pattern, write one branch"));
    }
    branch_pattern(text)
}

/// A branch's name in which `*` matches any run of characters.
pub(super) fn branch_pattern(text: &str) -> Result<String, String> {
    if let Some(name) = text.strip_prefix("refs/heads/") {
        return Err(format!("\"{text}\" is a full reference, write \"{name}\""));
    }
    // What `git check-ref-format` refuses, in short.
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?[\\".contains(c);
    if text.is_empty()
        || text.contains(bad)
        || text.contains("..")
        || text.starts_with('/')
        || text.ends_with('/')
    {
        return Err(format!("\"{text}\" is not a branch's name"));
    }
    Ok(text.to_owned())
}

pub(super) fn umask(text: &str) -> Result<u32, String> {
    let wrong = || format!("\"{text}\" is not a umask: write three octal digits");
    if UMASK.is_match(text) {
        u32::from_str_radix(text, 8).map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

pub(super) fn memory(text: &str) -> Result<u64, String> {
    match super::units::parse_size(text)? {
        bytes if bytes < MEMORY => Err(format!(
            "\"{text}\" is less than the 6MiB that the Engine gives a container"
        )),
        bytes => Ok(bytes),
    }
}

pub(super) fn context_kind(text: &str) -> Result<CiContext, String> {
    match text {
        "git" => Ok(CiContext::Git),
        "path" => Ok(CiContext::Path),
        _ => Err(format!("\"{text}\" is neither \"git\" nor \"path\"")),
    }
}

pub(super) fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "zstd" => Ok(Compression::Zstd),
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::Uncompressed),
        _ => Err(format!("\"{text}\" is not \"zstd\", \"gzip\" or \"none\"")),
    }
}

#[cfg(test)]
mod tests;
