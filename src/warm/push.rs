//! From a built target to tags that CI can trust: export to a tag that nobody reads, look at every blob, then point the
//! key's and the branch's tag there, and tell others what the recipe asks for.

use std::time::Duration;

use super::build::{Build, Built, Variant};
use super::destination::Destination;
use crate::buildkit::BuildkitError;
use crate::error::{Error, Kind};
use crate::publish::{self, Complete, PublishError};
use crate::registry::Digest;

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

impl Build<'_, '_> {
    /// Publishes what was built; and says what that was, as it may have changed on the way. `salvaged`: it is what is left
    /// of a failed build.
    pub(super) async fn push(
        &self,
        destination: &Destination,
        variant: &Variant,
        built: Built,
        salvaged: bool,
    ) -> Result<(Built, Pushed), Error> {
        let there = match &built.exported {
            Some(digest) => Some(digest.clone()),
            None if built.all_cached => self.own_export(destination, &built.key),
            None => None,
        };
        let complete = match there {
            Some(digest) => self.look(destination, &digest).await?,
            None => None,
        };
        let (built, complete) = match complete {
            Some(complete) => (built, complete),
            None => self.export(destination, variant).await?,
        };
        self.phase("publishing");
        let registry = &self.run.registry;
        // What is left of a failed build must not take the place of a whole cache.
        let branch_tag = match destination.writable() {
            Some(tag) if salvaged && registry.head_manifest(tag).await?.is_some() => None,
            branch_tag => branch_tag,
        };
        let key_tag = destination.key(&built.key)?;
        let point_key = async {
            let pointed = registry.put_manifest(&key_tag, &complete.manifest).await;
            pointed.map_err(PublishError::from)
        };
        let point_branch = async {
            match branch_tag {
                Some(tag) => publish::retag(registry, &complete.manifest, tag).await,
                None => Ok(()),
            }
        };
        let tell = self.tell(destination, variant, &built);
        let (key, branch, ()) = tokio::join!(point_key, point_branch, tell);
        key.and(branch)?;
        let tags = [Some(&key_tag), branch_tag].into_iter().flatten();
        self.note_exported(&built.key, &publish::layer_times(&complete.manifest));
        let pushed = Pushed {
            digest: complete.manifest.digest.to_string(),
            bytes: complete.bytes,
            tags: tags.map(ToString::to_string).collect(),
        };
        Ok((built, pushed))
    }

    /// What was exported, if it is all there.
    async fn look(
        &self,
        destination: &Destination,
        digest: &Digest,
    ) -> Result<Option<Complete>, Error> {
        let exported = destination.repository.digest(digest.clone());
        match publish::verify_complete(&self.run.registry, &exported).await {
            Ok(complete) => Ok(Some(complete)),
            Err(error @ PublishError::Registry(_)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Tells others what the recipe asks for. They can do without; they build once more than needed.
    async fn tell(&self, destination: &Destination, variant: &Variant, built: &Built) {
        let told = publish::push_inputs(
            &self.run.registry,
            &destination.repository,
            &destination.inputs_tag(&variant.recipe),
            built.inputs.to_json().as_bytes(),
        )
        .await;
        if let Err(error) = told {
            let message = format!(
                "others cannot see what this target depends on: {}",
                Error::from(error)
            );
            self.run.warn(Some(self.job), message);
        }
    }

    /// Exports again until it works, the registry refuses for good, or the retries are used up.
    async fn export(
        &self,
        destination: &Destination,
        variant: &Variant,
    ) -> Result<(Built, Complete), Error> {
        self.phase("exporting");
        let registry = &self.run.registry;
        let to = destination.staging(&variant.recipe)?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            // Our own client says better what is wrong: a login, a right, a name; and it sees how long a busy registry wants to
            // be left alone, which BuildKit does not tell.
            if let Err(error) = registry.admits_uploads(&destination.repository).await {
                return Err(Error {
                    kind: Kind::NotPushed,
                    ..Error::from(PublishError::from(error))
                });
            }
            let report = self.solve_again(variant, &to).await?;
            let reason = match report.result {
                Ok(_) => {
                    // What the key is computed from is what this very solve has used.
                    let built = self.built(variant, &report).await?;
                    let digest = built.exported.as_ref().expect("an export was asked for");
                    let whole = destination.repository.digest(digest.clone());
                    match publish::verify_complete(registry, &whole).await {
                        Ok(complete) => return Ok((built, complete)),
                        Err(error @ PublishError::Registry(_)) => return Err(error.into()),
                        Err(error) => Error::from(error),
                    }
                }
                Err(error @ BuildkitError::Export { .. }) => Error::from(error),
                Err(error) => return Err(error.into()),
            };
            if attempt > self.run.user.warm.retries || is_final(&reason.to_string()) {
                return Err(reason);
            }
            let message = format!("{reason}; trying again in {:.1} s", pause.as_secs_f32());
            self.run.warn(Some(self.job), message);
            tokio::time::sleep(pause.mul_f32(0.5 + fastrand::f32() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the loop ends when the retries are used up")
    }
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
