//! The login dance.

use super::super::script::Received;
use super::*;

/// docker's configuration directory with a login for `host`.
fn logged_in(host: &str, login: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = format!(r#"{{"auths":{{"{host}":{login}}}}}"#);
    std::fs::write(directory.path().join("config.json"), config).expect("written");
    directory
}

// `YWxpY2U6czNjcmV0` is `alice:s3cret`.
const ALICE: &str = r#"{"auth":"YWxpY2U6czNjcmV0"}"#;

fn basic_door(request: &Received) -> script::Reply {
    match request.header("authorization") {
        Some("Basic YWxpY2U6czNjcmV0") => index(),
        _ => reply(401).header("WWW-Authenticate", "Basic realm=\"Registry, really\""),
    }
}

#[tokio::test]
async fn basic_login_is_sent_when_asked_for_and_from_then_on() {
    let script = Script::start(|_, _, request| basic_door(request)).await;
    let directory = logged_in(&script.host, ALICE);
    let (registry, _) = client(Some(directory.path().to_owned()), 0);
    let other = Reference::parse(&format!("{}/other/app:x", script.host)).expect("a reference");
    assert!(
        registry
            .manifest(&reference(&script))
            .await
            .expect("an answer")
            .is_some()
    );
    assert!(
        registry
            .manifest(&other)
            .await
            .expect("an answer")
            .is_some()
    );
    assert_eq!((registry.requests(), registry.token_requests()), (3, 0));
    assert_eq!(script.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_missing_and_a_wrong_login_are_told_apart() {
    let script = Script::start(|_, _, request| basic_door(request)).await;
    let error = anonymous()
        .manifest(&reference(&script))
        .await
        .expect_err("nobody");
    assert!(
        matches!(
            error,
            RegistryError::Unauthorized {
                logged_in: false,
                ..
            }
        ),
        "{error}"
    );
    let directory = logged_in(&script.host, r#"{"username":"alice","password":"wrong"}"#);
    let (registry, _) = client(Some(directory.path().to_owned()), 3);
    let error = registry
        .manifest(&reference(&script))
        .await
        .expect_err("wrong");
    assert!(
        matches!(
            error,
            RegistryError::Unauthorized {
                logged_in: true,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(registry.requests(), 2);
}

/// A registry that takes `Bearer good` and its own token server, which gives that for alice's login or refresh token.
fn bearer_door(host: &str, request: &Received) -> script::Reply {
    if request.path.starts_with("/token") {
        let known = request.header("authorization") == Some("Basic YWxpY2U6czNjcmV0")
            || String::from_utf8_lossy(&request.body).contains("refresh_token=fresh");
        return if known {
            reply(200).body(r#"{"access_token":"good","expires_in":300}"#)
        } else {
            reply(401).body(r#"{"details":"incorrect username or password"}"#)
        };
    }
    match request.header("authorization") {
        Some("Bearer good") => index(),
        _ => reply(401).header(
            "WWW-Authenticate",
            format!("Bearer realm=\"http://{host}/token\",service=\"reg,istry\",scope=\"repository:acme/app:pull\""),
        ),
    }
}

#[tokio::test]
async fn a_bearer_token_is_fetched_once_and_used_again() {
    let script = Script::start(|host, _, request| bearer_door(host, request)).await;
    for login in [ALICE, r#"{"identitytoken":"fresh"}"#] {
        let directory = logged_in(&script.host, login);
        let (registry, _) = client(Some(directory.path().to_owned()), 0);
        for _ in 0..3 {
            assert!(
                registry
                    .manifest(&reference(&script))
                    .await
                    .expect("an answer")
                    .is_some()
            );
        }
        assert_eq!((registry.requests(), registry.token_requests()), (4, 1));
    }
    insta::assert_snapshot!(script.lines().join("\n"), @r"
    GET /v2/acme/app/manifests/x
    GET /token?service=reg%2Cistry&scope=repository%3Aacme%2Fapp%3Apull
    GET /v2/acme/app/manifests/x
    GET /v2/acme/app/manifests/x
    GET /v2/acme/app/manifests/x
    GET /v2/acme/app/manifests/x
    POST /token
    GET /v2/acme/app/manifests/x
    GET /v2/acme/app/manifests/x
    GET /v2/acme/app/manifests/x
    ");
}

#[tokio::test]
async fn a_token_that_ran_out_is_replaced_and_a_push_asks_for_more() {
    // The registry takes each token for one request only.
    let script = Script::start(|host, number, request| {
        if request.path.starts_with("/token") {
            return reply(200).body(format!(r#"{{"token":"t{number}"}}"#));
        }
        let fresh = number > 0
            && request.header("authorization") == Some(&format!("Bearer t{}", number - 1));
        match (fresh, request.method.as_str()) {
            (false, _) => reply(401).header(
                "WWW-Authenticate",
                format!("Bearer realm=\"http://{host}/token\""),
            ),
            (true, "PUT") => reply(201),
            (true, _) => index(),
        }
    })
    .await;
    let registry = anonymous();
    let manifest = registry
        .manifest(&reference(&script))
        .await
        .expect("an answer")
        .expect("a manifest");
    registry
        .manifest(&reference(&script))
        .await
        .expect("an answer")
        .expect("a manifest");
    registry
        .put_manifest(&reference(&script), &manifest)
        .await
        .expect("pushed");
    assert_eq!((registry.requests(), registry.token_requests()), (6, 3));
    let last = script
        .lines()
        .into_iter()
        .rfind(|line| line.contains("/token"))
        .expect("a token request");
    assert!(last.ends_with("%3Apull%2Cpush"), "{last}");
}

#[tokio::test]
async fn the_token_servers_refusals_are_told_apart() {
    let with_token_answer = |answer: script::Reply| {
        Script::start(move |host, _, request| {
            if request.path.starts_with("/token") {
                answer.clone()
            } else {
                bearer_door(host, request)
            }
        })
    };
    let denied = r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#;
    // status and body of the token server, logged in, and what it means
    let table = [
        (
            401,
            r#"{"details":"no such user"}"#,
            true,
            "refused the login: no such user",
        ),
        (
            403,
            denied,
            true,
            "does not allow this in acme/app: denied (DENIED)",
        ),
        (403, denied, false, "asks for a login: denied (DENIED)"),
        (401, "", false, "asks for a login: HTTP 401 Unauthorized"),
        (500, "oops", false, "failed with status 500: oops"),
        (200, "<html>hello", false, "its token server gave no token"),
        (
            200,
            r#"{"token":"a\nb"}"#,
            false,
            "its token server gave no usable token",
        ),
        // A good login whose token the registry does not take lacks the right.
        (
            200,
            r#"{"token":"weak"}"#,
            true,
            "does not allow this in acme/app: HTTP 401 Unauthorized",
        ),
        (
            200,
            r#"{"token":"weak"}"#,
            false,
            "asks for a login: HTTP 401 Unauthorized",
        ),
    ];
    for (status, body, login, expected) in table {
        let script = with_token_answer(reply(status).body(body)).await;
        let directory = logged_in(if login { &script.host } else { "other" }, ALICE);
        let (registry, _) = client(Some(directory.path().to_owned()), 0);
        let error = registry
            .manifest(&reference(&script))
            .await
            .expect_err(expected)
            .to_string();
        assert!(
            error.ends_with(expected),
            "{status} {body} {login}: {error}"
        );
    }
}

#[tokio::test]
async fn a_login_goes_to_the_registry_and_not_where_it_redirects() {
    let elsewhere = Script::sequence(vec![index()]).await;
    let target = elsewhere.host.clone();
    let script = Script::start(move |_, _, request| match request.header("authorization") {
        None => basic_door(request),
        Some(_) => reply(307).header("Location", format!("http://{target}/manifest")),
    })
    .await;
    let directory = logged_in(&script.host, ALICE);
    let (registry, _) = client(Some(directory.path().to_owned()), 0);
    assert!(
        registry
            .manifest(&reference(&script))
            .await
            .expect("an answer")
            .is_some()
    );
    assert_eq!(elsewhere.lines(), ["GET /manifest"]);
    assert_eq!(elsewhere.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_server_that_is_down_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let down = listener.local_addr().expect("bound");
    drop(listener);
    let script = Script::start(move |_, _, _| {
        reply(401).header(
            "WWW-Authenticate",
            format!("Bearer realm=\"http://{down}/token\""),
        )
    })
    .await;
    let (registry, slept) = client(None, 1);
    let error = registry
        .manifest(&reference(&script))
        .await
        .expect_err("no token")
        .to_string();
    let expected = format!("its token server {down}: Connection refused (os error 111)");
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(millis(&slept).len(), 1);
}
