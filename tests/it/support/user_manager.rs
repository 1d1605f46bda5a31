//! A real service manager of a user's, in namespaces of its own: `systemd --user` where systemd itself need not run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::wait::until;

/// Where control groups are, on machines with the old trees, with both, and with the new one.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
];

/// Makes what a booted system has, starts a journal, and starts the manager in a control group of its own. That group's name
/// is one of a user's manager: by it the journal tells whose a line is.
const START: &str = r#"
mount -t tmpfs none /run
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
/lib/systemd/systemd-journald >"$HOME/journal.log" 2>&1 &
(
    for tree in "$@"; do
        if [ -e "$tree/cgroup.procs" ]; then
            mkdir -p "$tree/$GROUP/user@0.service"
            echo 0 >"$tree/$GROUP/user@0.service/cgroup.procs"
        fi
    done
    echo ready
    exec /lib/systemd/systemd --user --log-target=console >"$HOME/manager.log" 2>&1
)
"#;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The manager. Ends, with all that it started, when dropped.
pub(crate) struct UserManager {
    _turn: MutexGuard<'static, ()>,
    manager: Child,
    /// The first process in the namespaces.
    inside: String,
    group: String,
    home: TempDir,
}

impl UserManager {
    /// Starts one; `None`, with a word about it, where this machine has no systemd.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new("/lib/systemd/systemd").exists() {
            skipped("there is no systemd on this machine");
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let group = format!("prewarm-manager-{:08x}.slice", fastrand::u32(..));
        let mut manager = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "sh", "-euc", START, "sh"])
            .args(TREES)
            .env_clear()
            .envs(environment(home.path()))
            .env("GROUP", &group)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be run");
        let mut line = String::new();
        let stdout = manager.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the script speaks");
        assert_eq!(line, "ready\n", "tests run as root");
        let children = format!("/proc/{0}/task/{0}/children", manager.id());
        let inside = fs::read_to_string(children).expect("the script lives");
        let this = Self {
            _turn: turn,
            manager,
            inside: inside.trim().to_owned(),
            group,
            home,
        };
        until("the manager answers", Duration::from_secs(30), || {
            this.run(Path::new("test"), &["-S", "/run/systemd/journal/stdout"])
                .status
                .success()
                && this.systemctl(&["is-system-running"]).status.success()
        });
        Some(this)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The directory of the user's units.
    pub(crate) fn units(&self) -> PathBuf {
        self.home().join(".config/systemd/user")
    }

    /// Runs a program as the user whose manager it is.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.inside, "--mount", "--pid", "--"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(environment(self.home()))
            .stdin(Stdio::null())
            .output()
            .expect("nsenter can be run")
    }

    pub(crate) fn systemctl(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<&str> = ["--user"].iter().chain(arguments).copied().collect();
        self.run(Path::new("systemctl"), &arguments)
    }

    /// A property of our unit.
    pub(crate) fn property(&self, name: &str) -> String {
        let output = self.systemctl(&["show", "--value", "--property", name, "prewarm.service"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Has the service run something else than the daemon, as users may change it, too.
    pub(crate) fn replace_daemon(&self, lines: &str) {
        let directory = self.units().join("prewarm.service.d");
        fs::create_dir_all(&directory).expect("directories can be made");
        let text = format!("[Service]\nExecStart=\n{lines}\n");
        fs::write(directory.join("daemon.conf"), text).expect("a file can be written");
    }
}

/// Says that a test did not test anything.
#[expect(
    clippy::print_stderr,
    reason = "the test harness has no other way to say it"
)]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

fn environment(home: &Path) -> [(&'static str, String); 3] {
    let path = std::env::var("PATH").unwrap_or_default();
    [
        ("PATH", format!("{}/bin:{path}", home.display())),
        ("HOME", home.display().to_string()),
        ("XDG_RUNTIME_DIR", "/run/user/0".to_owned()),
    ]
}

impl Drop for UserManager {
    fn drop(&mut self) {
        // The first process takes its namespace with it.
        let _gone = self.manager.kill();
        let _gone = self.manager.wait();
        // A manager makes its groups in every tree there is.
        let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
        let trees = trees.flatten().map(|entry| entry.path());
        for tree in trees.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let group = tree.join(&self.group);
            until(
                "the control groups are empty",
                Duration::from_secs(10),
                || !group.exists() || remove_groups(&group),
            );
        }
    }
}

/// Removes a control group with those below it; their files go with them.
fn remove_groups(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok()
}
