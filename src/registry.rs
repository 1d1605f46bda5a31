//! A thin client of the OCI distribution API: manifests, small blobs, and the logins that docker has.
//!
//! It is our own, over `reqwest`, because `oci-client` shows neither `Retry-After` nor a manifest's bytes as they came, and
//! without these there is neither a polite retry nor a second tag by one request. It does not transfer layers: BuildKit does.
//!
//! HTTPS everywhere, with two exceptions: loopback hosts without a configured certificate authority, and registries that the
//! user's configuration calls insecure. docker tries HTTPS first on loopback as well; we do not, since
//! that costs a round trip in every run for a set-up that one `ca` line describes better.

mod challenge;
mod client;
mod clock;
mod credentials;
mod digest;
mod error;
mod http;
mod reference;
mod refusal;
mod retry;
mod tags;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use ::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use ::http::{HeaderName, Method};
use bytes::Bytes;

pub use credentials::{CredentialStore, Credentials};
pub use digest::Digest;
pub use error::RegistryError;
pub use reference::{Reference, ReferenceError, Repository, TAG_LIMIT, is_tag};
pub use tags::Deletion;

use self::http::{Answer, Follow, Url};
use crate::config::RegistrySettings;
use client::{Call, Client, Pauses};
use refusal::refusal;
use token::Access;

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media type of a Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Media type of a Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The largest manifest that is read: what registries must take at least (OCI distribution specification, "Pushing
/// Manifests"), and what most take at most.
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

/// As much of any other answer is read.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A manifest as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What kind it is.
    pub media_type: String,
    /// The digest of `bytes`; always computed, never taken on trust.
    pub digest: Digest,
    /// Its exact bytes.
    pub bytes: Bytes,
}

impl Manifest {
    /// A manifest of our own.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: media_type.into(),
            digest: Digest::of(&bytes),
            bytes,
        }
    }
}

/// A client of all registries: knows their settings and logins, and keeps connections and tokens.
pub struct Registry {
    client: Client,
}

impl Registry {
    /// `settings` is by registry host, `docker_config_dir` is where docker keeps its logins (`None`: nobody is logged in),
    /// `retries` is how often a failed request is tried again. Contacts nobody.
    #[must_use]
    pub fn new(
        settings: &BTreeMap<String, RegistrySettings>,
        docker_config_dir: Option<PathBuf>,
        retries: u32,
    ) -> Self {
        let credentials = CredentialStore::new(docker_config_dir);
        Self {
            client: Client::new(settings.clone(), credentials, retries, Pauses::default()),
        }
    }

    /// The login that docker has for a registry host; `None` means anonymous. An empty user name says that the secret is
    /// an identity token.
    ///
    /// # Errors
    /// When docker's configuration cannot be read or a credential helper fails.
    pub async fn credentials(&self, host: &str) -> Result<Option<Credentials>, RegistryError> {
        self.client.credentials.get(host).await
    }

