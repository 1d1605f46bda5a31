//! What a recipe asks for: the patterns by which BuildKit read the context, and the images that it loaded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::snapshot::Filter;

/// The version of the document. Another one is treated as unknown inputs.
const VERSION: u32 = 1;

/// No Dockerfile names more images. Each of them is looked up, so that a document from elsewhere must not name any number.
const MOST_IMAGES: usize = 100;

/// The document that is kept in the history and, as the *inputs tag*, beside the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    version: u32,
    /// One entry per directory transfer. Empty for a target that reads no file.
    pub filters: BTreeSet<Filter>,
    /// Image reference to manifest digest: base images, and the frontend if `# syntax=` names one.
    pub images: BTreeMap<String, String>,
    /// Whether something is downloaded, by `ADD` of a URL: no key covers that.
    pub downloads: bool,
}

impl Inputs {
    /// The inputs that a solve showed.
    #[must_use]
    pub fn new(
        filters: BTreeSet<Filter>,
        images: BTreeMap<String, String>,
        downloads: bool,
    ) -> Self {
        Self {
            version: VERSION,
            filters,
            images,
            downloads,
        }
    }

    /// Reads a document; `None` for anything that is not one of this version. It may come from a registry, so nothing
    /// in it is trusted beyond its shape.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str::<Self>(json)
            .ok()
            .filter(|inputs| inputs.version == VERSION && inputs.images.len() <= MOST_IMAGES)
    }

    /// The document as JSON; equal inputs give equal text.
    ///
    /// # Panics
    /// Never: the document has only strings and numbers.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    /// The images whose digest is another one than in `then`.
    #[must_use]
    pub fn moved_bases(&self, then: &Self) -> Vec<String> {
        self.images
            .iter()
            .filter(|(image, digest)| {
                then.images
                    .get(*image)
                    .is_some_and(|before| before != *digest)
            })
            .map(|(image, _)| image.clone())
            .collect()
    }
}
