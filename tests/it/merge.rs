//! What CI builds for a pull request: the merge with the base branch.

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::repo::dockerfile;

#[test]
fn the_merge_of_a_pull_request_is_warmed_where_it_is_another_build() {
    let scene = Scene::new();
    let origin = scene.project();
    origin.git(&["switch", "--quiet", "main"]);
    let repo = origin.team_mate();
    repo.branch("topic")
        .file("deps.txt", format!("{}\nmine\n", scene.seed))
        .commit();
    let machine = Machine::new();
    assert_eq!(
        machine.warm(repo.path()).json().targets.len(),
        1,
        "the base has nothing new"
    );

    origin
        .file("Dockerfile", dockerfile().replace("sort ", "sort -u "))
        .commit();
    repo.git(&["fetch", "--quiet"]);
    let warmed = machine.warm(repo.path()).json();
    let [head, merge] = warmed.targets.as_slice() else {
        panic!("{:#?}", warmed.targets)
    };
    assert_eq!(head["outcome"], "already-warm");
    assert_eq!(
        (&merge["outcome"], &merge["source"]),
        (&"warm".into(), &"HEAD merged with main".into())
    );
    repo.branch("merged")
        .git(&["merge", "--quiet", "--no-edit", "origin/main"]);
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic.merge"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn a_conflict_with_the_base_is_said() {
    let scene = Scene::new();
    let origin = scene.project();
    origin.git(&["switch", "--quiet", "main"]);
    let repo = origin.team_mate();
    repo.branch("topic")
        .file("deps.txt", format!("{} mine\n", scene.seed))
        .commit();
    origin
        .file("deps.txt", format!("{} theirs\n", scene.seed))
        .commit();
    repo.git(&["fetch", "--quiet"]);
    let warmed = Machine::new().warm(repo.path()).json();
    let notes = warmed.is("warm").target()["notes"].to_string();
    assert!(
        notes.contains("main does not merge without conflicts"),
        "{notes}"
    );
}
