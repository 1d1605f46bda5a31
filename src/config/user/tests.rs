use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::config::tests::paths;
use crate::config::{Origin, Secret, SecretSource};
use crate::error::{Kind, Remedy as _};

fn problems(text: &str) -> String {
    parse_user(text, &paths())
        .expect_err("a wrong file")
        .to_string()
}

#[test]
fn every_problem_is_reported_at_once() {
    insta::assert_snapshot!(problems(
        r#"
[builder]
endpont = "auto"
cpus = "two"
memory = 4096
refresh = "soon"
[warm]
parallel = 0
timeout = "0s"
base_check = 15
retries = 1.5
[consent]
secrets = "pip"
ssh = ["default", 1, "default", "a b"]
[registry]
local = true
[registry."https://ghcr.io"]
insecure = "yes"
[limits]
"#
    ), @r#"
    ~/.config/prewarm/config.toml:3:1: unknown key `endpont` in [builder]
        | endpont = "auto"
        = did you mean `endpoint`?
    ~/.config/prewarm/config.toml:4:8: `builder.cpus`: expected a number such as 2 or 1.5, found a string
        | cpus = "two"
    ~/.config/prewarm/config.toml:5:10: `builder.memory`: expected a string such as "4GiB", found an integer
        | memory = 4096
    ~/.config/prewarm/config.toml:6:11: `builder.refresh`: "soon" is not a duration: write a whole number and ms, s, m, h or d
        | refresh = "soon"
        = such as "24h"
    ~/.config/prewarm/config.toml:8:12: `warm.parallel`: 0 is not from 1 to 64
        | parallel = 0
    ~/.config/prewarm/config.toml:9:11: `warm.timeout`: no build is done in no time
        | timeout = "0s"
        = such as "1h"
    ~/.config/prewarm/config.toml:10:14: `warm.base_check`: expected a string such as "15m", found an integer
        | base_check = 15
    ~/.config/prewarm/config.toml:11:11: `warm.retries`: expected a whole number such as 1, found a float
        | retries = 1.5
    ~/.config/prewarm/config.toml:13:11: `consent.secrets`: expected an array such as [{ id = "pip", env = "PIP_CONF" }], found a string
        | secrets = "pip"
    ~/.config/prewarm/config.toml:14:19: `consent.ssh`: expected a string such as "default", found an integer
        | ssh = ["default", 1, "default", "a b"]
    ~/.config/prewarm/config.toml:14:22: `consent.ssh`: "default" is there twice
        | ssh = ["default", 1, "default", "a b"]
    ~/.config/prewarm/config.toml:14:33: `consent.ssh`: "a b" is not an id: no blanks, commas and equals signs
        | ssh = ["default", 1, "default", "a b"]
        = such as "default"
    ~/.config/prewarm/config.toml:16:9: `registry.local`: expected a table, found a boolean
        | local = true
    ~/.config/prewarm/config.toml:17:11: `registry."https://ghcr.io"`: "https://ghcr.io" is an address: write the host alone, as images name it
        | [registry."https://ghcr.io"]
        = such as [registry."127.0.0.1:5000"]
    ~/.config/prewarm/config.toml:18:12: `registry."https://ghcr.io".insecure`: expected true or false, found a string
        | insecure = "yes"
    ~/.config/prewarm/config.toml:19:2: unknown key `limits`
        | [limits]
        = known here: builder, warm, consent, daemon, hooks, prune, registry
    "#);
}

#[test]
fn every_part_of_pruning_is_checked() {
    insta::assert_snapshot!(problems(
        r#"
[prune]
automatic = "yes"
start = "20%"
free = "10%"
max_cache = "lots"
images = "all"
keep = [""]
every = "5s"
"#
    ), @r#"
    ~/.config/prewarm/config.toml:3:13: `prune.automatic`: expected true or false, found a string
        | automatic = "yes"
    ~/.config/prewarm/config.toml:5:8: `prune.free`: is no more than `start`: pruning would begin again as soon as it has ended
        | free = "10%"
    ~/.config/prewarm/config.toml:6:13: `prune.max_cache`: "lots" is not a size: write a whole number and MB, GB (of 1000) or MiB, GiB (of 1024)
        | max_cache = "lots"
        = such as "100GB"
    ~/.config/prewarm/config.toml:7:10: `prune.images`: "all" is none of off, dangling, unused
        | images = "all"
        = such as "off"
    ~/.config/prewarm/config.toml:8:9: `prune.keep`: an empty pattern keeps nothing
        | keep = [""]
        = such as "*pip install*"
    ~/.config/prewarm/config.toml:9:9: `prune.every`: caches are not listed more than once a minute
        | every = "5s"
        = such as "5m"
    "#);
}

#[test]
fn impossible_combinations_are_problems() {
    insta::assert_snapshot!(problems(
        r#"
[builder]
endpoint = "engine"
buildkitd_config = "buildkitd.toml"
network = "host"
[builder.tls]
cert = "cert.pem"
[registry."127.0.0.1:5000"]
insecure = true
ca = "ca.pem"
"#
    ), @r#"
    ~/.config/prewarm/config.toml:4:20: `builder.buildkitd_config`: is for prewarm's own container, which this endpoint does not use
        | buildkitd_config = "buildkitd.toml"
    ~/.config/prewarm/config.toml:5:11: `builder.network`: is for prewarm's own container, which this endpoint does not use
        | network = "host"
    ~/.config/prewarm/config.toml:6:10: `builder.tls.ca`: is missing: TLS needs the authority that signed the server's certificate
        | [builder.tls]
    ~/.config/prewarm/config.toml:6:10: `builder.tls`: is for tcp:// endpoints only
        | [builder.tls]
    ~/.config/prewarm/config.toml:7:8: `builder.tls.cert`: needs `key` beside it
        | cert = "cert.pem"
    ~/.config/prewarm/config.toml:10:6: `registry."127.0.0.1:5000".ca`: has no use with `insecure = true`, which speaks plain HTTP
        | ca = "ca.pem"
    "#);
}

#[test]
fn a_syntax_error_has_its_place() {
    insta::assert_snapshot!(problems(
        "[builder]\nendpoint = \"auto\nnetwork = \"host\"\n[warm\nparallel = = 2\n"
    ), @r#"
    ~/.config/prewarm/config.toml:2:17: invalid basic string, expected `"`
        | endpoint = "auto
    ~/.config/prewarm/config.toml:4:6: unclosed table, expected `]`
        | [warm
    ~/.config/prewarm/config.toml:5:12: extra `=`, expected nothing
        | parallel = = 2
    "#);
    insta::assert_snapshot!(problems("[warm]\nretries = 1\nretries = 2\n"), @"
    ~/.config/prewarm/config.toml:3:1: duplicate key
        | retries = 2
    ");
}

#[test]
fn values_become_types() {
    let config = parse_user(
        r#"
        [builder]
        endpoint = "container"
        cpus = 2
        memory = "512MB"
        network = "host"
        buildkitd_config = "buildkitd.toml"
        certificates = ["~/ca.pem", "/etc/ca.pem"]
        refresh = "7d"
        [warm]
        parallel = 8
        timeout = "90s"
        base_check = "0s"
        retries = 0
        [consent]
        secrets = [{ id = "pip", env = "PIP_CONF" }]
        ssh = ["default"]
        buildkit_images = ["ghcr.io/acme/buildkit"]
        [registry."127.0.0.1:5000"]
        insecure = true
        [registry."ghcr.io"]
        ca = "ghcr.pem"
        "#,
        &paths(),
    )
    .expect("a right file")
    .value;
    let here = |path: &str| PathBuf::from("/home/ada/.config/prewarm").join(path);
    assert_eq!(
        config.builder,
        Builder {
            endpoint: Endpoint::Container,
            cpus: Some(2.0),
            memory: Some(512_000_000),
            network: "host".to_owned(),
            buildkitd_config: Some(here("buildkitd.toml")),
            certificates: vec![
                PathBuf::from("/home/ada/ca.pem"),
                PathBuf::from("/etc/ca.pem")
            ],
            refresh: Duration::from_secs(7 * 86_400),
            tls: None,
        }
    );
    assert_eq!(
        config.warm,
        WarmSettings {
            parallel: 8,
            timeout: Duration::from_secs(90),
            base_check: Duration::ZERO,
            retries: 0
        }
    );
    assert_eq!(
        config.consent,
        Consent {
            secrets: vec![Secret {
                id: "pip".to_owned(),
                source: SecretSource::Env("PIP_CONF".to_owned()),
            }],
            buildkit_images: vec!["ghcr.io/acme/buildkit".to_owned()],
            ssh: vec!["default".to_owned()],
            frontends: vec![],
        }
    );
    assert_eq!(
        config.registries["127.0.0.1:5000"],
        RegistrySettings {
            insecure: true,
            ca: None
        }
    );
    assert_eq!(
        config.registries["ghcr.io"],
        RegistrySettings {
            insecure: false,
            ca: Some(here("ghcr.pem"))
        }
    );
}

#[test]
fn settings_know_their_line() {
    let loaded = parse_user(
        "\u{feff}[warm]\r\nretries = 1\r\n[registry.\"h:1\"]\r\ninsecure = true\r\n",
        &paths(),
    )
    .expect("a right file");
    let at = |line| Origin::File {
        file: "~/.config/prewarm/config.toml".to_owned(),
        line,
    };
    assert_eq!(loaded.origin("warm.retries"), at(2));
    assert_eq!(loaded.origin("registry.\"h:1\".insecure"), at(4));
    assert_eq!(loaded.origin("warm.parallel"), Origin::Default);
}

#[test]
fn the_file_itself_can_be_the_problem() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut paths = Paths {
        config_file: directory.path().join("config.toml"),
        ..paths()
    };
    assert_eq!(
        load_user(&paths).expect("a missing file is no file"),
        Loaded::default()
    );

    paths.config_named = true;
    let missing = load_user(&paths).expect_err("a named file must be there");
    assert!(
        matches!(&missing, ConfigErrors::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    );
    assert_eq!(missing.kind(), Kind::Usage);

    std::fs::write(&paths.config_file, b"[warm]\nretries = 1 # \xff\n").expect("a file");
    let latin = load_user(&paths).expect_err("not UTF-8");
    let expected = (2, 15, "the file is not UTF-8 from here on");
    let problem = &latin.problems()[0];
    assert_eq!(
        (problem.line, problem.column, problem.message.as_str()),
        expected
    );

    std::fs::write(&paths.config_file, vec![b'#'; 65 << 10]).expect("a file");
    let long = load_user(&paths).expect_err("a long file");
    assert!(
        matches!(&long, ConfigErrors::Unreadable { source, .. } if source.to_string() == "longer than 64 KiB")
    );

    paths.config_file = directory.path().to_owned();
    let folder = load_user(&paths).expect_err("a directory");
    assert!(
        matches!(&folder, ConfigErrors::Unreadable { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
    );
    assert!(
        folder
            .to_string()
            .starts_with("cannot read the configuration /")
    );

    paths.config_named = false;
    paths.config_file = directory.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &paths.config_file, kind, mode, 0)
        .expect("a pipe can be made");
    let pipe = load_user(&paths).expect_err("nobody writes to it");
    assert!(
        matches!(&pipe, ConfigErrors::Unreadable { source, .. } if source.to_string() == "it is not a file")
    );
}

/// Text that often is TOML, and often enough is about our keys.
fn almost_toml() -> impl Strategy<Value = String> {
    let keys =
        "builder|tls|warm|consent|registry|endpoint|cpus|memory|parallel|secrets|ca|\"é\\.x\"";
    let values =
        r#"-?[0-9]{1,20}|"[ -~é]{0,9}"|true|\[\]|\["a", 1\]|\{ ca = 1 \}|1e999|nan|1979-05-27"#;
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
        if let Err(errors) = parse_user(&text, &paths()) {
            prop_assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                prop_assert!(problem.line >= 1 && problem.line as usize <= text.split('\n').count());
                prop_assert!(problem.column >= 1);
                let escapes = problem.to_string().contains('\u{1b}');
                prop_assert!(!escapes);
            }
        }
    }
}

#[test]
fn deep_nesting_is_a_syntax_error() {
    assert!(problems(&format!("a = {}", "[".repeat(10_000))).contains(":1:"));
}
