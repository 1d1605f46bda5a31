//! `prewarm prune --registry`: tags that nobody needs go, and nothing else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::engines::{Scene, engines};
use crate::support::keeping_registry::KeepingRegistry;
use crate::support::prewarm::{Finished, Machine, Prewarm};
use crate::support::proxy::{Fault, Proxy};
use crate::support::registry::{self, put_cache};
use crate::support::repo::{ENGINE, Repo};
use crate::support::wait::until;

/// What does not happen within this time does not happen.
const LIMIT: Duration = Duration::from_secs(20);

const LONG_AGO: &str = "2020-01-02T03:04:05.678901234Z";
const LONGER_AGO: &str = "2019-01-02T03:04:05Z";
const KEY: &str = "builder-cache-k-0123456789abcdef01234567";
const INPUTS: &str = "builder-cache-i-0123456789abcdef01234567";

/// A clone of a project whose remote has the branches `main` and `topic`.
fn clone_of(scene: &Scene) -> (Repo, Repo) {
    let remote = scene.project();
    let clone = remote.team_mate();
    (remote, clone)
}

fn prune(machine: &Machine, repo: &Repo) -> Prewarm {
    machine.prewarm(repo.path()).args(["prune", "--registry"])
}

/// What is decided of each tag.
#[track_caller]
fn decisions(finished: &Finished) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr));
    let [repository] = document["repositories"]
        .as_array()
        .expect("there are repositories")
        .as_slice()
    else {
        panic!("not one repository: {document:#}")
    };
    let tags = repository["tags"].as_array().expect("there are tags");
    let text = |tag: &Value, key: &str| tag[key].as_str().unwrap_or_default().to_owned();
    tags.iter()
        .map(|tag| (text(tag, "tag"), text(tag, "decision")))
        .collect()
}

/// The tags that this is decided of.
fn with(decisions: &[(String, String)], decision: &str) -> Vec<String> {
    let with = decisions.iter().filter(|(_, other)| other == decision);
    with.map(|(tag, _)| tag.clone()).collect()
}

