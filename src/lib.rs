//! prewarm makes the next CI image build a cache hit.
//!
//! This library is the program's own; it makes no promise of a stable API. A warm flows through it from top to bottom:
//!
//! ```text
//! cli, commands      what a person types
//!   ├─ daemon         watches what is allowed, decides when to look (daemon::state, pure), and runs jobs
//!   │    ├─ worker       what it and its jobs say to each other
//!   │    └─ protocol     what it and the command line say to each other; client: that side of it
//!   ├─ hooks          what git tells the daemon
//!   ├─ service, logs, doctor    the daemon's place in the system, what it said, and what is wrong
//!   ├─ prune          disk space back: what goes, what stays, why (prune::plan, pure), and the deletion
//!   └─ warm           one job per target, platform and tree
//!        ├─ consent      what may run unasked
//!        ├─ snapshot     the tree that CI will see, out of git objects, and whose work it is
//!        ├─ plan         the key, whether there is anything to do, and whether it may be done (pure)
//!        ├─ builder      which BuildKit; engine: the Docker Engine and our container in it
//!        ├─ buildkit     the solve, and the session that serves files to it
//!        ├─ publish      tags, and whether what they name is complete; registry: the OCI API
//!        └─ record       the history
//! config, paths, state_file, rfc3339, world, program, error, ui      the ground that all stand on
//! ```
//!
//! What holds throughout: only `snapshot` knows git, only `engine` the Docker Engine, only `registry` HTTP, only
//! `record` SQL, and only `ui` prints. `plan` does no I/O at all, nor does `daemon::state`.

pub mod builder;
pub mod buildkit;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod consent;
pub mod daemon;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod hooks;
pub mod logs;
pub mod paths;
pub mod plan;
pub mod program;
pub mod protocol;
pub mod prune;
pub mod publish;
pub mod record;
pub mod registry;
pub mod rfc3339;
pub mod service;
pub mod snapshot;
pub mod state_file;
pub mod ui;
pub mod warm;
pub mod worker;
pub mod world;
