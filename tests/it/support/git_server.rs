//! Serves a repository by the git protocol.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use super::ci::bare_clone;
use super::repo::{Repo, git_command};

/// A repository's state at one time, at a `git://` address.
#[derive(Debug)]
pub(crate) struct GitServer {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    /// Kept for its end, which removes what is served.
    _directory: TempDir,
}

impl GitServer {
    pub(crate) fn new(repo: &Repo) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        bare_clone(repo, &directory.path().join("project.git"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let over = Arc::new(AtomicBool::new(false));
        let (base, stop) = (directory.path().to_owned(), Arc::clone(&over));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                serve(connection, &base);
            }
        });
        Self {
            address,
            over,
            _directory: directory,
        }
    }

    pub(crate) fn url(&self, branch: &str) -> String {
        format!("git://{}/project.git#{branch}", self.address)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener; if it is gone there is nothing to wake.
        let _ = TcpStream::connect(self.address);
    }
}

/// One request: git's own daemon with the connection as its standard input and output.
fn serve(connection: TcpStream, base: &Path) {
    let output = connection.try_clone().expect("a socket can be duplicated");
    let mut daemon = git_command(base)
        .args(["daemon", "--inetd", "--export-all"])
        .arg(format!("--base-path={}", base.display()))
        .stdin(OwnedFd::from(connection))
        .stdout(OwnedFd::from(output))
        .spawn()
        .expect("git can be run");
    thread::spawn(move || daemon.wait());
}