    /// How many requests went to registries so far, retries and refused ones included, token servers not.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.client.requests.load(Ordering::Relaxed)
    }

    /// How many requests went to token servers so far.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.client.token_requests.load(Ordering::Relaxed)
    }

    /// The digest of a manifest; `None` when there is no such manifest. One `HEAD`, which does not count against most
    /// registries' pull limits; a `GET` only where `HEAD` is not enough.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses, or does not answer like a registry.
    pub async fn head_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Option<Digest>, RegistryError> {
        let answer = self
            .client
            .call(&self.manifest_call(Method::HEAD, reference)?)
            .await?;
        match answer.status {
            200 => {
                if let Some(digest) = content_digest(&answer) {
                    return Ok(Some(digest));
                }
            }
            404 => return Ok(None),
            405 => {}
            _ => return Err(refusal(reference.repository(), &answer)),
        }
        Ok(self
            .manifest(reference)
            .await?
            .map(|manifest| manifest.digest))
    }

    /// A manifest of at most 4 MiB; `None` when there is no such manifest.
    ///
    /// # Errors
    /// As [`Registry::head_manifest`], and when the manifest's digest is not the one that was asked for or announced.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>, RegistryError> {
        let answer = self
            .client
            .call(&self.manifest_call(Method::GET, reference)?)
            .await?;
        match answer.status {
            200 => received(reference, answer).map(Some),
            404 => Ok(None),
            _ => Err(refusal(reference.repository(), &answer)),
        }
    }

    /// Points a reference at a manifest, in one request. What the manifest names must be in the repository already.
    ///
    /// # Errors
    /// As [`Registry::head_manifest`], and when the registry does not take the manifest or we may not push.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let repository = reference.repository();
        let mut call = self.manifest_call(Method::PUT, reference)?;
        call.access = Access::Push;
        call.body = manifest.bytes.clone();
        call.headers = vec![header(CONTENT_TYPE, &manifest.media_type, repository)?];
        let answer = self.client.call(&call).await?;
        match answer.status {
            200..=202 => match content_digest(&answer) {
                Some(digest) if digest != manifest.digest => Err(protocol(
                    repository,
                    format!("it stored {digest} instead of {}", manifest.digest),
                )),
                _ => Ok(()),
            },
            400 | 406 | 413 | 415 | 422 => Err(RegistryError::ManifestRejected {
                registry: repository.registry().to_owned(),
                media_type: manifest.media_type.clone(),
                message: error::message(answer.status, &answer.body),
            }),
            _ => Err(push_refused(repository, &answer)),
        }
    }

    /// Whether a repository has a blob. A redirect to another host counts: registries send those only for what they have,
    /// and its target is often signed for `GET` alone.
    ///
    /// # Errors
    /// As [`Registry::head_manifest`].
    pub async fn blob_exists(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let url = self.client.url(repository, &format!("blobs/{digest}"))?;
        let answer = self
            .client
            .call(&plain_call(repository, Access::Pull, Method::HEAD, url))
            .await?;
        match answer.status {
            200..=299 | 301 | 302 | 303 | 307 | 308 => Ok(true),
            404 => Ok(false),
            _ => Err(refusal(repository, &answer)),
        }
    }

    /// Uploads a small blob in one piece, unless the repository has it already.
    ///
    /// # Errors
    /// As [`Registry::head_manifest`], and when we may not push.
    pub async fn put_blob(
        &self,
        repository: &Repository,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest, RegistryError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        if self.blob_exists(repository, &digest).await? {
            return Ok(digest);
        }
        let mut attempt = 0;
        // A broken upload cannot be continued at the same address, so a retry begins with a new one.
        let answer = loop {
            let result = self.upload(repository, &digest, &bytes).await;
            if let Some(settled) = self.client.settle(repository, attempt, result).await {
                break settled?;
            }
            attempt += 1;
        };
        match answer.status {
            201 => Ok(digest),
            _ => Err(push_refused(repository, &answer)),
        }
    }

    /// Makes sure that a repository takes uploads, by one that is given up; waits where the registry asks for that.
    ///
    /// # Errors
    /// As [`Registry::head_manifest`], and when we may not push.
    pub async fn admits_uploads(&self, repository: &Repository) -> Result<(), RegistryError> {
        let start = self.client.url(repository, "blobs/uploads/")?;
        let call = plain_call(repository, Access::Push, Method::POST, start.clone());
        let begun = self.client.call(&call).await?;
        if begun.status != 202 {
            return Err(push_refused(repository, &begun));
        }
        if let Ok(location) = upload_address(repository, &start, &begun) {
            // Registries forget uploads by themselves, too.
            let _ = self
                .client
                .once(&plain_call(
                    repository,
                    Access::Push,
                    Method::DELETE,
                    location,
                ))
                .await;
        }
        Ok(())
    }

    /// One upload: asks for an address, then sends the bytes there.
    async fn upload(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: &Bytes,
    ) -> Result<Answer, RegistryError> {
        let start = self.client.url(repository, "blobs/uploads/")?;
        let begun = self
            .client
            .once(&plain_call(
                repository,
                Access::Push,
                Method::POST,
                start.clone(),
            ))
            .await?;
        if begun.status != 202 {
            return Ok(begun);
        }
        let mut location = upload_address(repository, &start, &begun)?;
        location
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        let mut call = plain_call(repository, Access::Push, Method::PUT, location);
        call.headers = vec![header(
            CONTENT_TYPE,
            "application/octet-stream",
            repository,
        )?];
        call.body = bytes.clone();
        self.client.once(&call).await
    }

    fn manifest_call<'a>(
        &self,
        method: Method,
        reference: &'a Reference,
    ) -> Result<Call<'a>, RegistryError> {
        let repository = reference.repository();
        let url = self
            .client
            .url(repository, &format!("manifests/{}", reference.version()))?;
        let mut call = plain_call(repository, Access::Pull, method, url);
        let accepted = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
        call.headers = vec![header(ACCEPT, &accepted, repository)?];
        call.follow = Follow::Any;
        call.limit = MANIFEST_LIMIT;
        Ok(call)
    }
}

