//! Bad input gets a clear message and the documented exit code.

use std::fs;

use insta::assert_snapshot;

use crate::support::engines::{Scene, engines, script};
use crate::support::old_engine::OldEngine;
use crate::support::prewarm::{Machine, Prewarm};
use crate::support::proxy::{Fault, Proxy, Request};
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo, dockerfile, git};

/// A repository that builds nothing but is in order; on `topic`.
fn small() -> Repo {
    let repo = Repo::new();
    repo.configure(ENGINE, "")
        .file("Dockerfile", "FROM scratch AS builder\nCOPY Dockerfile /\n")
        .commit()
        .branch("topic");
    repo
}

/// `prewarm warm` there, with arguments; nothing of this may need an Engine.
fn warm(repo: &Repo, arguments: &[&str]) -> String {
    Machine::new()
        .warm(repo.path())
        .args(arguments.iter().copied())
        .run()
        .failure()
}

#[test]
fn not_a_repository() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    assert_snapshot!(Machine::new().warm(place.path()).run().failure(), @"
    exit 2
    error: .: not in a git repository
    hint: Run it in a git work tree, or name one.
    ");
    let nowhere = Machine::new()
        .warm(place.path())
        .args(["nowhere"])
        .run()
        .failure();
    assert_snapshot!(nowhere, @"
    exit 2
    error: nowhere: cannot be opened
      because No such file or directory (os error 2)
    ");
}

#[test]
fn an_unborn_branch() {
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM scratch AS builder\n");
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: branch `main` has no commit yet
    hint: Commit something first, or use --staged or --worktree.
    ");
}

#[test]
fn a_bare_repository() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    git(place.path(), &["init", "--quiet", "--bare"]);
    assert_snapshot!(Machine::new().warm(place.path()).run().failure(), @"
    exit 2
    error: [REPO]: a bare repository has no work tree to build from
    hint: Run it in a clone with a work tree.
    ");
}

#[test]
fn an_unknown_revision() {
    assert_snapshot!(warm(&small(), &["--rev", "nothing-of-that-name"]), @"
    exit 2
    error: unknown revision `nothing-of-that-name`
    hint: `git rev-parse` understands the same names; `git fetch` may be missing.
    ");
}

#[test]
fn an_unknown_target() {
    assert_snapshot!(warm(&small(), &["--target", "runner"]), @"
    exit 2
    error: there is no target called runner
    hint: the targets are: builder
    ");
}

#[test]
fn an_unknown_stage() {
    let repo = small();
    repo.configure(ENGINE, "stage = \"bulider\"");
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: target builder: Dockerfile has no stage called bulider
    hint: its stages are: builder
    ");
}

#[test]
fn a_missing_dockerfile() {
    let repo = small();
    repo.configure(ENGINE, "dockerfile = \"docker/Dockerfile\"");
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: docker/Dockerfile: no such file or directory in the snapshot (files that git does not track are not part of it)
    ");
    let without_configuration = Repo::new();
    without_configuration.file("README.md", "").commit();
    assert_snapshot!(warm(&without_configuration, &[]), @r#"
    exit 2
    error: Dockerfile: no such file or directory in the snapshot (files that git does not track are not part of it)
    hint: commit a Dockerfile, or say in .prewarm.toml where it is: `version = 1`, then `[target.builder]` with `dockerfile = "…"`
    "#);
    let untracked = Repo::new();
    untracked
        .commit()
        .file("Dockerfile", "FROM scratch AS builder\n");
    assert_snapshot!(warm(&untracked, &[]), @r#"
    exit 2
    error: Dockerfile: no such file or directory in the snapshot (files that git does not track are not part of it)
    hint: commit a Dockerfile, or say in .prewarm.toml where it is: `version = 1`, then `[target.builder]` with `dockerfile = "…"`
    "#);
}

#[test]
fn an_empty_dockerfile() {
    let repo = small();
    repo.file("Dockerfile", "\n").commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: Dockerfile is empty
    ");
}

#[test]
fn a_dockerfile_of_ten_megabytes() {
    let repo = small();
    repo.file(
        "Dockerfile",
        format!("FROM scratch AS builder\n{}", "# padding\n".repeat(1 << 20)),
    )
    .commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: Dockerfile has 10485784 bytes, and BuildKit reads at most 4194304
    ");
}

#[test]
fn a_dockerfile_that_is_not_utf_8() {
    let repo = small();
    repo.file(
        "Dockerfile",
        b"FROM scratch AS builder\nLABEL name=gr\xfc\xdfe\n",
    )
    .commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: Dockerfile is not UTF-8 in line 2
    ");
}

#[test]
fn a_dockerfile_that_is_a_directory() {
    let repo = small();
    repo.configure(ENGINE, "dockerfile = \"docker\"")
        .file("docker/Dockerfile", "FROM scratch AS builder\n")
        .commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: docker: is a directory
    ");
}

#[test]
fn a_dockerfile_that_is_a_link_out_of_the_tree() {
    let repo = small();
    fs::remove_file(repo.path().join("Dockerfile")).expect("it is there");
    repo.link("Dockerfile", "../../etc/passwd").commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    error: Dockerfile: leads out of the repository
    ");
}

#[test]
fn a_dockerfile_with_a_syntax_error() {
    let repo = small();
    repo.file("Dockerfile", "FROM scratch AS builder\nCOPPY a b\n")
        .commit();
    assert_snapshot!(warm(&repo, &[]), @"
    exit 2
    builder: building
    error: the Dockerfile cannot be built: dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?)
    ");
}

#[test]
fn an_invalid_cache_reference() {
    let repo = small();
    for (cache, why) in [
        ("ghcr.io/Acme/App", "upper case"),
        ("https://ghcr.io/acme/app", "a URL"),
        ("ghcr.io/acme/app:tag", "a tag"),
    ] {
        repo.configure(ENGINE, &format!("cache = \"{cache}\""));
        assert!(warm(&repo, &[]).starts_with("exit 2\n"), "{why}: {cache}");
    }
    assert_snapshot!(warm(&repo, &[]), @r#"
    exit 2
    error: .prewarm.toml:7:9: `target.builder.cache`: "ghcr.io/acme/app:tag" has a tag or digest: `cache` names the repository, `tag` the tag
            | cache = "ghcr.io/acme/app:tag"
            = such as "ghcr.io/acme/app"
    "#);
}

#[test]
fn an_unknown_option() {
    let unknown = Machine::new()
        .warm(small().path())
        .args(["--worktree", "--staged"])
        .run();
    assert_eq!(unknown.code(), 2);
    assert_snapshot!(unknown.failure(), @"
    exit 2
    error: the argument '--worktree' cannot be used with '--staged'

    Usage: prewarm warm --worktree [PATH]

    For more information, try '--help'.
    ");
}

#[test]
fn an_engine_that_is_not_there() {
    assert_snapshot!(Machine::new().warm(small().path()).without_engine().run().failure(), @"
    exit 3
    error: cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST)
      because No such file or directory (os error 2)
    hint: start it, or correct the address
    ");
    let nonsense = Machine::new()
        .warm(small().path())
        .env("DOCKER_HOST", "ftp://engine")
        .run();
    assert_snapshot!(nonsense.failure(), @"
    exit 3
    error: DOCKER_HOST names the Docker Engine as `ftp://engine`: this kind of address is not supported
    hint: use unix:///path/to/docker.sock or tcp://host:port
    ");
}

#[test]
fn an_engine_that_is_too_old() {
    let engine = OldEngine::new();
    let host = engine.host();
    let refused = Machine::with_engine(&host)
        .warm(small().path())
        .redact(&host, "[ENGINE]")
        .run();
    assert_snapshot!(refused.failure(), @"
    exit 3
    error: the Docker Engine at [ENGINE] (DOCKER_HOST) speaks API 1.39; prewarm needs API 1.41 or newer
    hint: upgrade Docker to 20.10 or newer
    ");
}

#[test]
fn an_engine_with_the_classic_image_store() {
    let scene = Scene::exclusive();
    script(&["start", "classic"]);
    let repo = scene.project();
    let refused = Machine::with_engine(&engines().classic).warm(repo.path());
    assert_snapshot!(last_error(refused.redact(&scene.cache(), "[CACHE]")), @r#"
    exit 4
    error: this BuildKit cannot export a cache to a registry: unknown cache exporter: "registry"
    hint: the Engine's classic image store has no registry cache: use the BuildKit container (`[builder] endpoint = "container"`), or switch the Engine to the containerd image store
    "#);
}

#[test]
fn a_registry_that_refuses_the_login() {
    let scene = Scene::new();
    let host = &engines().registry_auth;
    let repo = scene.project();
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache_at(host)))
        .commit();
    let nobody = Machine::new();
    assert_snapshot!(last_error(at(host, &scene, nobody.warm(repo.path()))), @"
    exit 4
    error: registry [REGISTRY] asks for a login: authentication required (UNAUTHORIZED)
    hint: Run `docker login [REGISTRY]`.
    ");
    let wrong = Machine::new();
    wrong.login(host, &engines().user, "wrong");
    assert_snapshot!(last_error(at(host, &scene, wrong.warm(repo.path()))), @"
    exit 4
    error: registry [REGISTRY] refused the login: authentication required (UNAUTHORIZED)
    hint: Run `docker login [REGISTRY]`.
    ");
}

#[test]
fn a_registry_that_refuses_the_push() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = behind(&scene, &proxy);
    proxy.fault(Fault::Answer(403, vec![]), usize::MAX, |request| {
        request.method == "POST"
    });
    let refused = Machine::new().warm(repo.path());
    assert_snapshot!(last_error(at(&proxy.address(), &scene, refused)), @"
    exit 4
    error: registry [REGISTRY] does not allow this in [NAME]: as the test wants it (TEST)
    hint: Ask for the right to use [NAME], or log in as someone who has it: `docker login [REGISTRY]`.
    ");
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn a_registry_that_refuses_the_manifest_type() {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = behind(&scene, &proxy);
    let oci = |request: &Request| {
        request.method == "PUT" && request.content_type.contains("vnd.oci.image")
    };
    proxy.fault(Fault::Answer(400, vec![]), usize::MAX, oci);
    let refused = Machine::new().warm(repo.path());
    let said = last_error(at(&proxy.address(), &scene, refused));
    // Engine 28 quotes the registry besides.
    let said = said.replace("\n    unknown: as the test wants it\n", "\n");
    assert_snapshot!(said, @r#"
    exit 4
    error: the registry did not take the cache [CACHE]:builder-cache-s-[KEY]: error writing manifest blob: failed commit on ref "[DIGEST]": unexpected status from PUT request to http://[REGISTRY]/v2/[NAME]/manifests/builder-cache-s-[KEY]: 400 Fault
    hint: the steps are warm on this machine; run `prewarm warm` again to push them
    "#);
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn a_base_image_that_does_not_exist() {
    let scene = Scene::new();
    let repo = scene.project();
    let image = format!("{}:none", scene.cache());
    repo.file(
        "Dockerfile",
        dockerfile().replace(&engines().busybox, &image),
    )
    .commit();
    let refused = Machine::new()
        .warm(repo.path())
        .redact(&scene.cache(), "[CACHE]");
    assert_snapshot!(last_error(refused), @"
    exit 3
    error: image [CACHE]:none cannot be had: not found
    hint: check the name, the network and the login for [CACHE]:none; CI would fail in the same way
    ");
}

#[test]
fn a_state_directory_that_cannot_be_written_costs_the_history_only() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    fs::write(machine.state(), "not a directory").expect("a file can be written");
    let warmed = machine.warm(repo.path()).json();
    assert!(
        warmed
            .is("warm")
            .events
            .iter()
            .any(|event| event["event"] == "warning"),
        "{:#?}",
        warmed.events
    );
}

/// The project behind a proxy.
fn behind(scene: &Scene, proxy: &Proxy) -> Repo {
    let repo = scene.project();
    repo.configure(
        ENGINE,
        &format!("cache = \"{}\"", scene.cache_at(&proxy.address())),
    )
    .commit();
    repo
}

/// A command that gives up soon, with the registry's address and the scene's name taken out.
fn at(host: &str, scene: &Scene, command: Prewarm) -> Prewarm {
    command
        .redact(&scene.cache_at(host), "[CACHE]")
        .redact(host, "[REGISTRY]")
        .redact(&scene.name, "[NAME]")
}

/// The exit code, and what is said from the first `error:` on.
fn last_error(command: Prewarm) -> String {
    let failure = command.run().failure();
    let code = failure.lines().next().unwrap_or_default();
    let error = failure.find("error:").map_or("", |at| &failure[at..]);
    format!("{code}\n{error}")
}
