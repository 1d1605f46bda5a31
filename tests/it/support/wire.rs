//! The daemon's socket, spoken to byte by byte.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::prewarm::Machine;

/// What does not come within this time does not come.
const LIMIT: Duration = Duration::from_secs(20);

/// A client that says what a test wants it to say.
#[derive(Debug)]
pub(crate) struct Wire(UnixStream);

impl Wire {
    /// Connects, and says nothing.
    #[track_caller]
    pub(crate) fn connect(machine: &Machine) -> Self {
        let socket = machine.state().join("run/daemon.sock");
        let stream = UnixStream::connect(socket).expect("the socket is there");
        stream
            .set_read_timeout(Some(LIMIT))
            .expect("it is not zero");
        Self(stream)
    }

    /// Connects, and says hello as a good client does.
    #[track_caller]
    pub(crate) fn greet(machine: &Machine) -> Self {
        let mut wire = Self::connect(machine);
        wire.say(&hello(1, 1));
        let hello = wire.hear().expect("it answers");
        assert_eq!(hello["magic"], "prewarm");
        wire
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        // It may have been cut off already.
        let _ = self.0.write_all(bytes);
        self
    }

    /// Sends a frame.
    pub(crate) fn say(&mut self, message: &Value) -> &mut Self {
        let text = message.to_string();
        let length = u32::try_from(text.len()).expect("it is short");
        self.bytes(&length.to_be_bytes());
        self.bytes(text.as_bytes())
    }

    /// Reads a frame; `None` where the connection ends.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut prefix = [0; 4];
        self.0.read_exact(&mut prefix).ok()?;
        let length = usize::try_from(u32::from_be_bytes(prefix)).expect("it is short");
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("a frame is whole");
        Some(serde_json::from_slice(&bytes).expect("it is JSON"))
    }

    /// Requires that the daemon ends the connection without another word.
    #[track_caller]
    pub(crate) fn is_cut_off(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b"", "it still says something"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// A hello of somebody who speaks these protocols.
pub(crate) fn hello(oldest: u32, newest: u32) -> Value {
    json!({"magic": "prewarm", "oldest": oldest, "newest": newest, "version": "0.0.0", "pid": 1})
}
