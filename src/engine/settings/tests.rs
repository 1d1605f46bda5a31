use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::Endpoint;

fn builder() -> Builder {
    Builder {
        endpoint: Endpoint::Container,
        cpus: None,
        memory: None,
        network: "bridge".to_owned(),
        buildkitd_config: None,
        certificates: Vec::new(),
        refresh: Duration::from_secs(86400),
        tls: None,
    }
}

fn registries(hosts: &[(&str, bool, Option<&str>)]) -> BTreeMap<String, RegistrySettings> {
    let settings = |insecure: bool, ca: Option<&str>| RegistrySettings {
        insecure,
        ca: ca.map(PathBuf::from),
    };
    hosts
        .iter()
        .map(|(host, insecure, ca)| ((*host).to_owned(), settings(*insecure, *ca)))
        .collect()
}

/// Every file holds its own path, but the user's `buildkitd.toml`.
fn settings(
    builder: &Builder,
    hosts: &[(&str, bool, Option<&str>)],
    config: &'static str,
) -> Result<Settings, EngineError> {
    Settings::new(builder, &registries(hosts), &|path| match path.to_str() {
        Some("/user/buildkitd.toml") => Ok(config.as_bytes().to_vec()),
        Some(path) if path.starts_with("/user/") => Ok(path.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn config_of(settings: &Settings) -> String {
    let file = settings.files.iter().find(|(path, _)| path == CONFIG_PATH);
    file.map_or_else(String::new, |(_, content)| {
        String::from_utf8_lossy(content).into_owned()
    })
}

#[test]
fn without_files_buildkitd_runs_as_its_image_says() {
    let plain = settings(&builder(), &[("ghcr.io", false, None)], "").expect("settings");
    assert_eq!((plain.arguments(), plain.files), (Vec::new(), Vec::new()));
}

#[test]
fn registries_are_told_to_buildkitd() {
    let hosts = [
        ("127.0.0.1:5000", true, None),
        ("reg.local", false, Some("/user/reg.pem")),
    ];
    let made = settings(&builder(), &hosts, "").expect("settings");
    insta::assert_snapshot!(config_of(&made), @r#"
    [registry."127.0.0.1:5000"]
    http = true

    [registry."reg.local"]
    ca = ["/etc/buildkit/certs/reg.local/ca.pem"]
    "#);
    assert_eq!(
        made.arguments(),
        ["--config", "/etc/buildkit/buildkitd.toml"]
    );
    assert_eq!(
        made.files[0],
        (
            "/etc/buildkit/certs/reg.local/ca.pem".to_owned(),
            b"/user/reg.pem".to_vec()
        )
    );
}

#[test]
fn the_users_buildkitd_toml_is_kept_and_wins() {
    let with_config = Builder {
        buildkitd_config: Some("/user/buildkitd.toml".into()),
        ..builder()
    };
    let text =
        "# mine\n[worker.oci]\nmax-parallelism = 2\n[registry.\"reg.local\"]\nhttp = false\n";
    let untouched = settings(&with_config, &[], text).expect("settings");
    assert_eq!(config_of(&untouched), text);
    let hosts = [("reg.local", true, Some("/user/reg.pem"))];
    let merged = settings(&with_config, &hosts, text).expect("settings");
    insta::assert_snapshot!(config_of(&merged), @r#"
    [registry."reg.local"]
    ca = ["/etc/buildkit/certs/reg.local/ca.pem"]
    http = false

    [worker.oci]
    max-parallelism = 2
    "#);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let with_config = |path: &str| Builder {
        buildkitd_config: Some(path.into()),
        ..builder()
    };
    let table = [
        (
            with_config("/none"),
            "",
            "cannot use /none: entity not found",
        ),
        (
            with_config("/user/buildkitd.toml"),
            "registry = 1",
            "cannot use /user/buildkitd.toml: `registry` must hold tables",
        ),
    ];
    for (builder, text, expected) in table {
        let error = settings(&builder, &[("reg.local", true, None)], text).expect_err("unusable");
        assert_eq!(error.to_string(), expected);
    }
    let error = settings(&with_config("/user/buildkitd.toml"), &[], "a = [").expect_err("not TOML");
    assert!(
        error
            .to_string()
            .starts_with("cannot use /user/buildkitd.toml: TOML parse error at line 1"),
        "{error}"
    );
}

#[test]
fn the_hash_changes_with_everything_that_makes_another_container() {
    let certified = Builder {
        certificates: vec!["/user/ca.pem".into()],
        ..builder()
    };
    let configured = Builder {
        buildkitd_config: Some("/user/buildkitd.toml".into()),
        ..builder()
    };
    let limited = |cpus, memory| Builder {
        cpus,
        memory,
        ..builder()
    };
    let host = Builder {
        network: "host".to_owned(),
        ..builder()
    };
    let table = [
        settings(&builder(), &[], ""),
        settings(&limited(Some(2.0), None), &[], ""),
        settings(&limited(Some(2.5), None), &[], ""),
        settings(&limited(None, Some(2_000_000_000)), &[], ""),
        settings(&host, &[], ""),
        settings(&certified, &[], ""),
        settings(&configured, &[], "debug = true"),
        settings(&configured, &[], "debug = false"),
        settings(&builder(), &[("reg.local", true, None)], ""),
        settings(
            &builder(),
            &[("reg.local", false, Some("/user/ca.pem"))],
            "",
        ),
    ];
    let hashes: Vec<String> = table
        .into_iter()
        .map(|made| made.expect("settings").hash())
        .collect();
    let distinct: std::collections::BTreeSet<&String> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len(), "{hashes:?}");
}

#[test]
fn what_does_not_make_another_container_is_not_in_the_hash() {
    let other = Builder {
        refresh: Duration::from_secs(1),
        endpoint: Endpoint::Auto,
        ..builder()
    };
    let hash = |builder: &Builder| settings(builder, &[], "").expect("settings").hash();
    assert_eq!(hash(&other), hash(&builder()));
}

#[test]
fn the_archive_unpacks_to_the_files() {
    let certified = Builder {
        certificates: vec!["/user/a.pem".into(), "/user/b.pem".into()],
        ..builder()
    };
    let made = settings(&certified, &[], "").expect("settings");
    let bytes = made.archive().expect("an archive");
    let mut unpacked = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice())
        .entries()
        .expect("entries")
    {
        let mut entry = entry.expect("an entry");
        let mut content = String::new();
        io::Read::read_to_string(&mut entry, &mut content).expect("content");
        let header = entry.header();
        unpacked.push((
            entry.path().expect("a path").display().to_string(),
            header.mode().expect("a mode"),
            content,
        ));
    }
    let expected = [
        (
            "etc/ssl/certs/prewarm-0.pem".to_owned(),
            0o644,
            "/user/a.pem".to_owned(),
        ),
        (
            "etc/ssl/certs/prewarm-1.pem".to_owned(),
            0o644,
            "/user/b.pem".to_owned(),
        ),
    ];
    assert_eq!(unpacked, expected);
}
