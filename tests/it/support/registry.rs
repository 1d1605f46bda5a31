//! Looks into the registry from outside: what tags there are, and whether what they name is all there.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::engines::engines;
use super::http::{Response, request};

/// Media types of manifests.
const MANIFESTS: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A manifest as the registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Manifest {
    pub(crate) fn digest(&self) -> String {
        let hash = Sha256::digest(&self.bytes);
        let mut digest = "sha256:".to_owned();
        for byte in hash {
            write!(digest, "{byte:02x}").expect("a string takes everything");
        }
        digest
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
