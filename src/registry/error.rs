//! Why a registry did not do what it was asked.

use std::path::PathBuf;
use std::time::Duration;

use super::reference::ReferenceError;
use crate::error::{Kind, Remedy};

/// A failed request, after all retries.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A name that is none.
    #[error(transparent)]
    InvalidReference(#[from] ReferenceError),
    /// No answer, or half of one.
    #[error("registry {registry} cannot be reached: {reason}")]
    Unreachable {
        /// Its host.
        registry: String,
        /// The innermost cause.
        reason: String,
    },
    /// Its certificate was not accepted.
    #[error("the certificate of registry {registry} is not trusted: {reason}")]
    Untrusted {
        /// Its host.
        registry: String,
        /// What the verifier said.
        reason: String,
    },
    /// It answered a TLS greeting in plain HTTP.
    #[error("registry {registry} gave an HTTP response to an HTTPS client")]
    PlainHttp {
        /// Its host.
        registry: String,
    },
    /// The configured certificate authority cannot be used.
    #[error("cannot use the certificate authority {path} of registry {registry}: {reason}", path = path.display())]
    Authority {
        /// The registry's host.
        registry: String,
        /// The PEM file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It wants a login, or does not accept ours.
    #[error("registry {registry} {}: {message}", if *logged_in { "refused the login" } else { "asks for a login" })]
    Unauthorized {
        /// Its host.
        registry: String,
        /// Whether we had credentials.
        logged_in: bool,
        /// Its own words.
        message: String,
    },
    /// The login is good, the right is missing.
    #[error("registry {registry} does not allow this in {repository}: {message}")]
    Denied {
        /// Its host.
        registry: String,
        /// The repository's path.
        repository: String,
        /// Its own words.
        message: String,
    },
    /// It does not know the repository that we push to.
    #[error("registry {registry} has no repository {repository}: {message}")]
    NotFound {
        /// Its host.
        registry: String,
        /// The repository's path.
        repository: String,
        /// Its own words.
        message: String,
    },
    /// Too many requests, still after waiting.
    #[error("registry {registry} limits our requests: {message}")]
    RateLimited {
        /// Its host.
        registry: String,
        /// Its own words.
        message: String,
        /// The pause that it asked for.
        retry_after: Option<Duration>,
    },
    /// It does not take this kind of manifest.
    #[error("registry {registry} rejected the manifest ({media_type}): {message}")]
    ManifestRejected {
        /// Its host.
        registry: String,
        /// The manifest's media type.
        media_type: String,
        /// Its own words.
        message: String,
    },
    /// It deletes nothing for anybody.
    #[error("registry {registry} does not allow deletion in {repository}: {message}")]
    NoDeletion {
        /// Its host.
        registry: String,
        /// The repository's path.
        repository: String,
        /// Its own words.
        message: String,
    },
    /// Any other status.
    #[error("registry {registry} failed with status {status}: {message}")]
    Server {
        /// Its host.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
        /// The pause that it asked for.
        retry_after: Option<Duration>,
    },
    /// More than we are willing to hold in memory.
    #[error("the answer of registry {registry} is larger than {limit} bytes")]
    TooLarge {
        /// Its host.
        registry: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It does not speak the distribution protocol, or breaks it.
    #[error("registry {registry} does not answer like a registry: {reason}")]
    Protocol {
        /// Its host.
        registry: String,
        /// What was wrong.
        reason: String,
    },
    /// docker's `config.json` cannot be used.
    #[error("cannot read the registry logins in {path}: {reason}", path = path.display())]
    DockerConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A credential helper is missing or failed.
    #[error("credential helper {helper} gave no login for registry {registry}: {reason}")]
    Helper {
        /// The program.
        helper: String,
        /// The registry's host.
        registry: String,
        /// Why.
        reason: String,
    },
}

impl Remedy for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            Self::InvalidReference(_) | Self::Authority { .. } => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidReference(_)
            | Self::ManifestRejected { .. }
            | Self::Server { .. }
            | Self::TooLarge { .. } => None,
            Self::Unreachable { registry, .. } => {
                Some(format!("Check that {registry} is the right name and that the network reaches it."))
            }
            Self::Untrusted { registry, .. } => Some(format!(
                "Name its certificate authority in the user configuration: `[registry.\"{registry}\"]` with `ca = \"FILE\"`."
            )),
            Self::PlainHttp { registry } => Some(format!(
                "If this registry really has no TLS, set `insecure = true` under `[registry.\"{registry}\"]` in the user \
                 configuration."
            )),
            Self::Authority { registry, .. } => {
                Some(format!("Correct `ca` under `[registry.\"{registry}\"]`; it must be a PEM file."))
            }
            Self::Unauthorized { registry, .. } => Some(format!("Run `{}`.", login(registry))),
            Self::Denied { registry, repository, .. } => Some(format!(
                "Ask for the right to use {repository}, or log in as someone who has it: `{}`.",
                login(registry)
            )),
            Self::NotFound { repository, .. } => {
                Some(format!("Create {repository} in the registry first, or correct `cache`."))
            }
            Self::NoDeletion { .. } => Some(
                "Let it be switched on: for CNCF's registry that is `storage.delete.enabled: true`, or \
                 REGISTRY_STORAGE_DELETE_ENABLED=true. Hosted registries that do not offer it have retention rules of their \
                 own."
                    .to_owned(),
            ),
            Self::RateLimited { registry, retry_after, .. } => Some(match retry_after {
                Some(pause) => format!("Try again in {} s; a login (`{}`) often raises the limit.", pause.as_secs(), login(registry)),
                None => format!("Try again later; a login (`{}`) often raises the limit.", login(registry)),
            }),
            Self::Protocol { .. } => {
                Some("Check the registry's name, and whether a proxy or a network login page answers in its place.".to_owned())
            }
            Self::DockerConfig { .. } => Some("Correct or remove the file, then log in again with `docker login`.".to_owned()),
            Self::Helper { helper, registry, .. } => Some(format!(
                "Install or repair {helper}, or take it out of docker's config.json and run `{}`.",
                login(registry)
            )),
        }
    }
}

