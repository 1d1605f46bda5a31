//! Whose code runs when nobody asks: other people's branches, and one's own.

use std::fs;

use crate::support::desk::Desk;
use crate::support::repo::{ENGINE, Repo, dockerfile};

/// What somebody does to a repository.
type Change<'a> = (&'a str, &'a dyn Fn(&Repo));

#[test]
fn somebody_elses_branch_is_neither_built_nor_pushed() {
    let desk = Desk::new();
    let elsewhere = format!("cache = \"{}\"", desk.scene.cache_at("evil.invalid"));
    let own = format!("cache = \"{}\"", desk.scene.cache_at(&desk.proxy.address()));
    let changes: [Change<'_>; 8] = [
        ("dockerfile", &|repo| {
            repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
        }),
        ("input", &|repo| {
            repo.file("deps.txt", "evil\n");
        }),
        ("registry", &|repo| {
            repo.configure(ENGINE, &elsewhere);
        }),
        ("context", &|repo| {
            repo.configure(
                ENGINE,
                &format!("{own}\ncontext = \"sub\"\ndockerfile = \"Dockerfile\""),
            );
            repo.file("sub/deps.txt", "evil\n");
        }),
        ("buildkit", &|repo| {
            repo.configure("buildkit = \"moby/buildkit:evil\"", &own);
        }),
        ("target", &|repo| {
            let text =
                format!("version = 1\n[ci]\n{ENGINE}\n[target.evil]\nstage = \"builder\"\n{own}\n");
            repo.file(".prewarm.toml", text);
        }),
        ("link", &|repo| {
            fs::remove_file(repo.path().join("Dockerfile")).expect("it is there");
            repo.file("evil", dockerfile() + "RUN touch /evil\n");
            repo.link("Dockerfile", "evil");
        }),
        ("mode", &|repo| {
            repo.executable("deps.txt", &format!("{}\n", desk.scene.seed));
        }),
    ];
    for (name, change) in changes {
        desk.foreign(name, change);
        for source in ["head", "worktree"] {
            let warmed = desk.job(desk.here.path(), source);
            desk.refuses(&format!("{name} {source}"), &warmed);
        }
        // Own commits on top change nothing about what is below.
        desk.here.file("README.md", "Mine\n").commit();
        desk.refuses(name, &desk.head());
    }
    let linked = desk.machine.home().join("linked");
    let linked_text = linked.display().to_string();
    desk.here.git(&["switch", "--quiet", "topic"]);
    desk.here.git(&[
        "worktree",
        "add",
        "--quiet",
        &linked_text,
        "origin/dockerfile",
    ]);
    for source in ["head", "worktree"] {
        desk.refuses("a linked work tree", &desk.job(&linked, source));
    }
    desk.head().is("already-warm");
}

#[test]
fn own_work_is_built_however_it_came_about() {
    let desk = Desk::new();
    let edit = |text: &str| {
        let text = format!("{} {text}\n", desk.scene.seed);
        desk.here.file("deps.txt", text);
    };
    edit("edited");
    let edited = desk.worktree();
    edited.is("warm");
    let branch_tag = format!("builder-cache-{}", "topic");
    let tags = edited.tags().join(" ");
    assert!(
        !tags.contains(&branch_tag),
        "only a commit moves it: {tags}"
    );

    desk.here.commit();
    let commit = desk.head();
    let tags = commit.is("already-warm").tags().join(" ");
    assert!(tags.contains(&branch_tag), "{tags}");
    edit("amended");
    desk.here
        .git(&["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    desk.head().is("warm");

    // The upstream goes on, without anything that a build asks for.
    desk.team.file("README.md", "Theirs\n").commit();
    desk.here.git(&["fetch", "--quiet", "origin"]);
    desk.here.git(&["rebase", "--quiet", "origin/main"]);
    desk.head().is("already-warm");

    desk.here
        .git(&["switch", "--quiet", "--create", "picked", "origin/main"]);
    desk.here.git(&["cherry-pick", "topic"]);
    desk.head().is("already-warm");

    desk.foreign("theirs", &|repo| {
        repo.file("Dockerfile", dockerfile() + "# theirs\n");
    });
    desk.proxy.forget();
    desk.refuses("as it is", &desk.head());
    desk.here
        .git(&["switch", "--quiet", "--create", "merged", "topic"]);
    desk.here
        .git(&["merge", "--quiet", "--no-ff", "--no-edit", "origin/theirs"]);
    desk.head().is("warm");
}

#[test]
fn a_foreign_commit_that_changes_nothing_that_is_executed_is_built() {
    let desk = Desk::new();
    desk.foreign("docs", &|repo| {
        repo.file("README.md", "Theirs\n")
            .file("docs/new.md", "x\n");
    });
    desk.here.git(&["switch", "--quiet", "docs"]);
    desk.head().is("already-warm");
    desk.worktree().is("already-warm");
    desk.here
        .file("deps.txt", format!("{} mine\n", desk.scene.seed));
    desk.worktree().is("warm");
    desk.here.commit();
    desk.head().is("already-warm");
}

#[test]
fn foreign_files_are_not_run_by_a_recipe_of_ones_own() {
    let desk = Desk::offline();
    desk.foreign("theirs", &|repo| {
        repo.file("app.py", "evil\n");
    });
    assert_eq!(
        desk.head().code,
        5,
        "all files count before the first build"
    );
    let desk = Desk::new();
    desk.here.file("app.py", "mine\n");
    desk.here.commit();
    desk.foreign("theirs", &|repo| {
        repo.file("app.sh", "touch /evil\n");
    });
    desk.head().is("already-warm");
    desk.proxy.forget();
    let own = dockerfile() + "COPY app.sh /\nRUN sh /app.sh\n";
    desk.here.file("Dockerfile", own);
    desk.refuses("an edit", &desk.worktree());
    desk.here.git(&["switch", "--quiet", "--create", "own"]);
    desk.here.commit();
    desk.refuses("a commit", &desk.head());
}

#[test]
fn what_was_approved_once_needs_no_approval_again() {
    let desk = Desk::new();
    desk.foreign("theirs", &|repo| {
        repo.file("deps.txt", format!("{} theirs\n", desk.scene.seed));
    });
    desk.refuses("at first", &desk.head());
    let allowed = desk.prewarm(&["allow", "--yes"]);
    assert_eq!(allowed.code(), 0, "{}", allowed.stderr);
    assert!(
        allowed.stdout.contains("file: deps.txt"),
        "{}",
        allowed.stdout
    );
    desk.head().is("warm");
    // Somebody goes on from there.
    desk.team.git(&["switch", "--quiet", "theirs"]);
    desk.team.file("README.md", "More\n").commit();
    desk.here.git(&["fetch", "--quiet", "origin"]);
    desk.here
        .git(&["switch", "--quiet", "--detach", "origin/theirs"]);
    desk.head().is("already-warm");
    desk.worktree().is("already-warm");
    desk.team
        .file("deps.txt", format!("{} evil\n", desk.scene.seed))
        .commit();
    desk.here.git(&["fetch", "--quiet", "origin"]);
    desk.here
        .git(&["switch", "--quiet", "--detach", "origin/theirs"]);
    desk.proxy.forget();
    desk.refuses("something new", &desk.head());
}
