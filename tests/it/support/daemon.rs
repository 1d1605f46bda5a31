//! A daemon that runs while the test does something, and what it says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::prewarm::Machine;
use super::wait::until;

/// What does not happen within this time does not happen.
const LIMIT: Duration = Duration::from_secs(60);

/// A daemon in the foreground; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon<'m> {
    machine: &'m Machine,
    child: Child,
}

/// Who follows its status.
#[derive(Debug)]
pub(crate) struct Follower {
    child: Child,
    statuses: Receiver<Value>,
    last: Value,
}

impl<'m> Daemon<'m> {
    /// Starts it and waits until it answers.
    #[track_caller]
    pub(crate) fn start(machine: &'m Machine) -> Self {
        Self::start_with(machine, &BTreeMap::new())
    }

    /// The same with more in its environment.
    #[track_caller]
    pub(crate) fn start_with(machine: &'m Machine, environment: &BTreeMap<&str, &str>) -> Self {
        let daemon = Self::spawn(machine, environment);
        daemon.answers();
        daemon
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn spawn(machine: &'m Machine, environment: &BTreeMap<&str, &str>) -> Self {
        machine.prunes_nothing();
        let mut command = machine.prewarm(machine.home()).args(["daemon", "run"]);
        for (name, value) in environment {
            command = command.env(name, value);
        }
        let child = command.spawn(Stdio::null(), Stdio::null());
        Self { machine, child }
    }

    /// Waits until it answers.
    #[track_caller]
    pub(crate) fn answers(&self) -> Duration {
        until("the daemon answers", LIMIT, || {
            self.machine.ask(&["daemon", "status", "--json"]).code() == 0
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends it a signal, by name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until a process that it started has these words on its command line, and returns it.
    #[track_caller]
    pub(crate) fn job(&self, words: &str) -> u32 {
        let mut found = None;
        until("a job runs", LIMIT, || {
            found = jobs(&self.machine.state(), words).first().copied();
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> i32 {
        let mut code = None;
        until("the daemon ends", LIMIT, || {
            code = self.child.try_wait().expect("a child can be waited for");
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }

    /// Follows its status.
    #[track_caller]
    pub(crate) fn follow(&self) -> Follower {
        let command = self.machine.prewarm(self.machine.home());
        let command = command.args(["status", "--follow", "--json"]);
        let mut child = command.spawn(Stdio::piped(), Stdio::null());
        let stdout = child.stdout.take().expect("it is a pipe");
        let (sender, statuses) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(status) = serde_json::from_str::<Value>(&line) {
                    // The test may have seen enough.
                    let _ = sender.send(status["status"].clone());
                }
            }
        });
        let last = Value::Null;
        Follower {
            child,
            statuses,
            last,
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It ends with the daemon.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Follower {
    /// Waits until the status is so, and returns it.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LIMIT;
        while self.last.is_null() || !wanted(&self.last) {
            match self
                .statuses
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(status) => self.last = status,
                Err(RecvTimeoutError::Timeout) => panic!("not so: {what}\n{:#}", self.last),
                Err(RecvTimeoutError::Disconnected) => panic!("the daemon has gone before: {what}"),
            }
        }
        self.last.clone()
    }

    /// Waits until nothing is to do in any work tree, and everything was looked at.
    #[track_caller]
    pub(crate) fn until_idle(&mut self) -> Value {
        self.until("nothing is to do", |status| {
            let trees = status["trees"].as_array().into_iter().flatten();
            trees.clone().count() > 0 && trees.into_iter().all(is_idle)
        })
    }

    /// Waits until HEAD of the only work tree is being built, and a step of it runs.
    #[track_caller]
    pub(crate) fn until_in_step(&mut self) {
        self.until("the build is in its step", |status| {
            target(status, "head")["build"]["step"].is_string()
        });
    }

    /// Waits until the view of the only work tree has a target `builder` that ended so, from a source.
    #[track_caller]
    pub(crate) fn until_target(&mut self, view: &str, outcomes: &[&str], source: &str) -> Value {
        self.until(&format!("{view} is {outcomes:?} from {source}"), |status| {
            let target = target(status, view);
            let outcome = target["outcome"].as_str().unwrap_or_default();
            let from = target["source"].as_str().unwrap_or_default();
            outcomes.contains(&outcome) && from.contains(source)
        })
    }
}

/// Whether nothing is to do in a work tree.
pub(crate) fn is_idle(tree: &Value) -> bool {
    let views = tree["views"].as_array().into_iter().flatten();
    tree["changing"] == false
        && tree["busy"].is_null()
        && views.into_iter().all(|view| {
            let looked = !view["targets"].as_array().is_none_or(Vec::is_empty)
                || !view["errors"].as_array().is_none_or(Vec::is_empty);
            view["phase"] == "idle" && looked
        })
}

/// A view of the first work tree.
pub(crate) fn view<'s>(status: &'s Value, name: &str) -> &'s Value {
    let views = status["trees"][0]["views"].as_array().into_iter().flatten();
    let mut views = views.filter(|view| view["view"] == name);
    views.next().unwrap_or(&Value::Null)
}

/// Its first target.
pub(crate) fn target<'s>(status: &'s Value, name: &str) -> &'s Value {
    &view(status, name)["targets"][0]
}

/// Processes whose state is in this directory, and that have these words on their command line.
pub(crate) fn jobs(state: &Path, words: &str) -> Vec<u32> {
    let state = format!("PREWARM_STATE_DIR={}", state.display());
    let processes = fs::read_dir("/proc").expect("there is /proc");
    let ours = processes.map_while(Result::ok).filter(|process| {
        // A process may end while we look.
        let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let line = read("cmdline")
            .split(|byte| *byte == 0)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join(" ");
        line.contains(words)
            && read("environ")
                .split(|byte| *byte == 0)
                .any(|text| text == state.as_bytes())
    });
    ours.filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends a process a signal, by name.
#[track_caller]
pub(crate) fn signal(pid: u32, name: &str) {
    // The shell's own `kill`: the program is in a package that small systems lack.
    let status = Command::new("sh")
        .args(["-c", &format!("kill -s {name} {pid}")])
        .status()
        .expect("sh can be run");
    assert!(status.success(), "process {pid} is there");
}

impl Machine {
    /// Runs a command of prewarm in the home directory, to its end.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> super::prewarm::Finished {
        self.prewarm(self.home())
            .args(arguments.iter().copied())
            .run()
    }

    /// Allows a repository.
    #[track_caller]
    pub(crate) fn allow(&self, repository: &Path) -> &Self {
        let finished = self.prewarm(repository).args(["allow", "--yes"]).run();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        self
    }

    /// Installs git's hooks in a repository.
    #[track_caller]
    pub(crate) fn install_hooks(&self, repository: &Path) -> &Self {
        self.prunes_nothing();
        let install = self.prewarm(repository).args(["hooks", "install"]);
        let finished = install.run();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        self
    }

    /// What the history says, newest first.
    #[track_caller]
    pub(crate) fn history(&self) -> Value {
        let finished = self.ask(&["history", "--json", "-n", "1000"]);
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).expect("it is JSON")
    }

    /// How many builds the history knows, whatever came of them.
    #[track_caller]
    pub(crate) fn builds(&self) -> usize {
        let history = self.history();
        let rows = history["warms"].as_array().expect("it is a list");
        rows.iter()
            .filter(|row| row["outcome"] != "already-warm")
            .count()
    }

    /// What the daemon says of itself.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let finished = self.ask(&["status", "--json"]);
        let document: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        document["status"].clone()
    }

    /// The daemon's discovery file.
    pub(crate) fn discovery(&self) -> PathBuf {
        self.state().join("daemon.json")
    }
}
