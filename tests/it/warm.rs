//! What `prewarm warm` decides, writes and says.

use std::fs;

use insta::assert_snapshot;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::proxy::Proxy;
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo, dockerfile};

#[test]
fn a_work_tree_edit_is_warmed_and_its_commit_is_already_warm_without_a_build() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");

    repo.file("deps.txt", format!("{} edited\n", scene.seed));
    let edit = machine.warm(repo.path()).args(["--worktree"]).json();
    edit.is("warm");
    assert_eq!(edit.target()["source"], "the work tree");

    repo.commit();
    let commit = machine.warm(repo.path()).without_engine().json();
    commit.is("already-warm");
    assert!(!commit.built());
    assert_eq!(commit.key(), edit.key());
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn what_is_staged_is_warmed_and_not_what_the_work_tree_holds() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    repo.file("deps.txt", format!("{} staged\n", scene.seed));
    repo.git(&["add", "deps.txt"]);
    repo.file("deps.txt", format!("{} later\n", scene.seed));
    let staged = machine.warm(repo.path()).args(["--staged"]).json();
    staged.is("warm");

    repo.git(&["commit", "--quiet", "--message=Take what is staged"]);
    let commit = machine.warm(repo.path()).without_engine().json();
    assert_eq!(commit.is("already-warm").key(), staged.key());
}

#[test]
fn a_team_mate_who_never_built_finds_it_warm_by_at_most_three_requests() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project();
    // The base image's registry is asked as well, so it counts too.
    let busybox = engines()
        .busybox
        .replace(&engines().registry, &proxy.address());
    repo.configure(
        ENGINE,
        &format!("cache = \"{}\"", scene.cache_at(&proxy.address())),
    )
    .file(
        "Dockerfile",
        dockerfile().replace(&engines().busybox, &busybox),
    )
    .commit();
    Machine::new().warm(repo.path()).json().is("warm");

    let clone = repo.team_mate();
    proxy.forget();
    let found = Machine::new().warm(clone.path()).json();
    found.is("already-warm");
    assert!(!found.built());
    assert_eq!(found.ci(), "will-hit");
    let about_the_cache = proxy.count(|request| request.path.contains(&scene.name));
    assert!(about_the_cache <= 3, "{:#?}", proxy.requests());
    assert!(
        proxy.requests().len() <= about_the_cache + 1,
        "the base image: {:#?}",
        proxy.requests()
    );
}

#[test]
fn an_unrelated_change_is_already_warm_without_buildkit() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let first = machine.warm(repo.path()).json();
    first.is("warm");

    repo.file("README.md", "Changed\n")
        .file("new.txt", "new\n")
        .commit();
    let second = machine.warm(repo.path()).without_engine().json();
    second.is("already-warm");
    assert!(!second.built());
    assert_eq!(second.key(), first.key());
    assert_eq!(second.tags(), first.tags());
}

/// Something that is done to a repository.
type Step<'a> = &'a dyn Fn();

#[test]
fn a_change_of_anything_that_decides_the_result_is_not_warm() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let cache = format!("cache = \"{}\"", scene.cache());
    machine.warm(repo.path()).json().is("warm");
    let dry_run = || machine.warm(repo.path()).args(["--dry-run"]).json();
    dry_run().is("already-warm");

    let original = dockerfile();
    let deps = format!("{}\n", scene.seed);
    let changes: [(&str, Step<'_>, Step<'_>); 6] = [
        (
            "an input's content",
            &|| {
                repo.file("deps.txt", "other\n").commit();
            },
            &|| {
                repo.file("deps.txt", &deps).commit();
            },
        ),
        (
            "an input's mode",
            &|| {
                repo.executable("deps.txt", &deps).commit();
            },
            &|| {
                fs::remove_file(repo.path().join("deps.txt")).expect("it is there");
                repo.file("deps.txt", &deps).commit();
            },
        ),
        (
            "the Dockerfile",
            &|| {
                repo.file("Dockerfile", original.replace("sort ", "sort -r "))
                    .commit();
            },
            &|| {
                repo.file("Dockerfile", &original).commit();
            },
        ),
        (
            "an argument",
            &|| {
                repo.configure(ENGINE, &format!("{cache}\nargs = {{ X = \"1\" }}"));
            },
            &|| {
                repo.configure(ENGINE, &cache);
            },
        ),
        (
            "the platform",
            &|| {
                repo.configure(ENGINE, &format!("{cache}\nplatforms = [\"linux/s390x\"]"));
            },
            &|| {
                repo.configure(ENGINE, &cache);
            },
        ),
        (
            "the umask",
            &|| {
                repo.configure(&format!("{ENGINE}\numask = \"002\""), &cache);
            },
            &|| {
                repo.configure(ENGINE, &cache);
            },
        ),
    ];
    for (what, change, undo) in changes {
        change();
        assert_eq!(dry_run().outcome(), "would-warm", "{what}");
        undo();
        assert_eq!(dry_run().outcome(), "already-warm", "{what} undone");
    }
}

