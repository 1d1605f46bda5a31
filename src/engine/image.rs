//! The image of our BuildKit container: what its name means, which digest is here, pulling it.

use std::collections::HashMap;
use std::fmt;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as Failure;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::{Engine, EngineError, Progress, failed, status_of, unsigned};

/// How to log in to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user's name and password, or a token in a password's place.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// An identity token, as credential helpers give for the user `<token>`.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(…)")
    }
}

/// Finds the login for a registry host; Docker Hub is `docker.io`.
pub type FindLogin<'a> = &'a (dyn Fn(&str) -> Option<Login> + Sync);

/// The registry host that an image's name means: its first component where that looks like a host, else Docker Hub.
#[must_use]
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => match host {
            "index.docker.io" => "docker.io",
            host => host,
        },
        _ => "docker.io",
    }
}

/// Splits an image's name into repository and the tag or digest, `latest` where it names none.
pub(super) fn split(reference: &str) -> (&str, &str) {
    if let Some((repository, digest)) = reference.split_once('@') {
        let tagged = repository
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'));
        return (
            tagged.map_or(repository, |(repository, _)| repository),
            digest,
        );
    }
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// A repository as the Engine writes it in `RepoDigests`.
pub(super) fn familiar(repository: &str) -> &str {
    let repository = repository.strip_prefix("index.").unwrap_or(repository);
    let repository = repository.strip_prefix("docker.io/").unwrap_or(repository);
    repository.strip_prefix("library/").unwrap_or(repository)
}

/// The digest that names an image everywhere: that of its repository, else (never pushed nor pulled) the local one.
fn choose_digest(reference: &str, repo_digests: &[String], id: &str) -> String {
    let (repository, wanted) = split(reference);
    let mut digests: Vec<&str> = repo_digests
        .iter()
        .filter_map(|entry| entry.split_once('@'))
        .filter(|(name, _)| familiar(name) == familiar(repository))
        .map(|(_, digest)| digest)
        .collect();
    // One image can have been pulled by several digests; the order must not depend on the Engine.
    digests.sort_unstable();
    let named = digests.iter().find(|digest| **digest == wanted);
    named
        .or(digests.first())
        .map_or(id, |digest| *digest)
        .to_owned()
}

/// The digest of an image that the Engine has; `None` where it does not have it.
pub(super) async fn digest(
    engine: &Engine,
    reference: &str,
) -> Result<Option<String>, EngineError> {
    match engine.docker.inspect_image(reference).await {
        Ok(image) => Ok(Some(choose_digest(
            reference,
            &image.repo_digests.unwrap_or_default(),
            &image.id.unwrap_or_default(),
        ))),
        Err(failure) if status_of(&failure) == Some(404) => Ok(None),
        Err(failure) => Err(failed(format!("inspect the image {reference}"))(failure)),
    }
}

/// Pulls an image and returns its digest.
pub(super) async fn pull(
    engine: &Engine,
    reference: &str,
    login: FindLogin<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<String, EngineError> {
    let unavailable = |reason: String| EngineError::Image {
        reference: reference.to_owned(),
        reason,
    };
    let host = registry_of(reference);
    let (repository, tag) = split(reference);
    let options = CreateImageOptionsBuilder::new()
        .from_image(repository)
        .tag(tag)
        .build();
    let mut messages = engine.docker.create_image(
        Some(options),
        None,
        login(host).map(|login| credentials(login, host)),
    );
    let mut layers = Layers::default();
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => {
                if let Some((received, total)) = layers.take(&message) {
                    progress(Progress::Pulling { received, total });
                }
            }
            Err(Failure::DockerStreamError { error }) => return Err(unavailable(error)),
            Err(Failure::DockerResponseServerError { message, .. }) => {
                return Err(unavailable(message));
            }
            Err(failure) => return Err(failed(format!("pull {reference}"))(failure)),
        }
    }
    let found = digest(engine, reference).await?;
    found.ok_or_else(|| unavailable("it was pulled, but the Engine does not have it".to_owned()))
}

fn credentials(login: Login, host: &str) -> DockerCredentials {
    // Docker Hub's name in credentials is an address of old.
    let serveraddress = Some(match host {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        host => host.to_owned(),
    });
    match login {
        Login::Password { username, password } => DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress,
            ..DockerCredentials::default()
        },
        Login::Token(token) => DockerCredentials {
            identitytoken: Some(token),
            serveraddress,
            ..DockerCredentials::default()
        },
    }
}

