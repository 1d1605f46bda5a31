//! The daemon while everything around it fails: killed, stopped, cut off, its files damaged, its repositories gone.

use crate::support::engines::{Scene, engines};
use crate::support::proxy::Proxy;
use crate::support::repo::{ENGINE, Repo};

mod changes;
mod clock;
mod detach;
mod disk;
mod kills;
mod outages;
mod stop;

/// A project whose build takes so long, and whose cache goes through a proxy. On branch `topic`.
fn project(scene: &Scene, proxy: &Proxy, seconds: &str) -> Repo {
    let repo = Repo::new();
    let dockerfile = format!(
        "FROM {} AS builder\nCOPY deps.txt /\nRUN sleep {seconds} && sort /deps.txt > /sorted\n",
        engines().busybox
    );
    let cache = scene.cache_at(&proxy.address());
    repo.configure(ENGINE, &format!("cache = \"{cache}\""))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", format!("{}\n", scene.seed))
        .commit()
        .branch("topic");
    repo
}
