use super::*;

fn login(username: &str, secret: &str) -> Credentials {
    Credentials {
        username: username.to_owned(),
        secret: secret.to_owned(),
    }
}

async fn get(config: &str, host: &str) -> Result<Option<Credentials>, RegistryError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("config.json"), config).expect("written");
    CredentialStore::new(Some(directory.path().to_owned()))
        .get(host)
        .await
}

// `YWxpY2U6czNjcmV0` is `alice:s3cret`.
const CONFIG: &str = r#"{
    "auths": {
        "https://index.docker.io/v1/": { "auth": "YWxpY2U6czNjcmV0" },
        "ghcr.io": { "auth": "YWxpY2U6czNjcmV0" },
        "https://old.example/v1/": { "auth": "YWxpY2U6czNjcmV0" },
        "127.0.0.1:5000": { "username": "bob", "password": "pw" },
        "token.example": { "identitytoken": "refresh" },
        "broken.example": { "auth": "!" },
        "gone.example": {}
    },
    "credHelpers": { "helper.example": "prewarm-test-missing" }
}"#;

#[tokio::test]
async fn logins_are_found_under_the_names_that_docker_gives_them() {
    let table = [
        ("docker.io", Some(login("alice", "s3cret"))),
        ("registry-1.docker.io", Some(login("alice", "s3cret"))),
        ("index.docker.io", Some(login("alice", "s3cret"))),
        ("ghcr.io", Some(login("alice", "s3cret"))),
        ("old.example", Some(login("alice", "s3cret"))),
        ("127.0.0.1:5000", Some(login("bob", "pw"))),
        ("token.example", Some(login("", "refresh"))),
        ("gone.example", None),
        ("127.0.0.1:5001", None),
        ("unknown.example", None),
    ];
    for (host, expected) in table {
        assert_eq!(get(CONFIG, host).await.expect(host), expected, "{host}");
    }
}

#[tokio::test]
async fn no_configuration_means_anonymous() {
    assert_eq!(
        CredentialStore::new(None)
            .get("ghcr.io")
            .await
            .expect("anonymous"),
        None
    );
    let missing = CredentialStore::new(Some(PathBuf::from("/nonexistent")));
    assert_eq!(missing.get("ghcr.io").await.expect("anonymous"), None);
    assert_eq!(get("{}", "ghcr.io").await.expect("anonymous"), None);
}

#[tokio::test]
async fn what_cannot_be_read_is_named_without_its_secrets() {
    let error = get(CONFIG, "helper.example")
        .await
        .expect_err("no such helper");
    insta::assert_snapshot!(
        error,
        @"credential helper docker-credential-prewarm-test-missing gave no login for registry helper.example: it is not installed, or it did not start"
    );
    for (config, host) in [
        (CONFIG, "broken.example"),
        ("{ \"auths\": ", "ghcr.io"),
        ("{ \"credHelpers\": \"s3cret\" }", "ghcr.io"),
        ("{ \"auths\": \"s3cret\" }", "ghcr.io"),
    ] {
        let error = get(config, host).await.expect_err(config);
        assert!(
            matches!(error, RegistryError::DockerConfig { .. }),
            "{error}"
        );
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_login_is_looked_up_once_until_it_is_forgotten() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("config.json");
    std::fs::write(&path, CONFIG).expect("written");
    let store = CredentialStore::new(Some(directory.path().to_owned()));
    assert_eq!(
        store.get("ghcr.io").await.expect("found"),
        Some(login("alice", "s3cret"))
    );
    std::fs::write(&path, "{}").expect("written");
    assert_eq!(
        store.get("ghcr.io").await.expect("remembered"),
        Some(login("alice", "s3cret"))
    );
    store.forget("ghcr.io").await;
    assert_eq!(store.get("ghcr.io").await.expect("looked up again"), None);
}

#[test]
fn helpers_may_have_nothing_or_fail() {
    let failure = |stdout: &str, stderr: &str| {
        Err(CredentialRetrievalError::HelperFailure {
            helper: "docker-credential-pass".to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        })
    };
    let problem = |reason: &str| {
        Err(Problem::Helper {
            helper: "docker-credential-pass".to_owned(),
            reason: reason.to_owned(),
        })
    };
    let table = [
        (
            failure("credentials not found in native keychain\n", ""),
            Ok(None),
        ),
        (
            Ok(DockerCredential::UsernamePassword(
                String::new(),
                String::new(),
            )),
            Ok(None),
        ),
        (
            Ok(DockerCredential::IdentityToken("t".to_owned())),
            Ok(Some(login("", "t"))),
        ),
        (
            failure("", "gpg: decryption failed\n"),
            problem("gpg: decryption failed"),
        ),
        (
            failure("{\"Secret\":\"x\"}", ""),
            problem("it failed for ghcr.io without a reason"),
        ),
        (
            Err(CredentialRetrievalError::MalformedHelperResponse),
            problem("its answer is not a login"),
        ),
    ];
    for (found, expected) in table {
        let shown = format!("{found:?}");
        assert_eq!(
            understand(found, "docker-credential-pass".to_owned(), "ghcr.io"),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    insta::assert_snapshot!(format!("{:?}", login("alice", "s3cret")), @r#"Credentials { username: "alice", .. }"#);
}
