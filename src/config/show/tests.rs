use super::*;
use crate::config::tests::paths;
use crate::config::{REPOSITORY_FILE, parse_repository, parse_user};

const USER: &str = r#"
[builder]
memory = "4096MiB"
endpoint = "container"
[warm]
timeout = "90m"
[registry."127.0.0.1:5000"]
insecure = true
"#;

const REPOSITORY: &str = r#"version = 1
[ci]
context = "path"
[target.builder]
cache = "ghcr.io/acme/app"
secrets = [{ id = "pip", file = "/pip \"x\".conf" }]
args = { PYTHON = "3.11" }
"#;

#[test]
fn every_line_says_where_it_comes_from() {
    let user = parse_user(USER, &paths()).expect("a right file");
    let repository = parse_repository(REPOSITORY, REPOSITORY_FILE).expect("a right file");
    insta::assert_snapshot!(show(&user, &repository), @r#"
    version = 1                                              # .prewarm.toml:1

    [ci]
    context = "path"                                         # .prewarm.toml:3
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
    cache = "ghcr.io/acme/app"                               # .prewarm.toml:5
    tag = "builder-cache-{branch}"                           # default
    args = { PYTHON = "3.11" }                               # .prewarm.toml:7
    secrets = [{ id = "pip", file = "/pip \"x\".conf" }]     # .prewarm.toml:6
    ssh = []                                                 # default
    compression = "zstd"                                     # default

    [builder]
    endpoint = "container"                                   # ~/.config/prewarm/config.toml:4
    # cpus is not set                                        # default
    memory = "4GiB"                                          # ~/.config/prewarm/config.toml:3
    network = "bridge"                                       # default
    # buildkitd_config is not set                            # default
    certificates = []                                        # default
    refresh = "1d"                                           # default

    [warm]
    parallel = 2                                             # default
    timeout = "90m"                                          # ~/.config/prewarm/config.toml:6
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
    quiet = "300ms"                                          # default
    recheck = "1h"                                           # default
    grace = "20s"                                            # default
    notify = false                                           # default

    [hooks]
    pre_push = "off"                                         # default
    wait = "2m"                                              # default
    standalone = false                                       # default

    [prune]
    automatic = true                                         # default
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

    [registry."127.0.0.1:5000"]
    insecure = true                                          # ~/.config/prewarm/config.toml:8
    # ca is not set                                          # default
    "#);
}

#[test]
fn what_was_detected_is_marked() {
    let mut repository = Loaded::default();
    crate::config::detect::detect(&mut repository, "FROM a AS Build\n").expect("a stage");
    let text = show(&Loaded::default(), &repository);
    let detected: Vec<_> = text
        .lines()
        .filter(|line| line.ends_with("# detected"))
        .collect();
    assert_eq!(detected.len(), 2, "{text}");
    assert!(detected[1].starts_with("stage = \"Build\" "));
}

#[test]
fn what_is_shown_reads_the_same() {
    let user = parse_user(USER, &paths()).expect("a right file");
    let tcp = "[builder]\nendpoint = \"tcp://h:1\"\n[builder.tls]\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\n";
    let tcp = parse_user(tcp, &paths()).expect("a right file");
    let repository = parse_repository(REPOSITORY, REPOSITORY_FILE).expect("a right file");
    for user in [user, tcp] {
        let text = show(&user, &repository);
        let start = text.find("[builder]").expect("the user's part");
        assert_eq!(
            parse_repository(&text[..start], "f").expect("right").value,
            repository.value
        );
        // Defaults that only a container heeds would be a contradiction beside another endpoint.
        let theirs: Vec<_> = text[start..]
            .lines()
            .filter(|line| user.value.builder.tls.is_none() || !line.ends_with("# default"))
            .collect();
        assert_eq!(
            parse_user(&theirs.join("\n"), &paths())
                .expect("right")
                .value,
            user.value
        );
    }
}
