//! prewarm makes the next CI image build a cache hit.
//!
//! This library is the program's own; it makes no promise of a stable API. A warm flows through it from top to bottom:
//!
//! ```text
//! cli, commands      what a person types
//!   └─ warm          one job per target, platform and tree
//!        ├─ snapshot    the tree that CI will see, out of git objects
//!        ├─ consent     what may run though nobody asked for it
//!        ├─ plan        the key, and whether there is anything to do (pure)
//!        ├─ builder     which BuildKit; engine: the Docker Engine and our container in it
//!        ├─ buildkit    the solve, and the session that serves files to it
//!        ├─ publish     tags, and whether what they name is complete; registry: the OCI API
//!        └─ record      the history
//! hooks                what git runs to leave word, and the word
//! config, paths, world, error, ui      the ground that all stand on
//! ```
//!
//! What holds throughout: only `snapshot` knows git, only `engine` the Docker Engine, only `registry` HTTP, only
//! `record` SQL, and only `ui` prints. `plan` does no I/O at all.

pub mod builder;
pub mod buildkit;
pub mod cli;
pub mod commands;
pub mod config;
pub mod consent;
pub mod engine;
pub mod error;
pub mod hooks;
pub mod paths;
pub mod plan;
pub mod publish;
pub mod record;
pub mod registry;
pub mod snapshot;
pub mod ui;
pub mod warm;
pub mod world;
