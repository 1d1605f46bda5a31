//! Whether a cache is all there.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::PublishError;
use super::layers::CREATED;
use crate::registry::{
    DOCKER_INDEX, DOCKER_MANIFEST, Digest, Manifest, OCI_INDEX, OCI_MANIFEST, Reference, Registry,
};
use crate::rfc3339;

/// Media type of the record that makes a manifest a BuildKit cache (`CacheConfigMediaTypeV0` in BuildKit's
/// `cache/remotecache/v1/spec.go`).
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// 2015-01-01, when there was no BuildKit yet.
const OLDEST_MS: i64 = 1_420_070_400_000;

/// Blobs that are asked for at the same time.
const PARALLEL: usize = 8;

/// A cache of which every part was seen in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// The manifest, ready for [`super::retag`]; its digest names the cache.
    pub manifest: Manifest,
    /// The sizes of all blobs, each counted once, in bytes.
    pub bytes: u64,
    /// How many different layers it has.
    pub layers: usize,
}

/// Reads the manifest and asks the registry for every blob that it names.
///
/// # Errors
/// When it is not there, not a cache, lacks a blob, or when the registry fails.
pub async fn verify_complete(
    registry: &Registry,
    reference: &Reference,
) -> Result<Complete, PublishError> {
    let manifest = registry.manifest(reference).await?;
    let manifest = manifest.ok_or_else(|| PublishError::Missing {
        reference: reference.clone(),
    })?;
    let blobs = blobs(&manifest).map_err(|reason| PublishError::NotCache {
        reference: reference.clone(),
        reason,
    })?;
    // A list of futures and not an iterator: the closure of one would make this future unfit for other threads.
    let looks: Vec<_> = blobs
        .keys()
        .map(|blob| look(registry, reference, blob))
        .collect();
    stream::iter(looks)
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    let bytes = blobs
        .values()
        .map(|blob| blob.size)
        .fold(0, u64::saturating_add);
    let layers = blobs
        .values()
        .filter(|blob| blob.media_type != CACHE_CONFIG)
        .count();
    Ok(Complete {
        manifest,
        bytes,
        layers,
    })
}

async fn look(
    registry: &Registry,
    reference: &Reference,
    blob: &Digest,
) -> Result<(), PublishError> {
    if registry.blob_exists(reference.repository(), blob).await? {
        return Ok(());
    }
    Err(PublishError::Incomplete {
        reference: reference.clone(),
        blob: blob.clone(),
    })
}

/// The cache under a tag, without a look at its blobs; `None` when there is nothing, or something else. One request.
///
/// # Errors
/// When the registry cannot be reached or refuses.
pub async fn find(
    registry: &Registry,
    reference: &Reference,
) -> Result<Option<Manifest>, PublishError> {
    let manifest = registry.manifest(reference).await?;
    Ok(manifest.filter(|manifest| blobs(manifest).is_ok()))
}

/// Why a manifest is not a cache; `None` when it is one.
pub(super) fn foreign(manifest: &Manifest) -> Option<String> {
    blobs(manifest).err()
}

/// What a cache's manifest says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When its newest layer was made, in Unix milliseconds; `None` where BuildKit did not say so, or said something odd.
    pub made: Option<i64>,
    /// The sizes of all blobs, each counted once, in bytes.
    pub bytes: u64,
}

/// Reads what a manifest says of the cache that it is; `None` when it is none.
#[must_use]
pub fn facts(manifest: &Manifest) -> Option<Facts> {
    let blobs = blobs(manifest).ok()?;
    let said = blobs.values().filter_map(Descriptor::created);
    let times: Option<Vec<i64>> = said.map(|said| said.as_str().and_then(unix_ms)).collect();
    Some(Facts {
        made: times.and_then(|times| times.into_iter().max()),
        bytes: blobs
            .values()
            .map(|blob| blob.size)
            .fold(0, u64::saturating_add),
    })
}

/// A time before there was any BuildKit is that of a clock that was never set.
fn unix_ms(text: &str) -> Option<i64> {
    rfc3339::milliseconds(text).filter(|time| *time >= OLDEST_MS)
}

#[derive(Debug, serde::Deserialize)]
struct Descriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    annotations: Option<serde_json::Value>,
}

impl Descriptor {
    /// When BuildKit made the layer, as it says.
    fn created(&self) -> Option<&serde_json::Value> {
        self.annotations.as_ref()?.get(CREATED)
    }
}

/// The blobs that a cache's manifest names, in either of BuildKit's shapes: an image manifest (`image-manifest=true`), or
/// an index whose entries are blobs.
fn blobs(manifest: &Manifest) -> Result<BTreeMap<Digest, Descriptor>, String> {
    #[derive(serde::Deserialize)]
    struct Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    }
    #[derive(serde::Deserialize)]
    struct Index {
        manifests: Vec<Descriptor>,
    }
    let malformed = |error: serde_json::Error| format!("its manifest is malformed ({error})");
    let named = match manifest.media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => {
            let image: Image = serde_json::from_slice(&manifest.bytes).map_err(malformed)?;
            let mut named = image.layers;
            named.push(image.config);
            named
        }
        OCI_INDEX | DOCKER_INDEX => {
            serde_json::from_slice::<Index>(&manifest.bytes)
                .map_err(malformed)?
                .manifests
        }
        other => return Err(format!("it has the media type {other}")),
    };
    if !named.iter().any(|blob| blob.media_type == CACHE_CONFIG) {
        return Err("it is an image without a cache record".to_owned());
    }
    let mut blobs = BTreeMap::new();
    for blob in named {
        let digest = Digest::parse(&blob.digest)
            .ok_or_else(|| format!("it names the blob {:?}", blob.digest))?;
        blobs.insert(digest, blob);
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests;
