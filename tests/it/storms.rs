//! Git at its busiest while the daemon watches: whatever happens in between, only the state that it ends in is built, and
//! git never notices that somebody watches.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::daemon::{Daemon, Follower, target};
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::repo::{Repo, dockerfile, git_command};

/// Somebody who has allowed a project and installed the hooks there.
struct Developer {
    scene: Scene,
    repo: Repo,
    machine: Machine,
}

impl Developer {
    /// On branch `topic`, which `prepare` has done something to.
    fn new(prepare: impl FnOnce(&Repo, &Scene)) -> Self {
        let scene = Scene::new();
        let repo = scene.project();
        prepare(&repo, &scene);
        let machine = Machine::new();
        machine.allow(repo.path()).install_hooks(repo.path());
        Self {
            scene,
            repo,
            machine,
        }
    }

    /// Saves the input, as editors do: a new file, renamed over the old one.
    fn edit(&self, content: &str) {
        let new = self.repo.path().join("deps.txt.new");
        fs::write(&new, format!("{} {content}\n", self.scene.seed)).expect("it can be written");
        fs::rename(new, self.repo.path().join("deps.txt")).expect("it can be renamed");
    }

    /// Waits until HEAD is warm as it is now, and nothing is left to do.
    #[track_caller]
    fn settles(&self, follower: &mut Follower) -> Value {
        let commit = self.repo.git(&["rev-parse", "--short=7", "HEAD"]);
        follower.until_target("head", &["warm", "already-warm"], &commit);
        follower.until_idle()
    }

    /// The same where HEAD is what it was before: something that decides nothing shows that the daemon has seen all.
    #[track_caller]
    fn settles_again(&self, follower: &mut Follower) -> Value {
        let arguments = ["commit", "--quiet", "--allow-empty", "--message=Nothing"];
        self.repo.git(&arguments);
        self.settles(follower)
    }
}

/// Adds commits to a branch, far faster than by `git commit`: each has a note of its own, and every tenth one other inputs.
fn import(repo: &Repo, branch: &str, commits: usize, inputs: &str) {
    let parent = repo.git(&["rev-parse", branch]);
    let mut stream = String::new();
    for number in 0..commits {
        let mut files = vec![(format!("notes/{number}"), format!("note {number}\n"))];
        if number % 10 == 5 {
            files.push(("deps.txt".to_owned(), format!("{inputs} {number}\n")));
        }
        let _ = writeln!(
            stream,
            "commit refs/heads/{branch}\ncommitter Test <test@example.com> 1767323045 +0000\n\
             data 4\nNote"
        );
        if number == 0 {
            let _ = writeln!(stream, "from {parent}");
        }
        for (path, content) in files {
            let length = content.len();
            let _ = writeln!(stream, "M 100644 inline {path}\ndata {length}\n{content}");
        }
    }
    let mut child = git_command(repo.path())
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git can be run");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin
        .write_all(stream.as_bytes())
        .expect("git reads all of it");
    drop(stdin);
    let status = child.wait().expect("a child can be waited for");
    assert!(status.success(), "{status}");
    repo.git(&["reset", "--quiet", "--hard"]);
}

/// Rebases 500 commits, which change the inputs fifty times on the way, onto a commit that changes a file.
#[track_caller]
fn rebased_onto(path: &str, content: &str) -> usize {
    let developer = Developer::new(|repo, scene| {
        import(repo, "topic", 500, &scene.seed);
        repo.git(&["switch", "--quiet", "main"]);
        repo.file(path, content).commit();
        repo.git(&["switch", "--quiet", "topic"]);
    });
    let Developer { repo, machine, .. } = &developer;
    let daemon = Daemon::start(machine);
    let mut follower = daemon.follow();
    developer.settles(&mut follower);
    let builds = machine.builds();
    repo.git(&["rebase", "--quiet", "main"]);
    developer.settles(&mut follower);
    machine.builds() - builds
}

#[test]
fn a_rebase_of_500_commits_is_no_build_where_the_inputs_end_as_they_were() {
    assert_eq!(rebased_onto("README.md", "Another project\n"), 0);
}

#[test]
fn a_rebase_of_500_commits_is_one_build_where_the_inputs_end_as_something_new() {
    let recipe = dockerfile().replacen("\n\n", "\nRUN true\n\n", 1);
    assert_eq!(rebased_onto("Dockerfile", &recipe), 1);
}

