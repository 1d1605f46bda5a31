//! What the kernel grants a user for watching files, and how much of it is taken. All programs of the user share it: an
//! editor or a bundler may have taken everything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, blocking};

const NAME: &str = "inotify";

/// What one repository needs at most, by a good margin; see the daemon's watches.
const WATCHES: u64 = 1024;

/// With less the daemon cannot watch at all.
const FEWEST_WATCHES: u64 = 64;

/// The daemon needs one; others want some, too.
const INSTANCES: u64 = 8;

/// A number of something that the user may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Budget {
    taken: u64,
    most: u64,
}

impl Budget {
    fn left(self) -> u64 {
        self.most.saturating_sub(self.taken)
    }
}

pub(super) async fn examine() -> Vec<Finding> {
    let found = blocking(|| {
        let limits = Path::new("/proc/sys/fs/inotify");
        let number = |name: &str| -> Option<u64> {
            fs::read_to_string(limits.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let (watches, instances) = (number("max_user_watches")?, number("max_user_instances")?);
        let (taken_watches, taken_instances) = taken(Path::new("/proc"));
        let budget = |taken, most| Budget { taken, most };
        Some((
            budget(taken_watches, watches),
            budget(taken_instances, instances),
        ))
    })
    .await;
    vec![match found {
        Ok(Some((watches, instances))) => judge(watches, instances),
        // Other systems have other ways, without such a limit.
        Ok(None) => Finding::unknown(NAME, "this system tells no limits"),
        Err(error) => Finding::error(NAME, &error),
    }]
}

fn judge(watches: Budget, instances: Budget) -> Finding {
    let seen = format!(
        "{} of {} watches and {} of {} instances are in use",
        watches.taken, watches.most, instances.taken, instances.most
    );
    let raise = |key: &str, to: u64| {
        format!(
            "raise it: `echo fs.inotify.{key}={to} | sudo tee /etc/sysctl.d/60-inotify.conf`, then \
             `sudo sysctl --system`"
        )
    };
    let more = |budget: Budget, least: u64| (budget.most * 2).max(least);
    if instances.left() == 0 {
        let remedy = raise("max_user_instances", more(instances, 512));
        Finding::fail(NAME, seen, remedy)
    } else if watches.left() < FEWEST_WATCHES {
        let remedy = raise("max_user_watches", more(watches, 524_288));
        Finding::fail(NAME, seen, remedy)
    } else if instances.left() < INSTANCES {
        let remedy = raise("max_user_instances", more(instances, 512));
        Finding::warn(NAME, seen, remedy)
    } else if watches.left() < WATCHES {
        let remedy = raise("max_user_watches", more(watches, 524_288));
        Finding::warn(NAME, seen, remedy)
    } else {
        Finding::ok(NAME, seen)
    }
}

/// Watches and instances of this user's processes, as far as they can be seen.
fn taken(proc: &Path) -> (u64, u64) {
    let (mut watches, mut instances) = (0, 0);
    let us = rustix::process::getuid().as_raw();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        let name = process.file_name();
        let numbered = name
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let ours = || {
            process
                .metadata()
                .is_ok_and(|metadata| metadata.uid() == us)
        };
        if !numbered || !ours() {
            continue;
        }
        let files = fs::read_dir(process.path().join("fd"));
        for file in files.into_iter().flatten().flatten() {
            let target = fs::read_link(file.path());
            if target.is_ok_and(|target| target == Path::new("anon_inode:inotify")) {
                instances += 1;
                let info = process.path().join("fdinfo").join(file.file_name());
                let info = fs::read_to_string(info).unwrap_or_default();
                watches += info
                    .lines()
                    .filter(|line| line.starts_with("inotify "))
                    .count() as u64;
            }
        }
    }
    (watches, instances)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_budget_is_judged_by_what_is_left() {
        let budget = |taken, most| Budget { taken, most };
        for (watches, instances, expected, remedy) in [
            (budget(10, 8192), budget(3, 128), State::Ok, ""),
            (
                budget(7500, 8192),
                budget(3, 128),
                State::Warn,
                "max_user_watches=524288",
            ),
            (
                budget(8190, 8192),
                budget(3, 128),
                State::Fail,
                "max_user_watches=524288",
            ),
            (
                budget(1_048_576, 1_048_576),
                budget(3, 128),
                State::Fail,
                "max_user_watches=2097152",
            ),
            (
                budget(10, 8192),
                budget(125, 128),
                State::Warn,
                "max_user_instances=512",
            ),
            (
                budget(10, 8192),
                budget(130, 128),
                State::Fail,
                "max_user_instances=512",
            ),
        ] {
            let found = judge(watches, instances);
            assert_eq!(found.state, expected, "{found:?}");
            assert!(
                found.remedy.unwrap_or_default().contains(remedy),
                "{remedy}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_watches_are_counted() {
        use rustix::fs::inotify;
        let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC).expect("one may be had");
        inotify::add_watch(&descriptor, "/", inotify::WatchFlags::DELETE_SELF)
            .expect("the root may be watched");
        let (watches, instances) = taken(Path::new("/proc"));
        assert!(watches >= 1 && instances >= 1, "{watches} {instances}");
    }
}
