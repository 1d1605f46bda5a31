//! Which BuildKit builds, and a connection to it.
//!
//! CI hits only what the same BuildKit version made, so the choice follows what CI runs, and every other choice says
//! that hits are not assured.

pub mod memory;

use std::path::PathBuf;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};

use crate::buildkit::Client;
use crate::config::{CiBuildkit, Endpoint, UserConfig, refused_image};
use crate::engine::{
    self, Engine, EngineError, EngineInfo, Login, Progress, Settings, State, Surroundings, dial,
};
use crate::error::{Error, Kind};
use crate::prune::space;
use crate::registry::Registry;
use crate::world::World;

/// Where the build goes, decided from the configuration alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A BuildKit container of our own.
    Container {
        /// Its image.
        image: String,
        /// Whether the Engine's own BuildKit will do when the image cannot be had.
        may_fall_back: bool,
    },
    /// The Engine's own BuildKit.
    Engine,
    /// A `buildkitd` on a Unix socket.
    Unix(PathBuf),
    /// A `buildkitd` on TCP.
    Tcp(String),
    /// A buildx builder.
    Buildx(String),
}

/// The image of our container where CI runs the Engine's BuildKit but the user asks for a container: what
/// `docker/setup-buildx-action` starts.
const DEFAULT_IMAGE: &str = "moby/buildkit:buildx-stable-1";

impl Choice {
    /// Follows the user's endpoint, and with `auto` what CI runs.
    #[must_use]
    pub fn new(endpoint: &Endpoint, ci: &CiBuildkit) -> Self {
        let image = match ci {
            CiBuildkit::Image(image) => image.clone(),
            CiBuildkit::Engine => DEFAULT_IMAGE.to_owned(),
        };
        match (endpoint, ci) {
            (Endpoint::Auto, CiBuildkit::Image(_)) => Self::Container {
                image,
                may_fall_back: true,
            },
            (Endpoint::Container, _) => Self::Container {
                image,
                may_fall_back: false,
            },
            (Endpoint::Auto, CiBuildkit::Engine) | (Endpoint::Engine, _) => Self::Engine,
            (Endpoint::Unix(path), _) => Self::Unix(path.clone()),
            (Endpoint::Tcp(address), _) => Self::Tcp(address.clone()),
            (Endpoint::Buildx(name), _) => Self::Buildx(name.clone()),
        }
    }

    /// A name for people and for the history.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Container { image, .. } => format!("container {image}"),
            Self::Engine => "engine".to_owned(),
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Buildx(name) => format!("buildx:{name}"),
        }
    }
}

/// What decides whether two builders compute the same keys, and what is remembered so that "already warm" needs no
/// connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The version, and for our container the image's digest; part of every recipe.
    pub version: String,
    /// The platform that it builds for when none is named.
    pub platform: String,
    /// Why hits are not assured; `None` when they are.
    pub doubt: Option<String>,
}

/// A BuildKit that answers.
#[derive(Clone, Debug)]
pub struct Builder {
    /// The connection.
    pub client: Client,
    /// Who it is.
    pub identity: Identity,
    /// What the user should know about the way here.
    pub notes: Vec<String>,
    /// The directory of the Engine's data, if it builds there, on this machine, and the Engine was asked.
    pub data_root: Option<PathBuf>,
}

/// What connecting needs to know.
pub struct Connector<'a> {
    /// Environment and paths.
    pub world: &'a World,
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// What CI runs.
    pub ci: &'a CiBuildkit,
    /// For the login that pulls the container's image.
    pub registry: &'a Registry,
}

