//! When images go.

use super::*;

#[test]
fn images_go_after_layers_if_they_may_and_nobody_needs_them() {
    let image = |reference: &str, dangling: bool| Image {
        reference: reference.to_owned(),
        id: format!("sha256:{reference}"),
        dangling,
        bytes: 10,
        touched: Some(NOW - 9 * DAY),
        container: None,
    };
    let mut snapshot = snapshot(vec![layer("old", &[], 10 * DAY)]);
    snapshot.images = vec![
        image("app:1", false),
        image("sha256:dangling", true),
        Image {
            touched: Some(NOW - HOUR),
            ..image("young:1", false)
        },
        Image {
            touched: None,
            ..image("timeless:1", false)
        },
        Image {
            container: Some("web".to_owned()),
            ..image("used:1", false)
        },
        image("kept:1", false),
        image("base:1", false),
    ];
    let guard = Guard {
        keep: vec!["kept:1".to_owned()],
        images: vec![("base:1".to_owned(), "a build".to_owned())],
        ..Guard::default()
    };
    for (images, expected) in [
        (PruneImages::Off, vec!["old"]),
        (PruneImages::Dangling, vec!["old", "sha256:dangling"]),
        (PruneImages::Unused, vec!["old", "sha256:dangling", "app:1"]),
    ] {
        let policy = Policy { images, ..policy() };
        let plan = plan(&snapshot, &policy, &guard, &Costs::default(), NOW);
        assert_eq!(gone(&plan), expected, "{images:?}");
        assert_eq!(plan.kept.len() + plan.deletions.len(), 8);
    }
}

#[test]
fn only_the_last_name_frees_an_image() {
    let named = |reference: &str, container: Option<&str>| Image {
        reference: reference.to_owned(),
        id: "sha256:app".to_owned(),
        dangling: false,
        bytes: 10,
        touched: Some(NOW - 9 * DAY),
        container: container.map(str::to_owned),
    };
    let policy = Policy {
        images: PruneImages::Unused,
        ..free(5)
    };
    let mut snapshot = snapshot(Vec::new());
    snapshot.images = vec![named("app:1", None), named("app:2", None)];
    let plan = decide(&snapshot, &policy);
    assert_eq!(gone(&plan), ["app:1", "app:2"]);
    assert_eq!(plan.bytes(), 10);
    let guard = Guard {
        keep: vec!["app:2".to_owned()],
        ..Guard::default()
    };
    let plan = super::plan(&snapshot, &policy, &guard, &Costs::default(), NOW);
    assert_eq!((plan.bytes(), plan.missing), (0, 5));
}
