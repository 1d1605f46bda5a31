use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::config::{CiBuildkit, Compression, Origin};

fn parse(text: &str) -> RepositoryConfig {
    parse_repository(text, REPOSITORY_FILE)
        .expect("a right file")
        .value
}

fn problems(text: &str) -> String {
    parse_repository(text, REPOSITORY_FILE)
        .expect_err("a wrong file")
        .to_string()
}

#[test]
fn a_file_may_say_almost_nothing() {
    assert_eq!(parse("version = 1"), RepositoryConfig::default());

    let target = &parse("version = 1\n[target.builder]").targets[0];
    assert_eq!(*target, Target::new("builder", "."));
    assert_eq!(
        (target.dockerfile.as_str(), target.tag.as_str()),
        ("Dockerfile", "builder-cache-{branch}")
    );
    assert_eq!(target.stage.as_deref(), Some("builder"));
}

#[test]
fn the_dockerfile_follows_the_context() {
    let config = parse(
        r#"
        version = 1
        [target.api]
        context = "./services//api/"
        [target.web]
        context = "web"
        dockerfile = "docker/../docker/web.Dockerfile"
        stage = ""
        "#,
    );
    let found = config
        .targets
        .iter()
        .map(|target| (target.context.as_str(), target.dockerfile.as_str()));
    let expected = [
        ("services/api", "services/api/Dockerfile"),
        ("web", "docker/web.Dockerfile"),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(config.targets[1].stage, None);
}

#[test]
fn values_become_types() {
    let config = parse(
        r#"
        version = 1
        [ci]
        context = "path"
        umask = "000"
        default_branch = "trunk"
        pull_requests = false
        buildkit = "engine"
        protected = []
        lfs = true
        submodules = true
        [target.z]
        [target.a]
        platforms = ["linux/amd64", "linux/arm/v7"]
        cache = "localhost:5000/acme/app"
        tag = "{branch}.deps"
        args = { PYTHON = "3.11" }
        secrets = [{ id = "pip", env = "PIP_CONF" }, { id = "netrc", file = "~/.netrc" }]
        ssh = ["default"]
        compression = "gzip"
        "#,
    );
    let ci = Ci {
        context: CiContext::Path,
        umask: 0,
        default_branch: "trunk".to_owned(),
        pull_requests: false,
        buildkit: CiBuildkit::Engine,
        protected: ["main", "master", "release/*", "trunk"]
            .map(str::to_owned)
            .to_vec(),
        lfs: true,
        submodules: true,
    };
    assert_eq!(config.ci, ci);
    assert_eq!(config.targets[0].name, "z", "targets keep the file's order");
    let target = Target {
        platforms: vec!["linux/amd64".to_owned(), "linux/arm/v7".to_owned()],
        cache: Some("localhost:5000/acme/app".to_owned()),
        tag: "{branch}.deps".to_owned(),
        args: [("PYTHON".to_owned(), "3.11".to_owned())].into(),
        secrets: vec![
            Secret {
                id: "pip".to_owned(),
                source: SecretSource::Env("PIP_CONF".to_owned()),
            },
            Secret {
                id: "netrc".to_owned(),
                source: SecretSource::File(PathBuf::from("~/.netrc")),
            },
        ],
        ssh: vec!["default".to_owned()],
        compression: Compression::Gzip,
        ..Target::new("a", ".")
    };
    assert_eq!(config.targets[1], target);
}

#[test]
fn every_problem_is_reported_at_once() {
    insta::assert_snapshot!(problems(
        r#"
[ci]
context = "checkout"
umask = 22
default_branch = "release/*"
buildkit = "moby/buildkit:a b"
protected = ["refs/heads/main"]
[target.builder]
dockerfil = "Dockerfile"
dockerfile = "/Dockerfile"
context = "../app"
stage = "two words"
platforms = ["amd64", "linux/arm64", "linux/arm64"]
cache = "https://ghcr.io/acme/app"
tag = "cache-{ref}"
args = { PYTHON = 3.10, "A-B" = "x" }
compression = "lz4"
"#
    ), @r#"
    .prewarm.toml:1:1: `version`: is missing
        = begin the file with `version = 1`
    .prewarm.toml:3:11: `ci.context`: "checkout" is neither "git" nor "path"
        | context = "checkout"
        = such as "git"
    .prewarm.toml:4:9: `ci.umask`: expected a string such as "022", found an integer
        | umask = 22
    .prewarm.toml:5:18: `ci.default_branch`: "release/*" is a pattern, write one branch
        | default_branch = "release/*"
        = such as "main"
    .prewarm.toml:6:12: `ci.buildkit`: "moby/buildkit:a b" has a tag that registries do not take
        | buildkit = "moby/buildkit:a b"
        = such as "moby/buildkit:buildx-stable-1"
    .prewarm.toml:7:14: `ci.protected`: "refs/heads/main" is a full reference, write "main"
        | protected = ["refs/heads/main"]
        = such as "release/*"
    .prewarm.toml:9:1: unknown key `dockerfil` in [target.builder]
        | dockerfil = "Dockerfile"
        = did you mean `dockerfile`?
    .prewarm.toml:10:14: `target.builder.dockerfile`: "/Dockerfile" is absolute, write it relative to the repository's root
        | dockerfile = "/Dockerfile"
        = such as "Dockerfile"
    .prewarm.toml:11:11: `target.builder.context`: "../app" leaves the repository
        | context = "../app"
        = such as "services/api"
    .prewarm.toml:12:9: `target.builder.stage`: "two words" is not a stage's name or number
        | stage = "two words"
        = such as "builder"
    .prewarm.toml:13:14: `target.builder.platforms`: "amd64" is not a platform: write os/architecture or os/architecture/variant
        | platforms = ["amd64", "linux/arm64", "linux/arm64"]
        = such as "linux/amd64"
    .prewarm.toml:13:38: `target.builder.platforms`: "linux/arm64" is there twice
        | platforms = ["amd64", "linux/arm64", "linux/arm64"]
    .prewarm.toml:14:9: `target.builder.cache`: "https://ghcr.io/acme/app" is an address: leave out the part up to ://
        | cache = "https://ghcr.io/acme/app"
        = such as "ghcr.io/acme/app"
    .prewarm.toml:15:7: `target.builder.tag`: the tag has no {branch}: all branches, protected ones too, would share it
        | tag = "cache-{ref}"
        = such as "builder-cache-{branch}"
    .prewarm.toml:16:19: `target.builder.args.PYTHON`: expected a string such as "3.11", found a float
        | args = { PYTHON = 3.10, "A-B" = "x" }
    .prewarm.toml:16:33: `target.builder.args.A-B`: "A-B" is not a variable's name
        | args = { PYTHON = 3.10, "A-B" = "x" }
    .prewarm.toml:17:15: `target.builder.compression`: "lz4" is not "zstd", "gzip" or "none"
        | compression = "lz4"
        = such as "zstd"
    "#);
}

#[test]
fn a_tag_must_be_legal_for_every_branch() {
    let message = |tag: &str| {
        let errors = parse_repository(&format!("version = 1\n[target.a]\ntag = \"{tag}\""), "f")
            .expect_err(tag);
        errors.problems()[0].message.clone()
    };
    insta::assert_snapshot!(
        [
            "cache",
            "{branch}-{branch}",
            ".{branch}",
            "a/{branch}",
            "",
            &"x".repeat(129),
            &format!("{}{{branch}}", "x".repeat(100))
        ]
        .map(message)
        .join("\n"), @r#"
        `target.a.tag`: the tag has no {branch}: all branches, protected ones too, would share it
        `target.a.tag`: "{branch}-{branch}" has braces other than one {branch}
        `target.a.tag`: ".{branch}" is not a tag: letters, digits, `_`, `.` and `-`, the first no `.` or `-`
        `target.a.tag`: "a/{branch}" is not a tag: letters, digits, `_`, `.` and `-`, the first no `.` or `-`
        `target.a.tag`: the tag has no {branch}: all branches, protected ones too, would share it
        `target.a.tag`: the tag has 129 characters without {branch}, registries take 128
        `target.a.tag`: the tag leaves less than 32 of 128 characters for the branch
        "#);
}

#[test]
fn impossible_combinations_are_problems() {
    insta::assert_snapshot!(problems(
        r#"
version = 1
[ci]
lfs = true
[target.one]
cache = "ghcr.io/acme/app"
tag = "shared-{branch}"
platforms = ["linux/amd64"]
[target.two]
cache = "ghcr.io/acme/app"
tag = "shared-{branch}"
secrets = [
  { id = "both", env = "A", file = "/b" },
  { id = "neither" },
  { env = "A" },
  { id = "both", env = "A" },
  "pip",
]
"#
    ), @r#"
    .prewarm.toml:4:7: `ci.lfs`: BuildKit does not fetch LFS files for a Git context
        | lfs = true
        = write `context = "path"` if CI checks out with LFS and builds from there, else leave `lfs` out
    .prewarm.toml:9:9: `target.two`: two targets would write the same tag: `one` and `two`
        | [target.two]
        = give one of them another `tag` or `cache`, or platforms that the other has not
    .prewarm.toml:13:36: `target.two.secrets[0].file`: a secret has one source: `env` or `file`
        | { id = "both", env = "A", file = "/b" },
    .prewarm.toml:14:3: `target.two.secrets[1].env`: is missing: a secret has a source, `env` or `file`
        | { id = "neither" },
    .prewarm.toml:15:3: `target.two.secrets[2].id`: is missing: the Dockerfile names the secret by it
        | { env = "A" },
    .prewarm.toml:16:10: `target.two.secrets[3].id`: "both" is there twice
        | { id = "both", env = "A" },
    .prewarm.toml:17:3: `target.two.secrets`: expected a table such as { id = "pip", env = "PIP_CONF" }, found a string
        | "pip",
    "#);
}

#[test]
fn a_repository_protects_more_branches_and_never_fewer() {
    let protected = |ci: &str| parse(&format!("version = 1\n[ci]\n{ci}")).ci.protected;
    let ours = protected("default_branch = \"trunk\"");
    assert_eq!(ours, ["main", "master", "release/*", "trunk"]);
    let theirs = protected("default_branch = \"trunk\"\nprotected = [\"v*\"]");
    assert_eq!(theirs, ["main", "master", "release/*", "v*", "trunk"]);
}

#[test]
fn a_target_whose_branches_could_write_anothers_tags_is_refused() {
    let two = |one: &str, other: &str| {
        let table = |name: &str, tag: &str| {
            format!("[target.{name}]\ncache = \"r.io/a\"\ntag = \"{tag}\"\n")
        };
        parse_repository(
            &format!("version = 1\n{}{}", table("a", one), table("b", other)),
            "f",
        )
        .is_ok()
    };
    assert!(two("a-{branch}", "b-{branch}"));
    assert!(
        !two("a-{branch}", "a-b-{branch}"),
        "the branch `b-main` would write the other's tag for `main`"
    );
    assert!(!two("{branch}.a", "b-{branch}"));
}

#[test]
fn a_long_file_is_some_other_file() {
    let text = format!("version = 1\n#{}", "x".repeat(64 << 10));
    let errors = parse_repository(&text, "f").expect_err("too long");
    assert_eq!(errors.to_string(), "cannot read the configuration f");
}

#[test]
fn targets_share_a_tag_only_where_their_platforms_meet() {
    let file = |one: &str, two: &str| {
        format!(
            "version = 1\n[target.one]\ncache = \"a/b\"\ntag = \"x-{{branch}}\"\nplatforms = {one}\n\
             [target.two]\ncache = \"a/b\"\ntag = \"x-{{branch}}\"\nplatforms = {two}\n"
        )
    };
    let cases = [
        ("[]", "[]", true),
        ("[]", r#"["linux/amd64"]"#, true),
        (r#"["linux/amd64"]"#, r#"["linux/arm64"]"#, false),
        (
            r#"["linux/amd64", "linux/arm64"]"#,
            r#"["linux/arm64"]"#,
            true,
        ),
    ];
    for (one, two, shared) in cases {
        assert_eq!(
            parse_repository(&file(one, two), "f").is_err(),
            shared,
            "{one} {two}"
        );
    }
    let local = file("[]", "[]").replace("cache = \"a/b\"\n", "");
    assert!(
        parse_repository(&local, "f").is_ok(),
        "without a cache there are no tags"
    );
}

#[test]
fn another_version_is_the_only_problem() {
    insta::assert_snapshot!(problems("version = 2\n[jobs]\nx = 1\n"), @"
    .prewarm.toml:1:11: `version`: this prewarm reads version 1 only
        | version = 2
        = install a newer prewarm
    ");
    insta::assert_snapshot!(problems("version = \"1\"\n"), @r#"
    .prewarm.toml:1:11: `version`: expected a whole number such as 1, found a string
        | version = "1"
    "#);
}

#[test]
fn settings_know_their_line() {
    let loaded = parse_repository("version = 1\n[target.\"a.b\"]\nstage = \"x\"\n", "f")
        .expect("a right file");
    assert_eq!(
        loaded.origin("target.\"a.b\".stage"),
        Origin::File {
            file: "f".to_owned(),
            line: 3
        }
    );
    assert_eq!(loaded.origin("target.\"a.b\".tag"), Origin::Default);
}

#[test]
fn bytes_must_be_text() {
    let errors = parse_repository_bytes(b"version = 1\n\xe9", "f").expect_err("not UTF-8");
    assert_eq!(
        errors.to_string().lines().next(),
        Some("f:2:1: the file is not UTF-8 from here on")
    );
    assert_eq!(
        parse_repository_bytes(b"version = 1", "f")
            .expect("text")
            .value,
        RepositoryConfig::default()
    );
}

/// Text that often is TOML, and often enough is about our keys.
fn almost_toml() -> impl Strategy<Value = String> {
    let keys = "version|ci|target|target\\.a|args|secrets|stage|tag|cache|context|umask|platforms";
    let values = r#"1|"[ -~é]{0,9}"|"\{branch\}[a-z:/.]{0,5}"|true|\["a/b", "a/b"\]|\[\{ id = "x" \}, \{\}\]|-0|inf"#;
    let line = prop_oneof![
        5 => (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
        3 => keys.prop_map(|key| format!("[{key}]")),
        1 => keys.prop_map(|key| format!("[[{key}]]")),
        1 => any::<String>(),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in almost_toml()) {
        if let Err(errors) = parse_repository(&text, "f") {
            prop_assert!(!errors.problems().is_empty());
        }
    }

    #[test]
    fn no_path_leads_out(path in "(\\.{0,3}/?[a-z]{0,2}/?){0,5}") {
        if let Ok(inside) = values::inside(&path) {
            prop_assert!(!inside.starts_with('/') && !inside.split('/').any(|part| part == ".." || part.is_empty()));
        }
    }
}
