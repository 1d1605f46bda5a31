use std::collections::BTreeMap;

use super::*;
use crate::registry::Repository;
use crate::registry::script::{Reply, Script, reply};

fn blob(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

fn parts() -> (String, String, String) {
    (
        descriptor(LAYER, &blob("one"), 100),
        descriptor(LAYER, &blob("two"), 20),
        descriptor(CACHE_CONFIG, &blob("config"), 3),
    )
}

fn image() -> Reply {
    let (one, two, config) = parts();
    let body = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{one},{two},{one}]}}"#);
    reply(200).header("Content-Type", OCI_MANIFEST).body(body)
}

fn index() -> Reply {
    let (one, two, config) = parts();
    let body = format!(r#"{{"schemaVersion":2,"manifests":[{one},{two},{config}]}}"#);
    reply(200).header("Content-Type", OCI_INDEX).body(body)
}

/// A registry with this manifest and all blobs but one.
async fn registry_with(manifest: Reply, missing: Option<Digest>) -> (Script, Reference) {
    let script = Script::start(move |_, _, request| {
        if request.path.contains("/manifests/") {
            return manifest.clone();
        }
        let gone = missing
            .as_ref()
            .is_some_and(|missing| request.path.ends_with(missing.as_str()));
        reply(if gone { 404 } else { 200 })
    })
    .await;
    let repository = Repository::parse(&format!("{}/acme/app", script.host)).expect("a repository");
    let reference = repository.tag("x").expect("a tag");
    (script, reference)
}

async fn verify(reference: &Reference) -> Result<Complete, PublishError> {
    verify_complete(&Registry::new(&BTreeMap::new(), None, 0), reference).await
}

#[tokio::test]
async fn both_shapes_of_a_cache_are_looked_at_blob_by_blob() {
    for manifest in [image(), index()] {
        let (script, reference) = registry_with(manifest, None).await;
        let complete = verify(&reference).await.expect("complete");
        assert_eq!((complete.bytes, complete.layers), (123, 2));
        let mut lines = script.lines();
        lines.sort();
        let mut expected = vec!["GET /v2/acme/app/manifests/x".to_owned()];
        expected.extend(
            [blob("one"), blob("two"), blob("config")]
                .map(|blob| format!("HEAD /v2/acme/app/blobs/{blob}")),
        );
        expected.sort();
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn any_missing_blob_is_named() {
    for missing in ["one", "two", "config"].map(blob) {
        for manifest in [image(), index()] {
            let (_script, reference) = registry_with(manifest, Some(missing.clone())).await;
            let error = verify(&reference).await.expect_err("incomplete");
            assert!(
                matches!(&error, PublishError::Incomplete { blob, .. } if *blob == missing),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_and_something_else_are_no_cache() {
    let (_script, reference) = registry_with(reply(404), None).await;
    let error = verify(&reference).await.expect_err("nothing");
    assert!(matches!(error, PublishError::Missing { .. }), "{error}");

    let (one, ..) = parts();
    let table = [
        (
            OCI_MANIFEST,
            format!(r#"{{"config":{one},"layers":[]}}"#),
            "it is an image without a cache record",
        ),
        (
            OCI_INDEX,
            r#"{"manifests":[]}"#.to_owned(),
            "it is an image without a cache record",
        ),
        (
            OCI_MANIFEST,
            "{}".to_owned(),
            "its manifest is malformed (missing field `config` at line 1 column 2)",
        ),
        (
            "application/json",
            "{}".to_owned(),
            "it has the media type application/json",
        ),
        (
            OCI_INDEX,
            index_naming("sha256:../../x"),
            "it names the blob \"sha256:../../x\"",
        ),
    ];
    for (media_type, body, expected) in table {
        let (_script, reference) = registry_with(
            reply(200).header("Content-Type", media_type).body(body),
            None,
        )
        .await;
        let error = verify(&reference).await.expect_err(expected).to_string();
        assert!(
            error.ends_with(&format!("is not a BuildKit cache: {expected}")),
            "{error}"
        );
    }
}

fn index_naming(digest: &str) -> String {
    format!(r#"{{"manifests":[{{"mediaType":"{CACHE_CONFIG}","digest":"{digest}","size":1}}]}}"#)
}

#[tokio::test]
async fn looking_may_run_on_any_thread() {
    let (_script, reference) = registry_with(image(), None).await;
    let complete = tokio::spawn(async move { verify(&reference).await });
    assert_eq!(
        complete.await.expect("no panic").expect("complete").layers,
        2
    );
}

#[test]
fn a_cache_was_made_when_its_newest_layer_was() {
    let layer = |name: &str, annotations: &str| {
        let digest = blob(name);
        format!(
            r#"{{"mediaType":"{LAYER}","digest":"{digest}","size":10,"annotations":{annotations}}}"#
        )
    };
    let at = |text: &str| format!(r#"{{"buildkit/createdat":"{text}"}}"#);
    let config = descriptor(CACHE_CONFIG, &blob("config"), 3);
    let old = layer("old", &at("2026-11-22T17:14:37.061717282Z"));
    let new = layer("new", &at("2026-11-22T18:14:37.5+00:00"));
    let table = [
        (vec![&old, &new], Some(Some(1_795_371_277_500)), 23),
        (vec![&new, &old, &new], Some(Some(1_795_371_277_500)), 23),
        (
            vec![&old, &layer("x", "{}")],
            Some(Some(1_795_367_677_061)),
            23,
        ),
        (
            vec![&old, &layer("x", "null")],
            Some(Some(1_795_367_677_061)),
            23,
        ),
        (vec![&layer("x", "[]")], Some(None), 13),
        (vec![], Some(None), 3),
        (vec![&old, &layer("x", &at("yesterday"))], Some(None), 23),
        (
            vec![&old, &layer("x", r#"{"buildkit/createdat":7}"#)],
            Some(None),
            23,
        ),
    ]
    .map(|(layers, made, bytes): (Vec<&String>, _, _)| {
        let layers: Vec<&str> = layers.into_iter().map(String::as_str).collect();
        (layers.join(","), made, bytes)
    });
    for (layers, made, bytes) in table {
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        let manifest = Manifest::new(OCI_MANIFEST, image);
        let found = facts(&manifest);
        assert_eq!(found.map(|facts| facts.made), made, "{layers}");
        assert_eq!(found.map(|facts| facts.bytes), Some(bytes), "{layers}");
        let comma = if layers.is_empty() { "" } else { "," };
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{layers}{comma}{config}]}}"#);
        assert_eq!(facts(&Manifest::new(OCI_INDEX, index)), found, "{layers}");
    }
    let image = format!(r#"{{"schemaVersion":2,"config":{old},"layers":[{new}]}}"#);
    assert_eq!(facts(&Manifest::new(OCI_MANIFEST, image)), None);
}
