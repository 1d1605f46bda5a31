//! Cache references: which tags a warm writes, when what they name is complete, and how they are moved.
//!
//! A warm exports once, to a tag that nobody reads; [`verify_complete`] then looks at every blob, and only after that
//! [`retag`] points the key's and the branch's tag at the same manifest. So no tag that anybody reads ever names anything
//! incomplete, or anything but what it says.

mod complete;
mod inputs;
mod layers;
mod tags;

use crate::error::{Kind, Remedy};
use crate::registry::{Digest, Manifest, Reference, Registry, RegistryError};

pub use complete::{Complete, Facts, facts, find, verify_complete};
pub use inputs::{INPUTS_LIMIT, pull_inputs, push_inputs};
pub use layers::layer_times;
pub(crate) use tags::CONTENT_DIGITS;
pub use tags::{Shape, Tags, Template, TemplateError, protected, slug};

/// Why a cache is not where CI looks for it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The registry did not do as asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nothing is there.
    #[error("{reference} is not in the registry")]
    Missing {
        /// What was looked for.
        reference: Reference,
    },
    /// The manifest names a blob that the registry does not have.
    #[error("the cache {reference} is incomplete: blob {blob} is missing")]
    Incomplete {
        /// The manifest.
        reference: Reference,
        /// The first missing blob found.
        blob: Digest,
    },
    /// Something else lies under the name of a cache.
    #[error("{reference} is not a BuildKit cache: {reason}")]
    NotCache {
        /// The manifest.
        reference: Reference,
        /// What it is instead.
        reason: String,
    },
    /// The list of inputs is out of all proportion.
    #[error("the inputs are {size} bytes, and at most {INPUTS_LIMIT} are published")]
    InputsTooLarge {
        /// Their size in bytes.
        size: usize,
    },
}

impl Remedy for PublishError {
    fn kind(&self) -> Kind {
        match self {
            Self::Registry(error) if error.kind() == Kind::Usage => Kind::Usage,
            _ => Kind::NotPushed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Missing { .. } | Self::Incomplete { .. } => {
                Some("Run `prewarm warm --force` to export it again.".to_owned())
            }
            Self::NotCache { .. } => {
                Some("Give prewarm a tag of its own with `tag`, or remove what is there from the registry.".to_owned())
            }
            Self::InputsTooLarge { .. } => None,
        }
    }
}

/// Points `to` at a manifest that its repository has; doing it twice changes nothing. Only the caller knows that the
/// manifest is complete ([`verify_complete`]) and that the branch is not [`protected`]. A tag that holds anything but a
/// cache, such as an image, is left alone.
///
/// # Errors
/// When the registry cannot be reached or refuses, and [`PublishError::NotCache`].
pub async fn retag(
    registry: &Registry,
    manifest: &Manifest,
    to: &Reference,
) -> Result<(), PublishError> {
    match registry.manifest(to).await? {
        Some(current) if current.digest == manifest.digest => return Ok(()),
        Some(current) => {
            if let Some(reason) = complete::foreign(&current) {
                return Err(PublishError::NotCache {
                    reference: to.clone(),
                    reason,
                });
            }
        }
        None => {}
    }
    Ok(registry.put_manifest(to, manifest).await?)
}
