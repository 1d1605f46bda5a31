//! What is asked of a registry, and what becomes of a plan when the registry says something else.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::prune::tags::delete::delete;
use crate::prune::tags::look::{identify, look};
use crate::registry::script::{Received, Reply, Script, reply};
use crate::registry::{OCI_MANIFEST, Registry};

/// A registry in memory that may be told to be odd.
#[derive(Clone, Debug, Default)]
struct Store {
    /// The manifest of each tag.
    tags: BTreeMap<String, String>,
    /// What it says to deletion by tag; 0 for doing it.
    by_tag: u16,
    /// What it says to deletion by digest; 0 for doing it.
    by_digest: u16,
    /// Deletion of one tag takes the manifest.
    careless: bool,
}

/// A cache made on a day of 2020.
fn cache(day: u8) -> String {
    let digest = digest(&day.to_string());
    let layer = "application/vnd.oci.image.layer.v1.tar+zstd";
    let config = "application/vnd.buildkit.cacheconfig.v0";
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"{}","size":10}},"layers":[
        {{"mediaType":"{layer}","digest":"{digest}","size":100,"annotations":{{"buildkit/createdat":"2020-01-{day:02}T00:00:00Z"}}}}]}}"#,
        self::digest("config"),
    )
}

impl Store {
    fn with(tags: &[(&str, u8)]) -> Self {
        let tags = tags
            .iter()
            .map(|(tag, day)| ((*tag).to_owned(), cache(*day)));
        Self {
            tags: tags.collect(),
            ..Self::default()
        }
    }

    fn answer(&mut self, request: &Received) -> Reply {
        if request.path.contains("/tags/list") {
            let tags: Vec<_> = self.tags.keys().collect();
            return reply(200).body(serde_json::json!({ "tags": tags }).to_string());
        }
        let version = request.path.rsplit('/').next().unwrap_or_default();
        let by_digest = version.starts_with("sha256:");
        let manifest = if by_digest {
            self.tags.values().find(|it| digest(it).as_str() == version)
        } else {
            self.tags.get(version)
        };
        let Some(manifest) = manifest.cloned() else {
            return reply(404);
        };
        if request.method != "DELETE" {
            return reply(200)
                .header("Content-Type", OCI_MANIFEST)
                .header("Docker-Content-Digest", digest(&manifest).as_str())
                .body(manifest);
        }
        match (by_digest, self.by_digest, self.by_tag) {
            (true, 0, _) => self.tags.retain(|_, it| *it != manifest),
            (false, _, 0) if self.careless => self.tags.retain(|_, it| *it != manifest),
            (false, _, 0) => drop(self.tags.remove(version)),
            (true, status, _) | (false, _, status) => return reply(status),
        }
        reply(202)
    }
}

struct Scene {
    store: Arc<Mutex<Store>>,
    script: Script,
    registry: Registry,
    plan: Plan,
}

impl Scene {
    /// A plan for what a registry has.
    async fn new(store: Store) -> Self {
        let store = Arc::new(Mutex::new(store));
        let shared = Arc::clone(&store);
        let script = Script::start(move |_, _, request| {
            shared.lock().expect("nobody panicked").answer(request)
        })
        .await;
        let registry = Registry::new(&BTreeMap::new(), None, 0);
        let name = format!("{}/acme/app", script.host);
        let repository = Repository::parse(&name).expect("a repository");
        let known = known();
        let mut tags = look(&registry, &repository, &known.templates)
            .await
            .expect("tags");
        identify(&registry, &repository, &mut tags)
            .await
            .expect("digests");
        let plan = Plan {
            repository,
            decisions: plan(&tags, &known),
        };
        Self {
            store,
            script,
            registry,
            plan,
        }
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().expect("nobody panicked")
    }

    async fn delete(&mut self) -> Result<(), String> {
        let stop = CancellationToken::new();
        let done = delete(&self.registry, &mut self.plan, &stop).await;
        done.map_err(|error| error.to_string())
    }

    /// The tags that are left.
    fn left(&self) -> Vec<String> {
        self.store().tags.keys().cloned().collect()
    }

    fn fate(&self, tag: &str) -> (Fate, &str) {
        let mut decisions = self.plan.decisions.iter();
        let decision = decisions
            .find(|it| it.tag == tag)
            .expect("it was looked at");
        (decision.fate, &decision.reason)
    }

    fn deletions(&self) -> usize {
        let lines = self.script.lines();
        lines.iter().filter(|it| it.starts_with("DELETE")).count()
    }
}

const GONE: &str = "builder-cache-gone";
const TOPIC: &str = "builder-cache-topic";

#[tokio::test]
async fn what_a_plan_names_goes_and_nothing_else() {
    let (key, inputs) = (
        format!("builder-cache-k-{KEY}"),
        format!("builder-cache-i-{KEY}"),
    );
    let mut scene = Scene::new(Store::with(&[
        (GONE, 1),
        (&key, 1),
        ("builder-cache-gone-too", 2),
        (TOPIC, 3),
        (&inputs, 4),
        ("latest", 5),
    ]))
    .await;
    assert_eq!(scene.plan.count(Fate::Goes), 3);
    assert_eq!(scene.plan.bytes(Fate::Goes), 220);
    scene.delete().await.expect("deleted");
    assert_eq!(scene.left(), [&inputs, TOPIC, "latest"]);
    assert_eq!(scene.deletions(), 2, "one for each manifest");
    assert_eq!(scene.plan.count(Fate::Deleted), 3);
}

