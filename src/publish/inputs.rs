//! What BuildKit asked for, given a recipe, kept beside the cache so that a clone that never built can compute the key.
//!
//! A tiny OCI artifact (OCI image specification 1.1, "Guidelines for Artifact Usage"). Its payload is a blob like any other,
//! and is repeated in the descriptor's `data` field, so that reading it takes one request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::PublishError;
use crate::registry::{
    Digest, Manifest, OCI_MANIFEST, Reference, Registry, RegistryError, Repository,
};

/// The largest payload, in bytes. Patterns of a real Dockerfile take some kilobytes.
pub const INPUTS_LIMIT: usize = 256 * 1024;

/// What the artifact and its payload are.
const ARTIFACT: &str = "application/vnd.prewarm.inputs.v1+json";

/// The configuration of an artifact that has none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    schema_version: u8,
    media_type: String,
    #[serde(rename = "artifactType")]
    kind: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl Descriptor {
    fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(content).to_string(),
            size: content.len(),
            data: Some(STANDARD.encode(content)),
        }
    }
}

/// Publishes inputs under `tag`; the same inputs twice are one request.
///
/// # Errors
/// When they are larger than [`INPUTS_LIMIT`], or when the registry cannot be reached or refuses.
pub async fn push_inputs(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    json: &[u8],
) -> Result<(), PublishError> {
    if json.len() > INPUTS_LIMIT {
        return Err(PublishError::InputsTooLarge { size: json.len() });
    }
    let reference = named(repository, tag)?;
    let manifest = pack(json);
    if registry.head_manifest(&reference).await?.as_ref() == Some(&manifest.digest) {
        return Ok(());
    }
    registry.put_blob(repository, EMPTY.1).await?;
    registry.put_blob(repository, json.to_vec()).await?;
    Ok(registry.put_manifest(&reference, &manifest).await?)
}

/// Reads the inputs under `tag`, in one request; `None` when there are none, or when something else is there: then the
/// build itself will tell.
///
/// # Errors
/// When the registry cannot be reached or refuses.
pub async fn pull_inputs(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
) -> Result<Option<Vec<u8>>, RegistryError> {
    let manifest = registry.manifest(&named(repository, tag)?).await?;
    Ok(manifest.as_ref().and_then(unpack))
}

fn named(repository: &Repository, tag: &str) -> Result<Reference, RegistryError> {
    Ok(repository.tag(tag)?)
}

/// The same payload always makes the same manifest.
fn pack(json: &[u8]) -> Manifest {
    let artifact = Artifact {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        kind: ARTIFACT.to_owned(),
        config: Descriptor::of(EMPTY.0, EMPTY.1),
        layers: vec![Descriptor::of(ARTIFACT, json)],
    };
    let bytes = serde_json::to_vec(&artifact).expect("strings and numbers are always JSON");
    Manifest::new(OCI_MANIFEST, bytes)
}

