//! What Engines send, and what it means.

use super::*;

/// Engine 26.1.5 with the classic store and API 1.45, all images: an image that was pulled and named again, one that was
/// committed from it, one without a name, and a step of the classic builder on which another stands.
const CLASSIC: &str = r#"[
    {"Containers": -1, "Created": 1795368920, "Id": "sha256:child", "Labels": {}, "ParentId": "sha256:step",
        "RepoDigests": [], "RepoTags": ["child:1"], "SharedSize": 2027836, "Size": 2027900},
    {"Containers": -1, "Created": 1795368910, "Id": "sha256:step", "Labels": null, "ParentId": "sha256:pulled",
        "RepoDigests": [], "RepoTags": [], "SharedSize": 2027836, "Size": 2027836},
    {"Containers": -1, "Created": 0, "Id": "sha256:pulled", "Labels": null, "ParentId": "",
        "RepoDigests": ["h:5000/base/busybox@sha256:c5"], "RepoTags": ["h:5000/base/busybox:1", "probe:1"],
        "SharedSize": -1, "Size": 2027836},
    {"Containers": -1, "Created": 7, "Id": "sha256:by-digest", "Labels": null, "ParentId": "",
        "RepoDigests": ["app@sha256:d"], "RepoTags": null, "SharedSize": 0, "Size": 5},
    {"Containers": -1, "Created": 7, "Id": "sha256:nameless", "Labels": null, "ParentId": "",
        "RepoDigests": ["<none>@<none>"], "RepoTags": ["<none>:<none>"], "SharedSize": 9, "Size": 5}
]"#;

fn container(name: &str, image: &str, id: &str) -> ContainerSummary {
    ContainerSummary {
        id: Some("e7f045eb88f3".to_owned()),
        names: Some(vec![format!("/{name}")]),
        image: Some(image.to_owned()),
        image_id: Some(id.to_owned()),
        ..ContainerSummary::default()
    }
}

fn shown(containers: &[ContainerSummary]) -> Vec<String> {
    let listed: Vec<ImageSummary> = serde_json::from_str(CLASSIC).expect("as an Engine sent it");
    describe(&listed, containers)
        .into_iter()
        .map(|image| {
            let dangling = if image.dangling { " dangling" } else { "" };
            let container = image.container.unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {} {} {:?} {container}{dangling}",
                image.reference, image.id, image.bytes, image.touched
            )
        })
        .collect()
}

#[test]
fn there_is_one_for_each_name() {
    insta::assert_debug_snapshot!(shown(&[]), @r#"
    [
        "app@sha256:d sha256:by-digest 5 Some(7000) -",
        "child:1 sha256:child 64 Some(1795368920000) -",
        "h:5000/base/busybox:1 sha256:pulled 2027836 None -",
        "probe:1 sha256:pulled 2027836 None -",
        "sha256:nameless sha256:nameless 0 Some(7000) - dangling",
    ]
    "#);
}

#[test]
fn what_a_container_stands_on_is_used() {
    let used = |containers: &[ContainerSummary]| {
        shown(containers)
            .into_iter()
            .filter(|line| !line.ends_with('-') && !line.ends_with("- dangling"))
            .map(|line| line.split_once(' ').expect("several words").0.to_owned())
            .collect::<Vec<_>>()
    };
    let all = ["child:1", "h:5000/base/busybox:1", "probe:1"];
    assert_eq!(used(&[container("c", "child:1", "sha256:child")]), all);
    let pulled = ["h:5000/base/busybox:1", "probe:1"];
    let by_id = container("c", "sha256:pulled", "sha256:pulled");
    assert_eq!(used(&[by_id]), pulled);
    // A store that gives the container another id than the list.
    let by_name = container("c", "probe:1", "sha256:elsewhere");
    assert_eq!(used(&[by_name]), ["probe:1"]);
    let nameless = container("c", "sha256:nameless", "sha256:nameless");
    assert_eq!(used(&[nameless]), ["sha256:nameless"]);
    assert!(used(&[ContainerSummary::default()]).is_empty());
}

#[test]
fn parents_in_a_circle_end() {
    let circle: Vec<ImageSummary> = ["a", "b"]
        .iter()
        .zip(["b", "a"])
        .map(|(id, parent)| ImageSummary {
            id: (*id).to_owned(),
            parent_id: parent.to_owned(),
            repo_tags: vec![format!("{id}:1")],
            ..ImageSummary::default()
        })
        .collect();
    let images = describe(&circle, &[container("c", "x", "a")]);
    assert!(images.iter().all(|image| image.container.is_some()));
}

#[test]
fn names_are_as_the_engine_lists_them() {
    let id = format!("sha256:{}", "0".repeat(64));
    for (name, expected) in [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("docker.io/library/busybox", "busybox:latest"),
        ("index.docker.io/acme/app:1", "acme/app:1"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ("app@sha256:d", "app@sha256:d"),
        ("app:1@sha256:d", "app@sha256:d"),
        (&id, &id),
    ] {
        assert_eq!(normal(name), expected, "{name}");
    }
}

#[test]
fn what_leads_elsewhere_is_no_name() {
    for name in ["app:1", "h:5000/a/b_c-d.e:1", "app@sha256:d", "sha256:0"] {
        assert!(is_name(name), "{name}");
    }
    for name in [
        "",
        "..",
        "../containers/x",
        "a/../../volumes/x",
        "a/./b",
        "a//b",
        "/a",
        "a?force=true",
        "a#b",
        "a%2f",
        "a b",
        "<none>:<none>",
        "é",
    ] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn the_zero_time_is_unknown() {
    for (time, expected) in [
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-22T17:35:18.146205397Z", Some(1_795_368_918_146)),
    ] {
        let text = format!(r#"{{"Metadata": {{"LastTagTime": "{time}"}}}}"#);
        let found: ImageInspect = serde_json::from_str(&text).expect("as an Engine sends it");
        assert_eq!(last_named(&found), expected, "{time}");
    }
}