/// Bytes received and expected, by layer.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    /// Takes one message; returns the sums where they changed.
    fn take(&mut self, message: &CreateImageInfo) -> Option<(u64, u64)> {
        let layer = message.id.as_ref()?;
        let detail = message.progress_detail.as_ref();
        let entry = match message.status.as_deref()? {
            "Downloading" => (
                unsigned(detail.and_then(|detail| detail.current)),
                unsigned(detail.and_then(|detail| detail.total)),
            ),
            "Download complete" => {
                let (_, total) = *self.0.get(layer)?;
                (total, total)
            }
            _ => return None,
        };
        let before = self.0.insert(layer.clone(), entry);
        (before != Some(entry)).then(|| {
            self.0
                .values()
                .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1))
        })
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let table = [
            (
                "moby/buildkit:buildx-stable-1",
                "docker.io",
                ("moby/buildkit", "buildx-stable-1"),
            ),
            ("buildkit", "docker.io", ("buildkit", "latest")),
            (
                "docker.io/moby/buildkit",
                "docker.io",
                ("docker.io/moby/buildkit", "latest"),
            ),
            (
                "index.docker.io/a/b:c",
                "docker.io",
                ("index.docker.io/a/b", "c"),
            ),
            ("localhost/b:c", "localhost", ("localhost/b", "c")),
            (
                "127.0.0.1:5000/b",
                "127.0.0.1:5000",
                ("127.0.0.1:5000/b", "latest"),
            ),
            (
                "ghcr.io/a/b:c@sha256:d",
                "ghcr.io",
                ("ghcr.io/a/b", "sha256:d"),
            ),
            (
                "127.0.0.1:5000/b@sha256:d",
                "127.0.0.1:5000",
                ("127.0.0.1:5000/b", "sha256:d"),
            ),
        ];
        for (reference, host, parts) in table {
            assert_eq!(
                (registry_of(reference), split(reference)),
                (host, parts),
                "{reference}"
            );
        }
    }

    #[test]
    fn the_digest_is_the_repositorys() {
        let digests = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let table = [
            (
                "moby/buildkit:1",
                digests(&["moby/buildkit@sha256:a"]),
                "sha256:a",
            ),
            (
                "docker.io/library/alpine",
                digests(&["alpine@sha256:a"]),
                "sha256:a",
            ),
            (
                "moby/buildkit:1",
                digests(&["ghcr.io/b@sha256:b", "moby/buildkit@sha256:a"]),
                "sha256:a",
            ),
            (
                "x/y",
                digests(&["x/y@sha256:b", "x/y@sha256:a"]),
                "sha256:a",
            ),
            (
                "x/y@sha256:b",
                digests(&["x/y@sha256:a", "x/y@sha256:b"]),
                "sha256:b",
            ),
            ("x/y", digests(&["x/z@sha256:a"]), "sha256:id"),
            ("x/y", digests(&[]), "sha256:id"),
        ];
        for (reference, list, expected) in table {
            assert_eq!(
                choose_digest(reference, &list, "sha256:id"),
                expected,
                "{reference} {list:?}"
            );
        }
    }

    #[test]
    fn received_bytes_are_summed_over_the_layers() {
        let message = |layer: &str, status: &str, sizes: Option<(i64, i64)>| CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: sizes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        let table = [
            (message("1", "Pulling from moby/buildkit", None), None),
            (
                message("a", "Downloading", Some((10, 100))),
                Some((10, 100)),
            ),
            (message("b", "Downloading", Some((5, 50))), Some((15, 150))),
            (message("b", "Downloading", Some((5, 50))), None),
            (message("a", "Download complete", None), Some((105, 150))),
            (message("a", "Extracting", Some((1, 100))), None),
            (message("c", "Download complete", None), None),
        ];
        for (message, expected) in table {
            assert_eq!(layers.take(&message), expected, "{message:?}");
        }
    }

    #[test]
    fn a_login_is_never_shown() {
        let login = Login::Password {
            username: "ann".to_owned(),
            password: "hunter2".to_owned(),
        };
        assert_eq!(format!("{login:?}"), "Login(…)");
    }
}
