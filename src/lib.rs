//! prewarm makes the next CI image build a cache hit.
//!
//! This library is the program's own; it makes no promise of a stable API.

pub mod builder;
pub mod buildkit;
pub mod config;
pub mod engine;
pub mod error;
pub mod paths;
pub mod plan;
pub mod publish;
pub mod record;
pub mod registry;
pub mod snapshot;
pub mod ui;
pub mod world;