#[test]
fn a_base_image_that_moves_is_not_warm_any_more() {
    let scene = Scene::new();
    let base = registry::copy(&engines().busybox, &scene.name, "base");
    let image = format!("{}:base", scene.cache());
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        dockerfile().replace(&engines().busybox, &image),
    )
    .commit();
    let patient = Machine::new();
    patient.warm(repo.path()).json().is("warm");
    let curious = Machine::new();
    curious.configure("[warm]\nbase_check = \"0s\"\n");
    curious.warm(repo.path()).json().is("already-warm");

    registry::put_manifest(&scene.name, "base", &moved(&base));
    let known = patient.warm(repo.path()).args(["--dry-run"]).json();
    assert_eq!(
        known.is("already-warm").reason(),
        "nothing that decides its result has changed"
    );
    let asked = curious.warm(repo.path()).args(["--dry-run"]).json();
    assert_eq!(asked.outcome(), "would-warm", "{:#?}", asked.targets);
    curious.warm(repo.path()).json().is("warm");
}

/// The same image under another digest.
fn moved(manifest: &registry::Manifest) -> registry::Manifest {
    let mut json = manifest.json();
    json["annotations"] = serde_json::json!({ "moved": "yes" });
    registry::Manifest {
        media_type: manifest.media_type.clone(),
        bytes: json.to_string().into_bytes(),
    }
}

#[test]
fn a_warm_writes_the_key_the_inputs_and_the_branch_and_says_so() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let summary = machine
        .warm(repo.path())
        .redact(&scene.cache(), "[CACHE]")
        .run();
    assert_eq!(summary.code(), 0, "{}", summary.stderr);
    assert_snapshot!(summary.out(), @"
    builder [PLATFORM]: warm, CI will hit
      source   commit [COMMIT]
      why      this target was never warmed here
      steps    2: 2 run in [TIME]
      cache    [SIZE] exported
      tags     [CACHE]:builder-cache-k-[KEY]
               [CACHE]:builder-cache-topic
    ");

    let tags = registry::assert_complete(&scene.name);
    let [inputs, key, staging, branch] = tags.as_slice() else {
        panic!("{tags:?}")
    };
    assert!(
        inputs.starts_with("builder-cache-i-") && key.starts_with("builder-cache-k-"),
        "{tags:?}"
    );
    assert!(staging.starts_with("builder-cache-s-"), "{tags:?}");
    assert_eq!(branch, "builder-cache-topic");
    let named = |tag| registry::manifest(&scene.name, tag);
    assert_eq!(named(branch), named(key), "one export, three names");
    assert_eq!(named(branch), named(staging));
}

#[test]
fn a_protected_branch_gets_no_tag() {
    let scene = Scene::new();
    let repo = scene.project();
    for branch in ["main", "release/1"] {
        if branch == "main" {
            repo.git(&["switch", "--quiet", "main"]);
        } else {
            repo.branch(branch);
        }
        let warmed = Machine::new().warm(repo.path()).json();
        assert_eq!(warmed.ci(), "will-not-hit", "{branch}");
        let reason = warmed.target()["ci"]["reason"].as_str().unwrap_or_default();
        assert!(
            reason.starts_with(&format!("{branch} is protected")),
            "{reason}"
        );
    }
    let tags = registry::tags(&scene.name);
    assert!(!tags.contains(&"builder-cache-main".to_owned()), "{tags:?}");
    assert!(
        !tags.contains(&"builder-cache-release-1".to_owned()),
        "{tags:?}"
    );
}

#[test]
fn force_builds_what_is_already_warm() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let first = machine.warm(repo.path()).json();
    let again = machine.warm(repo.path()).args(["--force"]).json();
    again.is("warm");
    assert_eq!(again.target()["steps_cached"], 2);
    assert_eq!(again.tags(), first.tags());
}

