//! Lists of tags, and deletion.

use super::*;

fn list(tags: &[&str]) -> script::Reply {
    reply(200).body(serde_json::json!({"name": "acme/app", "tags": tags}).to_string())
}

fn link(target: &str) -> String {
    format!("<{target}>; rel=\"next\"")
}

async fn tags(registry: &Registry, script: &Script) -> Result<Vec<String>, RegistryError> {
    let tags = registry.tags(&repository(script)).await?;
    Ok(tags.into_iter().collect())
}

#[tokio::test]
async fn lists_go_on_where_the_registry_says() {
    let script = Script::sequence(vec![
        list(&["b", "a"]).header("Link", link("/v2/acme/app/tags/list?n=1000&last=b")),
        reply(429).header("Retry-After", "7"),
        list(&["c"]).header(
            "Link",
            "</first>; rel=first, <list?n=1000&last=c>; title=x; REL=Next",
        ),
        list(&["d", "a"]).header("Link", "</v2/acme/app/tags/list>; rel=\"prev\""),
    ])
    .await;
    let (registry, slept) = client(None, 1);
    assert_eq!(
        tags(&registry, &script).await.expect("a list"),
        ["a", "b", "c", "d"]
    );
    assert_eq!(millis(&slept), [7_000]);
    assert_eq!(
        script.lines(),
        [
            "GET /v2/acme/app/tags/list?n=1000",
            "GET /v2/acme/app/tags/list?n=1000&last=b",
            "GET /v2/acme/app/tags/list?n=1000&last=b",
            "GET /v2/acme/app/tags/list?n=1000&last=c",
        ]
    );
}

