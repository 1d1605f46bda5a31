//! Single steps on our container, each safe to take while another process takes the same.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error as Failure;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig, Mount,
    MountType, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt;

use super::plan::{Existing, State, Wanted};
use super::{CONTAINER, VOLUME};
use crate::engine::{Engine, EngineError, Settings, failed, status_of};

/// Marks what is ours; its value is [`ROLE`].
const ROLE_LABEL: &str = "dev.prewarm.role";
const ROLE: &str = "builder";

/// The digest of the image, by which a moved tag is noticed.
const IMAGE_LABEL: &str = "dev.prewarm.image";

/// The image as the configuration names it.
pub(super) const REFERENCE_LABEL: &str = "dev.prewarm.reference";

/// The hash of the settings.
const SETTINGS_LABEL: &str = "dev.prewarm.settings";

/// BuildKit's state directory in its image (`appdefaults.Root`).
const STATE_DIRECTORY: &str = "/var/lib/buildkit";

/// How long BuildKit may take to end in order, in seconds.
const STOP_SECONDS: i32 = 5;

/// Log lines of the container in an error.
const LOG_LINES: &str = "15";

/// How long to wait before we look again.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

pub(super) const FOREIGN_CONTAINER: EngineError = EngineError::Foreign {
    what: "container",
    name: CONTAINER,
};

const FOREIGN_VOLUME: EngineError = EngineError::Foreign {
    what: "volume",
    name: VOLUME,
};

pub(super) async fn create(
    engine: &Engine,
    reference: &str,
    wanted: &Wanted<'_>,
    settings: &Settings,
) -> Result<(), EngineError> {
    let info = engine.info().await?;
    let role = (ROLE_LABEL.to_owned(), ROLE.to_owned());
    let request = VolumeCreateRequest {
        name: Some(VOLUME.to_owned()),
        labels: Some(HashMap::from([role.clone()])),
        ..VolumeCreateRequest::default()
    };
    // Returns the one that exists, if one does.
    let volume = engine
        .docker
        .create_volume(request)
        .await
        .map_err(failed(format!("create the volume {VOLUME}")))?;
    if !is_ours(&volume.labels) {
        return Err(FOREIGN_VOLUME);
    }
    // The Engine refuses a limit above the machine's CPUs, which would limit nothing.
    let nano_cpus = settings
        .nano_cpus
        .map(|nano| nano.min(info.ncpu.saturating_mul(1_000_000_000)));
    let host_config = HostConfig {
        privileged: Some(true),
        // Reaps what build containers leave behind.
        init: Some(true),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        nano_cpus: nano_cpus.map(|nano| i64::try_from(nano).unwrap_or(i64::MAX)),
        memory: settings
            .memory
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        network_mode: Some(settings.network.clone()),
        userns_mode: info.maps_users.then(|| "host".to_owned()),
        mounts: Some(vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(VOLUME.to_owned()),
            target: Some(STATE_DIRECTORY.to_owned()),
            ..Mount::default()
        }]),
        ..HostConfig::default()
    };
    let labels = HashMap::from([
        role,
        (IMAGE_LABEL.to_owned(), wanted.image.to_owned()),
        (REFERENCE_LABEL.to_owned(), reference.to_owned()),
        (SETTINGS_LABEL.to_owned(), wanted.settings.to_owned()),
    ]);
    let body = ContainerCreateBody {
        image: Some(reference.to_owned()),
        cmd: Some(settings.arguments()),
        labels: Some(labels),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(CONTAINER).build();
    let created = engine.docker.create_container(Some(options), body).await;
    if let Err(failure) = &created
        && status_of(failure) == Some(404)
        && engine.docker.inspect_image(reference).await.is_err()
    {
        return Err(EngineError::Image {
            reference: reference.to_owned(),
            reason: "it was removed meanwhile".to_owned(),
        });
    }
    // Somebody else was faster, or is still removing the old one: the next look tells.
    settled(created)
        .await
        .map_err(failed(format!("create the container {CONTAINER}")))
}

