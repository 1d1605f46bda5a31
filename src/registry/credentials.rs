//! Logins as docker keeps them: `config.json` and the credential helpers that it names.
//!
//! The only file that names `docker_credential`. Nothing in here prints or logs a secret.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use tokio::sync::{Mutex, oneshot};

use super::error::RegistryError;

/// A helper may ask the user to unlock a key ring, but must not hold a build up for ever.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// docker's name for the login to Docker Hub (`registry.IndexServer` in docker's code).
const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// What docker's helpers say when they have nothing (`errCredentialsNotFoundMessage` in docker-credential-helpers).
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A login. With an empty user name the secret is an identity token (an OAuth 2 refresh token), which is also how
/// BuildKit's `Auth.Credentials` answer says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user, or empty.
    pub username: String,
    /// The password or token.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Looks logins up, each once: helpers are slow programs.
#[derive(Debug)]
pub struct CredentialStore {
    config_dir: Option<PathBuf>,
    known: Mutex<HashMap<String, Option<Credentials>>>,
}

impl CredentialStore {
    /// `config_dir` is docker's configuration directory (`$DOCKER_CONFIG`, else `~/.docker`); with `None` nobody is logged in.
    #[must_use]
    pub fn new(config_dir: Option<PathBuf>) -> Self {
        Self {
            config_dir,
            known: Mutex::default(),
        }
    }

    /// The login for a registry host; `None` means anonymous. Docker Hub goes by any of its names.
    ///
    /// # Errors
    /// When docker's configuration cannot be read, or a credential helper is missing, fails or takes longer than 30 s.
    pub async fn get(&self, host: &str) -> Result<Option<Credentials>, RegistryError> {
        let Some(config_dir) = &self.config_dir else {
            return Ok(None);
        };
        let mut known = self.known.lock().await;
        if let Some(credentials) = known.get(host) {
            return Ok(credentials.clone());
        }
        let credentials = look_up(config_dir.join("config.json"), host.to_owned()).await?;
        known.insert(host.to_owned(), credentials.clone());
        Ok(credentials)
    }

    /// Looks the login up again next time: it was refused, and a new one may have been made since.
    pub(super) async fn forget(&self, host: &str) {
        self.known.lock().await.remove(host);
    }
}

/// Runs the blocking look-up on a thread of its own: unlike a task of `spawn_blocking`, a helper that hangs then does not
/// keep the runtime from ending.
async fn look_up(path: PathBuf, host: String) -> Result<Option<Credentials>, RegistryError> {
    let failed = |reason: &str| RegistryError::Helper {
        helper: "of docker".to_owned(),
        registry: host.clone(),
        reason: reason.to_owned(),
    };
    let (answer, answered) = oneshot::channel();
    let (thread_path, thread_host) = (path.clone(), host.clone());
    let thread = std::thread::Builder::new()
        .name("credentials".to_owned())
        .spawn(move || {
            // Nobody listens any more when the time is over.
            drop(answer.send(look_up_blocking(&thread_path, &thread_host)));
        });
    if let Err(error) = thread {
        return Err(failed(&error.to_string()));
    }
    match tokio::time::timeout(HELPER_TIMEOUT, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(failed("it panicked")),
        Err(_) => Err(failed("no answer within 30 s")),
    }
}

fn look_up_blocking(path: &Path, host: &str) -> Result<Option<Credentials>, RegistryError> {
    let unreadable = |reason: String| RegistryError::DockerConfig {
        path: path.to_owned(),
        reason,
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    // The parser's own message may quote a secret; where it stopped is enough.
    let helpers: Helpers = serde_json::from_slice(&text).map_err(|error| {
        unreadable(format!(
            "line {}, column {} is not valid",
            error.line(),
            error.column()
        ))
    })?;
    let server = server(host);
    let found = docker_credential::get_credential_from_reader(text.as_slice(), server);
    understand(found, helpers.name(server), host).map_err(|problem| match problem {
        Problem::Config(reason) => unreadable(reason.to_owned()),
        Problem::Helper { helper, reason } => RegistryError::Helper {
            helper,
            registry: host.to_owned(),
            reason,
        },
    })
}

/// The name by which docker keeps a host's login.
fn server(host: &str) -> &str {
    match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB_LOGIN,
        other => other,
    }
}

/// Which helpers docker's configuration names; only for saying which one failed.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Helpers {
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
}

impl Helpers {
    fn name(&self, server: &str) -> String {
        let own = self
            .cred_helpers
            .as_ref()
            .and_then(|helpers| helpers.get(server))
            .filter(|name| !name.is_empty());
        format!(
            "docker-credential-{}",
            own.or(self.creds_store.as_ref())
                .map_or("?", String::as_str)
        )
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Config(&'static str),
    Helper { helper: String, reason: String },
}

fn understand(
    found: Result<DockerCredential, CredentialRetrievalError>,
    helper: String,
    host: &str,
) -> Result<Option<Credentials>, Problem> {
    use CredentialRetrievalError as E;
    let reason = match found {
        Ok(DockerCredential::IdentityToken(secret)) => {
            return Ok(Some(Credentials {
                username: String::new(),
                secret,
            })
            .filter(|login| !login.secret.is_empty()));
        }
        Ok(DockerCredential::UsernamePassword(username, secret)) => {
            // Helpers answer with empty fields for "nothing", too.
            return Ok(
                Some(Credentials { username, secret }).filter(|login| !login.secret.is_empty())
            );
        }
        Err(E::NoCredentialConfigured | E::ConfigNotFound) => return Ok(None),
        Err(E::HelperFailure { stdout, stderr, .. })
            if stdout.contains(NOT_FOUND) || stderr.contains(NOT_FOUND) =>
        {
            return Ok(None);
        }
        Err(E::ConfigReadError) => return Err(Problem::Config("it is not what docker writes")),
        Err(E::CredentialDecodingError) => {
            return Err(Problem::Config(
                "an `auth` is not the base64 of USER:PASSWORD",
            ));
        }
        Err(E::CredentialMismatchError) => {
            return Err(Problem::Config(
                "an `auth` contradicts its `username` and `password`",
            ));
        }
        Err(E::HelperCommunicationError) => "it is not installed, or it did not start".to_owned(),
        Err(E::MalformedHelperResponse) => "its answer is not a login".to_owned(),
        Err(E::HelperFailure { stdout, stderr, .. }) => {
            // A line that looks like the JSON of a login is not repeated.
            let line = stderr.lines().chain(stdout.lines()).map(str::trim);
            line.filter(|line| !line.is_empty() && !line.contains(['{', '}']))
                .map(|line| {
                    line.chars()
                        .filter(|character| !character.is_control())
                        .take(200)
                        .collect()
                })
                .next()
                .unwrap_or_else(|| format!("it failed for {host} without a reason"))
        }
    };
    Err(Problem::Helper { helper, reason })
}

#[cfg(test)]
mod tests;