impl Connector<'_> {
    /// The choice that the configuration makes.
    #[must_use]
    pub fn choice(&self) -> Choice {
        Choice::new(&self.user.builder.endpoint, self.ci)
    }

    /// Reaches the chosen BuildKit; makes and starts our container where that is the choice. `refresh` looks whether its
    /// image has moved first.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn connect(
        &self,
        refresh: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Builder, Error> {
        match self.choice() {
            Choice::Container {
                image,
                may_fall_back,
            } => match self
                .allowed(&image)?
                .container(&image, refresh, progress)
                .await
            {
                Err(EngineError::Image { reference, reason }) if may_fall_back => {
                    let mut builder = self.engine().await?;
                    builder.notes.push(format!(
                        "the image {reference} cannot be had ({reason}), so the Engine's own BuildKit builds instead"
                    ));
                    Ok(builder)
                }
                running => self.in_container(&image, &running?).await,
            },
            Choice::Engine => self.engine().await,
            Choice::Unix(path) => self.foreign(dial::connect_unix(&path).await?).await,
            Choice::Tcp(address) => {
                let tls = self.user.builder.tls.as_ref();
                let found = self.foreign(dial::connect_tcp(&address, tls).await?).await;
                match tls {
                    Some(_) => found,
                    None => found.map_err(|error| {
                        error.hint("if it speaks TLS, your configuration needs `[builder.tls]`")
                    }),
                }
            }
            Choice::Buildx(name) => {
                self.foreign(dial::buildx(&name, "docker".as_ref()).await?)
                    .await
            }
        }
    }

    /// Reaches the chosen BuildKit as it is: nothing is pulled, made or started. `None` where our container does not run.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn look(&self) -> Result<Option<Builder>, Error> {
        let Choice::Container { image, .. } = self.choice() else {
            return self.connect(false, &mut |_| ()).await.map(Some);
        };
        let docker = self.docker().await?;
        let status = engine::status(&docker, &self.settings()?).await?;
        let Some(status) =
            status.filter(|status| status.image == image && status.state == State::Running)
        else {
            return Ok(None);
        };
        let running = engine::Running {
            container_id: status.container_id,
            image_digest: status.image_digest,
        };
        self.in_container(&image, &(docker, running))
            .await
            .map(Some)
    }

    /// Makes sure that the user lets this image run as our container.
    ///
    /// # Errors
    /// When it is not one of BuildKit's own, and the user's configuration does not name it.
    pub fn allowed(&self, image: &str) -> Result<&Self, Error> {
        match refused_image(image, &self.user.consent) {
            None => Ok(self),
            Some(refused) => {
                let file = self.world.paths.shown(&self.world.paths.config_file);
                let message = format!("ci.buildkit: {refused}");
                Err(Error::new(Kind::Usage, message).hint(refused.hint(&file)))
            }
        }
    }

    /// The Docker Engine.
    ///
    /// # Errors
    /// When there is none, or it is too old.
    pub async fn docker(&self) -> Result<Engine, EngineError> {
        let location = engine::locate(&Surroundings {
            env: &|name| self.world.variable(name),
            home: Some(&self.world.paths.home),
            exists: &|path| path.exists(),
            read: &|path| std::fs::read(path),
        })?;
        Engine::connect(&location).await
    }

    /// How our container is to be set up.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be read.
    pub fn settings(&self) -> Result<Settings, EngineError> {
        Settings::new(&self.user.builder, &self.user.registries, &|path| {
            std::fs::read(path)
        })
    }

    /// The login for pulling `image`.
    pub async fn login(&self, image: &str) -> Option<Login> {
        let host = engine::image::registry_of(image);
        let found = self.registry.credentials(host).await.ok()??;
        Some(if found.username.is_empty() {
            Login::Token(found.secret)
        } else {
            Login::Password {
                username: found.username,
                password: found.secret,
            }
        })
    }

    async fn container(
        &self,
        image: &str,
        refresh: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(Engine, engine::Running), EngineError> {
        let docker = self.docker().await?;
        let login = self.login(image).await;
        if refresh {
            // Offline, the image that is there is as fresh as can be; whether there is one, `ensure` tells.
            let _offline = engine::refresh(
                &docker,
                image,
                &self.settings()?,
                &|_| login.clone(),
                progress,
            )
            .await;
        }
        let running = engine::ensure(
            &docker,
            image,
            &self.settings()?,
            &|_| login.clone(),
            progress,
        )
        .await?;
        Ok((docker, running))
    }

    async fn in_container(
        &self,
        image: &str,
        (docker, running): &(Engine, engine::Running),
    ) -> Result<Builder, Error> {
        let connected = async {
            let stream = engine::container::dial(docker, &running.container_id).await?;
            Ok::<_, Error>(Client::connect(stream).await?)
        };
        // The Engine tells meanwhile where its data is; that is not worth waiting for.
        let (client, data_root) = match select(Box::pin(connected), Box::pin(docker.info())).await {
            Either::Left((client, _)) => (client?, None),
            Either::Right((info, connected)) => (
                connected.await?,
                info.ok().and_then(|info| root(docker, &info)),
            ),
        };
        let doubt = match self.ci {
            CiBuildkit::Image(_) => None,
            CiBuildkit::Engine => Some(format!(
                "CI builds with its Engine's BuildKit, and this is {image}"
            )),
        };
        let version = format!("{} {}", client.info().version, running.image_digest);
        Ok(Builder {
            data_root,
            ..builder(client, version, doubt)
        })
    }

    async fn engine(&self) -> Result<Builder, Error> {
        let docker = self.docker().await?;
        // To describe itself takes the Engine longer than to connect.
        let connected = async { Ok::<_, Error>(Client::connect(docker.grpc().await?).await?) };
        let (info, client) = tokio::join!(docker.info(), connected);
        let (info, client) = (info?, client?);
        let (server, data_root) = (&info.server_version, root(&docker, &info));
        let doubt = match self.ci {
            CiBuildkit::Engine => None,
            CiBuildkit::Image(image) => Some(format!(
                "CI builds with {image}, and this is the BuildKit of Docker Engine {server}"
            )),
        };
        // Distributions build the Engine without BuildKit's version, so that the Engine's own has to stand for it.
        let version = format!("engine {server} {}", client.info().version);
        Ok(Builder {
            data_root,
            ..builder(client, version, doubt)
        })
    }

    async fn foreign(&self, stream: engine::BoxedStream) -> Result<Builder, Error> {
        let client = Client::connect(stream).await?;
        let version = client.info().version.clone();
        let ci = match self.ci {
            CiBuildkit::Image(image) => image.clone(),
            CiBuildkit::Engine => "its Engine's BuildKit".to_owned(),
        };
        let doubt = format!(
            "CI builds with {ci}, and this is BuildKit {version}; make sure that they are the same version"
        );
        Ok(builder(client, version, Some(doubt)))
    }
}

