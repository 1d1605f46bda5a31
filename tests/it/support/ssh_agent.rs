//! A real `ssh-agent` with a key of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::wait::until;

/// An agent that ends when it is dropped.
#[derive(Debug)]
pub(crate) struct SshAgent {
    directory: TempDir,
    child: Child,
    /// The key that it has, as the agent's protocol writes it, in hexadecimal digits.
    pub(crate) key: String,
}

impl SshAgent {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a", "agent"])
            .current_dir(&directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent can be run");
        let mut agent = Self {
            directory,
            child,
            key: String::new(),
        };
        until("the agent listens", Duration::from_secs(10), || {
            Path::new(&agent.socket()).exists()
        });
        agent.run(&[
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "test",
            "-f",
            "key",
        ]);
        agent.run(&["ssh-add", "-q", "key"]);
        let public = std::fs::read_to_string(agent.directory.path().join("key.pub"))
            .expect("ssh-keygen wrote it");
        let blob = public.split(' ').nth(1).expect("type, key and comment");
        let blob = STANDARD.decode(blob).expect("a key is in base64");
        let digits: Vec<String> = blob.iter().map(|byte| format!("{byte:02x}")).collect();
        agent.key = digits.concat();
        agent
    }

    /// As `SSH_AUTH_SOCK`.
    pub(crate) fn socket(&self) -> String {
        self.directory.path().join("agent").display().to_string()
    }

    /// Ends it at once, so that its socket is left.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    #[track_caller]
    fn run(&self, command: &[&str]) {
        let status = Command::new(command[0])
            .args(&command[1..])
            .env("SSH_AUTH_SOCK", self.socket())
            .current_dir(&self.directory)
            .status()
            .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        assert!(status.success(), "{command:?} failed");
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        self.kill();
    }
}
