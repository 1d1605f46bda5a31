//! Where the caches are: each BuildKit that can be asked, and the disk that they are on.

use super::space;
use super::usage::{Cache, Disk, Snapshot};
use crate::builder::{Choice, Connector};
use crate::buildkit::Client;
use crate::config::{CiBuildkit, Endpoint, UserConfig, parse_endpoint};
use crate::engine::{self, Engine, EngineInfo, State, container};
use crate::error::{Error, Kind};
use crate::registry::Registry;
use crate::world::World;

/// How often a listing is asked for before it counts as failed. While something else prunes, an Engine with containerd's
/// image store may not find what it has just listed.
const TRIES: usize = 3;

/// A BuildKit that answers.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which, as [`Choice::label`] names it.
    pub builder: String,
    /// The connection.
    pub client: Client,
    /// Whether its files are on the disk that can be measured.
    pub on_disk: bool,
}

/// Everything that can be asked.
#[derive(Debug)]
pub struct Places {
    /// Each BuildKit.
    pub buildkits: Vec<Place>,
    /// The Engine, if it answers.
    pub docker: Option<Engine>,
    /// What the Engine says of itself.
    info: Option<EngineInfo>,
    /// What was left out, and why: whole sentences without a full stop.
    pub notes: Vec<String>,
}

/// Whom to ask.
pub struct Search<'a> {
    /// Environment and paths.
    pub world: &'a World,
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// For logins.
    pub registry: &'a Registry,
    /// Builders by name; all that the configuration leads to where none is named.
    pub only: &'a [String],
}

impl Search<'_> {
    /// Finds them. Nothing is pulled or made for it, and nothing started but what buildx starts to reach a builder of its own.
    ///
    /// # Errors
    /// When none answers, or one that was named does not.
    pub async fn find(&self) -> Result<Places, Error> {
        let mut places = Places {
            buildkits: Vec::new(),
            docker: None,
            info: None,
            notes: Vec::new(),
        };
        let (ours, engines, others) = self.wanted()?;
        let mut failure = None;
        if ours || engines {
            let named = !self.only.is_empty();
            match self.of_engine(&mut places, ours, engines).await {
                Ok(()) => {}
                Err(error) if named || others.is_empty() => return Err(error),
                // Whoever builds elsewhere may have no Engine.
                Err(error) => failure = Some(error),
            }
        }
        for endpoint in others {
            let place = self.elsewhere(endpoint).await?;
            places.buildkits.push(place);
        }
        match failure {
            Some(error) if places.buildkits.is_empty() => Err(error),
            _ => Ok(places),
        }
    }

    /// Whether our container is wanted, whether the Engine's own BuildKit is, and which others are.
    fn wanted(&self) -> Result<(bool, bool, Vec<Endpoint>), Error> {
        let local = |endpoint: &Endpoint| {
            matches!(
                endpoint,
                Endpoint::Auto | Endpoint::Container | Endpoint::Engine
            )
        };
        if self.only.is_empty() {
            let configured = self.user.builder.endpoint.clone();
            let others = if local(&configured) {
                Vec::new()
            } else {
                vec![configured]
            };
            return Ok((true, true, others));
        }
        let (mut ours, mut engines, mut others) = (false, false, Vec::new());
        for name in self.only {
            match parse_endpoint(name) {
                Ok(Endpoint::Auto) => (ours, engines) = (true, true),
                Ok(Endpoint::Container) => ours = true,
                Ok(Endpoint::Engine) => engines = true,
                Ok(other) => others.push(other),
                Err(reason) => {
                    return Err(Error::new(Kind::Usage, format!("--builder: {reason}")));
                }
            }
        }
        Ok((ours, engines, others))
    }

    fn connector<'c>(&'c self, user: &'c UserConfig) -> Connector<'c> {
        Connector {
            world: self.world,
            user,
            ci: &CiBuildkit::Engine,
            registry: self.registry,
        }
    }

    async fn of_engine(&self, places: &mut Places, ours: bool, engines: bool) -> Result<(), Error> {
        let connector = self.connector(self.user);
        let docker = connector.docker().await?;
        let settings = connector.settings()?;
        let (info, status) = tokio::join!(docker.info(), engine::status(&docker, &settings));
        let info = info?;
        let on_disk = space::measure(&info, &docker.location().host).is_ok();
        if engines {
            let client = Client::connect(docker.grpc().await?).await?;
            places.buildkits.push(Place {
                builder: Choice::Engine.label(),
                client,
                on_disk,
            });
        }
        match status? {
            Some(status) if ours && status.state == State::Running => {
                let stream = container::dial(&docker, &status.container_id).await?;
                let image = status.image;
                places.buildkits.push(Place {
                    builder: format!("container {image}"),
                    client: Client::connect(stream).await?,
                    on_disk,
                });
            }
            found if ours && !engines => {
                let what = found.map_or(
                    "there is no BuildKit container",
                    |_| "the BuildKit container does not run",
                );
                return Err(
                    Error::new(Kind::Environment, format!("--builder container: {what}")).hint(
                        "`prewarm builder status` shows it; the next warm that needs it starts it",
                    ),
                );
            }
            Some(_) if ours => places.notes.push(
                "the BuildKit container does not run, so its cache is not looked at".to_owned(),
            ),
            _ => {}
        }
        places.docker = Some(docker);
        places.info = Some(info);
        Ok(())
    }

    async fn elsewhere(&self, endpoint: Endpoint) -> Result<Place, Error> {
        let mut user = self.user.clone();
        user.builder.endpoint = endpoint;
        let connector = self.connector(&user);
        let builder = connector.connect(false, &mut |_| ()).await?;
        Ok(Place {
            builder: connector.choice().label(),
            client: builder.client,
            on_disk: false,
        })
    }
}

impl Places {
    /// The disk that the Engine's data is on, measured now.
    ///
    /// # Errors
    /// Why that is not known.
    pub fn disk(&self) -> Result<Disk, String> {
        match (&self.docker, &self.info) {
            (Some(docker), Some(info)) => space::measure(info, &docker.location().host),
            _ => Err("no Engine of this machine was asked".to_owned()),
        }
    }

    /// Everything that takes space now.
    ///
    /// # Errors
    /// When a BuildKit does not list its cache. A plan without it would not be wrong, but nobody could tell why.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut caches = Vec::new();
        for place in &self.buildkits {
            caches.push(Cache {
                builder: place.builder.clone(),
                on_disk: place.on_disk,
                records: list(place).await?,
            });
        }
        Ok(Snapshot {
            caches,
            images: Vec::new(),
            disk: self.disk().ok(),
        })
    }

    /// The identity of the Engine.
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        self.info.as_ref().map(|info| info.id.as_str())
    }

    /// Whether anybody may build in one of them: some cannot say.
    pub async fn may_build(&self) -> bool {
        for place in &self.buildkits {
            if place.client.builds().await != Some(false) {
                return true;
            }
        }
        false
    }
}

async fn list(place: &Place) -> Result<Vec<super::usage::Record>, Error> {
    let mut tries = 1;
    loop {
        match place.client.usage().await {
            Ok(records) => return Ok(records),
            Err(_) if tries < TRIES => tries += 1,
            Err(error) => {
                let mut error = Error::from(error);
                error.message = format!("{}: {}", place.builder, error.message);
                return Err(error);
            }
        }
    }
}
