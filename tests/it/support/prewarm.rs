//! Runs the `prewarm` command as somebody on some machine would.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::engines::{engines, search_path};
use super::redact::Redactions;
use super::running::Running;

/// A command that takes longer hangs. In seconds.
const LIMIT: &str = "120";

/// Somebody's machine: a home directory of its own, and an Engine.
#[derive(Debug)]
pub(crate) struct Machine {
    home: Arc<TempDir>,
    engine: String,
    search_path: String,
}

impl Machine {
    /// A developer's machine, with engine A.
    pub(crate) fn new() -> Self {
        Self::with_engine(&engines().a)
    }

    /// A machine with another Engine.
    pub(crate) fn with_engine(engine: &str) -> Self {
        Self::place(engine, search_path())
    }

    /// A machine without any Engine: such a test needs none.
    pub(crate) fn without_engine() -> Self {
        let search_path = std::env::var("PATH").unwrap_or_default();
        Self::place("unix:///nonexistent/docker.sock", search_path)
    }

    fn place(engine: &str, search_path: String) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        Self {
            home: Arc::new(home),
            engine: engine.to_owned(),
            search_path,
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The directory of prewarm's state.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join("state")
    }

    /// Writes the user's own configuration. Where it says nothing of pruning nothing is pruned: engines are shared with
    /// other tests.
    pub(crate) fn configure(&self, text: &str) -> &Self {
        let off = if text.contains("[prune]") {
            ""
        } else {
            "\n[prune]\nautomatic = false\n"
        };
        let text = format!("{text}{off}");
        let directory = self.home().join(".config/prewarm");
        fs::create_dir_all(&directory).expect("directories can be made");
        fs::write(directory.join("config.toml"), text).expect("a file can be written");
        self
    }

    /// As [`Machine::configure`] where nothing was configured.
    pub(crate) fn prunes_nothing(&self) {
        if !self.home().join(".config/prewarm/config.toml").exists() {
            self.configure("");
        }
    }

    /// Logs in to a registry, as `docker login` would.
    pub(crate) fn login(&self, host: &str, user: &str, password: &str) -> &Self {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let config = json!({ "auths": { host: { "auth": auth } } });
        fs::create_dir_all(self.docker_config()).expect("directories can be made");
        fs::write(self.docker_config().join("config.json"), config.to_string())
            .expect("a file can be written");
        self
    }

    pub(crate) fn docker_config(&self) -> PathBuf {
        self.home().join(".docker")
    }

    /// `prewarm` in a directory.
    pub(crate) fn prewarm(&self, directory: &Path) -> Prewarm {
        let program = Path::new(env!("CARGO_BIN_EXE_prewarm"));
        let environment = [
            ("PATH", self.search_path.clone()),
            ("HOME", self.home().display().to_string()),
            ("PREWARM_STATE_DIR", self.state().display().to_string()),
            ("DOCKER_HOST", self.engine.clone()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ];
        let mut redactions = Redactions::default();
        redactions.add(&directory.display().to_string(), "[REPO]");
        redactions.add(&self.home().display().to_string(), "[HOME]");
        Prewarm {
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            directory: directory.to_owned(),
            redactions,
            home: Arc::clone(&self.home),
        }
    }

    /// `prewarm warm` in a directory.
    pub(crate) fn warm(&self, directory: &Path) -> Prewarm {
        self.prewarm(directory).args(["warm"])
    }
}

/// A command to be run.
#[must_use]
#[derive(Debug)]
pub(crate) struct Prewarm {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: PathBuf,
    redactions: Redactions,
    /// Kept as long as the command: nobody else may still hold the machine.
    home: Arc<TempDir>,
}

impl Prewarm {
    pub(crate) fn args<'text>(mut self, arguments: impl IntoIterator<Item = &'text str>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(ToOwned::to_owned));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes the Engine away: whatever still works does without BuildKit.
    pub(crate) fn without_engine(self) -> Self {
        self.env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    }

