//! What people overlook, and are told.

use crate::support::engines::Scene;
use crate::support::prewarm::{Machine, Warmed};
use crate::support::registry;
use crate::support::repo::{Repo, dockerfile};

fn notes(warmed: &Warmed) -> String {
    warmed.target()["notes"].to_string()
}

#[test]
fn an_input_that_is_not_committed_is_named() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");

    repo.file("README.md", "edited\n");
    let unrelated = machine.warm(repo.path()).json();
    assert_eq!(notes(unrelated.is("already-warm")), "[]");

    repo.file("deps.txt", "edited\n");
    let said = "deps.txt has changes that are not committed, and so not part of this; --worktree";
    for arguments in [&[][..], &["--dry-run"], &["--force"]] {
        let warmed = machine.warm(repo.path()).args(arguments.to_vec()).json();
        assert!(notes(&warmed).contains(said), "{:#?}", warmed.targets);
    }
    repo.file("Dockerfile", format!("{}\n# edited\n", dockerfile()));
    let both = machine.warm(repo.path()).json();
    assert!(
        notes(&both).contains("Dockerfile, deps.txt have"),
        "{:#?}",
        both.targets
    );
    let included = machine.warm(repo.path()).args(["--worktree"]).json();
    assert_eq!(notes(included.is("warm")), "[]");
    // Where line endings are all that differs, git shows no change either.
    repo.git(&["checkout", "--quiet", "."]);
    repo.file("deps.txt", format!("{}\r\n", scene.seed));
    assert_eq!(notes(&machine.warm(repo.path()).json()), "[]");
}

#[test]
fn a_monorepo_may_copy_hundreds_of_files_by_name() {
    let scene = Scene::new();
    let repo = scene.project();
    let paths: Vec<String> = (0..400)
        .map(|number| format!("packages/a-package-with-quite-a-long-name-{number}/package.json"))
        .collect();
    for path in &paths {
        repo.file(path, "{}\n");
    }
    let copy = format!("COPY {} /app/\nRUN sort", paths.join(" "));
    repo.file("Dockerfile", dockerfile().replace("RUN sort", &copy))
        .commit();
    Machine::new().warm(repo.path()).json().is("warm");
}

#[test]
fn a_submodule_that_is_copied_is_not_promised_to_hit() {
    let scene = Scene::new();
    let repo = scene.project();
    let library = Repo::new();
    library.file("lib.c", "int x;\n").commit();
    let url = library.path().display().to_string();
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "vendor/lib",
    ];
    repo.git(&add);
    let text = dockerfile().replace("RUN sort", "COPY vendor /vendor/\nRUN sort");
    repo.file("Dockerfile", text).commit();
    let warmed = Machine::new().warm(repo.path()).json();
    assert_eq!(warmed.is("warm").ci(), "not-assured");
    let reason = warmed.target()["ci"]["reason"].to_string();
    assert!(reason.contains("submodule"), "{reason}");
}

#[test]
fn an_input_that_git_does_not_track_is_named_with_its_step() {
    let scene = Scene::new();
    let repo = scene.project();
    let text = dockerfile().replace("RUN sort", "COPY local.txt /app/\nRUN sort");
    repo.file("Dockerfile", text).commit();
    repo.file("local.txt", "here, but never added\n");
    let failed = Machine::new().warm(repo.path()).run();
    assert_eq!(failed.code(), 1);
    let said = "Dockerfile:3: step [builder 3/4] COPY local.txt /app/ failed: \"/local.txt\": not found in the files that CI will see (only tracked ones are)";
    assert!(failed.stderr.contains(said), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("`git add` and commit it"),
        "{}",
        failed.stderr
    );
}

#[test]
fn the_default_branch_is_the_remotes() {
    let scene = Scene::new();
    let origin = scene.project();
    origin.git(&["branch", "--quiet", "--move", "main", "trunk"]);
    origin.git(&["switch", "--quiet", "trunk"]);
    let repo = origin.team_mate();
    let machine = Machine::new();
    let on_trunk = machine.warm(repo.path()).json();
    assert!(
        on_trunk.target()["ci"]["reason"]
            .to_string()
            .contains("trunk is protected")
    );

    repo.branch("topic")
        .file("deps.txt", format!("{}\nmine\n", scene.seed))
        .commit();
    origin
        .file("Dockerfile", dockerfile().replace("sort ", "sort -u "))
        .commit();
    repo.git(&["fetch", "--quiet"]);
    let warmed = machine.warm(repo.path()).json();
    assert_eq!(warmed.targets.len(), 2, "{:#?}", warmed.targets);
    assert_eq!(warmed.targets[1]["source"], "HEAD merged with trunk");
    let show = machine.prewarm(repo.path()).args(["config", "show"]).run();
    let line = show.stdout.lines().find(|line| line.contains("trunk"));
    assert!(
        line.is_some_and(|line| line.contains("detected")),
        "{}",
        show.stdout
    );
}

#[test]
fn hits_before_a_failing_step_are_promised_only_where_ci_reads_them() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    let whole = registry::manifest(&scene.name, "builder-cache-topic");
    let broken = dockerfile().replace("sort /app/deps.txt", "exit 7; sort");
    repo.file("Dockerfile", broken).commit();
    let failed = machine.warm(repo.path()).json();
    assert_eq!(failed.outcome(), "salvaged");
    let reason = failed.target()["ci"]["reason"].to_string();
    assert!(
        reason.contains("the tags that CI reads stay as they are"),
        "{reason}"
    );
    assert_eq!(
        registry::manifest(&scene.name, "builder-cache-topic"),
        whole
    );
}

#[test]
fn a_directory_that_is_gone_is_said_to_be_gone() {
    let scene = Scene::new();
    let repo = scene.project();
    repo.file("sub/file", "");
    let machine = Machine::new();
    let program = env!("CARGO_BIN_EXE_prewarm");
    let output = std::process::Command::new("sh")
        .current_dir(repo.path().join("sub"))
        .env("HOME", machine.home())
        .args(["-c", &format!("rm -r ../sub; exec {program} warm")])
        .output()
        .expect("sh can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
}

#[test]
fn no_history_at_all_is_not_asked_for() {
    let machine = Machine::new();
    let none = machine
        .prewarm(machine.home())
        .args(["history", "-n", "0"])
        .run();
    assert_eq!(none.code(), 2);
    assert!(none.stderr.contains("1.."), "{}", none.stderr);
}