#[test]
fn tags_that_nobody_needs_go_and_the_rest_is_as_warm_as_before() {
    let scene = Scene::new();
    let (_remote, repo) = clone_of(&scene);
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    let warm = registry::tags(&scene.name);
    let host = &engines().registry;
    let old = |made: &str, tags: &[&str]| put_cache(host, &[], &scene.name, made, tags);
    old(LONG_AGO, &["builder-cache-gone", KEY]);
    old(LONGER_AGO, &["builder-cache-main", INPUTS, "my-own"]);
    registry::copy(&engines().busybox, &scene.name, "latest");
    let all = registry::tags(&scene.name);

    let planned = prune(&machine, &repo).run();
    assert_eq!(planned.code(), 0, "{}", planned.stderr);
    let shown = planned.out();
    for line in [
        "goes   builder-cache-gone",
        "its branch is gone",
        "goes   builder-cache-k-[KEY]",
        "nobody is known to need it for 30 days",
        "the branch topic is there",
        "the branch main is there",
        "was made within 30 days",
        "and 4 tags of another kind, which never go",
        "2 tags would go, at most",
        "The same with --yes deletes them: `prewarm prune --registry --yes`",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(registry::tags(&scene.name), all, "a plan deletes nothing");

    let done = prune(&machine, &repo).args(["--yes", "--json"]).run();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let deleted = with(&decisions(&done), "deleted");
    assert_eq!(deleted, ["builder-cache-gone", KEY]);
    let mut left = warm;
    left.extend(["builder-cache-main", INPUTS, "my-own", "latest"].map(str::to_owned));
    left.sort();
    assert_eq!(registry::assert_complete(&scene.name), left);
    machine
        .warm(repo.path())
        .without_engine()
        .json()
        .is("already-warm");

    let again = prune(&machine, &repo).args(["--yes"]).run();
    assert_eq!(again.code(), 0);
    assert!(
        again.stdout.ends_with("\nNothing is to go.\n"),
        "{}",
        again.stdout
    );
}

#[test]
fn what_buildkit_made_is_judged_by_when_it_was_made() {
    let scene = Scene::new();
    let (_remote, repo) = clone_of(&scene);
    repo.branch("brief")
        .file("deps.txt", format!("{} other\n", scene.seed))
        .commit();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    repo.git(&["switch", "--quiet", "topic"]);
    repo.git(&["branch", "--quiet", "-D", "brief"]);
    let all = registry::tags(&scene.name);
    assert_eq!(all.len(), 4);

    let stranger = Machine::new();
    let run = |time: &str| {
        let done = prune(&stranger, &repo)
            .args(["--yes", "--keep-newer-than", time, "--json"])
            .run();
        assert_eq!(done.code(), 0, "{}", done.stderr);
        decisions(&done)
    };
    assert_eq!(with(&run("1h"), "stays"), all);
    let mut done = Vec::new();
    // The registry tells the time in whole seconds.
    until("it is older than no time at all", LIMIT, || {
        done = run("0s");
        !with(&done, "deleted").is_empty()
    });
    assert_eq!(with(&done, "deleted").len(), 3, "{done:?}");
    let left = registry::tags(&scene.name);
    assert_eq!(with(&done, "stays"), left);
    assert!(left[0].starts_with("builder-cache-i-"), "{left:?}");
}

#[test]
fn a_name_that_shares_its_manifest_stays_where_the_registry_cannot_take_it_alone() {
    let scene = Scene::new();
    let (_remote, repo) = clone_of(&scene);
    let tags = ["builder-cache-gone", "my-own"];
    put_cache(&engines().registry, &[], &scene.name, LONG_AGO, &tags);
    let done = prune(&Machine::new(), &repo).args(["--yes"]).run();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let said = "shares its manifest with my-own, and this registry cannot remove one tag alone";
    assert!(done.stdout.contains(said), "{}", done.stdout);
    assert_eq!(registry::tags(&scene.name), tags);
}

#[test]
fn without_a_word_of_the_remote_nothing_goes() {
    let scene = Scene::new();
    let project = scene.project();
    let tags = ["builder-cache-gone"];
    put_cache(&engines().registry, &[], &scene.name, LONG_AGO, &tags);
    let machine = Machine::new();
    let without = prune(&machine, &project).args(["--yes"]).run();
    insta::assert_snapshot!(without.failure(), @r"
    exit 2
    error: [REPO] has no remote that is called origin, belongs to the current branch, or is the only one
    hint: Name the remote that CI builds `origin`.
    hint: Nothing was deleted: only the git remote can say which branches are gone.
    ");
    let clone = project.team_mate();
    clone.git(&[
        "remote",
        "set-url",
        "origin",
        "git://127.0.0.1:1/project.git",
    ]);
    let absent = prune(&machine, &clone).args(["--yes"]).run();
    assert_eq!(absent.code(), 3, "{}", absent.stderr);
    let said = "Nothing was deleted: only the git remote can say which branches are gone.";
    assert!(absent.stderr.contains(said), "{}", absent.stderr);
    assert_eq!(registry::tags(&scene.name), tags);
}

#[test]
fn programs_of_the_repositorys_own_configuration_are_not_run() {
    let scene = Scene::new();
    let (_remote, repo) = clone_of(&scene);
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    let mark = machine.home().join("was-run");
    let touch = format!("touch '{}'; git-upload-pack", mark.display());
    repo.git(&["config", "remote.origin.uploadpack", &touch]);
    repo.git(&["config", "core.sshCommand", &touch]);
    let asked = prune(&machine, &repo).args(["--json"]).run();
    assert_eq!(asked.code(), 0, "{}", asked.stderr);
    repo.git(&["config", "protocol.ext.allow", "always"]);
    let helper = format!("ext::sh -c touch% {}", mark.display());
    for url in [&helper, "ssh://nowhere.invalid/x", "git@nowhere.invalid:x"] {
        repo.git(&["remote", "set-url", "origin", url]);
        let asked = prune(&machine, &repo).run();
        assert_ne!(asked.code(), 0, "{}", asked.stdout);
    }
    assert!(!mark.exists());
}

#[test]
fn a_registry_that_deletes_nothing_says_how_that_is_changed() {
    let scene = Scene::new();
    let keeping = KeepingRegistry::new();
    let (_remote, repo) = clone_of(&scene);
    let cache = format!("cache = \"{}\"", scene.cache_at(keeping.address()));
    repo.configure(ENGINE, &cache).commit();
    let put = |made, tag| put_cache(keeping.address(), &[], &scene.name, made, &[tag]);
    put(LONG_AGO, "builder-cache-gone");
    put(LONGER_AGO, "builder-cache-gone-too");
    let refused = prune(&Machine::new(), &repo)
        .redact(keeping.address(), "[REGISTRY]")
        .redact(&scene.name, "[NAME]")
        .args(["--yes"])
        .run();
    insta::assert_snapshot!(refused.failure(), @r"
    exit 1
    error: registry [REGISTRY] does not allow deletion in [NAME]: The operation is unsupported. (UNSUPPORTED)
    hint: Let it be switched on: for CNCF's registry that is `storage.delete.enabled: true`, or REGISTRY_STORAGE_DELETE_ENABLED=true. Hosted registries that do not offer it have retention rules of their own.
    ");
    assert!(
        refused.stdout.contains("\nNot deleted: 2.\n"),
        "{}",
        refused.stdout
    );
}

#[test]
fn a_login_is_used_and_its_lack_told() {
    let scene = Scene::new();
    let engines = engines();
    let host = &engines.registry_auth;
    let (_remote, repo) = clone_of(&scene);
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache_at(host)))
        .commit();
    let login = STANDARD.encode(format!("{}:{}", engines.user, engines.password));
    let login = format!("Basic {login}");
    let login = [("Authorization", login.as_str())];
    put_cache(host, &login, &scene.name, LONG_AGO, &["builder-cache-gone"]);

    let anonymous = prune(&Machine::new(), &repo).args(["--yes"]).run();
    assert_eq!(anonymous.code(), 3, "{}", anonymous.stderr);
    assert!(
        anonymous.stderr.contains("asks for a login"),
        "{}",
        anonymous.stderr
    );

    let machine = Machine::new();
    machine.login(host, &engines.user, &engines.password);
    let done = prune(&machine, &repo).args(["--yes", "--json"]).run();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(with(&decisions(&done), "deleted"), ["builder-cache-gone"]);
}

#[test]
fn a_registry_with_tokens_that_is_busy_is_asked_again_and_a_missing_right_is_told() {
    let scene = Scene::new();
    let proxy = Proxy::with_tokens();
    let (_remote, repo) = clone_of(&scene);
    let cache = format!("cache = \"{}\"", scene.cache_at(&proxy.address()));
    repo.configure(ENGINE, &cache).commit();
    let machine = Machine::new();
    machine.login(&proxy.address(), &engines().user, &engines().password);
    let tags = ["builder-cache-gone"];
    put_cache(&engines().registry, &[], &scene.name, LONG_AGO, &tags);

    // The first of each kind only learns that it takes a token.
    proxy.fault(Fault::Answer(403, vec![]), 2, |request| {
        request.method == "DELETE"
    });
    let refused = prune(&machine, &repo).args(["--yes"]).run();
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("lacks the right to delete"),
        "{}",
        refused.stderr
    );
    assert_eq!(registry::tags(&scene.name), tags);

    proxy.forget();
    for method in ["DELETE", "HEAD", "GET"] {
        let busy = Fault::Answer(429, vec![("Retry-After", "0")]);
        proxy.fault(busy, 2, move |request| {
            request.method == method && request.path.starts_with("/v2/")
        });
    }
    let done = prune(&machine, &repo).args(["--yes"]).run();
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(registry::tags(&scene.name), [""; 0]);
    let asked = proxy.count(|request| request.path.contains("delete"));
    assert_eq!(asked, 1, "{:#?}", proxy.requests());
}

#[test]
fn a_repository_without_a_cache_has_nothing_to_prune() {
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM scratch AS builder\n")
        .commit();
    let nothing = prune(&Machine::without_engine(), &repo).run();
    insta::assert_snapshot!(nothing.failure(), @r#"
    exit 2
    error: no target has its cache in a registry
    hint: Set `cache` of a target in .prewarm.toml, such as `cache = "ghcr.io/acme/app"`.
    "#);
}