fn root(docker: &Engine, info: &EngineInfo) -> Option<PathBuf> {
    space::root(info, &docker.location().host).ok()
}

fn builder(client: Client, version: String, doubt: Option<String>) -> Builder {
    let platform = client.info().platform.clone();
    Builder {
        client,
        identity: Identity {
            version,
            platform,
            doubt,
        },
        notes: Vec::new(),
        data_root: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_follows_ci_unless_the_user_says_otherwise() {
        let ci_image = CiBuildkit::Image("moby/buildkit:v0.20.0".to_owned());
        let container = |image: &str, may_fall_back| Choice::Container {
            image: image.to_owned(),
            may_fall_back,
        };
        for (endpoint, ci, expected) in [
            (
                Endpoint::Auto,
                &ci_image,
                container("moby/buildkit:v0.20.0", true),
            ),
            (Endpoint::Auto, &CiBuildkit::Engine, Choice::Engine),
            (
                Endpoint::Container,
                &ci_image,
                container("moby/buildkit:v0.20.0", false),
            ),
            (
                Endpoint::Container,
                &CiBuildkit::Engine,
                container(DEFAULT_IMAGE, false),
            ),
            (Endpoint::Engine, &ci_image, Choice::Engine),
            (
                Endpoint::Tcp("h:1".to_owned()),
                &ci_image,
                Choice::Tcp("h:1".to_owned()),
            ),
            (
                Endpoint::Buildx("b".to_owned()),
                &CiBuildkit::Engine,
                Choice::Buildx("b".to_owned()),
            ),
            (
                Endpoint::Unix("/s".into()),
                &ci_image,
                Choice::Unix("/s".into()),
            ),
        ] {
            assert_eq!(Choice::new(&endpoint, ci), expected, "{endpoint:?} {ci:?}");
        }
    }
}