#[test]
fn a_switch_that_changes_5000_files_is_one_build() {
    let developer = Developer::new(|repo, scene| {
        fill(repo.path(), "one");
        repo.commit().branch("other");
        fill(repo.path(), "two");
        repo.file("deps.txt", format!("{} of another branch\n", scene.seed));
        repo.commit();
        repo.git(&["switch", "--quiet", "topic"]);
    });
    let Developer { repo, machine, .. } = &developer;
    let daemon = Daemon::start(machine);
    let mut follower = daemon.follow();
    developer.settles(&mut follower);
    let builds = machine.builds();
    repo.git(&["switch", "--quiet", "other"]);
    developer.settles(&mut follower);
    assert_eq!(machine.builds(), builds + 1, "{:#}", machine.history());
    repo.git(&["switch", "--quiet", "topic"]);
    developer.settles(&mut follower);
    assert_eq!(machine.builds(), builds + 1, "{:#}", machine.history());
}

/// Writes 5,000 files in 50 directories.
fn fill(root: &Path, content: &str) {
    for directory in 0..50 {
        let directory = root.join(format!("src/{directory}"));
        fs::create_dir_all(&directory).expect("directories can be made");
        for file in 0..100 {
            fs::write(directory.join(file.to_string()), content).expect("it can be written");
        }
    }
}

#[test]
fn what_is_stashed_and_popped_is_not_built_again() {
    let developer = Developer::new(|_, _| {});
    let Developer { repo, machine, .. } = &developer;
    let daemon = Daemon::start(machine);
    let mut follower = daemon.follow();
    developer.settles(&mut follower);
    developer.edit("edited");
    follower.until("the edit is built", |status| {
        target(status, "worktree")["outcome"] == "warm"
    });
    let builds = machine.builds();
    for _ in 0..5 {
        repo.git(&["stash", "--quiet"]);
        repo.git(&["stash", "pop", "--quiet"]);
    }
    developer.settles_again(&mut follower);
    assert_eq!(machine.builds(), builds, "{:#}", machine.history());
}

#[test]
fn a_bisection_builds_nothing() {
    let developer = Developer::new(|repo, scene| import(repo, "topic", 30, &scene.seed));
    let Developer { repo, machine, .. } = &developer;
    let daemon = Daemon::start(machine);
    let mut follower = daemon.follow();
    developer.settles(&mut follower);
    let builds = machine.builds();
    repo.git(&["bisect", "start", "HEAD", "HEAD~29"]);
    let said = repo.git(&["bisect", "run", "sh", "-c", "! test -e notes/13"]);
    assert!(said.contains("is the first bad commit"), "{said}");
    // It is not over before it is reset: until then HEAD is nobody's work.
    follower.until("git is busy", |status| {
        status["trees"][0]["busy"] == "a bisection"
    });
    repo.git(&["bisect", "reset"]);
    developer.settles_again(&mut follower);
    assert_eq!(machine.builds(), builds, "{:#}", machine.history());
}

#[test]
fn a_thousand_commands_of_git_do_not_notice_the_daemon() {
    const COMMANDS: [&[&str]; 10] = [
        &["status", "--short"],
        &["add", "--all"],
        &["stash", "--quiet"],
        &["switch", "--quiet", "main"],
        &["switch", "--quiet", "topic"],
        &["stash", "pop", "--quiet", "--index"],
        &["diff", "--quiet", "--cached", "README.md"],
        &["commit", "--quiet", "--all", "--message=Edit"],
        &["reset", "--quiet", "--hard", "HEAD"],
        &["status", "--short"],
    ];
    let developer = Developer::new(|_, _| {});
    let Developer { repo, machine, .. } = &developer;
    let daemon = Daemon::start(machine);
    let mut follower = daemon.follow();
    developer.settles(&mut follower);
    for round in 0..100 {
        developer.edit(&format!("round {round}"));
        for arguments in COMMANDS {
            let output = git_command(repo.path())
                .args(arguments)
                .output()
                .expect("git can be run");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "round {round}, {arguments:?}: {}: {said}",
                output.status
            );
        }
    }
    developer.settles(&mut follower);
    let warmed = machine.warm(repo.path()).json();
    assert_eq!(warmed.is("already-warm").ci(), "will-hit");
    assert!(!warmed.built());
}
