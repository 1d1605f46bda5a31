//! Something that says it is a Docker Engine from long ago.

use std::io::{self, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use tempfile::TempDir;

use super::http::Head;

/// What such an Engine answers to whatever it is asked.
const VERSION: &str = r#"{"Version":"18.09.9","ApiVersion":"1.39","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;

/// A socket that answers as long as the process lives.
#[derive(Debug)]
pub(crate) struct OldEngine {
    directory: TempDir,
}

impl OldEngine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let this = Self { directory };
        let listener = UnixListener::bind(this.directory.path().join("docker.sock"))
            .expect("the directory is empty");
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                // A connection that breaks concerns its two ends only.
                thread::spawn(|| answer(connection));
            }
        });
        this
    }

    /// As a `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.directory.path().display())
    }
}

fn answer(mut connection: UnixStream) -> io::Result<()> {
    let mut requests = BufReader::new(connection.try_clone()?);
    while Head::read(&mut requests)?.is_some() {
        let length = VERSION.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nApi-Version: 1.39\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.write_all(format!("{head}{VERSION}").as_bytes())?;
    }
    Ok(())
}
