//! The whole program against real Docker Engines and registries (`scripts/engine`).
//!
//! Engine A is the developer's machine, engine B the CI runner. Tests run side by side; each has content and a cache
//! repository of its own, so that engine B is empty for it.

mod bad_input;
mod builder;
mod config;
mod consent;
mod crash;
mod daemon;
mod doctor;
mod faults;
mod fork;
mod hooks;
mod images;
mod lies;
mod merge;
mod parity;
mod people;
mod pins;
mod planted;
mod prune;
mod prune_daemon;
mod prune_registry;
mod pushes;
mod registry;
mod service;
mod ssh;
mod storms;
mod support;
mod talk;
mod tidy;
mod transports;
mod trust;
mod warm;