#[tokio::test]
async fn a_repository_without_tags_has_none() {
    for answer in [reply(404), reply(200).body(r#"{"tags":null}"#), list(&[])] {
        let script = Script::sequence(vec![answer]).await;
        assert_eq!(tags(&anonymous(), &script).await.expect("no tags"), [""; 0]);
    }
}

#[tokio::test]
async fn ten_thousand_tags_of_full_length_are_read() {
    let script = Script::start(|_, number, _| {
        let tag = |index: usize| format!("{:0>128}", number * 1_000 + index);
        let tags: Vec<String> = (0..1_000).map(tag).collect();
        let page = reply(200).body(serde_json::json!({"tags": tags}).to_string());
        if number == 9 {
            page
        } else {
            page.header("Link", link(&format!("?last={number}")))
        }
    })
    .await;
    let tags = tags(&anonymous(), &script).await.expect("a list");
    assert_eq!(tags.len(), 10_000);
}

#[tokio::test]
async fn lists_that_lead_astray_are_refused() {
    let table = [
        (
            list(&["a"]).header("Link", link("http://other.example/v2/acme/app/tags/list")),
            "goes on at another host",
        ),
        (
            list(&["a"]).header("Link", link("//other.example/x")),
            "goes on at another host",
        ),
        (
            list(&["a"]).header("Link", link("http://[")),
            "goes on at something that is no address",
        ),
        (
            list(&["a"]).header("Link", link("/v2/acme/app/tags/list?n=1000")),
            "goes on where it begins",
        ),
        (list(&["a", "../../x"]), "it lists the tag \"../../x\""),
        (list(&["a\n\u{1b}[31m"]), "it lists the tag \"a\\n"),
        (list(&[&"x".repeat(129)]), "it lists the tag"),
        (reply(200).body("<html>"), "a list of tags that is none"),
        (reply(200).body("[1]"), "a list of tags that is none"),
        (
            reply(200).body(vec![b' '; MANIFEST_LIMIT + 1]),
            "is larger than 4194304 bytes",
        ),
    ];
    for (answer, expected) in table {
        let script = Script::sequence(vec![answer]).await;
        let error = tags(&anonymous(), &script).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(script.lines().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn a_list_of_which_a_part_is_missing_is_none() {
    let script = Script::sequence(vec![
        list(&["a"]).header("Link", link("?last=a")),
        reply(404),
    ])
    .await;
    let error = tags(&anonymous(), &script).await.expect_err("half a list");
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let script =
        Script::start(|_, number, _| list(&["a"]).header("Link", link(&format!("?last={number}"))))
            .await;
    let error = tags(&anonymous(), &script).await.expect_err("no end");
    assert!(
        error.to_string().contains("more than 2000 pages"),
        "{error}"
    );

    let script = Script::start(|_, number, _| {
        let tags: Vec<String> = (0..30_000).map(|it| format!("{number}-{it}")).collect();
        let page = serde_json::json!({ "tags": tags }).to_string();
        reply(200)
            .body(page)
            .header("Link", link(&format!("?last={number}")))
    })
    .await;
    let error = tags(&anonymous(), &script).await.expect_err("too many");
    assert!(
        error.to_string().contains("more than 100000 tags"),
        "{error}"
    );
    assert_eq!(script.lines().len(), 4);
}

#[tokio::test]
async fn deletions_are_done_or_not_supported_or_refused() {
    let digest = Digest::of(b"x");
    let said = r#"{"errors":[{"code":"UNSUPPORTED","message":"no"}]}"#;
    let unsupported = || Ok(Deletion::Unsupported("no (UNSUPPORTED)".to_owned()));
    let table = [
        (202, Ok(Deletion::Done)),
        (200, Ok(Deletion::Done)),
        (204, Ok(Deletion::Done)),
        (404, Ok(Deletion::Absent)),
        (405, unsupported()),
        (400, unsupported()),
        (
            403,
            Err("does not allow this in acme/app: no (UNSUPPORTED)"),
        ),
        (401, Err("asks for a login: no (UNSUPPORTED)")),
        (501, Err("failed with status 501: no (UNSUPPORTED)")),
        (307, Err("failed with status 307: no (UNSUPPORTED)")),
    ];
    for (status, expected) in table {
        let script = Script::sequence(vec![
            reply(status)
                .body(said)
                .header("Location", "/v2/other/manifests/x"),
        ])
        .await;
        let reference = repository(&script).digest(digest.clone());
        let found = anonymous().delete(&reference).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{status}"),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, _) => panic!("{status}: {found:?}"),
        }
        assert_eq!(
            script.lines(),
            [format!("DELETE /v2/acme/app/manifests/{digest}")]
        );
    }
}

#[tokio::test]
async fn the_right_to_delete_is_asked_for_apart_from_that_to_push() {
    let challenge = |host: &str| format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
    let script = Script::start(move |host, _, request| {
        let may = |actions: &str| {
            let token = format!("Bearer {actions}");
            request.header("Authorization") == Some(token.as_str())
        };
        let refused = reply(401).header("WWW-Authenticate", challenge(host));
        match request.method.as_str() {
            _ if request.path.starts_with("/token") => {
                let actions = request.path.rsplit("%3A").next().unwrap_or_default();
                reply(200).body(serde_json::json!({ "token": actions }).to_string())
            }
            "PUT" if may("pull%2Cpush") => reply(201),
            "DELETE" if may("pull%2Cdelete") => reply(202),
            "HEAD" if may("pull%2Cdelete") || may("pull%2Cpush") => {
                reply(200).header("Docker-Content-Digest", Digest::of(b"x").as_str())
            }
            _ => refused,
        }
    })
    .await;
    let registry = anonymous();
    let reference = reference(&script);
    let manifest = Manifest::new(OCI_MANIFEST, "{}");
    let put = registry.put_manifest(&reference, &manifest).await;
    put.expect("pushed");
    for _ in 0..2 {
        let deleted = registry.delete(&reference).await.expect("deleted");
        assert_eq!(deleted, Deletion::Done);
    }
    registry.head_manifest(&reference).await.expect("read");
    assert_eq!((registry.requests(), registry.token_requests()), (6, 2));
}
