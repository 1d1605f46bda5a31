//! Looks into the registry from outside: what tags there are, and whether what they name is all there.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::engines::engines;
use super::http::{Response, request};

/// Media types of manifests.
const MANIFESTS: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// The media type of an image's manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Manifest {
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.bytes))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a manifest is JSON")
    }
}

/// The tags of a repository, sorted.
pub(crate) fn tags(name: &str) -> Vec<String> {
    let response = get(&format!("/v2/{name}/tags/list"));
    if response.status == 404 {
        return Vec::new();
    }
    let list: Value = serde_json::from_slice(&response.body).expect("a list of tags is JSON");
    let tags = list["tags"].as_array().into_iter().flatten();
    let mut tags: Vec<String> = tags
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect();
    tags.sort();
    tags
}

/// What a tag names.
pub(crate) fn manifest(name: &str, tag: &str) -> Option<Manifest> {
    let response = get(&format!("/v2/{name}/manifests/{tag}"));
    (response.status == 200).then(|| Manifest {
        media_type: response
            .head
            .header("Content-Type")
            .unwrap_or_default()
            .to_owned(),
        bytes: response.body,
    })
}

/// Makes a cache known to a registry under tags, as BuildKit would have made it at that time (RFC 3339).
#[track_caller]
pub(crate) fn put_cache(host: &str, login: &[(&str, &str)], name: &str, made: &str, tags: &[&str]) {
    let blob = |bytes: &str| {
        let digest = format!("sha256:{}", hex(bytes.as_bytes()));
        let path = format!("/v2/{name}/blobs/uploads/");
        let begun = request(host, "POST", &path, login, &[]);
        let location = begun
            .head
            .header("Location")
            .expect("an upload has an address");
        let start = location.find("/v2/").expect("it is the registry's own");
        let path = format!("{}&digest={digest}", &location[start..]);
        let done = request(host, "PUT", &path, login, bytes.as_bytes());
        assert_eq!(done.status, 201, "PUT {path}");
        (digest, bytes.len())
    };
    let (config, config_size) = blob("{}");
    let (layer, layer_size) = blob(made);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": config, "size": config_size },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": layer, "size": layer_size,
            "annotations": { "buildkit/createdat": made },
        }],
    })
    .to_string();
    for tag in tags {
        let path = format!("/v2/{name}/manifests/{tag}");
        let headers = [&[("Content-Type", MANIFEST)], login].concat();
        let response = request(host, "PUT", &path, &headers, manifest.as_bytes());
        assert_eq!(response.status, 201, "PUT {path}");
    }
}

/// Points a tag at a manifest.
#[track_caller]
pub(crate) fn put_manifest(name: &str, tag: &str, manifest: &Manifest) {
    let path = format!("/v2/{name}/manifests/{tag}");
    let headers = [("Content-Type", manifest.media_type.as_str())];
    let response = request(&engines().registry, "PUT", &path, &headers, &manifest.bytes);
    assert_eq!(response.status, 201, "PUT {path}");
}

/// Removes what a tag names, so that all tags with that content go.
#[track_caller]
pub(crate) fn delete(name: &str, digest: &str) {
    let path = format!("/v2/{name}/manifests/{digest}");
    let response = request(&engines().registry, "DELETE", &path, &[], &[]);
    assert_eq!(response.status, 202, "DELETE {path}");
}

/// Makes an image of one repository known in another, under a tag.
#[track_caller]
pub(crate) fn copy(image: &str, name: &str, tag: &str) -> Manifest {
    let (_, image) = image.split_once('/').expect("an image names its registry");
    let (from, from_tag) = image.rsplit_once(':').expect("an image has a tag");
    let manifest = manifest(from, from_tag).expect("the image is there");
    for digest in blobs(&manifest.json()) {
        let path = format!("/v2/{name}/blobs/uploads/?mount={digest}&from={from}");
        let response = request(&engines().registry, "POST", &path, &[], &[]);
        assert_eq!(response.status, 201, "POST {path}");
    }
    put_manifest(name, tag, &manifest);
    manifest
}

/// Requires that every tag of a repository names something that is all there, and returns the tags.
#[track_caller]
pub(crate) fn assert_complete(name: &str) -> Vec<String> {
    let tags = tags(name);
    for tag in &tags {
        let manifest = manifest(name, tag).unwrap_or_else(|| panic!("{tag} names nothing"));
        for digest in blobs(&manifest.json()) {
            let path = format!("/v2/{name}/blobs/{digest}");
            let response = request(&engines().registry, "HEAD", &path, &[], &[]);
            assert_eq!(response.status, 200, "{tag} lacks {digest}");
        }
    }
    tags
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// The blobs that a manifest names.
fn blobs(manifest: &Value) -> Vec<String> {
    let layers = ["layers", "manifests"].into_iter();
    let layers = layers.filter_map(|key| manifest[key].as_array()).flatten();
    let all = layers.chain(Some(&manifest["config"]));
    all.filter_map(|descriptor| descriptor["digest"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}

fn get(path: &str) -> Response {
    request(
        &engines().registry,
        "GET",
        path,
        &[("Accept", MANIFESTS)],
        &[],
    )
}