#[tokio::test]
async fn a_manifest_that_has_another_name_loses_only_its_own_where_that_is_possible() {
    for by_tag in [0, 400, 405] {
        let mut store = Store::with(&[(GONE, 1), ("my-own-name", 1)]);
        store.by_tag = by_tag;
        let mut scene = Scene::new(store).await;
        scene.delete().await.expect("no failure");
        if by_tag == 0 {
            assert_eq!(scene.left(), ["my-own-name"]);
            assert_eq!(scene.fate(GONE).0, Fate::Deleted);
        } else {
            assert_eq!(scene.left(), [GONE, "my-own-name"]);
            assert_eq!(
                scene.fate(GONE),
                (
                    Fate::Stays,
                    "shares its manifest with my-own-name, and this registry cannot remove one tag alone"
                )
            );
        }
    }
}

#[tokio::test]
async fn a_registry_that_takes_more_than_it_was_asked_for_is_not_asked_again() {
    let mut store = Store::with(&[(GONE, 1), ("builder-cache-old", 1), ("my-own-name", 1)]);
    store.careless = true;
    let mut scene = Scene::new(store).await;
    let error = scene.delete().await.expect_err("it took too much");
    assert!(error.contains("removed my-own-name"), "{error}");
    assert_eq!(scene.deletions(), 1);
    assert_eq!(scene.fate(GONE).0, Fate::Deleted);
    assert_eq!(scene.fate("builder-cache-old").0, Fate::Failed);
}

#[tokio::test]
async fn what_changed_since_the_plan_stays() {
    let mut scene = Scene::new(Store::with(&[
        (GONE, 1),
        ("builder-cache-lost", 2),
        ("builder-cache-old", 3),
        ("builder-cache-older", 3),
    ]))
    .await;
    {
        let mut store = scene.store();
        // Somebody came back to a branch, somebody else was faster, and somebody gave an old cache a name.
        store.tags.insert(GONE.to_owned(), cache(9));
        store.tags.remove("builder-cache-lost");
        store.tags.insert("new".to_owned(), cache(3));
        store.by_tag = 405;
    }
    scene.delete().await.expect("no failure");
    assert_eq!(
        scene.left(),
        [GONE, "builder-cache-old", "builder-cache-older", "new"]
    );
    assert_eq!(
        scene.fate(GONE),
        (Fate::Stays, "names something else since it was looked at")
    );
    assert_eq!(
        scene.fate("builder-cache-lost"),
        (Fate::Deleted, "somebody else deleted it")
    );
    let (fate, reason) = scene.fate("builder-cache-old");
    assert_eq!(fate, Fate::Stays);
    assert!(
        reason.starts_with("shares its manifest with new,"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_is_asked_once() {
    for (status, expected) in [
        (405, "does not allow deletion in acme/app"),
        (400, "does not allow deletion in acme/app"),
        (404, "does not allow deletion in acme/app"),
        (403, "does not allow this in acme/app"),
        (401, "asks for a login"),
        (500, "failed with status 500"),
    ] {
        let mut store = Store::with(&[(GONE, 1), ("builder-cache-old", 2), (TOPIC, 3)]);
        store.by_digest = status;
        let mut scene = Scene::new(store).await;
        let error = scene.delete().await.expect_err("refused");
        assert!(error.contains(expected), "{error}");
        assert_eq!(scene.deletions(), 1, "{status}");
        assert_eq!(scene.left().len(), 3);
        assert_eq!(scene.plan.count(Fate::Failed), 2);
        assert_eq!(scene.plan.count(Fate::Stays), 1);
        let reasons: Vec<&str> = [GONE, "builder-cache-old"]
            .map(|tag| scene.fate(tag).1)
            .to_vec();
        assert!(
            reasons.iter().all(|it| it.contains(expected)),
            "{reasons:?}"
        );
        assert!(
            reasons.iter().any(|it| it.starts_with("not tried: ")),
            "{reasons:?}"
        );
    }
}

#[tokio::test]
async fn who_is_stopped_deletes_no_more() {
    let mut scene = Scene::new(Store::with(&[(GONE, 1)])).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let done = delete(&scene.registry, &mut scene.plan, &stop).await;
    done.expect("no failure of the registry");
    assert_eq!(
        scene.fate(GONE),
        (Fate::Failed, "not tried: it was stopped")
    );
    assert_eq!(scene.deletions(), 0);
}

#[tokio::test]
async fn tags_that_cannot_be_read_concern_nobody_else() {
    let script = Script::start(|_, _, request| match request.path.as_str() {
        path if path.contains("/tags/list") => reply(200)
            .body(r#"{"tags":["builder-cache-huge","builder-cache-html","builder-cache-gone","builder-cache-lost"]}"#),
        path if path.ends_with("-huge") => reply(200).body(vec![b' '; 5 << 20]),
        path if path.ends_with("-html") => reply(200).body("<html>"),
        path if path.ends_with("-lost") => reply(404),
        _ => reply(200).header("Content-Type", OCI_MANIFEST).body(cache(1)),
    })
    .await;
    let registry = Registry::new(&BTreeMap::new(), None, 0);
    let repository = Repository::parse(&format!("{}/acme/app", script.host)).expect("one");
    let known = known();
    let mut tags = look(&registry, &repository, &known.templates)
        .await
        .expect("tags");
    identify(&registry, &repository, &mut tags)
        .await
        .expect("digests");
    let fates: Vec<_> = plan(&tags, &known)
        .into_iter()
        .map(|it| (it.tag, it.fate))
        .collect();
    assert_eq!(
        fates,
        [
            (GONE.to_owned(), Fate::Goes),
            ("builder-cache-html".to_owned(), Fate::Stays),
            ("builder-cache-huge".to_owned(), Fate::Stays),
        ]
    );
}
