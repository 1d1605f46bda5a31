//! The decision, the key and the recipe as tables: each thing that decides a build decides the key.

mod consent;

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::Inputs;
use super::key::Key;
use super::recipe::Recipe;
use super::*;
use crate::config::{CiContext, Compression};
use crate::snapshot::Filter;

fn recipe() -> Recipe {
    Recipe {
        dockerfile: b"FROM busybox".to_vec(),
        ignore_file: None,
        context: ".".to_owned(),
        ci_context: CiContext::Git,
        umask: 0o022,
        stage: Some("builder".to_owned()),
        platform: "linux/amd64".to_owned(),
        build_platform: "linux/amd64".to_owned(),
        args: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        buildkit: "v0.13.2".to_owned(),
    }
}

#[test]
fn everything_in_a_recipe_changes_its_hash() {
    let changes: [fn(&mut Recipe); 12] = [
        |recipe| recipe.dockerfile.push(b' '),
        |recipe| recipe.ignore_file = Some(Vec::new()),
        |recipe| recipe.context = "api".to_owned(),
        |recipe| recipe.ci_context = CiContext::Path,
        |recipe| recipe.umask = 0,
        |recipe| recipe.stage = None,
        |recipe| recipe.stage = Some(String::new()),
        |recipe| recipe.platform = "linux/arm64".to_owned(),
        |recipe| recipe.build_platform = "linux/arm64".to_owned(),
        |recipe| recipe.args = BTreeMap::from([("A".to_owned(), "2".to_owned())]),
        |recipe| recipe.args = BTreeMap::from([("A1".to_owned(), String::new())]),
        |recipe| recipe.buildkit = "v0.32.2".to_owned(),
    ];
    let mut hashes = BTreeSet::from([recipe().hash()]);
    for change in changes {
        let mut other = recipe();
        change(&mut other);
        hashes.insert(other.hash());
    }
    assert_eq!(hashes.len(), changes.len() + 1);
    assert_eq!(recipe().hash(), recipe().hash());
}

#[test]
fn files_images_and_compression_change_the_key() {
    let image = |digest: &str| BTreeMap::from([("python:3".to_owned(), digest.to_owned())]);
    let keys: BTreeSet<String> = [
        Key::new("r", &[[1; 32]], &image("sha256:a"), Compression::Zstd),
        Key::new("s", &[[1; 32]], &image("sha256:a"), Compression::Zstd),
        Key::new("r", &[[2; 32]], &image("sha256:a"), Compression::Zstd),
        Key::new("r", &[], &image("sha256:a"), Compression::Zstd),
        Key::new("r", &[[1; 32]], &image("sha256:b"), Compression::Zstd),
        Key::new("r", &[[1; 32]], &image("sha256:a"), Compression::Gzip),
    ]
    .iter()
    .map(Key::to_string)
    .collect();
    assert_eq!(keys.len(), 6);
}

fn inputs(digest: &str) -> Inputs {
    let filter = Filter {
        follow: vec!["requirements.txt".to_owned()],
        ..Filter::default()
    };
    Inputs::new(
        BTreeSet::from([filter]),
        BTreeMap::from([("python:3".to_owned(), digest.to_owned())]),
        false,
    )
}

#[test]
fn an_inputs_document_survives_the_trip_and_nothing_else_passes_for_one() {
    let document = inputs("sha256:a");
    assert_eq!(Inputs::parse(&document.to_json()), Some(document.clone()));
    let newer = document.to_json().replace("\"version\":1", "\"version\":2");
    for foreign in ["", "{}", "[]", "null", &newer] {
        assert_eq!(Inputs::parse(foreign), None, "{foreign}");
    }
}

#[test]
fn a_target_is_built_unless_its_key_is_warm_and_the_reason_is_given() {
    let warm = Warm {
        source: WarmSource::History,
        digest: "sha256:m".to_owned(),
    };
    let key = Key::new("r", &[], &BTreeMap::new(), Compression::Zstd);
    let previous = |recipe: &str, digest: &str| Previous {
        recipe: recipe.to_owned(),
        key: None,
        inputs: Some(inputs(digest)),
        source: "commit 1a2b3c4".to_owned(),
    };
    let facts = Facts {
        recipe: "r".to_owned(),
        inputs: Some(inputs("sha256:a")),
        key: Some(key),
        ..Facts::default()
    };
    let reason = |facts: &Facts| match decide(facts) {
        Decision::AlreadyWarm(warm) => format!("warm: {:?}", warm.source),
        Decision::Build { reason } => reason,
    };
    let with = |change: fn(&mut Facts)| {
        let mut facts = facts.clone();
        facts.previous = Some(previous("r", "sha256:a"));
        change(&mut facts);
        facts
    };
    assert_eq!(reason(&facts), "this target was never warmed here");
    let mut known = facts.clone();
    known.warm = Some(warm);
    assert_eq!(reason(&known), "warm: History");
    known.force = true;
    assert_eq!(reason(&known), "--force was given");
    known.force = false;
    if let Some(inputs) = &mut known.inputs {
        inputs.downloads = true;
    }
    assert_eq!(
        reason(&known),
        "it downloads something with ADD, which may have changed"
    );
    known.inputs = facts.inputs.clone();
    known.key = None;
    assert_eq!(
        reason(&known),
        "this target was never warmed here",
        "a warm key counts only for the same key"
    );
    assert_eq!(
        reason(&with(|_| ())),
        "its input files differ from commit 1a2b3c4"
    );
    assert_eq!(
        reason(&with(|facts| facts.inputs = Some(inputs("sha256:b")))),
        "the base image python:3 moved"
    );
    let unpushed = with(|facts| {
        let key = facts.key.as_ref().map(ToString::to_string);
        facts.previous = facts
            .previous
            .take()
            .map(|previous| Previous { key, ..previous });
    });
    assert_eq!(
        reason(&unpushed),
        "nothing has changed, but its cache is not known to be in a registry"
    );
    assert!(
        reason(&with(|facts| facts.recipe = "s".to_owned()))
            .starts_with("the Dockerfile, its ignore file")
    );
}
