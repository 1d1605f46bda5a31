//! Nothing can delete what is not ours: no container, volume or network but those of our own builder, no image but by one of
//! its names, and no record of a cache but by its id.

use super::sources;

/// bollard's methods that take something away, end it, or change what others made: those of its methods with a `DELETE`, a
/// `prune`, `stop`, `kill`, `update` or the like behind them.
const DESTRUCTIVE: [&str; 36] = [
    "connect_network",
    "delete_checkpoint",
    "delete_config",
    "delete_node",
    "delete_secret",
    "delete_service",
    "disable_plugin",
    "disconnect_network",
    "init_swarm",
    "join_swarm",
    "kill_container",
    "leave_swarm",
    "pause_container",
    "prune_build",
    "prune_containers",
    "prune_images",
    "prune_networks",
    "prune_volumes",
    "remove_container",
    "remove_image",
    "remove_network",
    "remove_plugin",
    "remove_volume",
    "rename_container",
    "restart_container",
    "set_plugin_config",
    "stop_container",
    // A name that moves leaves an image without one.
    "tag_image",
    "update_config",
    "update_container",
    "update_node",
    "update_secret",
    "update_service",
    "update_swarm",
    "upgrade_plugin",
    // What chooses force.
    "force",
];

/// All that may be called of these, and where: our container by the id of what has our name and our label, our volume by its
/// name, and one name of an image.
const ALLOWED: [(&str, &str); 6] = [
    (
        "engine/container/steps.rs",
        ".stop_container(id,Some(options))",
    ),
    (
        "engine/container/steps.rs",
        ".remove_container(id,Some(options))",
    ),
    (
        "engine/container/steps.rs",
        ".remove_volume(VOLUME,None::<RemoveVolumeOptions>)",
    ),
    (
        "engine/container/steps.rs",
        ".force(true).v(true).build();letremoved=engine.docker.remove_container(",
    ),
    (
        "engine/images.rs",
        ".remove_image(reference,Some(options),None)",
    ),
    (
        "engine/images.rs",
        ".force(false).noprune(false).build();letremoved=docker.docker.remove_image(",
    ),
];

/// Requests to the Engine that are made without bollard.
const REQUESTS: [&str; 2] = ["Method::GET,\"/_ping\"", "Method::POST,\"/grpc\""];

/// The only request to BuildKit that deletes anything.
const PRUNE: &str = "PruneRequest{filter:vec![filter(ids)],all:false,\
    keep_duration:i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX),\
    reserved_space:0,max_used_space:0,min_free_space:0,}";

/// Words of a command line that deletes what docker keeps.
const COMMANDS: [&str; 7] = [
    "\"prune\"",
    "\"rm\"",
    "\"rmi\"",
    "\"volume\"",
    "\"network\"",
    "\"container\"",
    "\"system\"",
];

/// Our own pruning, which is what all of this is about.
const OURS: &str = "\"prune\",\"--automatic\",\"--json\"";

/// Code without comments and blanks: a call is found however it is broken into lines.
fn squeezed(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.chars().filter(|character| !character.is_whitespace()))
        .collect()
}

/// Whatever in a file could delete something that is not ours.
fn deletions(path: &str, text: &str) -> Vec<String> {
    let code = squeezed(text);
    let mut found = Vec::new();
    let mut report = |at: usize| {
        let excerpt: String = code[at..].chars().take(60).collect();
        found.push(format!("{path}: {excerpt}"));
    };
    let allowed = |at: usize| {
        ALLOWED
            .iter()
            .any(|(file, call)| *file == path && code[at..].starts_with(call))
    };
    for name in DESTRUCTIVE {
        for call in [
            format!(".{name}("),
            format!(".{name}::<"),
            format!("Docker::{name}"),
        ] {
            let calls = code.match_indices(&call).map(|(at, _)| at);
            calls.filter(|at| !allowed(*at)).for_each(&mut report);
        }
    }
    for name in [
        "RemoveImageOptions",
        "RemoveContainerOptions",
        "RemoveVolumeOptions",
    ] {
        let home = ALLOWED.iter().any(|(file, _)| *file == path);
        let named = code.match_indices(name).map(|(at, _)| at);
        // A structure that is written out could be forced without a word of it.
        named
            .filter(|at| !home || code[*at + name.len()..].starts_with('{'))
            .for_each(&mut report);
    }
    for (at, _) in code.match_indices("PruneRequest") {
        let (home, rest) = (path == "buildkit/disk.rs", &code[at..]);
        let named = !rest.starts_with("PruneRequest{");
        if !home || !(named || rest.starts_with(PRUNE)) {
            report(at);
        }
    }
    if path.starts_with("engine") && !path.contains("tests") {
        let requests = code.match_indices("Method::").map(|(at, _)| at);
        requests
            .filter(|at| {
                !REQUESTS
                    .iter()
                    .any(|request| code[*at..].starts_with(request))
            })
            .for_each(&mut report);
    }
    if code.contains("Command::new(") {
        for word in COMMANDS {
            let words = code.match_indices(word).map(|(at, _)| at);
            words
                .filter(|at| !code[*at..].starts_with(OURS))
                .for_each(&mut report);
        }
    }
    found
}

