//! What kind of file system a path is on, by the kernel's table of mounts. Nothing in here touches the path: a dead network
//! file system would hang it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File systems whose changes by others are not told here: networks, and hosts of virtual machines.
const SILENT: [&str; 17] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "drvfs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "vboxsf",
    "virtiofs",
];

/// The kind of the file system that an absolute path is on, by `/proc/self/mountinfo`'s text.
pub(super) fn kind(mountinfo: &str, path: &Path) -> Option<String> {
    mountinfo
        .lines()
        .filter_map(entry)
        .filter(|(place, _)| path.starts_with(place))
        // Of mounts at the same place the last one hides the others.
        .max_by_key(|(place, _)| place.components().count())
        .map(|(_, kind)| kind.to_owned())
}

/// Whether programs on this machine are told of changes there.
pub(super) fn tells(kind: &str) -> bool {
    !SILENT.contains(&kind)
}

/// Place and kind of a line (`man 5 proc_pid_mountinfo`): the fifth field, and the first after a lone dash.
fn entry(line: &str) -> Option<(PathBuf, &str)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let place = mount.split(' ').nth(4)?;
    Some((unescape(place), filesystem.split(' ').next()?))
}

/// Blanks and backslashes stand as three octal digits after a backslash.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match digits {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:30 / /home/ada rw - ext4 /dev/vda2 rw
31 22 0:31 / /home/ada rw - nfs4 server:/ada rw
32 22 0:32 / /mnt/c rw,noatime - 9p drvfs rw,aname=drvfs
33 22 0:33 / /mnt/my\\040disk rw - fuse.sshfs host: rw
34 22 0:34 / /homely rw - tmpfs tmpfs rw
nonsense
";

    #[test]
    fn the_innermost_and_last_mount_counts() {
        for (path, expected, told) in [
            ("/etc", "ext4", true),
            ("/home/ada/project", "nfs4", false),
            ("/home/adam", "ext4", true),
            ("/mnt/c/Users", "9p", false),
            ("/mnt/my disk/x", "fuse.sshfs", false),
            ("/homely", "tmpfs", true),
        ] {
            let kind = kind(MOUNTS, Path::new(path)).expect("everything is mounted somewhere");
            assert_eq!((kind.as_str(), tells(&kind)), (expected, told), "{path}");
        }
        assert_eq!(kind("", Path::new("/")), None);
    }
}
