//! After a warm on engine A, CI on engine B finds every step.

use crate::support::ci::{CHECKOUT, CiBuild, Context, buildx_cache_to};
use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::repo::{ENGINE, Repo};

/// Steps of [`Scene::rich_project`].
const STEPS: usize = 8;

impl Scene {
    /// A project with everything that makes cache keys hard: executable files, symbolic links, sub-directories, an
    /// ignore file, wildcards and bind mounts.
    fn rich_project(&self, ci: &str) -> Repo {
        let repo = Repo::new();
        self.configure_rich(&repo, ci);
        repo.file("Dockerfile", self.rich_dockerfile("target=/src"))
            .file(
                ".dockerignore",
                "# not for the image\n.git\n**/*.log\n!vendor/keep.log\n/docs/\n",
            )
            .file("requirements.txt", format!("{}\n", self.seed))
            .file("requirements-dev.txt", "")
            .executable("tools/run.sh", "#!/bin/sh\necho tools\n")
            .link("tools/latest", "run.sh")
            .link("tools/deep/up", "../../requirements.txt")
            .file("tools/deep/er/data", "data\n")
            .file("config/a.json", "{}\n")
            .file("config/b.json", "[]\n")
            .file("config/notes.txt", "not copied\n")
            .file("vendor/keep.log", "kept\n")
            .file("vendor/drop.log", "ignored by a path context\n")
            .file("vendor/lib/größe 1.txt", "a name beyond ASCII\n")
            .file("docs/index.md", "ignored\n")
            .commit()
            .branch("topic");
        repo
    }

    fn configure_rich(&self, repo: &Repo, ci: &str) {
        repo.configure(
            &format!("{ENGINE}\n{ci}"),
            &format!("cache = \"{}\"", self.cache()),
        );
    }

    /// With what the second bind mount takes of the context.
    fn rich_dockerfile(&self, bind: &str) -> String {
        format!(
            "FROM {} AS builder\n\
             WORKDIR /{}\n\
             COPY requirements*.txt ./\n\
             COPY tools tools/\n\
             COPY config/*.json config/\n\
             RUN --mount=type=bind,source=tools,target=/tools /tools/run.sh > from-tools\n\
             RUN --mount=type=bind,{bind} cat /src/requirements.txt > from-context\n\
             ADD vendor vendor/\n\
             RUN find . -type f | sort > files\n\
             FROM builder\n\
             COPY . .\n",
            engines().busybox,
            self.seed,
        )
    }
}

#[test]
fn without_a_warm_ci_builds_everything() {
    let scene = Scene::new();
    let repo = scene.rich_project("");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    assert_eq!(steps.missed().len(), STEPS, "{steps:#?}");
}

#[test]
fn every_step_is_cached_for_a_path_context() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

#[test]
fn every_step_is_cached_for_a_git_context() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"git\"");
    // Not the whole context: see the next test.
    let bind = "source=requirements.txt,target=/src/requirements.txt";
    repo.file("Dockerfile", scene.rich_dockerfile(bind))
        .commit();
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, Context::Git)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

/// BuildKit's checksum of a whole Git context covers its root directory, that of a whole transferred context does not.
#[test]
fn hits_are_not_promised_to_a_git_context_where_a_step_takes_all_of_it() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"git\"");
    let warmed = Machine::new().warm(repo.path()).json();
    assert_ne!(warmed.is("warm").ci(), "will-hit");
    let steps = CiBuild::new(&repo, Context::Git)
        .cache_from(scene.branch_tag("topic"))
        .run();
    let [whole, ..] = steps.missed()[..] else {
        panic!("{steps:#?}")
    };
    assert!(
        whole.starts_with("[builder 7/9] RUN --mount=type=bind,target=/src "),
        "{steps:#?}"
    );
}

#[test]
fn every_step_is_cached_for_a_checkout_with_umask_000_after_a_warm_for_another_umask() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    scene.configure_rich(&repo, "context = \"path\"\numask = \"000\"");
    repo.commit();
    machine.warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, Context::Path { umask: "000" })
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

#[test]
fn every_step_is_cached_when_the_work_tree_is_664_and_of_another_user() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    repo.as_of_another_user();
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

#[test]
fn every_step_is_cached_when_the_tracked_changes_of_such_a_work_tree_are_warmed() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    repo.file("requirements.txt", format!("{} changed\n", scene.seed));
    repo.as_of_another_user();
    Machine::new()
        .warm(repo.path())
        .args(["--worktree"])
        .json()
        .is("warm");
    repo.commit();
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

#[test]
fn every_step_is_cached_for_a_checkout_with_umask_000() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"\numask = \"000\"");
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, Context::Path { umask: "000" })
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(STEPS);
}

#[test]
fn a_checkout_with_umask_000_misses_what_was_warmed_for_022() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, Context::Path { umask: "000" })
        .cache_from(scene.branch_tag("topic"))
        .run();
    assert!(
        steps
            .missed()
            .contains(&"[builder 3/9] COPY requirements*.txt ./"),
        "{steps:#?}"
    );
}