#[test]
fn nothing_can_delete_what_is_not_ours() {
    let sources = sources();
    let found: Vec<_> = sources
        .iter()
        .flat_map(|(path, text)| deletions(path, text))
        .collect();
    assert!(found.is_empty(), "{found:#?}");

    // What is allowed is there, once, so that the list does not outlive it.
    let code = |path: &str| {
        let source = sources.iter().find(|(source, _)| source == path);
        squeezed(&source.unwrap_or_else(|| panic!("{path} is gone")).1)
    };
    for (path, call) in ALLOWED.into_iter().chain([("buildkit/disk.rs", PRUNE)]) {
        assert_eq!(code(path).matches(call).count(), 1, "{call} in {path}");
    }
}

#[test]
fn what_is_removed_of_the_builder_is_what_we_made() {
    let sources = sources();
    let callers: Vec<_> = sources
        .iter()
        .flat_map(|(path, text)| {
            let code = squeezed(text);
            let calls = [
                "steps::remove_container(",
                "steps::remove_volume(",
                "steps::stop(",
            ];
            let found = calls.map(|call| (call, code.matches(call).count()));
            found.map(|(call, count)| (path.clone(), call, count))
        })
        .filter(|(.., count)| *count > 0)
        .collect();
    let container = "engine/container.rs".to_owned();
    assert_eq!(
        callers,
        [
            (container.clone(), "steps::remove_container(", 2),
            (container.clone(), "steps::remove_volume(", 1),
            (container.clone(), "steps::stop(", 2),
        ]
    );
    let (_, text) = sources
        .iter()
        .find(|(path, _)| *path == container)
        .expect("it was found above");
    let code = squeezed(text);
    // By hand: never without our label.
    assert!(code.contains(
        "letcontainer=steps::inspect(engine).await?;ifletSome(container)=&container{\
        if!container.ours{returnErr(FOREIGN_CONTAINER);}steps::remove_container(engine,&container.id)"
    ));
    // On the way to the container that is wanted: the plan never says so of what is not ours (its own tests).
    assert!(code.contains("steps::stop(engine,id).await;steps::remove_container(engine,id)"));
    assert!(code.contains("pubconstCONTAINER:&str=\"prewarm-buildkit\";"));
    assert!(code.contains("pubconstVOLUME:&str=\"prewarm-buildkit-state\";"));
}

#[test]
fn deletions_are_found_where_they_are_planted() {
    for (path, planted) in [
        ("prune/execute.rs", "docker.prune_volumes(None).await?;"),
        (
            "prune/execute.rs",
            "engine\n    .docker\n    .remove_container(\n        id,\n        None)",
        ),
        (
            "engine/images.rs",
            "docker.remove_container(id, Some(options))",
        ),
        (
            "engine/images.rs",
            "docker.docker.remove_image(reference, None, None)",
        ),
        (
            "engine/images.rs",
            "RemoveImageOptionsBuilder::new().force(true)",
        ),
        (
            "engine/images.rs",
            "let options = RemoveImageOptions { force: yes, ..d() };",
        ),
        (
            "engine/container/steps.rs",
            "docker.remove_volume(name, None::<RemoveVolumeOptions>)",
        ),
        ("engine/container/steps.rs", "docker.remove_network(VOLUME)"),
        ("engine.rs", "let end = Docker::kill_container;"),
        ("engine.rs", "dial::request(Method::DELETE, &path)"),
        ("engine.rs", "dial::request(Method::POST, \"/build/prune\")"),
        (
            "prune/execute.rs",
            "PruneRequest { all: true, ..PruneRequest::default() }",
        ),
        (
            "buildkit/disk.rs",
            "let request = PruneRequest { all: true, filter: vec![] };",
        ),
        (
            "buildkit/disk.rs",
            "PruneRequest { filter: vec![filter(ids)], all: false, max_used_space: 1 }",
        ),
        (
            "program.rs",
            "Command::new(docker).args([\"volume\", \"ls\"])",
        ),
        (
            "daemon/prunes.rs",
            "Command::new(docker).args([\"system\", \"prune\", \"--all\"])",
        ),
        (
            "program.rs",
            "Command::new(\"docker\").arg(\"system\").arg(\"df\")",
        ),
    ] {
        assert!(!deletions(path, planted).is_empty(), "{path}: {planted}");
    }
    for (path, harmless) in [
        (
            "engine/images.rs",
            "/// `docker.prune_images()` would take all.",
        ),
        (
            "prune/execute.rs",
            "images::remove_image(&docker, image).await?",
        ),
        (
            "daemon/prunes.rs",
            "Command::new(us).args([\"prune\", \"--automatic\", \"--json\"])",
        ),
        ("plan.rs", "if facts.force { Method::DELETE }"),
        ("doctor.rs", "\"try `docker volume ls`\""),
    ] {
        let found = deletions(path, harmless);
        assert!(found.is_empty(), "{path}: {harmless}: {found:?}");
    }
}