    /// Shows `text` as `shown` in what is compared.
    pub(crate) fn redact(mut self, text: &str, shown: &'static str) -> Self {
        self.redactions.add(text, shown);
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Finished {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", LIMIT]).arg(&self.program);
        let output = self
            .prepare(&mut command)
            .output()
            .expect("prewarm can be run");
        assert_ne!(
            output.status.code(),
            Some(124),
            "prewarm {:?} hangs",
            self.arguments
        );
        Finished {
            status: output.status,
            stdout: String::from_utf8(output.stdout).expect("prewarm prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("prewarm prints UTF-8"),
            redactions: self.redactions,
        }
    }

    /// Runs it with `--json` to its end.
    #[track_caller]
    pub(crate) fn json(self) -> Warmed {
        Warmed::new(&self.args(["--json"]).run())
    }

    /// Starts it with `--json`.
    pub(crate) fn start(self) -> Running {
        let this = self.args(["--json"]);
        let mut command = Command::new(&this.program);
        Running::new(this.prepare(&mut command), Arc::clone(&this.home))
    }

    /// Its environment.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Starts it with these as standard output and error.
    pub(super) fn spawn(self, stdout: Stdio, stderr: Stdio) -> Child {
        let mut command = Command::new(&self.program);
        self.prepare(&mut command)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("prewarm can be run")
    }

    fn prepare<'command>(&self, command: &'command mut Command) -> &'command mut Command {
        command
            .args(self.arguments.iter().map(OsStr::new))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    redactions: Redactions,
}

impl Finished {
    /// The exit code as a shell would see it.
    pub(crate) fn code(&self) -> i32 {
        let signal = self.status.signal().map(|number| 128 + number);
        self.status
            .code()
            .or(signal)
            .expect("a process ends with a code or by a signal")
    }

    /// Standard output, with what differs from run to run taken out.
    pub(crate) fn out(&self) -> String {
        self.redactions.apply(&self.stdout)
    }

    /// The exit code, and standard error with what differs from run to run taken out.
    pub(crate) fn failure(&self) -> String {
        format!(
            "exit {}\n{}",
            self.code(),
            self.redactions.apply(&self.stderr)
        )
    }
}

/// How `warm --json` ended.
#[derive(Debug)]
pub(crate) struct Warmed {
    pub(crate) code: i32,
    /// What stands under `targets`, in order; empty if the command failed as a whole.
    pub(crate) targets: Vec<Value>,
    /// What was written to standard error.
    pub(crate) events: Vec<Value>,
    stderr: String,
}

impl Warmed {
    #[track_caller]
    pub(crate) fn new(finished: &Finished) -> Self {
        let lines = finished.stderr.lines();
        let events = lines.filter_map(|line| serde_json::from_str(line).ok());
        let summary: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        Self {
            code: finished.code(),
            targets: summary["targets"].as_array().cloned().unwrap_or_default(),
            events: events.collect(),
            stderr: finished.stderr.clone(),
        }
    }

    /// The only target.
    #[track_caller]
    pub(crate) fn target(&self) -> &Value {
        match self.targets.as_slice() {
            [target] => target,
            targets => panic!(
                "{} targets instead of one, exit {}:\n{}",
                targets.len(),
                self.code,
                self.stderr
            ),
        }
    }

    /// How the only target ended; `exit N` where the command did not get that far.
    pub(crate) fn outcome(&self) -> String {
        match self.targets.as_slice() {
            [target] => target["outcome"].as_str().unwrap_or_default().to_owned(),
            _ => format!("exit {}", self.code),
        }
    }

    /// Requires an outcome, and the exit code 0.
    #[track_caller]
    pub(crate) fn is(&self, outcome: &str) -> &Self {
        assert_eq!(
            (self.outcome().as_str(), self.code),
            (outcome, 0),
            "{:#?}\n{}",
            self.targets,
            self.stderr
        );
        self
    }

    /// Whether CI is said to hit.
    #[track_caller]
    pub(crate) fn ci(&self) -> &str {
        let verdict = &self.target()["ci"]["verdict"];
        verdict.as_str().expect("there is always a verdict")
    }

    /// The key of the only target.
    #[track_caller]
    pub(crate) fn key(&self) -> &str {
        self.target()["key"].as_str().expect("it came to a key")
    }

    /// The reason that the summary gives.
    #[track_caller]
    pub(crate) fn reason(&self) -> &str {
        self.target()["reason"].as_str().unwrap_or_default()
    }

    /// The references that point at the cache.
    #[track_caller]
    pub(crate) fn tags(&self) -> Vec<&str> {
        let tags = self.target()["tags"].as_array();
        tags.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Whether BuildKit was asked to build anything.
    pub(crate) fn built(&self) -> bool {
        self.events.iter().any(|event| event["event"] == "step")
    }
}