#[test]
fn no_push_leaves_the_registry_alone() {
    let scene = Scene::new();
    let repo = scene.project();
    let warmed = Machine::new().warm(repo.path()).args(["--no-push"]).json();
    assert_eq!(warmed.is("local-only").ci(), "will-not-hit");
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn a_dry_run_builds_and_writes_nothing() {
    let scene = Scene::new();
    let repo = scene.project();
    let warmed = Machine::new().warm(repo.path()).args(["--dry-run"]).json();
    warmed.is("would-warm");
    assert!(!warmed.built());
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn without_configuration_the_builder_stage_is_warmed_here_and_a_registry_asked_for() {
    let scene = Scene::new();
    let repo = Repo::new();
    repo.file("Dockerfile", dockerfile())
        .file("deps.txt", &scene.seed)
        .commit()
        .branch("topic");
    let machine = Machine::new();
    machine.configure("[builder]\nendpoint = \"engine\"\n");
    let summary = machine.warm(repo.path()).run();
    assert_eq!(summary.code(), 0, "{}", summary.stderr);
    assert_snapshot!(summary.out(), @r#"
    builder [PLATFORM]: warm on this machine only, CI will not hit
      source   commit [COMMIT]
      why      this target was never warmed here
      steps    2: 2 run in [TIME]
      ci       nothing was pushed
      note     to share this with CI, name a registry: `cache = "registry.example.com/team/app"` in the target's table in .prewarm.toml, and `cache-from` with the branch's tag in CI
    "#);
}

#[test]
fn the_steps_before_a_failing_one_are_salvaged() {
    let scene = Scene::new();
    let repo = scene.project();
    let broken = dockerfile().replace("sort /app/deps.txt", "echo no such package >&2; exit 7");
    repo.file("Dockerfile", broken).commit();
    let machine = Machine::new();
    let failed = machine
        .warm(repo.path())
        .redact(&scene.cache(), "[CACHE]")
        .run();
    assert_eq!(failed.code(), 1);
    assert_snapshot!(failed.out(), @r#"
    builder [PLATFORM]: salvaged, CI will not hit
      source   commit [COMMIT]
      why      Dockerfile:3: step [builder 3/3] RUN echo no such package >&2; exit 7 > /sorted failed: process "/bin/sh -c echo no such package >&2; exit 7 > /sorted" did not complete successfully: exit code: 7
      steps    2: 1 run, 1 salvaged in [TIME]
      cache    [SIZE] exported
      tags     [CACHE]:builder-cache-k-[KEY]
               [CACHE]:builder-cache-topic
      ci       it will fail on the same step, after hits on the steps before it
    "#);

    repo.file("Dockerfile", dockerfile()).commit();
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    assert!(
        steps
            .cached()
            .contains(&"[builder 2/3] COPY deps.txt /app/"),
        "{steps:#?}"
    );
    registry::assert_complete(&scene.name);
}

#[test]
fn targets_are_warmed_side_by_side_under_tags_of_their_own() {
    let scene = Scene::new();
    let repo = scene.project();
    let other = format!(
        "cache = \"{0}\"\n\n[target.final]\nstage = \"\"\ncache = \"{0}\"",
        scene.cache()
    );
    repo.configure(ENGINE, &other).commit();
    let machine = Machine::new();
    let one = machine
        .warm(repo.path())
        .args(["--target", "builder"])
        .json();
    assert_eq!(one.is("warm").target()["target"], "builder");
    let both = machine.warm(repo.path()).json();
    let outcomes: Vec<_> = both
        .targets
        .iter()
        .map(|target| &target["outcome"])
        .collect();
    assert_eq!(outcomes, ["already-warm", "warm"]);
    let tags = registry::assert_complete(&scene.name);
    assert!(tags.contains(&"final-cache-topic".to_owned()), "{tags:?}");
}

#[test]
fn another_revision_is_warmed_by_name() {
    let scene = Scene::new();
    let repo = scene.project();
    repo.file("deps.txt", format!("{} newer\n", scene.seed))
        .commit();
    let machine = Machine::new();
    let older = machine.warm(repo.path()).args(["--rev", "HEAD~1"]).json();
    older.is("warm");
    let newer = machine.warm(repo.path()).json();
    assert_ne!(newer.is("warm").key(), older.key());
    let tags = registry::tags(&scene.name);
    assert_eq!(
        tags.iter()
            .filter(|tag| tag.starts_with("builder-cache-k-"))
            .count(),
        2,
        "{tags:?}"
    );
}
