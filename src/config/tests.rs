//! The example file is the documentation of every key, so it must be right.

use std::path::PathBuf;

use super::*;
use crate::paths::Paths;

const EXAMPLE: &str = include_str!("../../config.example.toml");

pub(super) fn paths() -> Paths {
    Paths {
        home: PathBuf::from("/home/ada"),
        config_file: PathBuf::from("/home/ada/.config/prewarm/config.toml"),
        config_named: false,
        state_dir: PathBuf::from("/home/ada/.local/state/prewarm"),
        runtime_dir: PathBuf::from("/run/user/1000/prewarm"),
    }
}

/// The part about the user's file, and the part about a repository's.
fn parts() -> (&'static str, &'static str) {
    EXAMPLE
        .split_once("# ---- .prewarm.toml ----\n")
        .expect("the example has a marker between its parts")
}

/// A key that is commented out has no blank after its `#`; prose has one.
fn uncommented(text: &str) -> String {
    let keys = text.lines().map(|line| {
        line.strip_prefix('#')
            .filter(|rest| !rest.starts_with(' '))
            .unwrap_or(line)
    });
    keys.collect::<Vec<_>>().join("\n")
}

/// Every key of a table that a reader knows: what it says to a document with an unknown one.
fn known(errors: &ConfigErrors) -> Vec<String> {
    let helps = errors
        .problems()
        .iter()
        .filter_map(|problem| problem.help.as_deref());
    let lists = helps.filter_map(|help| help.strip_prefix("known here: "));
    lists
        .flat_map(|list| list.split(", "))
        .map(str::to_owned)
        .collect()
}

/// The lines of a table in a document without comments.
fn table<'t>(text: &'t str, header: &str) -> Vec<&'t str> {
    text.lines()
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect()
}

#[test]
fn the_example_is_the_default() {
    let loaded = parse_user(EXAMPLE, &paths()).expect("the example is right");
    assert_eq!(loaded.value, UserConfig::default());
    assert_eq!(
        parse_user("", &paths()).expect("nothing is right").value,
        UserConfig::default()
    );
}

#[test]
fn the_example_shows_every_default_in_the_open() {
    let loaded = parse_user(EXAMPLE, &paths()).expect("the example is right");
    for setting in user_settings(&loaded) {
        assert_eq!(
            setting.origin == Origin::Default,
            setting.value.is_none(),
            "{setting:?}"
        );
    }
}

#[test]
fn what_the_example_comments_out_is_right_too() {
    let all = uncommented(parts().0);
    let (before, tls_and_after) = all
        .split_once("[builder.tls]")
        .expect("the example has TLS");
    let (tls, after) = tls_and_after
        .split_once("[warm]")
        .expect("the example has [warm]");

    let container = parse_user(&format!("{before}[warm]{after}"), &paths())
        .expect("right without TLS")
        .value;
    assert_eq!(
        (container.builder.cpus, container.builder.memory),
        (Some(2.5), Some(4 << 30))
    );
    assert_eq!(container.registries.len(), 2);

    let tcp = format!("[builder]\nendpoint = \"tcp://host:1234\"\n[builder.tls]{tls}");
    let tls = parse_user(&tcp, &paths())
        .expect("right with TCP")
        .value
        .builder
        .tls
        .expect("TLS");
    assert_eq!(
        tls.ca,
        PathBuf::from("/home/ada/.config/prewarm/buildkit/ca.pem")
    );
}

#[test]
fn the_example_has_every_key_of_the_users_file() {
    let all = uncommented(parts().0);
    for header in [
        "[builder]",
        "[builder.tls]",
        "[warm]",
        "[consent]",
        "[daemon]",
        "[hooks]",
    ] {
        let errors =
            parse_user(&format!("{header}\nzzzzzzzzzz = 1"), &paths()).expect_err("an unknown key");
        for key in known(&errors).iter().filter(|key| *key != "tls") {
            let there = table(&all, header)
                .iter()
                .any(|line| line.starts_with(&format!("{key} = ")));
            assert!(there, "{header} {key}");
        }
    }
    let errors = parse_user("[registry.x]\nzzzzzzzzzz = 1\n[zzzzzzzzzz]", &paths())
        .expect_err("unknown keys");
    for key in known(&errors) {
        assert!(
            all.contains(&format!("\n{key} = ")) || all.contains(&format!("\n[{key}")),
            "{key}"
        );
    }
}

#[test]
fn the_example_for_repositories_is_right_and_has_every_key() {
    let all = uncommented(parts().1);
    let config = parse_repository(&all, REPOSITORY_FILE)
        .expect("the example is right")
        .value;
    assert_eq!(config.ci, Ci::default());
    let target = &config.targets[0];
    let default = Target::new("builder", ".");
    assert_eq!(
        (
            &target.dockerfile,
            &target.context,
            &target.stage,
            &target.tag,
            target.compression
        ),
        (
            &default.dockerfile,
            &default.context,
            &default.stage,
            &default.tag,
            default.compression
        ),
    );
    for header in ["[ci]", "[target.builder]"] {
        let errors = parse_repository(&format!("version = 1\n{header}\nzzzzzzzzzz = 1"), "f")
            .expect_err("an unknown key");
        let keys = known(&errors);
        assert!(keys.len() > 7, "{keys:?}");
        for key in keys {
            let there = table(&all, header)
                .iter()
                .any(|line| line.starts_with(&format!("{key} = ")));
            assert!(there, "{header} {key}");
        }
    }
}
