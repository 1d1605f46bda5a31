//! The Docker Engine, and the BuildKit that builds.

use std::time::Duration;

use tokio::time::Instant;

use super::files::space;
use super::{Finding, LIMIT, State, Subject, too_slow};
use crate::builder::{Builder, Choice, Connector};
use crate::config::PruneSettings;
use crate::engine::{self, Engine, EngineInfo, Status};
use crate::error::Error;
use crate::prune::policy::Thresholds;
use crate::prune::space::measure;
use crate::prune::usage::Disk;

const ENGINE: &str = "engine";
const STORE: &str = "image store";
const BUILDER: &str = "builder";
const DISK: &str = "engine's disk";

/// With less free, in bytes, builds fail.
const FULL: u64 = 1_000_000_000;

/// What remains of a check's time when its parts must be done.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) async fn examine(subject: &Subject) -> Vec<Finding> {
    let deadline = Instant::now() + LIMIT - MARGIN;
    let ci = subject.ci();
    let connector = Connector {
        world: &subject.world,
        user: &subject.user,
        ci: &ci,
        registry: &subject.registry,
    };
    let choice = connector.choice();
    match within(deadline, connector.docker()).await {
        Err(error) => vec![
            absent(&choice, &error),
            builder(&connector, None, deadline).await,
        ],
        Ok(docker) => {
            let (info, builder) = tokio::join!(
                within(deadline, docker.info()),
                builder(&connector, Some(&docker), deadline)
            );
            let mut findings = match info {
                Err(error) => vec![Finding::error(ENGINE, &error)],
                Ok(info) => described(&docker, &info, &choice, &subject.user.prune),
            };
            findings.push(builder);
            findings
        }
    }
}

/// Waits for something of the Engine's, but not for ever.
async fn within<T, E: Into<Error>>(
    deadline: Instant,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(too_slow()),
    }
}

/// Without an Engine only a BuildKit of another kind builds.
fn absent(choice: &Choice, error: &Error) -> Finding {
    match choice {
        Choice::Container { .. } | Choice::Engine => Finding::error(ENGINE, error),
        Choice::Unix(_) | Choice::Tcp(_) | Choice::Buildx(_) => {
            Finding::unknown(ENGINE, format!("{error}; {} does without", choice.label()))
        }
    }
}

fn described(
    docker: &Engine,
    info: &EngineInfo,
    choice: &Choice,
    prune: &PruneSettings,
) -> Vec<Finding> {
    let location = docker.location();
    let seen = format!(
        "Docker Engine {} (API {}) on {}, {location}",
        info.server_version, info.api_version, info.operating_system
    );
    vec![
        Finding::ok(ENGINE, seen),
        store(info.containerd_store, choice),
        disk(measure(info, &location.host), prune),
    ]
}

/// What follows from where the Engine keeps its images.
fn store(containerd: bool, choice: &Choice) -> Finding {
    match (containerd, choice) {
        (true, _) => Finding::ok(
            STORE,
            "containerd's; the Engine's own BuildKit can export a registry cache",
        ),
        (false, Choice::Engine) => Finding::fail(
            STORE,
            "the classic one, with which the Engine's own BuildKit exports no registry cache",
            "switch the containerd image store on (`\"features\": {\"containerd-snapshotter\": true}` in the Engine's \
             daemon.json), or use `endpoint = \"container\"`",
        ),
        (false, Choice::Container { .. }) => Finding::ok(
            STORE,
            "the classic one, which does: the BuildKit container has a store of its own",
        ),
        (false, _) => Finding::ok(
            STORE,
            format!("the classic one, which {} does not use", choice.label()),
        ),
    }
}

/// Room for the Engine's data, where it is on this machine.
fn disk(measured: Result<Disk, String>, settings: &PruneSettings) -> Finding {
    match measured {
        Err(why) => Finding::unknown(DISK, why),
        Ok(disk) => space(
            DISK,
            &disk.path,
            disk.free,
            (FULL, Thresholds::of(settings, disk.total).start),
            "`prewarm prune` shows what can go without making builds cold; a full disk fails them",
        ),
    }
}

async fn builder(connector: &Connector<'_>, docker: Option<&Engine>, deadline: Instant) -> Finding {
    let choice = connector.choice();
    if let Choice::Container { image, .. } = &choice {
        if let Err(error) = connector.allowed(image) {
            return Finding::error(BUILDER, &error);
        }
        let Some(docker) = docker else {
            return Finding::unknown(BUILDER, "its container is in the Engine");
        };
        let settings = match connector.settings() {
            Ok(settings) => settings,
            Err(error) => return Finding::error(BUILDER, &error.into()),
        };
        match within(deadline, engine::status(docker, &settings)).await {
            Err(error) => return Finding::error(BUILDER, &error),
            Ok(status) => {
                if let Some(finding) = container(image, status.as_ref()) {
                    return finding;
                }
            }
        }
    } else if docker.is_none() && choice == Choice::Engine {
        return Finding::unknown(BUILDER, "it is the Engine's own");
    }
    match within(deadline, connector.look()).await {
        Err(error) => Finding::error(BUILDER, &error),
        Ok(None) => Finding::ok(
            BUILDER,
            "its container does not run; the next warm starts it",
        ),
        Ok(Some(builder)) => answers(&choice, &builder),
    }
}