/// Where an upload that was begun goes on.
fn upload_address(
    repository: &Repository,
    start: &Url,
    begun: &Answer,
) -> Result<Url, RegistryError> {
    let location = begun
        .header(LOCATION.as_str())
        .and_then(|location| start.join(location).ok());
    let mut location = location
        .ok_or_else(|| protocol(repository, "it gave no address to upload to".to_owned()))?;
    if location.scheme() == "http" && start.scheme() == "https" {
        // A registry behind a proxy that ends TLS may not know its own scheme.
        location
            .set_scheme("https")
            .map_err(|()| protocol(repository, "its upload address is odd".to_owned()))?;
    }
    Ok(location)
}

fn plain_call(repository: &Repository, access: Access, method: Method, url: Url) -> Call<'_> {
    Call {
        repository,
        access,
        method,
        url,
        headers: Vec::new(),
        body: Bytes::new(),
        follow: Follow::SameHost,
        limit: ANSWER_LIMIT,
    }
}

fn header(
    name: HeaderName,
    value: &str,
    repository: &Repository,
) -> Result<(HeaderName, HeaderValue), RegistryError> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| protocol(repository, format!("bad media type {value:?}")))?;
    Ok((name, value))
}

fn protocol(repository: &Repository, reason: String) -> RegistryError {
    RegistryError::Protocol {
        registry: repository.registry().to_owned(),
        reason,
    }
}

/// A registry that says 405 to a push is read-only: a mirror or a cache.
fn push_refused(repository: &Repository, answer: &Answer) -> RegistryError {
    match answer.status {
        405 => RegistryError::Denied {
            registry: repository.registry().to_owned(),
            repository: repository.path().to_owned(),
            message: error::message(answer.status, &answer.body),
        },
        _ => refusal(repository, answer),
    }
}

fn content_digest(answer: &Answer) -> Option<Digest> {
    answer
        .header("docker-content-digest")
        .and_then(Digest::parse)
}

/// Checks a manifest that came, byte by byte.
fn received(reference: &Reference, answer: Answer) -> Result<Manifest, RegistryError> {
    #[derive(serde::Deserialize)]
    struct Named {
        #[serde(rename = "mediaType", default)]
        media_type: Option<String>,
    }
    let repository = reference.repository();
    if error::is_html(&answer.body) {
        return Err(protocol(
            repository,
            "it sent an HTML page instead of a manifest".to_owned(),
        ));
    }
    let named: Named = serde_json::from_slice(&answer.body)
        .map_err(|_| protocol(repository, "it sent a manifest that is not JSON".to_owned()))?;
    let digest = Digest::of(&answer.body);
    let announced = content_digest(&answer);
    for expected in [reference.digest(), announced.as_ref()]
        .into_iter()
        .flatten()
    {
        if *expected != digest {
            return Err(protocol(
                repository,
                format!("it sent a manifest {digest} as {expected}"),
            ));
        }
    }
    // The header decides, as for docker; registries that store files as they are send a generic type.
    let sent = answer
        .header(CONTENT_TYPE.as_str())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    let media_type = match (sent, named.media_type) {
        (Some(sent), _) if sent.starts_with("application/vnd.") => sent.to_owned(),
        (_, Some(named)) => named,
        (sent, None) => sent.unwrap_or(OCI_MANIFEST).to_owned(),
    };
    Ok(Manifest {
        media_type,
        digest,
        bytes: answer.body,
    })
}

#[cfg(test)]
pub(crate) mod script;

#[cfg(test)]
mod tests;
