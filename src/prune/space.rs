//! The disk that the Engine's data is on.

use std::path::{Path, PathBuf};

use super::usage::Disk;
use crate::engine::{EngineInfo, Host};

/// The directory of the Engine's data, where that is on this machine.
///
/// # Errors
/// It is not. The message is as of [`measure`].
pub fn root(info: &EngineInfo, host: &Host) -> Result<PathBuf, String> {
    let root = Path::new(&info.data_root);
    // Its desktop edition answers on a socket here, from a virtual machine.
    let desktop = info.operating_system.contains("Desktop");
    if !matches!(host, Host::Unix(_)) || desktop || !root.is_absolute() || !root.exists() {
        return Err(format!("{} is not on this machine", info.data_root));
    }
    Ok(root.to_owned())
}

/// The disk that a directory is on.
///
/// # Errors
/// It does not say. The message is as of [`measure`].
pub fn at(root: &Path) -> Result<Disk, String> {
    let path = root.display().to_string();
    match rustix::fs::statvfs(root) {
        Err(error) => Err(format!("{path}: {error}")),
        Ok(found) => Ok(Disk {
            path,
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        }),
    }
}

/// The size of the disk that the Engine's data is on, and what is free of it.
///
/// # Errors
/// Why that is not known: the Engine's disk is not one of this machine, or does not say. A whole sentence without a full
/// stop, which begins with the directory.
pub fn measure(info: &EngineInfo, host: &Host) -> Result<Disk, String> {
    at(&root(info, host)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(data_root: &str, operating_system: &str) -> EngineInfo {
        EngineInfo {
            id: String::new(),
            server_version: String::new(),
            api_version: String::new(),
            operating_system: operating_system.to_owned(),
            data_root: data_root.to_owned(),
            containerd_store: true,
            ncpu: 1,
            mem_total: 0,
            maps_users: false,
        }
    }

    #[test]
    fn only_a_disk_of_this_machine_is_measured() {
        let here = Host::Unix("/run/docker.sock".into());
        let disk = measure(&info("/", "Debian"), &here).expect("the root is here");
        assert!(disk.free <= disk.total && disk.total > 0, "{disk:?}");
        for (root, system, host) in [
            ("/", "Docker Desktop", &here),
            ("/not/here", "Debian", &here),
            ("", "Debian", &here),
        ] {
            assert_eq!(
                measure(&info(root, system), host),
                Err(format!("{root} is not on this machine"))
            );
        }
    }
}
