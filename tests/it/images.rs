//! The Engine's images, as both image stores tell of them.

use std::time::{SystemTime, UNIX_EPOCH};

use prewarm::engine::images::{Removal, images, listed_as, remove_image};
use prewarm::engine::{Engine, Surroundings, locate};
use prewarm::prune::usage::Image;

use crate::support::engines::{Scene, engines, script};

/// An Engine, and names on it that no other test has.
struct Desk {
    address: String,
    engine: Engine,
    scene: Scene,
}

impl Desk {
    async fn new(address: &str) -> Self {
        let location = locate(&Surroundings {
            env: &|name| (name == "DOCKER_HOST").then(|| address.into()),
            home: None,
            exists: &|_| true,
            read: &|path| std::fs::read(path),
        });
        let engine = Engine::connect(&location.expect("it is named")).await;
        let desk = Self {
            address: address.to_owned(),
            engine: engine.expect("it runs"),
            scene: Scene::new(),
        };
        desk.docker(&["pull", "--quiet", &engines().busybox]);
        desk
    }

    fn docker(&self, arguments: &[&str]) -> String {
        engines().docker_output(&self.address, arguments)
    }

    fn name(&self, tag: &str) -> String {
        format!("images-{}:{tag}", self.scene.seed)
    }

    fn container(&self, image: &str) -> String {
        let name = format!("images-{}", self.scene.seed);
        self.docker(&["create", "--name", &name, image, "true"]);
        name
    }

    /// Makes an image that nothing else is; its id.
    fn image(&self, container: &str, names: &[String]) -> String {
        let label = format!("LABEL seed={}-{}", self.scene.seed, names.len());
        let mut arguments = vec!["commit", "--change", &label, container];
        arguments.extend(names.first().map(String::as_str));
        let id = self.docker(&arguments);
        for name in names.iter().skip(1) {
            self.docker(&["tag", &id, name]);
        }
        id
    }

    async fn find(&self, reference: &str) -> Option<Image> {
        let images = images(&self.engine).await.expect("it lists its images");
        let mut found = images
            .into_iter()
            .filter(|image| image.reference == reference);
        let image = found.next();
        assert_eq!(found.next(), None, "once only");
        image
    }

    async fn remove(&self, image: &Image) -> Removal {
        remove_image(&self.engine, image).await.expect("it answers")
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("a clock after 1970").as_millis()).expect("in this age")
}

#[test]
fn images_are_listed_and_removed_name_by_name() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    script(&["start", "classic"]);
    for address in [&engines().a, &engines().classic] {
        runtime.block_on(by_name(address));
        runtime.block_on(without_a_name(address));
    }
}

async fn by_name(address: &str) {
    let desk = Desk::new(address).await;
    let began = now_ms();
    let names = [desk.name("1"), desk.name("2")];
    let container = desk.container(&engines().busybox);
    let id = desk.image(&container, &names);

    // What the container was made from is in use, and what was made of the container is not.
    let base = desk.find(&engines().busybox).await.expect("it was pulled");
    assert!(base.container.is_some(), "{base:?}");
    let first = desk.find(&names[0]).await.expect("it was made");
    assert_eq!(
        (&first.id, first.dangling, &first.container),
        (&id, false, &None)
    );
    let touched = first.touched.expect("it was named");
    assert!(
        (began - 5_000..=now_ms() + 5_000).contains(&touched),
        "{touched}"
    );
    let asked = [names[0].as_str(), id.as_str(), &id[7..19]];
    for (name, expected) in asked.into_iter().zip([&names[0], &id, &id]) {
        let listed = listed_as(&desk.engine, name).await.expect("it answers");
        assert_eq!(listed.as_ref(), Some(expected), "{name}");
    }
    let other = listed_as(&desk.engine, &desk.name("3")).await;
    assert_eq!(other.expect("it answers"), None);

    // A container keeps its image, whichever name is asked about.
    desk.docker(&["rm", &container]);
    let container = desk.container(&names[0]);
    for name in &names {
        let used = desk.find(name).await.expect("it is there");
        assert_eq!(used.container.as_ref(), Some(&container), "{name}");
    }
    // One name may go; the last one is kept by the Engine itself.
    let second = desk.find(&names[1]).await.expect("it is there");
    assert_eq!(desk.remove(&second).await, Removal::Removed);
    let kept = desk.remove(&first).await;
    assert!(
        matches!(&kept, Removal::Kept(why) if why.contains("container")),
        "{kept:?}"
    );
    desk.docker(&["rm", &container]);

    // A name that means another image by now.
    desk.docker(&["tag", &engines().busybox, &names[1]]);
    let moved = desk.remove(&second).await;
    assert!(matches!(&moved, Removal::Kept(_)), "{moved:?}");
    desk.docker(&["rmi", &names[1]]);

    assert_eq!(desk.remove(&first).await, Removal::Removed);
    assert_eq!(desk.remove(&first).await, Removal::Gone);
    assert_eq!(desk.find(&names[0]).await, None);
    assert_eq!(desk.find(&id).await, None);
}

async fn without_a_name(address: &str) {
    let desk = Desk::new(address).await;
    let container = desk.container(&engines().busybox);
    let id = desk.image(&container, &[]);
    desk.docker(&["rm", &container]);
    let dangling = desk.find(&id).await.expect("it was made");
    assert!(
        dangling.dangling && dangling.touched.is_some(),
        "{dangling:?}"
    );
    assert_eq!(dangling.id, id);

    desk.docker(&["tag", &id, &desk.name("1")]);
    let named = desk.remove(&dangling).await;
    assert!(matches!(&named, Removal::Kept(_)), "{named:?}");
    assert_eq!(desk.find(&id).await, None, "it is listed by its name");
    desk.docker(&["rmi", &desk.name("1")]);
    assert_eq!(desk.remove(&dangling).await, Removal::Gone);

    let container = desk.container(&engines().busybox);
    let id = desk.image(&container, &[]);
    desk.docker(&["rm", &container]);
    let dangling = desk.find(&id).await.expect("it was made");
    assert_eq!(desk.remove(&dangling).await, Removal::Removed);
    assert_eq!(desk.find(&id).await, None);
}
