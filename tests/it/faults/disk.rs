//! The daemon's own files are damaged, and its disk is full or read-only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::project;
use crate::support::daemon::{Daemon, jobs, target};
use crate::support::disk::Disk;
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::proxy::Proxy;
use crate::support::wait::until;

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("a file can be written");
}

#[test]
fn on_a_full_disk_it_warms_and_says_what_it_cannot_write() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    let disk = Disk::mount(machine.state(), "2m");
    machine.allow(repo.path());
    let ballast = disk.fill();
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_target("head", &["warm", "already-warm"], "commit");
    let status = follower.until_idle();
    assert!(
        status["problems"].to_string().contains("No space left"),
        "{status:#}"
    );
    assert!(
        status["trees"].to_string().contains("without a history"),
        "{status:#}"
    );
    fs::remove_file(ballast).expect("it was written");
    repo.file("deps.txt", format!("{} more\n", scene.seed))
        .commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["warm", "already-warm"], &commit);
    let status = follower.until_idle();
    assert_eq!(status["problems"].to_string(), "[]", "it has recovered");
}

#[test]
fn where_its_state_is_read_only_it_says_so() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    let disk = Disk::mount(machine.state(), "8m");
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    daemon.follow().until_idle();
    daemon.kill();
    until("its jobs have ended", Duration::from_secs(20), || {
        jobs(&machine.state(), "prewarm").is_empty()
    });
    disk.remount("ro");
    let refused = machine
        .prewarm(machine.home())
        .args(["daemon", "run"])
        .run();
    assert_eq!(refused.code(), 3);
    assert!(
        refused.stderr.contains("daemon.lock cannot be taken"),
        "{}",
        refused.stderr
    );
    disk.remount("rw");
    let daemon = Daemon::start(&machine);
    daemon
        .follow()
        .until_target("head", &["already-warm"], "commit");
}

/// Databases that were set aside.
fn aside(state: &Path) -> usize {
    let entries = fs::read_dir(state).expect("it was made").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| {
            name.contains(".corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .count()
}

#[test]
fn damaged_files_are_set_aside_and_it_goes_on() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    daemon.follow().until_idle();
    daemon.kill();
    let state = machine.state();
    let database = state.join("prewarm.db");
    let damages = [
        fs::read(&database).expect("it was made")[..5000].to_vec(),
        b"garbage".repeat(4000),
    ];
    for (round, garbage) in damages.into_iter().enumerate() {
        until("its jobs have ended", Duration::from_secs(20), || {
            jobs(&state, "prewarm").is_empty()
        });
        for suffix in ["-wal", "-shm"] {
            // Not always there.
            let _ = fs::remove_file(state.join(format!("prewarm.db{suffix}")));
        }
        write(&database, garbage);
        write(&machine.discovery(), "garbage");
        write(&state.join("builds").join("0".repeat(64)), "stale");
        let daemon = Daemon::start(&machine);
        let mut follower = daemon.follow();
        until("it is set aside", Duration::from_secs(20), || {
            aside(&state) == round + 1
        });
        follower.until_target("head", &["warm", "already-warm"], "commit");
        daemon.kill();
    }

    // Consent that cannot be trusted allows nothing.
    let consent = state.join("consent.json");
    let good = fs::read(&consent).expect("it was written");
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    write(&consent, &good[..good.len() / 2]);
    let status = follower.until("it is told", |status| {
        status["problems"].to_string().contains("cannot be trusted")
    });
    assert_eq!(status["trees"].to_string(), "[]");
    assert!(
        status["problems"].to_string().contains("prewarm allow"),
        "{status:#}"
    );
    write(&consent, good);
    let status = follower.until_idle();
    assert_eq!(status["problems"].to_string(), "[]");
    repo.file("deps.txt", format!("{} more\n", scene.seed))
        .commit();
    follower.until("it goes on", |status| {
        target(status, "head")["outcome"] == "warm"
            || target(status, "worktree")["outcome"] == "warm"
    });
    let left = fs::read_dir(state.join("builds"))
        .expect("it was made")
        .count();
    assert_eq!(left, 0, "stale files are gone");
}

#[test]
fn whatever_is_in_the_spool_is_taken_and_forgotten() {
    let machine = Machine::without_engine();
    let daemon = Daemon::start(&machine);
    let spool = machine.state().join("spool");
    let lines: Vec<_> = (0..50_000)
        .map(|number| format!("v1\t/{number}\t"))
        .collect();
    write(
        &spool.join("0000000000000000.post-commit"),
        lines.join("\n"),
    );
    write(
        &spool.join("0000000000000001.post-commit"),
        vec![b'x'; 64 << 20],
    );
    write(
        &spool.join("0000000000000002.pre-push"),
        b"\xff\x00\nv9\t/x\t\nv1\trelative\t\n",
    );
    write(&spool.join("no-hook"), "v1\t/nowhere\t\n");
    fs::create_dir(spool.join("directory")).expect("a directory can be made");
    std::os::unix::fs::symlink("/etc/passwd", spool.join("link")).expect("a link can be made");
    until("all files are taken", Duration::from_secs(20), || {
        let entries = fs::read_dir(&spool).expect("it was made").flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .count()
            == 0
    });
    let status = machine.status();
    assert_eq!(status["problems"].to_string(), "[]");
    assert!(Path::new("/etc/passwd").exists());
    drop(daemon);
}
