//! When the layers of a cache were made: what tells which records of a builder it consists of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::registry::Manifest;
use crate::rfc3339::nanoseconds;

/// The annotation by which BuildKit says when it made a layer (`cache/remotecache` and `util/converter` in BuildKit). It
/// is the very time, to the nanosecond, that its listing of records shows.
pub(super) const CREATED: &str = "buildkit/createdat";

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// Where the cache is an index of blobs.
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default)]
    annotations: Option<BTreeMap<String, serde_json::Value>>,
}

/// When each layer was made, in nanoseconds since 1970. Empty for what is no cache, or one that does not say.
#[must_use]
pub fn layer_times(manifest: &Manifest) -> BTreeSet<i64> {
    let Ok(document) = serde_json::from_slice::<Document>(&manifest.bytes) else {
        return BTreeSet::new();
    };
    let named = document.layers.into_iter().chain(document.manifests);
    named
        .filter_map(|layer| nanoseconds(layer.annotations?.get(CREATED)?.as_str()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::OCI_MANIFEST;

    #[test]
    fn every_layer_that_says_so_has_a_time() {
        let text = r#"{"layers": [
            {"digest": "a", "annotations": {"buildkit/createdat": "2026-11-22T17:14:37.061717282Z"}},
            {"digest": "b", "annotations": {"buildkit/createdat": "2026-11-22T19:14:37+02:00", "x": 1}},
            {"digest": "b", "annotations": {"buildkit/createdat": "yesterday"}},
            {"digest": "c", "annotations": null},
            {"digest": "d"}
        ]}"#;
        let times = layer_times(&Manifest::new(OCI_MANIFEST, text));
        let expected = BTreeSet::from([1_795_367_677_061_717_282, 1_795_367_677_000_000_000]);
        assert_eq!(times, expected);
        assert!(layer_times(&Manifest::new(OCI_MANIFEST, "[]")).is_empty());
    }
}
