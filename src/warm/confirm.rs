//! "Already warm": makes sure of it in the registry, and that the branch's tag points there.

use super::destination::Destination;
use super::evaluate::Evaluation;
use super::run::Run;
use crate::error::Error;
use crate::plan::Warm;
use crate::plan::key::Key;
use crate::publish::{self, PublishError};
use crate::registry::Digest;

/// What the registry says of a key that is believed to be warm.
#[derive(Debug)]
pub(super) enum Confirmed {
    /// It is, and these tags point at it.
    Yes { digest: String, tags: Vec<String> },
    /// It is not there (any more).
    Gone,
    /// The registry cannot be asked; the tags that pointed at it when we last looked.
    Unknown { error: Error, tags: Vec<String> },
}

/// Asks the registry: one request where everything is as we left it.
pub(super) async fn confirm(
    run: &Run<'_>,
    destination: &Destination,
    key: &Key,
    warm: &Warm,
    evaluation: &Evaluation,
) -> Result<Confirmed, Error> {
    let key_tag = destination.key(key)?;
    let branch_tag = destination.writable();
    let mut tags = vec![key_tag.to_string()];
    tags.extend(branch_tag.map(ToString::to_string));
    let known = Digest::parse(&warm.digest);
    let asked = run
        .registry
        .head_manifest(branch_tag.unwrap_or(&key_tag))
        .await;
    let current = match asked {
        Ok(current) => current,
        Err(error) => {
            let tags = tags
                .into_iter()
                .filter(|tag| evaluation.known_references.contains(tag))
                .collect();
            return Ok(Confirmed::Unknown {
                error: error.into(),
                tags,
            });
        }
    };
    if current.is_some() && current == known {
        return Ok(Confirmed::Yes {
            digest: warm.digest.clone(),
            tags,
        });
    }
    // Whoever moves a tag makes sure first that what it will name is all there.
    let manifest = match publish::verify_complete(&run.registry, &key_tag).await {
        Ok(complete) => complete.manifest,
        Err(
            PublishError::Missing { .. }
            | PublishError::Incomplete { .. }
            | PublishError::NotCache { .. },
        ) => {
            return Ok(Confirmed::Gone);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(branch_tag) = branch_tag {
        publish::retag(&run.registry, &manifest, branch_tag).await?;
    }
    Ok(Confirmed::Yes {
        digest: manifest.digest.to_string(),
        tags,
    })
}
