//! Ways to a wrong "already warm", or to a tag that says something else than what it names, that once were open.

use std::collections::BTreeSet;

use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::registry::{self, Manifest};
use crate::support::repo::{ENGINE, dockerfile};

#[test]
fn a_digest_in_a_comment_does_not_pin_the_base_image() {
    let scene = Scene::new();
    let base = registry::copy(&engines().busybox, &scene.name, "base");
    let image = format!("{}:base", scene.cache());
    let text = dockerfile().replace(&engines().busybox, &image);
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        format!("# tested with {}\n{text}", base.digest()),
    )
    .commit();
    let machine = Machine::new();
    machine.configure("[warm]\nbase_check = \"0s\"\n");
    machine.warm(repo.path()).json().is("warm");
    machine.warm(repo.path()).json().is("already-warm");

    registry::put_manifest(&scene.name, "base", &moved(&base));
    machine.warm(repo.path()).json().is("warm");
}

#[test]
fn a_forced_warm_on_a_base_that_has_moved_leaves_the_old_keys_cache_alone() {
    let scene = Scene::new();
    let base = registry::copy(&engines().busybox, &scene.name, "base");
    let image = format!("{}:base", scene.cache());
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        dockerfile().replace(&engines().busybox, &image),
    )
    .commit();
    let machine = Machine::new();
    let old = machine.warm(repo.path()).json();
    let named = |tags: &[&str]| {
        let tag = tags[0].rsplit_once(':').expect("a reference").1;
        registry::manifest(&scene.name, tag).expect("a key's tag")
    };
    let cache = named(&old.is("warm").tags());

    // The base was looked up a moment ago, so that the old key is still believed to be the right one.
    registry::put_manifest(&scene.name, "base", &moved(&base));
    let new = machine.warm(repo.path()).args(["--force"]).json();
    assert_ne!(new.is("warm").key(), old.key());
    assert_eq!(named(&old.tags()), cache);
    assert_ne!(named(&new.tags()), cache);
}

#[test]
fn a_forced_warm_sets_right_what_the_registry_has_otherwise() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let warmed = machine.warm(repo.path()).json();
    let reference = warmed.is("warm").tags()[0].to_owned();
    let tag = reference.rsplit_once(':').expect("a reference").1;
    let ours = registry::manifest(&scene.name, tag).expect("a key's tag");

    registry::put_manifest(&scene.name, tag, &moved(&ours));
    let force = || machine.warm(repo.path()).args(["--force"]).json();
    force().is("warm");
    assert_eq!(registry::manifest(&scene.name, tag), Some(ours.clone()));

    registry::delete(&scene.name, &ours.digest());
    force().is("warm");
    assert!(registry::manifest(&scene.name, tag).is_some());
    registry::assert_complete(&scene.name);
}

/// The same image under another digest.
fn moved(manifest: &Manifest) -> Manifest {
    let mut json = manifest.json();
    json["annotations"] = serde_json::json!({ "moved": "yes" });
    Manifest {
        media_type: manifest.media_type.clone(),
        bytes: json.to_string().into_bytes(),
    }
}

#[test]
fn a_pinned_base_image_stays_pinned() {
    let scene = Scene::new();
    let base = registry::copy(&engines().busybox, &scene.name, "base");
    let image = format!("{}:base@{}", scene.cache(), base.digest());
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        dockerfile().replace(&engines().busybox, &image),
    )
    .commit();
    let machine = Machine::new();
    machine.configure("[warm]\nbase_check = \"0s\"\n");
    machine.warm(repo.path()).json().is("warm");
    registry::put_manifest(&scene.name, "base", &moved(&base));
    machine.warm(repo.path()).json().is("already-warm");
}

#[test]
fn what_is_left_of_a_failed_build_does_not_replace_a_whole_cache() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    let whole = registry::manifest(&scene.name, "builder-cache-topic")
        .expect("the branch's tag")
        .digest();
    repo.file(
        "Dockerfile",
        dockerfile().replace("sort /app/deps.txt", "exit 7; sort"),
    );
    let broken = machine.warm(repo.path()).args(["--worktree"]).json();
    assert_eq!(broken.outcome(), "salvaged", "{:#?}", broken.targets);
    let still = registry::manifest(&scene.name, "builder-cache-topic")
        .expect("the branch's tag")
        .digest();
    assert_eq!(still, whole);

    // Nor do others learn from it what the whole target depends on.
    let mate = Machine::new();
    repo.git(&["checkout", "--quiet", "."]);
    mate.warm(repo.path()).json().is("already-warm");
}

#[test]
fn an_image_under_the_branchs_tag_is_left_alone() {
    let scene = Scene::new();
    let image = registry::copy(&engines().busybox, &scene.name, "builder-cache-topic");
    let repo = scene.project();
    let refused = Machine::new().warm(repo.path()).run();
    assert_eq!(refused.code(), 4, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is not a BuildKit cache"),
        "{}",
        refused.stderr
    );
    let now = registry::manifest(&scene.name, "builder-cache-topic")
        .expect("the image")
        .digest();
    assert_eq!(now, image.digest());
}

#[test]
fn an_ignore_file_that_is_copied_is_an_input_beside_one_of_the_dockerfiles_own() {
    let scene = Scene::new();
    let repo = scene.project();
    let text = dockerfile().replace("RUN sort", "COPY .dockerignore /ignore\nRUN sort");
    let target = format!("cache = \"{}\"", scene.cache());
    repo.configure(&format!("{ENGINE}\ncontext = \"path\""), &target)
        .file("Dockerfile", text)
        .file("Dockerfile.dockerignore", "README.md\n")
        .file(".dockerignore", "one\n")
        .commit();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    machine.warm(repo.path()).json().is("already-warm");
    repo.file(".dockerignore", "two\n").commit();
    machine.warm(repo.path()).json().is("warm");
}

#[test]
fn a_stage_without_a_name_is_warmed_and_then_already_warm() {
    let scene = Scene::new();
    let repo = scene.project();
    let text = dockerfile()
        .replace(" AS builder", "")
        .replace("FROM builder", "FROM scratch");
    repo.configure(
        ENGINE,
        &format!("stage = \"0\"\ncache = \"{}\"", scene.cache()),
    )
    .file("Dockerfile", text)
    .commit();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    machine.warm(repo.path()).json().is("already-warm");
    Machine::new().warm(repo.path()).json().is("already-warm");
}

#[test]
fn targets_that_share_steps_share_the_work() {
    let scene = Scene::new();
    let repo = scene.project();
    let text = format!(
        "FROM {} AS base\nCOPY deps.txt /deps\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /id\n\
         FROM base AS one\nRUN cat /id\nFROM base AS two\nRUN echo; cat /id\n",
        engines().busybox
    );
    let targets = format!(
        "version = 1\n[ci]\nbuildkit = \"engine\"\n[target.one]\ncache = \"{0}\"\n[target.two]\ncache = \"{0}\"\n",
        scene.cache()
    );
    repo.file("Dockerfile", text)
        .file(".prewarm.toml", targets)
        .commit();
    let warmed = Machine::new().warm(repo.path()).json();
    assert_eq!(warmed.targets.len(), 2, "{:#?}", warmed.targets);
    let ids: BTreeSet<&str> = warmed
        .events
        .iter()
        .filter(|event| event["event"] == "log")
        .filter_map(|event| event["line"].as_str())
        .filter(|line| line.contains('-'))
        .collect();
    assert_eq!(ids.len(), 1, "one `RUN` made one id for both: {ids:?}");
}
