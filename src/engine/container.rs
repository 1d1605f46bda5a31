//! The BuildKit container that prewarm owns: made, reused, made anew, refreshed, removed.
//!
//! It is what buildx's `docker-container` driver makes: privileged, with an init, its state in a volume. The Engine is
//! the arbiter between prewarm processes: names are unique, so of two that create at once one is refused and uses the
//! other's.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::image::{self, FindLogin};
use super::stream::BoxedStream;
use super::{Engine, EngineError, Settings, exec, unsigned};

mod plan;
mod steps;

pub use plan::State;
use plan::{Action, Existing, Wanted, plan};
use steps::{FOREIGN_CONTAINER, PAUSE};

/// The container's name.
pub const CONTAINER: &str = "prewarm-buildkit";

/// The name of the volume that holds BuildKit's state.
pub const VOLUME: &str = "prewarm-buildkit-state";

/// How long BuildKit may take from its container's start to its first answer.
const READY_TIME: Duration = Duration::from_secs(60);

/// How long to wait for others to leave a container that must be made anew: closed connections linger for a moment.
const LEAVE_TIME: Duration = Duration::from_secs(2);

/// Steps towards the container that we want, before we give up on somebody who keeps changing it.
const STEPS: usize = 100;

/// What is being done, for people who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The image is being pulled: bytes received and expected, as far as known yet.
    Pulling {
        /// Bytes received.
        received: u64,
        /// Bytes expected.
        total: u64,
    },
    /// The container is being made.
    Creating,
    /// The container is being started.
    Starting,
    /// The container runs, and BuildKit in it is getting ready.
    Waiting,
}

/// Our container, running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub container_id: String,
    /// The digest of its image.
    pub image_digest: String,
}

/// What is known of our container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its id.
    pub container_id: String,
    /// Its image, as the configuration named it.
    pub image: String,
    /// The digest of its image.
    pub image_digest: String,
    /// When it was made, as RFC 3339.
    pub created: String,
    /// What it is doing.
    pub state: State,
    /// How often it crashed and was started again.
    pub restarts: u64,
    /// Whether it was made with the settings asked about.
    pub settings_current: bool,
    /// Connections to its BuildKit.
    pub sessions: usize,
    /// CPU limit in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Network mode.
    pub network: String,
}

/// What a refresh found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The digest of the container's image before; `None` when there was no container.
    pub old: Option<String>,
    /// The digest of the image now.
    pub new: String,
    /// Whether the container runs from it. Otherwise the next [`ensure`] that finds it unused makes it anew.
    pub applied: bool,
}

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The container.
    pub container: bool,
    /// The volume with BuildKit's state.
    pub volume: bool,
}

/// Whether it is time to look for a newer image. A clock that was set back makes it time.
#[must_use]
pub fn due(last: Option<SystemTime>, now: SystemTime, every: Duration) -> bool {
    last.and_then(|last| now.duration_since(last).ok())
        .is_none_or(|age| age >= every)
}

