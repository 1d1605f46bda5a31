//! The Docker Engine: where it is, what it can do, the BuildKit container that prewarm keeps in it, and connections to
//! a BuildKit of any kind. The only module that names bollard; no type of it leaves.

use std::io;

use bollard::errors::Error as Failure;
use bollard::{BollardRequest, Docker};
use http::uri::{PathAndQuery, Uri};
use hyper::{Method, header};

pub mod container;
pub mod dial;
pub mod error;
mod exec;
pub mod image;
pub mod images;
pub mod locate;
pub mod settings;
pub mod stream;
mod tls;

pub use container::{
    Progress, Refreshed, Removed, Running, State, Status, due, ensure, refresh, remove, status,
};
pub use error::EngineError;
pub use image::{FindLogin, Login};
pub use locate::{Host, Location, Surroundings, TlsFiles, locate};
pub use settings::Settings;
pub use stream::{BoxedStream, Stream};

/// The oldest API that we work with: Docker 20.10, the first whose BuildKit exports a registry cache.
const OLDEST_API: Version = (1, 41);
const OLDEST_API_TEXT: &str = "1.41";

/// The newest API whose answers bollard 0.21 knows (its `API_DEFAULT_VERSION`).
const NEWEST_API: Version = (1, 53);

/// How long the Engine may take to begin an answer, in seconds. Stopping a container takes it 10.
const ANSWER_SECONDS: u64 = 120;

type Version = (u32, u32);

/// A Docker Engine that answers and is new enough.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    location: Location,
    api_version: String,
}

/// What an Engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its identity, which lasts as long as its data.
    pub id: String,
    /// Its version, such as `28.5.2`.
    pub server_version: String,
    /// Its newest API version, such as `1.45`.
    pub api_version: String,
    /// The system that it runs on, as a name for people.
    pub operating_system: String,
    /// The directory of its data, on its own machine.
    pub data_root: String,
    /// Whether its images are in containerd's store; with the classic one its own BuildKit exports no registry cache.
    pub containerd_store: bool,
    /// CPUs of its machine.
    pub ncpu: u64,
    /// Bytes of memory of its machine.
    pub mem_total: u64,
    /// Whether it maps users (`userns-remap`), from which a privileged container must be exempt.
    pub maps_users: bool,
}

impl Engine {
    /// Connects, and makes sure that the Engine is new enough.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`], [`EngineError::TooOld`], [`EngineError::Request`].
    pub async fn connect(location: &Location) -> Result<Self, EngineError> {
        let api_version = ping(location).await?;
        let newest = parse_version(&api_version).unwrap_or_default();
        if newest < OLDEST_API {
            return Err(EngineError::TooOld {
                address: location.to_string(),
                api: api_version,
                needed: OLDEST_API_TEXT,
            });
        }
        Ok(Self {
            docker: client(location, newest.min(NEWEST_API))?,
            location: location.clone(),
            api_version,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`EngineError::Request`] or [`EngineError::Unreachable`].
    pub async fn info(&self) -> Result<EngineInfo, EngineError> {
        let info = self
            .docker
            .info()
            .await
            .map_err(failed("describe itself"))?;
        let containerd = |row: &Vec<String>| {
            row.get(1)
                .is_some_and(|value| value.starts_with("io.containerd.snapshotter"))
        };
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            server_version: info.server_version.unwrap_or_default(),
            api_version: self.api_version.clone(),
            operating_system: info.operating_system.unwrap_or_default(),
            data_root: info.docker_root_dir.unwrap_or_default(),
            containerd_store: info.driver_status.iter().flatten().any(containerd),
            ncpu: unsigned(info.ncpu),
            mem_total: unsigned(info.mem_total),
            maps_users: info
                .security_options
                .iter()
                .flatten()
                .any(|option| option.contains("name=userns")),
        })
    }

    /// A connection to its own BuildKit.
    ///
    /// # Errors
    /// Those of [`dial::grpc`].
    pub async fn grpc(&self) -> Result<BoxedStream, EngineError> {
        dial::grpc(&self.location).await
    }
}

/// The newest API version of what listens there. One small question: `/version` asks every component of the Engine.
async fn ping(location: &Location) -> Result<String, EngineError> {
    let response = dial::ask(location, dial::request(Method::GET, "/_ping")).await?;
    let version = response
        .headers()
        .get("api-version")
        .and_then(|value| value.to_str().ok());
    if let Some(version) = version {
        return Ok(version.to_owned());
    }
    let said = dial::quote(response).await;
    Err(EngineError::Request {
        action: "tell its API version".to_owned(),
        reason: format!("what listens at {location} is no Docker Engine; it says: {said}"),
    })
}

/// A bollard client whose every request goes over a connection of ours and names the API version.
///
/// By itself bollard names none, which the Engine's documentation calls deprecated and which would let answers change
/// their shape under us.
fn client(location: &Location, (major, minor): Version) -> Result<Docker, EngineError> {
    let location = location.clone();
    let transport = move |mut request: BollardRequest| {
        let location = location.clone();
        async move {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", PathAndQuery::as_str);
            *request.uri_mut() = Uri::try_from(format!("/v{major}.{minor}{path}"))?;
            request.headers_mut().insert(header::HOST, dial::HOST);
            // An error of ours travels through bollard inside of an I/O error; `failed` takes it out again.
            Ok(dial::send(&location, request)
                .await
                .map_err(io::Error::other)?)
        }
    };
    // The address serves only to make whole URLs, of which we use the path.
    Docker::connect_with_custom_transport(
        transport,
        Some("http://docker"),
        ANSWER_SECONDS,
        bollard::API_DEFAULT_VERSION,
    )
    .map_err(failed("be asked"))
}

/// Makes an error of bollard's one of ours; `action` completes "the Docker Engine failed to".
fn failed(action: impl Into<String>) -> impl FnOnce(Failure) -> EngineError {
    let action = action.into();
    move |failure| {
        let reason = match failure {
            Failure::IOError { err } => match err.downcast::<EngineError>() {
                Ok(ours) => return ours,
                Err(other) => other.to_string(),
            },
            Failure::DockerResponseServerError { message, .. } => message,
            Failure::DockerStreamError { error } => error,
            Failure::RequestTimeoutError => format!("no answer in {ANSWER_SECONDS} s"),
            other => other.to_string(),
        };
        EngineError::Request { action, reason }
    }
}

/// The HTTP status of a refusal.
fn status_of(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The Engine writes sizes as signed numbers; a negative one means unknown.
fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
