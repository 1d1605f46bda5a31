//! A developer who has allowed a repository, among others who push to it.

use std::path::Path;

use super::engines::Scene;
use super::prewarm::{Finished, Machine, Warmed};
use super::proxy::Proxy;
use super::repo::{ENGINE, Repo};

/// Somebody's clone of a team's repository, with a registry that is watched.
pub(crate) struct Desk {
    pub(crate) scene: Scene,
    pub(crate) proxy: Proxy,
    pub(crate) team: Repo,
    pub(crate) here: Repo,
    pub(crate) machine: Machine,
}

impl Desk {
    /// Allowed, and warm.
    pub(crate) fn new() -> Self {
        let desk = Self::cold(Machine::new());
        desk.head().is("warm");
        desk.proxy.forget();
        desk
    }

    /// Allowed, on a machine without an Engine: whatever passes the gate ends with exit code 3.
    pub(crate) fn offline() -> Self {
        Self::cold(Machine::with_engine("unix:///nowhere"))
    }

    fn cold(machine: Machine) -> Self {
        let scene = Scene::new();
        let proxy = Proxy::new();
        let team = scene.project();
        team.configure(
            ENGINE,
            &format!("cache = \"{}\"", scene.cache_at(&proxy.address())),
        );
        team.git(&["switch", "--quiet", "main"]);
        team.commit();
        let here = team.team_mate();
        here.branch("topic");
        let desk = Self {
            scene,
            proxy,
            team,
            here,
            machine,
        };
        assert_eq!(desk.prewarm(&["allow", "--yes"]).code(), 0);
        desk
    }

    pub(crate) fn prewarm(&self, arguments: &[&str]) -> Finished {
        let command = self.machine.prewarm(self.here.path());
        command.args(arguments.iter().copied()).run()
    }

    pub(crate) fn job(&self, directory: &Path, source: &str) -> Warmed {
        let command = self.machine.prewarm(directory);
        Warmed::new(&command.args(["job", "--source", source]).run())
    }

    pub(crate) fn head(&self) -> Warmed {
        self.job(self.here.path(), "head")
    }

    pub(crate) fn worktree(&self) -> Warmed {
        self.job(self.here.path(), "worktree")
    }

    /// A commit of somebody else on a branch of the remote, fetched and checked out.
    pub(crate) fn foreign(&self, branch: &str, change: &dyn Fn(&Repo)) {
        self.team
            .git(&["switch", "--quiet", "--create", branch, "main"]);
        change(&self.team);
        self.team.commit();
        self.team.git(&["switch", "--quiet", "main"]);
        self.here.git(&["fetch", "--quiet", "origin"]);
        self.here
            .git(&["switch", "--quiet", "--detach", &format!("origin/{branch}")]);
    }

    /// Requires that nothing was built, pulled, pushed or asked for.
    #[track_caller]
    pub(crate) fn refuses(&self, name: &str, warmed: &Warmed) {
        assert_eq!(warmed.code, 5, "{name}: {:#?}", warmed.events);
        assert_eq!(warmed.outcome(), "needs-approval", "{name}");
        assert!(!warmed.built(), "{name}");
        assert_eq!(self.proxy.requests().len(), 0, "{name}");
    }
}
