use super::*;
use crate::config::{Origin, parse_repository};

fn detected(dockerfile: &str) -> Result<Target, DetectError> {
    let mut config = Loaded::default();
    detect(&mut config, dockerfile)?;
    assert!(config.value.detected);
    Ok(config.value.targets.remove(0))
}

#[test]
fn a_stage_with_a_telling_name_comes_first() {
    let cases = [
        (
            "FROM a AS deps\nFROM a AS build\nFROM a AS BUILDER",
            "BUILDER",
        ),
        ("FROM a AS dependencies\nFROM a AS deps", "deps"),
        (
            "FROM a AS x\nRUN pip install y\nFROM x AS dependencies",
            "dependencies",
        ),
    ];
    for (dockerfile, stage) in cases {
        let target = detected(dockerfile).expect("a stage");
        assert_eq!(target.stage.as_deref(), Some(stage), "{dockerfile}");
        assert_eq!(
            (
                target.name.as_str(),
                target.dockerfile.as_str(),
                target.cache
            ),
            (stage, DOCKERFILE, None)
        );
    }
}

#[test]
fn else_the_first_stage_that_installs() {
    let target =
        detected("FROM a AS tools\nRUN echo hi\nFROM b\nRUN npm ci\nFROM c AS app\nRUN npm ci")
            .expect("a stage");
    assert_eq!(
        (target.name.as_str(), target.stage.as_deref()),
        ("builder", Some("1"))
    );
    let target = detected("FROM a AS app\nRUN npm ci").expect("a stage");
    assert_eq!(
        (target.name.as_str(), target.stage.as_deref()),
        ("app", Some("app"))
    );
}

#[test]
fn install_steps_are_known_in_many_forms() {
    let installing = [
        "pip install -r requirements.txt",
        "pip3.11 --no-cache-dir install x",
        "python3 -m pip install x",
        "--mount=type=cache,target=/root/.cache uv sync --frozen",
        "uv pip install x",
        "poetry -C app install",
        "npm ci",
        "npm --prefix web ci",
        "corepack enable && yarn",
        "yarn install",
        "yarn --frozen-lockfile && yarn build",
        "pnpm i",
        "cargo build --release",
        "cargo chef cook",
        "go mod download",
        "./mvnw -B dependency:go-offline",
        "gradle dependencies",
        "bundle install",
        "composer install",
        "dotnet restore",
        "apt-get update && apt-get install -y gcc",
        "apk add --no-cache gcc",
        "[\"pip\", \"install\", \"x\"]",
        "<<EOF\nset -e\npip install x\nEOF",
        "apt-get update \\\n  && apt-get \\\n  install gcc",
    ];
    for command in installing {
        assert!(
            detected(&format!("FROM a\nRUN {command}")).is_ok(),
            "{command}"
        );
    }
    let others = [
        "make",
        "yarn build",
        "npm test",
        "echo pipinstall",
        "pip --version",
        "go build",
        "cargo test",
    ];
    for command in others {
        let found = detected(&format!("FROM a\nRUN {command}\nCMD npm ci"));
        assert_eq!(found, Err(DetectError::NothingToWarm), "{command}");
    }
}

#[test]
fn nothing_to_detect_says_what_to_write() {
    assert_eq!(detected("# nothing\n"), Err(DetectError::NoStage));
    let error = detected("FROM a\nRUN make").expect_err("no stage");
    insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap_or_default()), @r#"
    no stage of Dockerfile is called builder, build, deps, dependencies, and none installs dependencies in a way that is known
    say which stage to warm in .prewarm.toml: `version = 1`, then `[target.builder]` with `stage = "…"`
    "#);
}

#[test]
fn configured_targets_stay() {
    let mut config = parse_repository("version = 1\n[target.x]\n", "f").expect("a right file");
    let before = config.clone();
    detect(&mut config, "FROM a AS builder").expect("nothing to do");
    assert_eq!(config, before);
}

#[test]
fn a_file_without_targets_is_completed() {
    let mut config =
        parse_repository("version = 1\n[ci]\numask = \"000\"\n", "f").expect("a right file");
    detect(&mut config, "FROM a AS builder").expect("a stage");
    assert_eq!((config.value.ci.umask, config.value.targets.len()), (0, 1));
    assert_eq!(config.origin("target.builder.stage"), Origin::Detected);
    assert_eq!(
        config.origin("ci.umask"),
        Origin::File {
            file: "f".to_owned(),
            line: 3
        }
    );
}