/// Makes sure that our container runs, from `image` and with `settings`: pulls the image when the Engine does not have
/// it, and creates, starts or makes anew the container, keeping its volume. One that was just started has answered.
/// One that somebody uses and whose image is older is used too.
///
/// # Errors
/// [`EngineError::Image`] when the image cannot be had, [`EngineError::Foreign`], [`EngineError::Busy`] when the settings
/// of a container that somebody uses have changed, [`EngineError::NotReady`].
pub async fn ensure(
    engine: &Engine,
    image: &str,
    settings: &Settings,
    login: FindLogin<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Running, EngineError> {
    let digest = match image::digest(engine, image).await? {
        Some(digest) => digest,
        None => image::pull(engine, image, login, progress).await?,
    };
    converge(engine, image, &digest, settings, progress).await
}

/// Pulls the image again, and makes the container anew when its digest has moved and nobody uses it. Where there is no
/// container, none is made.
///
/// # Errors
/// Those of [`ensure`].
pub async fn refresh(
    engine: &Engine,
    image: &str,
    settings: &Settings,
    login: FindLogin<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Refreshed, EngineError> {
    let existing = steps::inspect(engine).await?;
    let new = image::pull(engine, image, login, progress).await?;
    let applied = match &existing {
        Some(_) => {
            converge(engine, image, &new, settings, progress)
                .await?
                .image_digest
                == new
        }
        None => false,
    };
    Ok(Refreshed {
        old: existing.map(|container| container.image),
        new,
        applied,
    })
}

/// What is known of our container, compared with `settings`; `None` where there is none.
///
/// # Errors
/// [`EngineError::Foreign`], [`EngineError::Request`].
pub async fn status(engine: &Engine, settings: &Settings) -> Result<Option<Status>, EngineError> {
    let Some(found) = steps::inspect_raw(engine, CONTAINER).await? else {
        return Ok(None);
    };
    let existing = steps::existing(&found);
    if !existing.ours {
        return Err(FOREIGN_CONTAINER);
    }
    let host = found.host_config.clone().unwrap_or_default();
    let limit = |number: Option<i64>| Some(unsigned(number)).filter(|limit| *limit > 0);
    Ok(Some(Status {
        image: steps::label(&found, steps::REFERENCE_LABEL),
        created: found.created.clone().unwrap_or_default(),
        restarts: unsigned(found.restart_count),
        settings_current: existing.settings == settings.hash(),
        container_id: existing.id,
        image_digest: existing.image,
        state: existing.state,
        sessions: existing.sessions,
        nano_cpus: limit(host.nano_cpus),
        memory: limit(host.memory),
        network: host.network_mode.unwrap_or_default(),
    }))
}

/// Removes our container and its volume, running or not, and nothing else. The image stays: the Engine does not record
/// who pulled it, and CI's builder may be made from it on this machine too.
///
/// # Errors
/// [`EngineError::Foreign`] where something has our name and not our label; [`EngineError::Request`].
pub async fn remove(engine: &Engine) -> Result<Removed, EngineError> {
    let container = steps::inspect(engine).await?;
    if let Some(container) = &container {
        if !container.ours {
            return Err(FOREIGN_CONTAINER);
        }
        steps::remove_container(engine, &container.id).await?;
    }
    let volume = steps::remove_volume(engine).await?;
    Ok(Removed {
        container: container.is_some(),
        volume,
    })
}

/// Connects to the BuildKit in our container, waiting up to 60 seconds for it to get ready while the container runs.
/// Dropping the stream ends the command in the container that carries it.
///
/// # Errors
/// [`EngineError::NotReady`] with the container's last log lines.
pub async fn dial(engine: &Engine, container_id: &str) -> Result<BoxedStream, EngineError> {
    let deadline = Instant::now() + READY_TIME;
    let mut first_restarts = None;
    loop {
        let reason = match exec::dial_stdio(engine, container_id).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(error @ EngineError::Unreachable { .. }) => return Err(error),
            Err(error) => error.to_string(),
        };
        let found = steps::inspect_raw(engine, container_id).await?;
        let restarts = unsigned(found.as_ref().and_then(|found| found.restart_count));
        // One crash may be the last one's leftover; the second is a habit.
        let crashing = restarts >= *first_restarts.get_or_insert(restarts) + 2;
        let reason = match &found {
            None => "the container was removed".to_owned(),
            Some(found) if crashing || steps::existing(found).state != State::Running => {
                let code = found
                    .state
                    .as_ref()
                    .and_then(|state| state.exit_code)
                    .unwrap_or_default();
                format!("the container ended with exit code {code}")
            }
            Some(_) if Instant::now() >= deadline => reason,
            Some(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        return Err(EngineError::NotReady {
            name: CONTAINER.to_owned(),
            reason,
            log: steps::last_log_lines(engine, container_id).await,
        });
    }
}

/// Takes one step after the other until the container runs as wanted; each looks at what is there anew, because other
/// processes may take steps too.
async fn converge(
    engine: &Engine,
    reference: &str,
    digest: &str,
    settings: &Settings,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Running, EngineError> {
    let hash = settings.hash();
    let wanted = Wanted {
        image: digest,
        settings: &hash,
    };
    let mut started = false;
    let patience = Instant::now() + LEAVE_TIME;
    for _ in 0..STEPS {
        let existing = steps::inspect(engine).await?;
        let in_the_way =
            |container: &Existing| container.sessions > 0 && container.is_outdated(&wanted);
        if existing.as_ref().is_some_and(in_the_way) && Instant::now() < patience {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let id = existing
            .as_ref()
            .map_or("", |container| container.id.as_str());
        match plan(existing.as_ref(), &wanted) {
            Action::Foreign => return Err(FOREIGN_CONTAINER),
            Action::Create => {
                progress(Progress::Creating);
                steps::create(engine, reference, &wanted, settings).await?;
            }
            Action::Start => {
                progress(Progress::Starting);
                steps::start(engine, id, settings).await?;
                started = true;
            }
            Action::Recreate(why) => {
                let sessions = existing.as_ref().map_or(0, |container| container.sessions);
                if sessions > 0 {
                    return Err(EngineError::Busy { why, sessions });
                }
                // BuildKit's state stays, so it may end in order.
                steps::stop(engine, id).await;
                steps::remove_container(engine, id).await?;
            }
            Action::Reuse => {
                if started {
                    progress(Progress::Waiting);
                    if let Err(error) = dial(engine, id).await {
                        // Or the Engine would start it for ever.
                        steps::stop(engine, id).await;
                        return Err(error);
                    }
                }
                return Ok(Running {
                    container_id: id.to_owned(),
                    image_digest: existing.map_or_else(String::new, |container| container.image),
                });
            }
        }
    }
    Err(EngineError::NotReady {
        name: CONTAINER.to_owned(),
        reason: "somebody keeps changing it".to_owned(),
        log: steps::last_log_lines(engine, CONTAINER).await,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_due_after_its_interval() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let hour = Duration::from_secs(3600);
        let table = [
            (None, at(0), true),
            (Some(at(1000)), at(1000), false),
            (Some(at(1000)), at(4599), false),
            (Some(at(1000)), at(4600), true),
            // The clock was set back.
            (Some(at(9000)), at(1000), true),
        ];
        for (last, now, expected) in table {
            assert_eq!(due(last, now, hour), expected, "{last:?} {now:?}");
        }
    }
}
