//! Registries that want a login, that are busy, and that fail.

use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::proxy::{Fault, Proxy, Request};
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo};

impl Scene {
    /// [`Scene::project`] with its cache behind another address.
    fn project_at(&self, host: &str) -> Repo {
        let repo = self.project();
        repo.configure(ENGINE, &format!("cache = \"{}\"", self.cache_at(host)))
            .commit();
        repo
    }
}

/// Whether the branch's tag is written.
fn writes_branch(request: &Request) -> bool {
    request.writes_tag("builder-cache-topic")
}

#[test]
fn a_registry_with_basic_login_is_warmed() {
    let scene = Scene::new();
    let host = &engines().registry_auth;
    let repo = scene.project_at(host);
    let machine = Machine::new();
    machine.login(host, &engines().user, &engines().password);
    machine.warm(repo.path()).json().is("warm");
    machine
        .warm(repo.path())
        .without_engine()
        .json()
        .is("already-warm");
}

#[test]
fn a_registry_with_bearer_tokens_is_warmed() {
    let scene = Scene::new();
    let proxy = Proxy::with_tokens();
    let repo = scene.project_at(&proxy.address());
    let machine = Machine::new();
    machine.login(&proxy.address(), &engines().user, &engines().password);
    machine.warm(repo.path()).json().is("warm");
    assert_eq!(registry::assert_complete(&scene.name).len(), 4);
    assert!(proxy.count(|request| request.path.starts_with("/token")) > 0);
}

#[test]
fn a_busy_registry_is_asked_again_after_the_time_that_it_names() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    proxy.fault(
        Fault::Answer(429, vec![("Retry-After", "1")]),
        1,
        writes_branch,
    );
    let warmed = Machine::new().warm(repo.path()).json();
    warmed.is("warm");
    assert_eq!(proxy.count(writes_branch), 2);
    assert!(
        warmed.target()["duration_ms"].as_u64() >= Some(1000),
        "{:#?}",
        warmed.targets
    );
}

#[test]
fn a_registry_that_is_too_busy_for_uploads_is_left_alone_for_the_time_that_it_names() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    let begins = |request: &Request| request.method == "POST";
    // BuildKit does not try again; as many layers as there are may be refused at once, and then we ask.
    proxy.fault(Fault::Answer(429, vec![("Retry-After", "1")]), 7, begins);
    let warmed = Machine::new().warm(repo.path()).json();
    let took = warmed.is("warm").target()["duration_ms"].as_u64();
    assert!(took >= Some(1000), "{:#?}", warmed.targets);
    registry::assert_complete(&scene.name);
}

#[test]
fn passing_failures_of_the_registry_are_survived() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    proxy.fault(Fault::Answer(500, vec![]), 1, |request| {
        request.reads_tag("builder-cache-")
    });
    proxy.fault(Fault::Answer(503, vec![]), 1, |request| {
        request.method == "HEAD" && request.path.contains("/blobs/")
    });
    proxy.fault(Fault::Reset(0), 2, writes_branch);
    Machine::new().warm(repo.path()).json().is("warm");
    assert_eq!(proxy.count(writes_branch), 3);
    registry::assert_complete(&scene.name);
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_a_blob_is_survived() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    proxy.fault(Fault::Reset(100), 1, Request::sends_blob);
    Machine::new().warm(repo.path()).json().is("warm");
    assert_eq!(registry::assert_complete(&scene.name).len(), 4);
}

#[test]
fn a_slow_registry_is_waited_for() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    proxy.fault(Fault::Slow, usize::MAX, Request::sends_blob);
    Machine::new().warm(repo.path()).json().is("warm");
    registry::assert_complete(&scene.name);
}

#[test]
fn what_a_failing_registry_does_not_take_is_warm_here_and_pushed_without_a_build_later() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    let machine = Machine::new();
    machine.configure("[warm]\nretries = 1\n");
    proxy.fault(Fault::Answer(500, vec![]), usize::MAX, |request| {
        request.method != "GET" && request.method != "HEAD"
    });
    let failed = machine.warm(repo.path()).json();
    assert_eq!(
        (failed.code, failed.outcome().as_str()),
        (4, "not-pushed"),
        "{:#?}",
        failed.targets
    );
    assert_eq!(failed.target()["steps_run"], 2);
    assert_eq!(registry::tags(&scene.name), [""; 0]);

    proxy.forget();
    let pushed = machine.warm(repo.path()).json();
    pushed.is("warm");
    assert_eq!(pushed.target()["steps_run"], 0);
    assert_eq!(registry::assert_complete(&scene.name).len(), 4);
}

#[test]
fn a_registry_that_is_gone_leaves_it_warm_here() {
    let scene = Scene::new();
    let mut proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    let machine = Machine::new();
    machine.configure("[warm]\nretries = 1\n");
    proxy.close();
    let failed = machine.warm(repo.path()).json();
    assert_eq!(
        (failed.code, failed.outcome().as_str()),
        (4, "not-pushed"),
        "{:#?}",
        failed.targets
    );
    assert_eq!(failed.ci(), "will-not-hit");
}

#[test]
fn an_already_warm_target_stays_so_when_the_registry_cannot_be_asked() {
    let scene = Scene::new();
    let mut proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    let machine = Machine::new();
    machine.configure("[warm]\nretries = 0\n");
    machine.warm(repo.path()).json().is("warm");
    proxy.close();
    let again = machine.warm(repo.path()).without_engine().json();
    let notes = again.is("already-warm").target()["notes"].to_string();
    assert!(notes.contains("not confirmed with the registry"), "{notes}");
}

#[test]
fn the_branch_stays_where_it_is_while_a_blob_is_missing() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project_at(&proxy.address());
    let machine = Machine::new();
    machine.configure("[warm]\nretries = 1\n");
    machine.warm(repo.path()).json().is("warm");
    let old = registry::manifest(&scene.name, "builder-cache-topic");

    repo.file("deps.txt", format!("{} newer\n", scene.seed))
        .commit();
    proxy.forget();
    // From the first manifest on, every blob is missing.
    proxy.fault(Fault::Hold, 1, |request| request.writes_tag("-s-"));
    let mut running = machine.warm(repo.path()).start();
    proxy.wait_until_held();
    proxy.fault(Fault::Answer(404, vec![]), usize::MAX, |request| {
        request.method == "HEAD" && request.path.contains("/blobs/")
    });
    proxy.release();
    assert_eq!(running.end(), 4);
    assert_eq!(registry::manifest(&scene.name, "builder-cache-topic"), old);

    proxy.forget();
    assert_eq!(machine.warm(repo.path()).json().code, 0);
    assert_ne!(registry::manifest(&scene.name, "builder-cache-topic"), old);
    registry::assert_complete(&scene.name);
}

#[test]
fn a_cache_that_the_registry_lost_is_made_again() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    let lost = registry::manifest(&scene.name, "builder-cache-topic").expect("it was just written");
    registry::delete(&scene.name, &lost.digest());
    let again = machine.warm(repo.path()).json();
    assert_eq!(
        again.is("warm").reason(),
        "the registry does not have its cache any more"
    );
    registry::assert_complete(&scene.name);
}

#[test]
fn a_branch_tag_that_points_elsewhere_is_set_right_without_a_build() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    repo.branch("another");
    let other = machine.warm(repo.path()).without_engine().json();
    assert!(!other.is("already-warm").built());
    let named = |tag| registry::manifest(&scene.name, tag);
    assert!(named("builder-cache-another").is_some());
    assert_eq!(named("builder-cache-another"), named("builder-cache-topic"));
}