fn unpack(manifest: &Manifest) -> Option<Vec<u8>> {
    let artifact: Artifact = serde_json::from_slice(&manifest.bytes).ok()?;
    let [layer] = artifact.layers.as_slice() else {
        return None;
    };
    if artifact.kind != ARTIFACT || layer.media_type != ARTIFACT {
        return None;
    }
    let payload = STANDARD.decode(layer.data.as_ref()?).ok()?;
    (payload.len() <= INPUTS_LIMIT && Digest::of(&payload).as_str() == layer.digest)
        .then_some(payload)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::registry::script::{Script, reply};

    const JSON: &[u8] = br#"{"follow":["requirements.txt"]}"#;

    fn registry() -> Registry {
        Registry::new(&BTreeMap::new(), None, 0)
    }

    fn repository(script: &Script) -> Repository {
        Repository::parse(&format!("{}/acme/app", script.host)).expect("a repository")
    }

    #[test]
    fn the_artifact_is_what_the_specification_asks_for() {
        let text = String::from_utf8(pack(JSON).bytes.to_vec()).expect("JSON");
        insta::assert_snapshot!(text.replace(",\"", ",\n\""), @r#"
        {"schemaVersion":2,
        "mediaType":"application/vnd.oci.image.manifest.v1+json",
        "artifactType":"application/vnd.prewarm.inputs.v1+json",
        "config":{"mediaType":"application/vnd.oci.empty.v1+json",
        "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size":2,
        "data":"e30="},
        "layers":[{"mediaType":"application/vnd.prewarm.inputs.v1+json",
        "digest":"sha256:33a948d7aa7d6bced82a9668d13bdf5009bf08ee3b0c95bba9d8df6e5f9dfd15",
        "size":31,
        "data":"eyJmb2xsb3ciOlsicmVxdWlyZW1lbnRzLnR4dCJdfQ=="}]}
        "#);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for payload in [JSON, b"", &vec![b'x'; INPUTS_LIMIT]] {
            assert_eq!(unpack(&pack(payload)).as_deref(), Some(payload));
        }
    }

    #[test]
    fn foreign_or_spoilt_content_counts_as_absent() {
        let good = String::from_utf8(pack(JSON).bytes.to_vec()).expect("JSON");
        let payload = STANDARD.encode(JSON);
        let other = STANDARD.encode(b"other");
        let layer = good
            .split_once("\"layers\":[")
            .expect("layers")
            .1
            .trim_end_matches("]}");
        for spoilt in [
            "{}".to_owned(),
            "no JSON".to_owned(),
            good.replace("prewarm.inputs.v1", "prewarm.inputs.v2"),
            good.replace(&payload, &other),
            good.replace(&payload, "!"),
            good.replace(&format!(",\"data\":\"{payload}\""), ""),
            good.replace(layer, ""),
            good.replace(layer, &format!("{layer},{layer}")),
            String::from_utf8(pack(&vec![b'x'; INPUTS_LIMIT + 1]).bytes.to_vec()).expect("JSON"),
        ] {
            assert_ne!(spoilt, good);
            assert_eq!(
                unpack(&Manifest::new(OCI_MANIFEST, spoilt.clone())),
                None,
                "{spoilt:.300}"
            );
        }
    }

    #[tokio::test]
    async fn reading_takes_one_request() {
        let manifest = pack(JSON);
        let answer = reply(200)
            .header("Content-Type", OCI_MANIFEST)
            .body(manifest.bytes.to_vec());
        let script = Script::sequence(vec![answer, reply(404)]).await;
        let (registry, repository) = (registry(), repository(&script));
        let found = pull_inputs(&registry, &repository, "i-1")
            .await
            .expect("an answer");
        assert_eq!((found.as_deref(), registry.requests()), (Some(JSON), 1));
        assert_eq!(
            pull_inputs(&registry, &repository, "i-1")
                .await
                .expect("an answer"),
            None
        );
    }

    #[tokio::test]
    async fn publishing_uploads_the_blobs_before_the_manifest_and_the_same_only_once() {
        let there = reply(200).header("Docker-Content-Digest", pack(JSON).digest.as_str());
        let script = Script::sequence(vec![
            reply(404),
            reply(200),
            reply(404),
            reply(202).header("Location", "/upload"),
            reply(201),
            reply(201),
            there,
        ])
        .await;
        let (registry, repository) = (registry(), repository(&script));
        push_inputs(&registry, &repository, "i-1", JSON)
            .await
            .expect("published");
        push_inputs(&registry, &repository, "i-1", JSON)
            .await
            .expect("there already");
        let methods: Vec<String> = script
            .received()
            .into_iter()
            .map(|request| request.method)
            .collect();
        assert_eq!(
            methods,
            ["HEAD", "HEAD", "HEAD", "POST", "PUT", "PUT", "HEAD"]
        );
        assert_eq!(script.received()[5].body, pack(JSON).bytes);
    }

    #[tokio::test]
    async fn too_much_is_not_published() {
        let script = Script::sequence(Vec::new()).await;
        let payload = vec![b'x'; INPUTS_LIMIT + 1];
        let error = push_inputs(&registry(), &repository(&script), "i-1", &payload)
            .await
            .expect_err("too large");
        assert!(
            matches!(error, PublishError::InputsTooLarge { .. }),
            "{error}"
        );
        assert!(script.lines().is_empty());
    }
}