pub(super) async fn start(
    engine: &Engine,
    id: &str,
    settings: &Settings,
) -> Result<(), EngineError> {
    if !settings.files.is_empty() {
        // Again before every start: whoever created the container may have been killed before this.
        let archive = settings
            .archive()
            .map_err(|error| failed("take our files")(Failure::IOError { err: error }))?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_full(Bytes::from(archive));
        let uploaded = engine
            .docker
            .upload_to_container(id, Some(options), body)
            .await;
        settled(uploaded)
            .await
            .map_err(failed(format!("copy files into the container {CONTAINER}")))?;
    }
    let started = engine
        .docker
        .start_container(id, None::<StartContainerOptions>)
        .await;
    settled(started)
        .await
        .map_err(failed(format!("start the container {CONTAINER}")))
}

/// Removes by id, so that one that another process made meanwhile stays.
pub(super) async fn remove_container(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let removed = engine.docker.remove_container(id, Some(options)).await;
    settled(removed)
        .await
        .map_err(failed(format!("remove the container {CONTAINER}")))
}

/// Lets pass that the container is gone or in somebody else's hands, after a short pause: the next look tells.
async fn settled<T>(result: Result<T, Failure>) -> Result<(), Failure> {
    let Err(failure) = result else { return Ok(()) };
    let Failure::DockerResponseServerError {
        status_code,
        message,
    } = &failure
    else {
        return Err(failure);
    };
    // A network that does not exist is 404 as well.
    let gone = *status_code == 404 && message.contains("No such container");
    if !gone && *status_code != 409 {
        return Err(failure);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

pub(super) async fn inspect(engine: &Engine) -> Result<Option<Existing>, EngineError> {
    Ok(inspect_raw(engine, CONTAINER).await?.as_ref().map(existing))
}

pub(super) async fn inspect_raw(
    engine: &Engine,
    name: &str,
) -> Result<Option<ContainerInspectResponse>, EngineError> {
    match engine
        .docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
    {
        Ok(found) => Ok(Some(found)),
        Err(failure) if status_of(&failure) == Some(404) => Ok(None),
        Err(failure) => Err(failed(format!("inspect the container {name}"))(failure)),
    }
}

pub(super) fn existing(found: &ContainerInspectResponse) -> Existing {
    let labels = found
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    Existing {
        id: found.id.clone().unwrap_or_default(),
        ours: labels.is_some_and(is_ours),
        image: label(found, IMAGE_LABEL),
        settings: label(found, SETTINGS_LABEL),
        state: match found.state.as_ref().and_then(|state| state.status) {
            Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING) => {
                State::Running
            }
            Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EXITED) => {
                State::Stopped
            }
            _ => State::Unusable,
        },
        sessions: found.exec_ids.as_ref().map_or(0, Vec::len),
    }
}

pub(super) fn label(found: &ContainerInspectResponse, name: &str) -> String {
    let labels = found
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    labels
        .and_then(|labels| labels.get(name))
        .cloned()
        .unwrap_or_default()
}

fn is_ours(labels: &HashMap<String, String>) -> bool {
    labels.get(ROLE_LABEL).is_some_and(|role| role == ROLE)
}

/// The container's last words; none where even that fails, because another error is being told.
pub(super) async fn last_log_lines(engine: &Engine, id: &str) -> Vec<String> {
    let options = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .tail(LOG_LINES)
        .build();
    let mut parts = engine.docker.logs(id, Some(options));
    let mut text = Vec::new();
    while let Some(Ok(part)) = parts.next().await {
        text.extend_from_slice(&part.into_bytes());
    }
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Stops a container that is not to run any more. One that does not stop is killed by the Engine, or when it is removed.
pub(super) async fn stop(engine: &Engine, id: &str) {
    let options = StopContainerOptionsBuilder::new().t(STOP_SECONDS).build();
    let _ = engine.docker.stop_container(id, Some(options)).await;
}

/// Removes our volume; false where there is none.
pub(super) async fn remove_volume(engine: &Engine) -> Result<bool, EngineError> {
    match engine.docker.inspect_volume(VOLUME).await {
        Ok(volume) if !is_ours(&volume.labels) => return Err(FOREIGN_VOLUME),
        Ok(_) => {}
        Err(failure) if status_of(&failure) == Some(404) => return Ok(false),
        Err(failure) => return Err(failed(format!("inspect the volume {VOLUME}"))(failure)),
    }
    match engine
        .docker
        .remove_volume(VOLUME, None::<RemoveVolumeOptions>)
        .await
    {
        Err(failure) if status_of(&failure) != Some(404) => {
            Err(failed(format!("remove the volume {VOLUME}"))(failure))
        }
        _ => Ok(true),
    }
}
