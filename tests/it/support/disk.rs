//! A disk that can be full, or read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own; gone with the test.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    #[track_caller]
    pub(crate) fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).expect("directories can be made");
        let disk = Self(path);
        disk.run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("mode=0700,size={size}"),
                "tmpfs",
            ],
        );
        disk
    }

    #[track_caller]
    pub(crate) fn remount(&self, how: &str) {
        self.run("mount", &["-o", &format!("remount,{how}")]);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program).args(arguments).arg(&self.0).status();
        assert!(
            status.expect("it can be run").success(),
            "tests run as root"
        );
    }

    /// Writes until nothing more fits.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let full = fs::write(&path, vec![0; 64 << 20]).expect_err("it is small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the daemon may still have files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Writes a file to a disk until only so many bytes are left.
#[track_caller]
pub(crate) fn leave(directory: &Path, bytes: u64) {
    let found = rustix::fs::statvfs(directory).expect("it is there");
    let size = found.f_bavail * found.f_frsize - bytes;
    let size = usize::try_from(size).expect("it is small");
    fs::write(directory.join("ballast"), vec![0; size]).expect("so much is free");
}