/// The command that logs in to `registry`.
fn login(registry: &str) -> String {
    match registry {
        "docker.io" => "docker login".to_owned(),
        other => format!("docker login {other}"),
    }
}

/// Makes a registry's words fit for one line on a terminal: `{"errors":[{"code","message"}]}` of the distribution
/// specification, what token servers say, or the beginning of any other text.
pub(super) fn message(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => from_json(&json),
        Err(_) if is_html(body) => Some("an HTML page".to_owned()),
        Err(_) => text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .map(str::to_owned),
    };
    let said: String = said
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect();
    if !said.is_empty() {
        return said;
    }
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    format!("HTTP {status} {}", reason.unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Whether `body` is a web page, as login pages of networks send them in place of any answer.
pub(super) fn is_html(body: &[u8]) -> bool {
    let start: Vec<u8> = body
        .trim_ascii_start()
        .iter()
        .take(14)
        .map(u8::to_ascii_lowercase)
        .collect();
    start.starts_with(b"<!doctype html")
        || start.starts_with(b"<html")
        || start.starts_with(b"<head")
}

fn from_json(json: &serde_json::Value) -> Option<String> {
    let text = |value: &serde_json::Value, name: &str| {
        value
            .get(name)
            .and_then(serde_json::Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if let Some(errors) = json.get("errors").and_then(serde_json::Value::as_array) {
        let said =
            errors.iter().filter_map(
                |error| match (text(error, "code"), text(error, "message")) {
                    (Some(code), Some(message)) => Some(format!("{message} ({code})")),
                    (code, message) => code.or(message),
                },
            );
        return Some(said.collect::<Vec<_>>().join("; "));
    }
    ["message", "details", "error_description", "error"]
        .iter()
        .find_map(|name| text(json, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_become_one_line() {
        let table: [(u16, &str, &str); 10] = [
            (
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known","detail":{}}]}"#,
                "repository name not known (NAME_UNKNOWN)",
            ),
            (
                400,
                r#"{"errors":[{"code":"A","message":"one"},{"code":"B"}]}"#,
                "one (A); B",
            ),
            (
                401,
                r#"{"details":"incorrect username or password"}"#,
                "incorrect username or password",
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"token expired"}"#,
                "token expired",
            ),
            (403, r#"{"errors":[]}"#, "HTTP 403 Forbidden"),
            (500, "", "HTTP 500 Internal Server Error"),
            (599, "", "HTTP 599"),
            (
                502,
                "\n  Bad gateway at proxy \nsecond line",
                "Bad gateway at proxy",
            ),
            (503, "<!DOCTYPE html><p>Sign in to Wi-Fi", "an HTML page"),
            (400, r#"{"message":"a\u001b[31mred\nline"}"#, "a[31mredline"),
        ];
        for (status, body, expected) in table {
            assert_eq!(message(status, body.as_bytes()), expected, "{body}");
        }
        assert_eq!(message(500, "x".repeat(1_000).as_bytes()).len(), 300);
    }

    fn shown(error: RegistryError) -> String {
        let error = crate::error::Error::from(error);
        format!(
            "{error} [{}] {}",
            error.kind.exit_code(),
            error.hints.join(" ")
        )
    }

    #[test]
    fn people_read_what_failed_and_what_to_do() {
        let registry = || "ghcr.io".to_owned();
        insta::assert_snapshot!(
            shown(RegistryError::Unauthorized { registry: registry(), logged_in: true, message: "denied".to_owned() }),
            @"registry ghcr.io refused the login: denied [3] Run `docker login ghcr.io`."
        );
        insta::assert_snapshot!(
            shown(RegistryError::Unauthorized {
                registry: "docker.io".to_owned(), logged_in: false, message: "authentication required".to_owned()
            }),
            @"registry docker.io asks for a login: authentication required [3] Run `docker login`."
        );
        insta::assert_snapshot!(
            shown(RegistryError::PlainHttp { registry: "10.0.0.5:5000".to_owned() }),
            @r#"registry 10.0.0.5:5000 gave an HTTP response to an HTTPS client [3] If this registry really has no TLS, set `insecure = true` under `[registry."10.0.0.5:5000"]` in the user configuration."#
        );
        insta::assert_snapshot!(
            shown(RegistryError::Helper {
                helper: "docker-credential-pass".to_owned(), registry: registry(), reason: "it is not installed".to_owned()
            }),
            @"credential helper docker-credential-pass gave no login for registry ghcr.io: it is not installed [3] Install or repair docker-credential-pass, or take it out of docker's config.json and run `docker login ghcr.io`."
        );
        insta::assert_snapshot!(
            shown(RegistryError::RateLimited {
                registry: registry(), message: "too many requests".to_owned(), retry_after: Some(Duration::from_secs(90))
            }),
            @"registry ghcr.io limits our requests: too many requests [3] Try again in 90 s; a login (`docker login ghcr.io`) often raises the limit."
        );
    }
}
