//! The ways to a BuildKit that are neither this machine's Engine nor prewarm's own container.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::engines::{Scene, engines, script};
use crate::support::prewarm::{Machine, Prewarm};
use crate::support::registry;
use crate::support::repo::Repo;
use crate::support::tls_buildkitd::{TlsBuildkitd, certificates, tls};

/// A `DOCKER_CERT_PATH` with files of several origins.
fn collected(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    for (of, name) in files {
        fs::copy(certificates(of).join(name), directory.path().join(name))
            .expect("`scripts/engine start tls` made it");
    }
    directory
}

/// A warm over the Engine that listens on TCP, with a client's certificates.
fn over_tls(repo: &Repo, certificates: &Path) -> Prewarm {
    Machine::with_engine(&engines().tls)
        .warm(repo.path())
        .env("DOCKER_TLS_VERIFY", "1")
        .env("DOCKER_CERT_PATH", &certificates.display().to_string())
        .redact(&engines().tls, "[ENGINE]")
        .redact(&certificates.display().to_string(), "[CERTIFICATES]")
}

#[test]
fn an_engine_on_tcp_builds_for_a_client_that_it_knows() {
    script(&["start", "tls"]);
    let scene = Scene::new();
    let repo = scene.project();
    let warmed = over_tls(&repo, &certificates("own")).json();
    assert_eq!(warmed.is("warm").ci(), "will-hit");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn an_engine_on_tcp_that_trusts_us_not_or_that_we_trust_not_says_so() {
    script(&["start", "tls"]);
    let scene = Scene::new();
    let repo = scene.project();
    let client = [("own", "cert.pem"), ("own", "key.pem")];
    let wrong_authority = collected(&[&client[..], &[("stranger", "ca.pem")]].concat());
    assert_snapshot!(over_tls(&repo, wrong_authority.path()).run().failure(), @"
    exit 3
    error: cannot connect to [ENGINE] with TLS
      because invalid peer certificate: UnknownIssuer
    hint: check that the CA file holds the authority that signed the server's certificate, that the certificate names this host, and that the client's certificate and key belong together
    ");
    let no_certificate = collected(&[("own", "ca.pem")]);
    assert_snapshot!(over_tls(&repo, no_certificate.path()).run().failure(), @"
    exit 3
    error: cannot connect to [ENGINE] (DOCKER_HOST)
      because received fatal alert: CertificateRequired
    hint: give it a client's certificate: cert.pem and key.pem beside the Engine's ca.pem, or `cert` and `key` in `[builder.tls]`
    ");
    let unknown_certificate = collected(&[
        ("own", "ca.pem"),
        ("stranger", "cert.pem"),
        ("stranger", "key.pem"),
    ]);
    assert_snapshot!(over_tls(&repo, unknown_certificate.path()).run().failure(), @"
    exit 3
    error: cannot connect to [ENGINE] (DOCKER_HOST)
      because received fatal alert: UnknownCA
    hint: check that the CA file holds the authority that signed the server's certificate, that the certificate names this host, and that the client's certificate and key belong together
    ");
    let no_authority = collected(&client);
    assert_snapshot!(over_tls(&repo, no_authority.path()).run().failure(), @"
    exit 3
    error: DOCKER_HOST asks for TLS to [ENGINE], but there is no ca.pem beside the client's certificate
    hint: put the authority that signed the server's certificate there; DOCKER_CERT_PATH names the directory where DOCKER_TLS_VERIFY asks for TLS
    ");
    let without_tls = Machine::with_engine(&engines().tls)
        .warm(repo.path())
        .redact(&engines().tls, "[ENGINE]");
    assert_snapshot!(without_tls.run().failure(), @"
    exit 3
    error: the Docker Engine failed to tell its API version: what listens at [ENGINE] (DOCKER_HOST) is no Docker Engine; it says: Client sent an HTTP request to an HTTPS server.
    ");
}

/// A developer whose builder is a `buildkitd` on TCP; `tls` are lines of `[builder.tls]`.
fn builder_on_tcp(buildkitd: &TlsBuildkitd, tls: &str) -> Machine {
    let machine = Machine::new();
    machine.configure(&buildkitd.configuration(tls));
    machine
}

#[test]
fn a_buildkitd_on_tcp_builds_for_a_client_that_it_knows() {
    let scene = Scene::new();
    let repo = scene.project();
    let buildkitd = TlsBuildkitd::new(&engines().a);
    let machine = builder_on_tcp(&buildkitd, &tls("own", Some("own")));
    // Nothing says that CI's BuildKit is of the same version; here it is.
    let warmed = machine.warm(repo.path()).without_engine().json();
    assert_eq!(warmed.is("warm").ci(), "not-assured");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn a_buildkitd_on_tcp_that_trusts_us_not_or_that_we_trust_not_says_so() {
    let scene = Scene::new();
    let repo = scene.project();
    let buildkitd = TlsBuildkitd::new(&engines().a);
    let failure = |tls: &str| {
        let machine = builder_on_tcp(&buildkitd, tls);
        let warm = machine.warm(repo.path());
        warm.redact(&buildkitd.endpoint(), "[BUILDKITD]")
            .redact(
                &engines().certificates.display().to_string(),
                "[CERTIFICATES]",
            )
            .run()
            .failure()
    };
    assert_snapshot!(failure(&tls("stranger", Some("own"))), @"
    exit 3
    error: cannot connect to [BUILDKITD] with TLS
      because invalid peer certificate: UnknownIssuer
    hint: check that the CA file holds the authority that signed the server's certificate, that the certificate names this host, and that the client's certificate and key belong together
    ");
    assert_snapshot!(failure(&tls("own", None)), @"
    exit 3
    error: cannot connect to [BUILDKITD]
      because received fatal alert: CertificateRequired
    hint: give it a client's certificate: cert.pem and key.pem beside the Engine's ca.pem, or `cert` and `key` in `[builder.tls]`
    ");
    assert_snapshot!(failure(&tls("own", Some("stranger"))), @"
    exit 3
    error: cannot connect to [BUILDKITD]
      because received fatal alert: UnknownCA
    hint: check that the CA file holds the authority that signed the server's certificate, that the certificate names this host, and that the client's certificate and key belong together
    ");
    // How a TLS server takes plain HTTP/2 is a matter of timing, what to do about it is not.
    let plain = failure("");
    assert!(
        plain.starts_with("exit 3\nerror: BuildKit does not answer: ")
            && plain.ends_with("if it speaks TLS, your configuration needs `[builder.tls]`\n"),
        "{plain}"
    );
    assert_snapshot!(failure(&tls("own", Some("missing"))), @"
    exit 2
    error: cannot use [CERTIFICATES]/missing/key.pem: I/O error: No such file or directory (os error 2)
    ");
}

/// A builder that `docker buildx create` made on engine A, with a machine that knows it.
struct BuildxBuilder<'scene> {
    scene: &'scene Scene,
    machine: Machine,
}

impl<'scene> BuildxBuilder<'scene> {
    fn new(scene: &'scene Scene) -> Self {
        script(&["image", "buildkit"]);
        let machine = Machine::new();
        let this = Self { scene, machine };
        let name = this.name();
        let image = format!("image={}", engines().buildkit);
        this.buildx(&[
            "create",
            "--name",
            &name,
            "--driver=docker-container",
            "--driver-opt",
            &image,
            "--driver-opt=network=host",
        ]);
        this.machine
            .configure(&format!("[builder]\nendpoint = \"buildx:{name}\"\n"));
        this
    }

    fn name(&self) -> String {
        format!("it-{}", self.scene.seed)
    }

    #[track_caller]
    fn buildx(&self, arguments: &[&str]) {
        let output = engines()
            .docker(&engines().a, &self.machine.docker_config())
            .arg("buildx")
            .args(arguments)
            .output()
            .expect("docker can be run");
        // A test that has failed already says more than that its builder could not be removed.
        assert!(
            output.status.success() || std::thread::panicking(),
            "buildx {arguments:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for BuildxBuilder<'_> {
    fn drop(&mut self) {
        self.buildx(&["rm", "--force", &self.name()]);
    }
}

#[test]
fn a_buildx_builder_in_a_container_is_started_and_builds() {
    let scene = Scene::new();
    let repo = scene.project();
    let builder = BuildxBuilder::new(&scene);
    let ci = format!("buildkit = \"{}\"", engines().buildkit);
    repo.configure(&ci, &format!("cache = \"{}\"", scene.cache()))
        .commit();
    let warmed = builder.machine.warm(repo.path()).json();
    assert_eq!(warmed.is("warm").ci(), "not-assured");
    registry::assert_complete(&scene.name);
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
    let again = builder.machine.warm(repo.path()).json();
    again.is("already-warm");
}

#[test]
fn a_buildx_builder_that_does_not_exist_is_named() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.configure("[builder]\nendpoint = \"buildx:nobody\"\n");
    assert_snapshot!(machine.warm(repo.path()).run().failure(), @r#"
    exit 3
    error: cannot reach the buildx builder `nobody`
      because it ended with exit status: 1: ERROR: no builder "nobody" found
    hint: try `docker buildx inspect --bootstrap nobody`
    "#);
}
