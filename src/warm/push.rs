//! From a built target to tags that CI can trust: export to the key's tag, look at every blob, then point the branch's
//! tag there, then tell others what the recipe asks for.

use std::time::Duration;

use super::build::Build;
use super::destination::Destination;
use crate::buildkit::BuildkitError;
use crate::error::{Error, Kind};
use crate::plan::inputs::Inputs;
use crate::plan::key::Key;
use crate::publish::{self, Complete, PublishError};
use crate::registry::{Digest, Reference, Registry};

/// The pause before the first repeated export; each further one is twice as long, up to the limit.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// What is in the registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) digest: String,
    /// Bytes of all its blobs.
    pub(super) bytes: u64,
    /// The tags that point at it: the key's first.
    pub(super) tags: Vec<String>,
}

/// What is pushed, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push<'a> {
    pub(super) destination: &'a Destination,
    pub(super) recipe: &'a str,
    pub(super) key: &'a Key,
    pub(super) inputs: &'a Inputs,
    /// It is what is left of a failed build.
    pub(super) salvaged: bool,
}

/// An export that ended.
type Exported = Result<Option<String>, BuildkitError>;

impl Build<'_, '_> {
    /// Publishes `what`; `export` exports.
    pub(super) async fn push(
        &self,
        what: &Push<'_>,
        export: impl AsyncFn(&Reference) -> Result<Exported, Error>,
    ) -> Result<Pushed, Error> {
        let Push {
            destination,
            recipe,
            key,
            inputs,
            salvaged,
        } = *what;
        let registry = &self.run.registry;
        let key_tag = destination.key(key)?;
        // Who was faster saves us the upload.
        let theirs = match publish::find(registry, &key_tag).await? {
            Some(_) if !self.run.request.force && !inputs.downloads => {
                self.complete(&key_tag, None).await.ok()
            }
            _ => None,
        };
        let complete = match theirs {
            Some(complete) => complete,
            None => self.exported(&key_tag, &export).await?,
        };
        self.phase("publishing");
        let mut tags = vec![key_tag.to_string()];
        // What is left of a failed build must not take the place of a whole cache.
        let branch_tag = match destination.writable() {
            Some(tag) if salvaged && registry.head_manifest(tag).await?.is_some() => None,
            branch_tag => branch_tag,
        };
        if let Some(branch_tag) = branch_tag {
            publish::retag(registry, &complete.manifest, branch_tag).await?;
            tags.push(branch_tag.to_string());
        }
        // Others can do without; they build once more than needed.
        let tag = destination.inputs_tag(recipe);
        let told = publish::push_inputs(
            registry,
            &destination.repository,
            &tag,
            inputs.to_json().as_bytes(),
        )
        .await;
        if let Err(error) = told {
            let message = format!(
                "others cannot see what this target depends on: {}",
                Error::from(error)
            );
            self.run.warn(Some(self.job), message);
        }
        Ok(Pushed {
            digest: complete.manifest.digest.to_string(),
            bytes: complete.bytes,
            tags,
        })
    }

    /// Exports until it works, the registry refuses for good, or the retries are used up.
    async fn exported(
        &self,
        to: &Reference,
        export: &impl AsyncFn(&Reference) -> Result<Exported, Error>,
    ) -> Result<Complete, Error> {
        self.phase("exporting");
        let mut outcome = export(to).await?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let exported = outcome.is_ok();
            let reason = match outcome {
                Ok(digest) => match self.complete(to, digest.as_deref()).await {
                    Ok(complete) => return Ok(complete),
                    Err(PublishError::Registry(error)) => {
                        return Err(PublishError::Registry(error).into());
                    }
                    Err(error) => Error::from(error),
                },
                Err(error @ BuildkitError::Export { .. }) => Error::from(error),
                Err(error) => return Err(error.into()),
            };
            // Our own client says better what is wrong: a login, a name, a limit that it waits for.
            if let Err(error) = self.run.registry.head_manifest(to).await {
                return Err(Error {
                    kind: Kind::NotPushed,
                    ..Error::from(PublishError::from(error))
                });
            }
            if attempt > self.run.user.warm.retries || is_final(&reason.to_string()) {
                if exported {
                    // There is a manifest, but not all that it names: nobody must take it for the cache.
                    void(&self.run.registry, to).await?;
                }
                return Err(reason);
            }
            let message = format!("{reason}; trying again in {:.1} s", pause.as_secs_f32());
            self.run.warn(Some(self.job), message);
            tokio::time::sleep(pause.mul_f32(0.5 + fastrand::f32() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            outcome = export(to).await?;
        }
        unreachable!("the loop ends when the retries are used up")
    }

    /// Looks at every blob of what lies under a key's tag, which should be `digest`.
    async fn complete(
        &self,
        tag: &Reference,
        digest: Option<&str>,
    ) -> Result<Complete, PublishError> {
        let expected = digest.and_then(Digest::parse);
        match publish::verify_complete(&self.run.registry, tag, expected.as_ref()).await {
            // Somebody else has exported the same at the same time: theirs is as good.
            Err(PublishError::Moved { .. }) => {
                publish::verify_complete(&self.run.registry, tag, None).await
            }
            complete => complete,
        }
    }
}

/// Makes a key's tag name nothing that anybody would take for a cache. Not every registry lets tags be deleted.
async fn void(registry: &Registry, tag: &Reference) -> Result<(), Error> {
    let name = tag.tag().unwrap_or_default();
    Ok(publish::push_inputs(registry, tag.repository(), name, b"{}").await?)
}

/// Whether trying again is in vain: BuildKit reports what the registry said only as text. Words, not numbers alone, which
/// digests and upload ids are full of.
fn is_final(reason: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "405 Method Not Allowed",
        "denied: ",
        "insufficient_scope",
        "manifest invalid",
        "x509: ",
        "exported nothing",
    ];
    SIGNS.iter().any(|sign| reason.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_final() {
        for (reason, expected) in [
            (
                "unexpected status from HEAD request to http://r/v2/x: 401 Unauthorized",
                true,
            ),
            (
                "unexpected status from PUT request to http://r/v2/x/manifests/y: 400 Bad Request",
                true,
            ),
            (
                "failed to push: denied: requested access to the resource is denied",
                true,
            ),
            (
                "failed to copy: Put \"http://r/v2/x/blobs/uploads/5e401403-405d\": connection reset by peer",
                false,
            ),
            (
                "unexpected status from POST request: 429 Too Many Requests",
                false,
            ),
            (
                "unexpected status from PUT request: 500 Internal Server Error",
                false,
            ),
        ] {
            assert_eq!(is_final(reason), expected, "{reason}");
        }
    }
}
