//! Whether the process that began a warm still lives, so that a killed run does not look like a running one.

use std::fs;
use std::process::Command;

/// A process, told apart from a later one that got the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: u32,
    /// When it was started, as the system writes it; empty when unknown.
    pub(super) started: String,
}

impl Process {
    /// Ourselves.
    pub(super) fn current() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            started: started(pid).unwrap_or_default(),
        }
    }

    /// Whether it still runs.
    pub(super) fn lives(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }
}

/// When the process was started; `None` when there is none, or when it has ended and only waits for its parent.
fn started(pid: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    } else {
        let output = Command::new("ps")
            .args(["-o", "stat=", "-o", "lstart=", "-p", &pid.to_string()])
            .env("LC_ALL", "C")
            .output()
            .ok()?;
        parse_ps(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Reads `/proc/PID/stat` (`proc_pid_stat(5)`): the state is the field after the name in parentheses, the start time, in
/// clock ticks since boot, the twentieth.
fn parse_stat(stat: &str) -> Option<String> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!is_dead(state)).then(|| started.to_owned())
}

/// Reads `ps -o stat= -o lstart=`, whose second column has spaces.
fn parse_ps(output: &str) -> Option<String> {
    let (state, started) = output.trim().split_once(' ')?;
    (!is_dead(state)).then(|| started.trim().to_owned())
}

fn is_dead(state: &str) -> bool {
    state.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_live_and_a_later_process_with_our_number_is_not_us() {
        let us = Process::current();
        assert!(us.lives());
        assert!(
            !Process {
                started: "another time".to_owned(),
                ..us
            }
            .lives()
        );
    }

    #[test]
    fn a_process_that_ended_does_not_live() {
        let mut child = Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep is everywhere");
        let started = started(child.id()).expect("it runs");
        let process = Process {
            pid: child.id(),
            started,
        };
        child.kill().expect("it is ours");
        child.wait().expect("it was killed");
        assert!(!process.lives());
    }

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let stat = |state| {
            format!("4242 (a) b (c) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20")
        };
        assert_eq!(parse_stat(&stat("S")).as_deref(), Some("987654"));
        assert_eq!(parse_stat(&stat("Z")), None);
    }

    #[test]
    fn ps_output_is_read_where_there_is_no_proc() {
        assert_eq!(
            parse_ps("Ss+  Sat Nov 22 08:01:02 2025\n").as_deref(),
            Some("Sat Nov 22 08:01:02 2025")
        );
        assert_eq!(parse_ps("Z    Sat Nov 22 08:01:02 2025\n"), None);
        assert_eq!(parse_ps(""), None);
    }
}
