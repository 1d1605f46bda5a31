//! What the daemon and the command line say to each other over the daemon's socket.
//!
//! A connection carries frames: four bytes of length (big endian), then so many bytes of JSON. The client begins with a
//! [`Hello`], the daemon answers with its own; then the client sends one [`Request`] and reads [`Reply`]s. Both sides speak
//! the newest protocol that both know. A frame is never longer than [`LONGEST`]; whoever announces a longer one is cut off
//! before a byte of it is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::daemon::status::Status;

/// Tells our protocol from another on the same socket.
pub const MAGIC: &str = "prewarm";

/// The oldest protocol that we speak.
pub const OLDEST: u32 = 1;

/// The newest protocol that we speak.
pub const NEWEST: u32 = 1;

/// Bytes of the longest frame. A status of a hundred work trees has a tenth of it.
pub const LONGEST: usize = 1 << 20;

/// The bytes before a frame that hold its length.
pub const PREFIX: usize = 4;

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// The oldest protocol that it speaks.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
    /// The version of the program, for people.
    pub version: String,
    /// The process.
    pub pid: u32,
}

impl Hello {
    /// Ours.
    #[must_use]
    pub fn ours() -> Self {
        Self {
            magic: MAGIC.to_owned(),
            oldest: OLDEST,
            newest: NEWEST,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        }
    }

    /// The newest protocol that the other side and we speak; `None` where there is none.
    #[must_use]
    pub fn agreed(&self) -> Option<u32> {
        let newest = self.newest.min(NEWEST);
        (self.magic == MAGIC && newest >= self.oldest.max(OLDEST)).then_some(newest)
    }
}

/// What a client wants. It never carries a command line, an environment or anything else to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// One [`Reply::Status`].
    Status,
    /// A [`Reply::Status`] now and at every change, until the client goes.
    Follow,
    /// Looks at a work tree at once, as after a change in it.
    Look {
        /// Its root, or any directory in it.
        path: PathBuf,
    },
    /// Reads configuration and consent again.
    Reload,
    /// Starts no more builds.
    Pause {
        /// For so many seconds; until [`Request::Resume`] without it.
        seconds: Option<u64>,
    },
    /// Starts builds again.
    Resume,
    /// Ends the daemon.
    Stop {
        /// Without waiting for builds that run.
        now: bool,
    },
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// How things are.
    Status(Box<Status>),
    /// It is done, or has begun.
    Done,
    /// It cannot be done.
    Refused {
        /// Why.
        message: String,
    },
}

/// A frame that is longer than any of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes, and {LONGEST} are the most")]
pub struct TooLong(pub u64);

/// A message as a frame.
///
/// # Errors
/// When it is too long.
///
/// # Panics
/// Never: our messages hold nothing that JSON cannot express.
pub fn frame(message: &impl Serialize) -> Result<Vec<u8>, TooLong> {
    let mut bytes = vec![0; PREFIX];
    serde_json::to_writer(&mut bytes, message).expect("our messages are JSON");
    let length = bytes.len() - PREFIX;
    match u32::try_from(length) {
        Ok(prefix) if length <= LONGEST => {
            bytes[..PREFIX].copy_from_slice(&prefix.to_be_bytes());
            Ok(bytes)
        }
        _ => Err(TooLong(length as u64)),
    }
}

/// The length that a prefix announces.
///
/// # Errors
/// When no frame has it.
pub fn length(prefix: [u8; PREFIX]) -> Result<usize, TooLong> {
    let length = u32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(length) if length <= LONGEST => Ok(length),
        _ => Err(TooLong(length.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(oldest: u32, newest: u32) -> Hello {
        Hello {
            oldest,
            newest,
            ..Hello::ours()
        }
    }

    #[test]
    fn both_speak_the_newest_that_both_know() {
        assert_eq!(hello(1, 1).agreed(), Some(1));
        assert_eq!(hello(1, 7).agreed(), Some(NEWEST));
        assert_eq!(hello(NEWEST + 1, NEWEST + 2).agreed(), None);
        assert_eq!(hello(0, 0).agreed(), None);
        let other = Hello {
            magic: "http".to_owned(),
            ..Hello::ours()
        };
        assert_eq!(other.agreed(), None);
    }

    #[test]
    fn messages_look_like_this() {
        let text = |request| serde_json::to_string(&request).expect("it is JSON");
        insta::assert_snapshot!(text(Request::Status), @r#"{"request":"status"}"#);
        insta::assert_snapshot!(text(Request::Pause { seconds: Some(60) }), @r#"{"request":"pause","seconds":60}"#);
        insta::assert_snapshot!(text(Request::Look { path: "/src/app".into() }), @r#"{"request":"look","path":"/src/app"}"#);
        insta::assert_snapshot!(text(Request::Stop { now: false }), @r#"{"request":"stop","now":false}"#);
        let done = serde_json::to_string(&Reply::Done).expect("it is JSON");
        insta::assert_snapshot!(done, @r#"{"reply":"done"}"#);
    }

    #[test]
    fn frames_say_their_length_and_have_a_limit() {
        assert_eq!(
            frame(&Request::Status).expect("it is short"),
            b"\0\0\0\x14{\"request\":\"status\"}"
        );
        assert_eq!(length([0, 0, 0, 20]), Ok(20));
        assert_eq!(length([0xff; 4]), Err(TooLong(u64::from(u32::MAX))));
        let long = "x".repeat(LONGEST);
        assert_eq!(frame(&long), Err(TooLong(LONGEST as u64 + 2)));
    }
}
