//! What tags a cache repository has, and what they name.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Kind, Tag, kind};
use crate::publish::{Template, facts};
use crate::registry::{Registry, RegistryError, Repository};

/// Manifests that are asked for at the same time.
const PARALLEL: usize = 8;

/// Lists the tags of a repository, and reads the manifests of those that a plan may let go.
///
/// # Errors
/// When the registry cannot be reached or refuses.
pub async fn look(
    registry: &Registry,
    repository: &Repository,
    templates: &[Template],
) -> Result<Vec<Tag>, RegistryError> {
    let names = registry.tags(repository).await?;
    // Lists of futures and not iterators: see `publish::verify_complete`.
    let looks: Vec<_> = names
        .into_iter()
        .map(|name| {
            let reads = match kind(&name, templates) {
                Kind::Branch | Kind::Key | Kind::Staging => true,
                Kind::Inputs | Kind::Other => false,
            };
            one(registry, repository, name, reads)
        })
        .collect();
    let tags: Vec<Option<Tag>> = stream::iter(looks)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    Ok(tags.into_iter().flatten().collect())
}

/// Asks for the digests of the tags that have none yet: only who knows them all knows what a deletion by digest takes along.
///
/// # Errors
/// When the registry cannot be reached or refuses.
pub async fn identify(
    registry: &Registry,
    repository: &Repository,
    tags: &mut [Tag],
) -> Result<(), RegistryError> {
    let unknown = tags.iter_mut().filter(|tag| tag.digest.is_none());
    let looks: Vec<_> = unknown
        .map(|tag| async move {
            let reference = repository.tag(&tag.name)?;
            // What cannot be read is none of the manifests that were read, and so not what goes.
            tag.digest = readable(registry.head_manifest(&reference).await)?.flatten();
            Ok::<(), RegistryError>(())
        })
        .collect();
    stream::iter(looks)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}

/// `None` for a tag that is gone meanwhile.
async fn one(
    registry: &Registry,
    repository: &Repository,
    name: String,
    reads: bool,
) -> Result<Option<Tag>, RegistryError> {
    let mut tag = Tag {
        name,
        digest: None,
        cache: None,
    };
    if !reads {
        return Ok(Some(tag));
    }
    let reference = repository.tag(&tag.name)?;
    match readable(registry.manifest(&reference).await)? {
        Some(None) => return Ok(None),
        Some(Some(manifest)) => {
            tag.cache = facts(&manifest);
            tag.digest = Some(manifest.digest);
        }
        None => {}
    }
    Ok(Some(tag))
}

/// `None` where the answer is too large, or no manifest: that concerns one tag alone.
fn readable<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::TooLarge { .. } | RegistryError::Protocol { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
