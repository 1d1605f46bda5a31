//! Git hooks: what git runs to leave word that something changed, and the word.
//!
//! A hook costs no process of ours. It is a few words of shell that append one line to a file in the [`spool`], say
//! nothing, and cannot fail; the daemon reads it, or finds out by watching. Git from 2.54 on is told of them in its
//! configuration. Older git runs files, which must live beside hooks of others: [`plan`] decides how.

mod block;
mod directory;
mod error;
mod event;
mod files;
mod installation;
pub mod plan;
mod script;
mod shim;
pub mod spool;
mod status;
#[cfg(test)]
mod tests;

pub use error::HooksError;
pub use event::Event;
pub use installation::{Done, Installation, Installed, Outcome, Way, way};
pub use plan::Reason;
pub use shim::Shim;
pub use status::{EventStatus, State};
