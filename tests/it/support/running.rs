//! A `prewarm` that runs while the test does something to it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// What does not happen within this time does not happen.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `prewarm … --json`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    events: Receiver<Value>,
    ended: bool,
    /// Where it writes.
    _home: Arc<TempDir>,
}

impl Running {
    pub(super) fn new(command: &mut Command, home: Arc<TempDir>) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prewarm can be run");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let mut stdout = child.stdout.take().expect("standard output is a pipe");
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    // The test may have seen enough.
                    let _ = sender.send(event);
                }
            }
        });
        thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Self {
            child,
            events,
            ended: false,
            _home: home,
        }
    }

    /// Waits for an event.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        loop {
            match self.events.recv_timeout(LIMIT) {
                Ok(event) if wanted(&event) => return,
                Ok(_) => {}
                Err(error) => panic!("{what} did not happen: {error}"),
            }
        }
    }

    /// Ends it as a power cut would.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.end();
    }

    /// Sends it a signal, by name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program is in a package that small systems lack.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {}", self.child.id())])
            .status()
            .expect("sh can be run");
        assert!(status.success(), "the process is there");
    }

    /// Waits for its end and returns its exit code as a shell would see it.
    #[track_caller]
    pub(crate) fn end(&mut self) -> i32 {
        let status = self.child.wait().expect("a child can be waited for");
        self.ended = true;
        let signal = status.signal().map(|number| 128 + number);
        status
            .code()
            .or(signal)
            .expect("a process ends with a code or by a signal")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