/// What there is to say of our container before its BuildKit is asked.
fn container(image: &str, status: Option<&Status>) -> Option<Finding> {
    let Some(status) = status else {
        let seen = format!("no container yet; the first warm makes it from {image}");
        return Some(Finding::ok(BUILDER, seen));
    };
    match status.state {
        _ if status.image != image => Some(Finding::warn(
            BUILDER,
            format!(
                "the container is from {}, and CI runs {image}",
                status.image
            ),
            "nothing, if another repository wants that image; the next warm here makes the container anew",
        )),
        engine::State::Stopped => Some(Finding::ok(
            BUILDER,
            "its container is stopped; the next warm starts it",
        )),
        engine::State::Unusable => Some(Finding::warn(
            BUILDER,
            "its container cannot be used as it is",
            "the next warm makes it anew; `prewarm builder remove` starts afresh",
        )),
        engine::State::Running if !status.settings_current => Some(Finding::warn(
            BUILDER,
            "its container has other settings than your configuration",
            "the next warm makes it anew",
        )),
        engine::State::Running => None,
    }
}

fn answers(choice: &Choice, builder: &Builder) -> Finding {
    let version = builder.identity.version.trim();
    let seen = format!("{}, BuildKit {version}", choice.label());
    match &builder.identity.doubt {
        None => Finding::new(BUILDER, State::Ok, seen),
        Some(doubt) => Finding::warn(
            BUILDER,
            format!("{seen}; {doubt}"),
            "build with what CI builds with (`endpoint = \"auto\"` follows `ci.buildkit`), or hits are not assured",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::State::{Running, Stopped, Unusable};

    #[test]
    fn the_image_store_matters_to_the_engines_own_buildkit_alone() {
        let container = Choice::Container {
            image: "i".to_owned(),
            may_fall_back: true,
        };
        for (containerd, choice, expected) in [
            (true, Choice::Engine, State::Ok),
            (false, Choice::Engine, State::Fail),
            (false, container, State::Ok),
            (false, Choice::Tcp("h:1".to_owned()), State::Ok),
        ] {
            assert_eq!(store(containerd, &choice).state, expected, "{choice:?}");
        }
    }

    #[test]
    fn no_engine_is_needed_for_another_buildkit() {
        let error = Error::new(crate::error::Kind::Environment, "gone");
        assert_eq!(absent(&Choice::Engine, &error).state, State::Fail);
        let elsewhere = absent(&Choice::Unix("/s".into()), &error);
        assert_eq!(
            (elsewhere.state, elsewhere.seen.as_str()),
            (State::Unknown, "gone; unix:///s does without")
        );
    }

    #[test]
    fn the_disk_is_judged_by_when_pruning_begins() {
        const GB: u64 = 1_000_000_000;
        let settings = PruneSettings::default();
        for (free, expected) in [
            (20 * GB, State::Ok),
            (19 * GB, State::Warn),
            (0, State::Fail),
        ] {
            let disk = Disk {
                path: "/data".to_owned(),
                total: 100 * GB,
                free,
            };
            assert_eq!(super::disk(Ok(disk), &settings).state, expected, "{free}");
        }
        let unknown = disk(Err("it is elsewhere".to_owned()), &settings);
        assert_eq!(unknown.state, State::Unknown);
    }

    #[test]
    fn a_container_is_judged_by_its_image_and_settings() {
        let status = |state, image: &str, settings_current| Status {
            container_id: String::new(),
            image: image.to_owned(),
            image_digest: String::new(),
            created: String::new(),
            state,
            restarts: 0,
            settings_current,
            sessions: 0,
            nano_cpus: None,
            memory: None,
            network: "bridge".to_owned(),
        };
        for (status, expected) in [
            (None, Some(State::Ok)),
            (Some(status(Running, "i", true)), None),
            (Some(status(Running, "i", false)), Some(State::Warn)),
            (Some(status(Running, "j", true)), Some(State::Warn)),
            (Some(status(Stopped, "i", true)), Some(State::Ok)),
            (Some(status(Unusable, "i", true)), Some(State::Warn)),
        ] {
            let found = container("i", status.as_ref()).map(|finding| finding.state);
            assert_eq!(found, expected, "{status:?}");
        }
    }
}
