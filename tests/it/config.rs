//! `prewarm config` and what wrong configuration says.

use insta::assert_snapshot;

use crate::support::prewarm::Machine;
use crate::support::repo::Repo;

#[test]
fn check_reports_every_problem_of_both_files_with_its_line() {
    let repo = Repo::new();
    repo.configure(
        "context = \"tree\"\numask = 22\ncolour = \"red\"",
        "cache = \"HTTP://registry/x\"\nargs = [1]",
    );
    let machine = Machine::new();
    machine.configure("[builder]\nendpoint = \"moon\"\n\n[warm]\nparalel = 3\n");
    let check = machine.prewarm(repo.path()).args(["config", "check"]).run();
    assert_eq!(check.stdout, "");
    assert_snapshot!(check.failure(), @r#"
    exit 2
    error: ~/.config/prewarm/config.toml:2:12: `builder.endpoint`: "moon" is not an endpoint: write auto, container, engine, unix:///path, tcp://host:port or buildx:NAME
            | endpoint = "moon"
            = such as "auto"
        ~/.config/prewarm/config.toml:5:1: unknown key `paralel` in [warm]
            | paralel = 3
            = did you mean `parallel`?
    error: .prewarm.toml:4:11: `ci.context`: "tree" is neither "git" nor "path"
            | context = "tree"
            = such as "git"
        .prewarm.toml:5:9: `ci.umask`: expected a string such as "022", found an integer
            | umask = 22
        .prewarm.toml:6:1: unknown key `colour` in [ci]
            | colour = "red"
            = known here: context, umask, default_branch, pull_requests, buildkit, protected, lfs, submodules
        .prewarm.toml:9:9: `target.builder.cache`: "HTTP://registry/x" is an address: leave out the part up to ://
            | cache = "HTTP://registry/x"
            = such as "ghcr.io/acme/app"
        .prewarm.toml:10:8: `target.builder.args`: expected a table, found an array
            | args = [1]
    "#);
}

#[test]
fn check_looks_for_what_targets_name() {
    let repo = Repo::new();
    repo.configure(
        "",
        "stage = \"bilder\"\n[target.worker]\ncontext = \"services/workr\"",
    )
    .file("Dockerfile", "FROM scratch AS builder\n")
    .commit();
    let machine = Machine::new();
    let check = machine.prewarm(repo.path()).args(["config", "check"]).run();
    assert_snapshot!(check.failure(), @"
    exit 2
    error: target builder: Dockerfile has no stage called bilder
    hint: its stages are: builder
    error: target worker: services/workr: no such file or directory in the snapshot (files that git does not track are not part of it)
    ");
}

#[test]
fn check_of_good_configuration_says_what_it_found() {
    let repo = Repo::new();
    repo.configure("", "cache = \"ghcr.io/acme/app\"")
        .file("Dockerfile", "FROM scratch AS builder\n")
        .commit();
    let machine = Machine::new();
    let check = machine.prewarm(repo.path()).args(["config", "check"]).run();
    assert_eq!(check.code(), 0, "{}", check.stderr);
    assert_snapshot!(check.out(), @"ok: no configuration of your own (defaults); .prewarm.toml; targets: builder");
}

#[test]
fn show_merges_both_files_and_says_where_each_value_is_from() {
    let repo = Repo::new();
    repo.configure("context = \"path\"", "cache = \"ghcr.io/acme/app\"")
        .file("Dockerfile", "FROM scratch AS builder\n")
        .commit();
    let machine = Machine::new();
    machine.configure("[warm]\nparallel = 3\n");
    let show = machine.prewarm(repo.path()).args(["config", "show"]).run();
    assert_eq!(show.code(), 0, "{}", show.stderr);
    assert_snapshot!(show.out(), @r#"
    version = 1                                              # .prewarm.toml:1

    [ci]
    context = "path"                                         # .prewarm.toml:4
    umask = "022"                                            # default
    default_branch = "main"                                  # default
    pull_requests = true                                     # default
    buildkit = "moby/buildkit:buildx-stable-1"               # default
    protected = ["main", "master", "release/*"]              # default
    lfs = false                                              # default
    submodules = false                                       # default

    [target.builder]
    dockerfile = "Dockerfile"                                # default
    context = "."                                            # default
    stage = "builder"                                        # default
    platforms = []                                           # default
    cache = "ghcr.io/acme/app"                               # .prewarm.toml:7
    tag = "builder-cache-{branch}"                           # default
    args = {  }                                              # default
    secrets = []                                             # default
    ssh = []                                                 # default
    compression = "zstd"                                     # default

    [builder]
    endpoint = "auto"                                        # default
    # cpus is not set                                        # default
    # memory is not set                                      # default
    network = "bridge"                                       # default
    # buildkitd_config is not set                            # default
    certificates = []                                        # default
    refresh = "1d"                                           # default

    [warm]
    parallel = 3                                             # ~/.config/prewarm/config.toml:2
    timeout = "1h"                                           # default
    base_check = "15m"                                       # default
    retries = 4                                              # default

    [consent]
    secrets = []                                             # default
    ssh = []                                                 # default
    buildkit_images = []                                     # default
    frontends = []                                           # default

    [daemon]
    parallel = 1                                             # default
    worktree = true                                          # default
    quiet = "[TIME]"                                          # default
    recheck = "1h"                                           # default
    grace = "[TIME]"                                            # default
    notify = false                                           # default

    [hooks]
    pre_push = "off"                                         # default
    wait = "2m"                                              # default
    standalone = false                                       # default

    [prune]
    automatic = false                                        # ~/.config/prewarm/config.toml:5
    # start is not set                                       # default
    # free is not set                                        # default
    # max_cache is not set                                   # default
    floor = "10GB"                                           # default
    keep_newer_than = "1d"                                   # default
    images_keep_newer_than = "7d"                            # default
    keep = []                                                # default
    images = "off"                                           # default
    cache_mounts = false                                     # default
    every = "5m"                                             # default
    branches = "14d"                                         # default
    registry_after = "30d"                                   # default
    "#);
}

#[test]
fn wrong_configuration_stops_a_warm_before_anything_else() {
    let repo = Repo::new();
    repo.configure("context = \"tree\"", "")
        .file("Dockerfile", "FROM scratch AS builder\n")
        .commit();
    let warm = Machine::new().warm(repo.path()).without_engine().run();
    assert_snapshot!(warm.failure(), @r#"
    exit 2
    error: .prewarm.toml:4:11: `ci.context`: "tree" is neither "git" nor "path"
            | context = "tree"
            = such as "git"
    "#);
}
