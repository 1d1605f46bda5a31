//! What tests are made of: engines, repositories, machines, CI builds, a registry and a proxy before it.

pub(crate) mod ci;
pub(crate) mod daemon;
pub(crate) mod desk;
pub(crate) mod disk;
pub(crate) mod engines;
pub(crate) mod faketime;
mod git_server;
pub(crate) mod hooks;
pub(crate) mod http;
pub(crate) mod keeping_registry;
pub(crate) mod old_engine;
pub(crate) mod own_engine;
pub(crate) mod prewarm;
pub(crate) mod proxy;
mod redact;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod repo;
pub(crate) mod running;
pub(crate) mod ssh_agent;
pub(crate) mod tls_buildkitd;
mod tokens;
pub(crate) mod user_manager;
pub(crate) mod wait;
pub(crate) mod wire;
