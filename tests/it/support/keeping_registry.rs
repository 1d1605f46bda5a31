//! A registry that deletes nothing, as CNCF's does unless told otherwise.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::engines::engines;
use super::http::request;
use super::wait::until;

/// A registry that takes longer to start hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A process of its own, with everything in memory.
#[derive(Debug)]
pub(crate) struct KeepingRegistry {
    process: Child,
    address: String,
    /// Kept for its end, which removes the configuration.
    _directory: TempDir,
}

impl KeepingRegistry {
    /// Runs the test engines' registry program on a port of its own.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener
            .local_addr()
            .expect("a listener has an address")
            .to_string();
        let config = directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\nstorage: {{ inmemory: {{}} }}\n\
             http: {{ addr: \"{address}\" }}\n"
        );
        fs::write(&config, text).expect("a file can be written");
        let above = engines().docker_directory().parent();
        let program = above
            .expect("it is in a directory")
            .join("rootfs/usr/bin/docker-registry");
        drop(listener);
        let process = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test engines brought a registry");
        let registry = Self {
            process,
            address,
            _directory: directory,
        };
        until("the registry listens", LIMIT, || {
            TcpStream::connect(&registry.address).is_ok()
        });
        assert_eq!(
            request(&registry.address, "GET", "/v2/", &[], &[]).status,
            200
        );
        registry
    }

    /// Its `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for KeepingRegistry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