#[test]
fn docker_buildx_build_of_the_664_tree_misses() {
    let scene = Scene::new();
    let repo = scene.rich_project("context = \"path\"");
    repo.as_of_another_user();
    buildx_cache_to(repo.path(), &scene.branch_tag("topic"));
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    assert!(
        steps
            .missed()
            .contains(&"[builder 3/9] COPY requirements*.txt ./"),
        "{steps:#?}"
    );
    assert!(
        steps.missed().contains(&"[builder 4/9] COPY tools tools/"),
        "{steps:#?}"
    );
}

#[test]
fn every_step_is_cached_for_a_context_in_a_sub_directory_with_a_dockerfile_outside() {
    let scene = Scene::new();
    let repo = Repo::new();
    let target = format!(
        "cache = \"{}\"\ncontext = \"services/api\"\ndockerfile = \"docker/api.Dockerfile\"",
        scene.cache()
    );
    repo.configure(&format!("{ENGINE}\ncontext = \"path\""), &target)
        .file(
            "docker/api.Dockerfile",
            format!(
                "FROM {} AS builder\nCOPY . /app/\nRUN find /app > /files\n",
                engines().busybox
            ),
        )
        .file("docker/api.Dockerfile.dockerignore", "*.tmp\n")
        .file("services/api/.dockerignore", "main\n")
        .file("services/api/main", &scene.seed)
        .file("services/api/scratch.tmp", "ignored\n")
        .file("services/other/main", "not in the context\n")
        .commit()
        .branch("topic");
    Machine::new().warm(repo.path()).json().is("warm");
    // The context and the Dockerfile are where the runner's checkout has them.
    let checkout = repo.team_mate();
    let steps = CiBuild::new(&checkout, CHECKOUT)
        .sub_directory("services/api")
        .dockerfile("docker/api.Dockerfile")
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

impl Scene {
    /// A project with files that git changes on checkout, the Dockerfile and the ignore file among them.
    fn converted_project(&self, context: &str) -> Repo {
        let repo = Repo::new();
        let cache = format!("cache = \"{}\"", self.cache());
        repo.configure(&format!("{ENGINE}\ncontext = \"{context}\""), &cache)
            .file(
                ".gitattributes",
                "* text=auto\n*.bat text eol=crlf\nDockerfile eol=crlf\n.dockerignore eol=crlf\n",
            )
            .file(
                "Dockerfile",
                format!(
                    "FROM {} AS builder\nCOPY mvnw.bat app/*.bat /app/\nCOPY app /app/\n\
                     RUN --mount=type=bind,source=app,target=/in cat /in/main.c > /main\n\
                     RUN wc -c /app/* > /sizes\n",
                    engines().busybox
                ),
            )
            .file(".dockerignore", ".git\n*.log\n")
            .file("mvnw.bat", format!("@echo {}\n@exit\n", self.seed))
            .file("app/.gitattributes", "*.c ident\nkept.bat -text\n")
            .file("app/run.bat", "@echo run\n")
            .file("app/kept.bat", "@echo kept\n")
            .file("app/main.c", "// $Id$\nint main(void) {}\n")
            .commit()
            .branch("topic");
        repo
    }
}

#[test]
fn every_step_is_cached_for_files_that_a_checkout_changes() {
    let scene = Scene::new();
    let repo = scene.converted_project("path");
    let warmed = Machine::new().warm(repo.path()).json();
    assert_eq!(warmed.is("warm").ci(), "will-hit");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(4);
}

#[test]
fn every_step_is_cached_for_a_git_context_of_files_that_a_checkout_changes() {
    let scene = Scene::new();
    let repo = scene.converted_project("git");
    Machine::new().warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, Context::Git)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(4);
}

#[test]
fn attributes_alone_make_a_target_cold() {
    let scene = Scene::new();
    let repo = scene.converted_project("path");
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    machine.warm(repo.path()).json().is("already-warm");
    repo.file(".gitattributes", "* text=auto\n").commit();
    machine.warm(repo.path()).json().is("warm");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(4);
}

#[test]
fn hits_are_not_promised_for_a_file_in_another_encoding() {
    let scene = Scene::new();
    let repo = scene.converted_project("path");
    repo.file(
        "app/.gitattributes",
        "*.rc text working-tree-encoding=UTF-16LE\n",
    )
    .file("app/main.rc", b"1\0\n\0")
    .commit();
    let machine = Machine::new();
    for outcome in ["warm", "already-warm"] {
        let warmed = machine.warm(repo.path()).json();
        assert_eq!(warmed.is(outcome).ci(), "not-assured");
        let reason = warmed.target()["ci"]["reason"].to_string();
        assert!(
            reason.contains("app/main.rc in the encoding UTF-16LE"),
            "{reason}"
        );
    }
}
