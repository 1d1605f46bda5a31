//! What is sent to the registry.

use super::*;

#[tokio::test]
async fn pushes_say_why_they_were_refused() {
    let manifest = Manifest::new(OCI_MANIFEST, "{}");
    let table = [
        (
            400,
            r#"{"errors":[{"code":"MANIFEST_INVALID","message":"bad"}]}"#,
            "rejected the manifest (application/vnd.oci.image.manifest.v1+json): bad (MANIFEST_INVALID)",
        ),
        (
            415,
            "",
            "rejected the manifest (application/vnd.oci.image.manifest.v1+json): HTTP 415 Unsupported Media Type",
        ),
        (
            403,
            "",
            "does not allow this in acme/app: HTTP 403 Forbidden",
        ),
        (
            405,
            "",
            "does not allow this in acme/app: HTTP 405 Method Not Allowed",
        ),
        (404, "", "has no repository acme/app: HTTP 404 Not Found"),
        (
            507,
            "",
            "failed with status 507: HTTP 507 Insufficient Storage",
        ),
    ];
    for (status, body, expected) in table {
        let script = Script::sequence(vec![reply(status).body(body)]).await;
        let error = anonymous()
            .put_manifest(&reference(&script), &manifest)
            .await
            .expect_err(expected)
            .to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    let other = Digest::of(b"other");
    let script = Script::sequence(vec![
        reply(201).header("Docker-Content-Digest", other.as_str()),
        reply(201),
    ])
    .await;
    let error = anonymous()
        .put_manifest(&reference(&script), &manifest)
        .await
        .expect_err("other digest");
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    anonymous()
        .put_manifest(&reference(&script), &manifest)
        .await
        .expect("pushed");
    let put = script.received().pop().expect("a request");
    assert_eq!(
        (
            put.method.as_str(),
            put.header("content-type"),
            put.body.as_slice()
        ),
        ("PUT", Some(OCI_MANIFEST), b"{}".as_slice())
    );
}

#[tokio::test]
async fn blobs_exist_by_answer_or_by_redirect_to_a_storage() {
    let digest = Digest::of(b"blob");
    let table = [
        (reply(200), true),
        (reply(404), false),
        (
            reply(307).header("Location", "https://storage.invalid/blob?signed-for=GET"),
            true,
        ),
    ];
    for (answer, expected) in table {
        let script = Script::sequence(vec![answer]).await;
        assert_eq!(
            anonymous()
                .blob_exists(&repository(&script), &digest)
                .await
                .expect("an answer"),
            expected
        );
        assert_eq!(
            script.lines(),
            [format!("HEAD /v2/acme/app/blobs/{digest}")]
        );
    }
    // Within the registry a redirect is only another address.
    let script = Script::sequence(vec![reply(308).header("Location", "/moved"), reply(404)]).await;
    assert!(
        !anonymous()
            .blob_exists(&repository(&script), &digest)
            .await
            .expect("an answer")
    );
}

#[tokio::test]
async fn a_broken_upload_begins_again_at_a_new_address() {
    let script = Script::sequence(vec![
        reply(404),
        reply(202).header("Location", "/upload/1?state=a"),
        reply(500),
        reply(202).header("Location", "/upload/2"),
        reply(201),
    ])
    .await;
    let (registry, slept) = client(None, 1);
    let digest = registry
        .put_blob(&repository(&script), "blob")
        .await
        .expect("uploaded");
    assert_eq!(digest, Digest::of(b"blob"));
    assert_eq!(millis(&slept), [100]);
    insta::assert_snapshot!(script.lines().join("\n"), @r"
    HEAD /v2/acme/app/blobs/sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8
    POST /v2/acme/app/blobs/uploads/
    PUT /upload/1?state=a&digest=sha256%3Afa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8
    POST /v2/acme/app/blobs/uploads/
    PUT /upload/2?digest=sha256%3Afa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8
    ");
    assert_eq!(script.received().pop().expect("a request").body, b"blob");
}

#[tokio::test]
async fn what_is_there_is_not_uploaded() {
    let script = Script::sequence(vec![reply(200)]).await;
    anonymous()
        .put_blob(&repository(&script), "blob")
        .await
        .expect("there");
    assert_eq!(script.lines().len(), 1);
}

#[tokio::test]
async fn whether_uploads_are_taken_is_tried_and_waited_for_as_long_as_the_registry_asks() {
    let begun = reply(202).header("Location", "/v2/acme/app/blobs/uploads/1?state=x");
    let script = Script::sequence(vec![
        reply(429).header("Retry-After", "7"),
        begun,
        reply(204),
        reply(403).body(r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#),
    ])
    .await;
    let (registry, slept) = client(None, 2);
    let repository = repository(&script);
    registry
        .admits_uploads(&repository)
        .await
        .expect("it does, later");
    assert_eq!(millis(&slept), [7_000]);
    let error = registry
        .admits_uploads(&repository)
        .await
        .expect_err("it does not");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert_eq!(
        script.lines(),
        [
            "POST /v2/acme/app/blobs/uploads/",
            "POST /v2/acme/app/blobs/uploads/",
            "DELETE /v2/acme/app/blobs/uploads/1?state=x",
            "POST /v2/acme/app/blobs/uploads/",
        ]
    );
}
