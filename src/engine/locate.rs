//! Where the Docker Engine is, by the rules of docker's own command line and without running it.
//!
//! `DOCKER_HOST`, else the current docker context, else the usual sockets. Pure apart from the functions given.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::EngineError;

/// Ports of an Engine on TCP, plain and with TLS, as docker's command line takes them where none is given.
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// The system's Engine.
const SYSTEM_SOCKET: &str = "/var/run/docker.sock";

/// An Engine's address, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The address.
    pub host: Host,
    /// Who named it, such as "`DOCKER_HOST`" or "docker context `work`".
    pub origin: String,
}

/// The address of something that listens for connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// `host:port`; an IPv6 address stands in brackets.
        address: String,
        /// TLS; `None` for plain TCP.
        tls: Option<TlsFiles>,
    },
}

/// PEM files of a TLS client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the server's certificate; needed when `verify`.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, where the server wants one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// False to take any certificate (a context's `SkipTLSVerify`).
    pub verify: bool,
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp { address, .. } => write!(formatter, "tcp://{address}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.host, self.origin)
    }
}

/// What locating needs to know of the world.
pub struct Surroundings<'a> {
    /// An environment variable; empty counts as absent.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's home directory.
    pub home: Option<&'a Path>,
    /// Whether something is there.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// A file's content.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// Finds the Engine.
///
/// # Errors
/// [`EngineError::NotFound`] with the places looked at; [`EngineError::Host`], [`EngineError::Context`] and
/// [`EngineError::File`] where something names an Engine that cannot be used: another one is never taken instead.
pub fn locate(world: &Surroundings<'_>) -> Result<Location, EngineError> {
    if let Some(host) = world.text("DOCKER_HOST") {
        let tls = world.environment_tls();
        return Ok(Location {
            host: parse_host(&host, "DOCKER_HOST", tls)?,
            origin: "DOCKER_HOST".to_owned(),
        });
    }
    match world.current_context()? {
        Some(name) => world.context(&name),
        None => world.usual_socket(),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Surroundings<'_> {
    fn value(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// Docker's configuration directory.
    fn config_directory(&self) -> Option<PathBuf> {
        match self.value("DOCKER_CONFIG") {
            Some(directory) => Some(directory.into()),
            None => self.home.map(|home| home.join(".docker")),
        }
    }

    /// TLS as docker's variables ask for it: verified by `DOCKER_TLS_VERIFY`, not verified by `DOCKER_TLS`.
    fn environment_tls(&self) -> Option<TlsFiles> {
        let verify = self.value("DOCKER_TLS_VERIFY").is_some();
        if !verify && self.value("DOCKER_TLS").is_none() {
            return None;
        }
        let directory = match self.value("DOCKER_CERT_PATH") {
            Some(directory) => Some(directory.into()),
            None => self.config_directory(),
        };
        Some(self.tls_files(&directory.unwrap_or_default(), verify))
    }

    fn tls_files(&self, directory: &Path, verify: bool) -> TlsFiles {
        let file = |name| Some(directory.join(name)).filter(|path| (self.exists)(path));
        TlsFiles {
            ca: file("ca.pem"),
            identity: file("cert.pem").zip(file("key.pem")),
            verify,
        }
    }

    /// The selected context's name; `None` for the default one, which means the usual sockets.
    fn current_context(&self) -> Result<Option<String>, EngineError> {
        let named = match self.text("DOCKER_CONTEXT") {
            Some(name) => Some(name),
            None => self.configured_context()?,
        };
        Ok(named.filter(|name| name != "default"))
    }

    fn configured_context(&self) -> Result<Option<String>, EngineError> {
        let Some(path) = self
            .config_directory()
            .map(|directory| directory.join("config.json"))
        else {
            return Ok(None);
        };
        let bytes = match (self.read)(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EngineError::file(&path, &error)),
        };
        let config: DockerConfig =
            serde_json::from_slice(&bytes).map_err(|error| EngineError::file(&path, &error))?;
        Ok(Some(config.current_context).filter(|name| !name.is_empty()))
    }

    fn context(&self, name: &str) -> Result<Location, EngineError> {
        let wrong = |reason: String| EngineError::Context {
            name: name.to_owned(),
            reason,
        };
        let contexts = self
            .config_directory()
            .ok_or_else(|| wrong("there is no home directory to look for it in".to_owned()))?
            .join("contexts");
        // Docker's context store names directories by the hash of the context's name.
        let id = hex(&Sha256::digest(name.as_bytes()));
        let path = contexts.join("meta").join(&id).join("meta.json");
        let bytes = (self.read)(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => wrong(format!("it does not exist (no {})", path.display())),
            _ => wrong(format!("{}: {error}", path.display())),
        })?;
        let meta: ContextMeta = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let endpoint = meta
            .endpoints
            .docker
            .filter(|endpoint| !endpoint.host.is_empty())
            .ok_or_else(|| wrong("it names no Docker Engine".to_owned()))?;
        let files = self.tls_files(
            &contexts.join("tls").join(&id).join("docker"),
            !endpoint.skip_tls_verify,
        );
        let wanted = files.ca.is_some() || files.identity.is_some() || endpoint.skip_tls_verify;
        let origin = format!("docker context `{name}`");
        Ok(Location {
            host: parse_host(&endpoint.host, &origin, wanted.then_some(files))?,
            origin,
        })
    }

    /// The first socket that exists: the system's, a rootless Engine's, Docker Desktop's.
    fn usual_socket(&self) -> Result<Location, EngineError> {
        let mut places = vec![PathBuf::from(SYSTEM_SOCKET)];
        places.extend(
            self.value("XDG_RUNTIME_DIR")
                .map(|directory| Path::new(&directory).join("docker.sock")),
        );
        if let Some(home) = self.home {
            places.push(home.join(".docker/run/docker.sock"));
            places.push(home.join(".docker/desktop/docker.sock"));
        }
        match places.iter().find(|place| (self.exists)(place)) {
            Some(socket) => Ok(Location {
                host: Host::Unix(socket.clone()),
                origin: "the usual socket".to_owned(),
            }),
            None => Err(EngineError::NotFound {
                looked: [
                    "DOCKER_HOST".to_owned(),
                    "the current docker context".to_owned(),
                ]
                .into_iter()
                .chain(places.iter().map(|place| place.display().to_string()))
                .collect(),
            }),
        }
    }
}

/// Parses an address as docker writes it.
fn parse_host(text: &str, origin: &str, tls: Option<TlsFiles>) -> Result<Host, EngineError> {
    let wrong = |reason: &str| EngineError::Host {
        host: text.to_owned(),
        origin: origin.to_owned(),
        reason: reason.to_owned(),
    };
    match text.split_once("://") {
        Some(("unix", "")) => Ok(Host::Unix(SYSTEM_SOCKET.into())),
        Some(("unix", path)) if path.starts_with('/') => Ok(Host::Unix(path.into())),
        Some(("unix", _)) => Err(wrong("the socket's path must be absolute")),
        Some(("tcp", rest)) => {
            let address = rest.trim_end_matches('/');
            if address.contains('/') {
                return Err(wrong("an address with a path is not supported"));
            }
            if tls
                .as_ref()
                .is_some_and(|files| files.verify && files.ca.is_none())
            {
                return Err(EngineError::Authority {
                    host: text.to_owned(),
                    origin: origin.to_owned(),
                });
            }
            let port = if tls.is_some() { TLS_PORT } else { PORT };
            let address = with_port(address, port).ok_or_else(|| wrong("it is not host:port"))?;
            Ok(Host::Tcp { address, tls })
        }
        Some(("ssh", _)) => Err(wrong("ssh is not supported")),
        Some(_) => Err(wrong("this kind of address is not supported")),
        None => parse_host(&format!("tcp://{text}"), origin, tls),
    }
}

/// `host:port` with docker's defaults for what is missing.
fn with_port(address: &str, port: u16) -> Option<String> {
    let (host, given) = match address.rsplit_once(':') {
        // The colons of an IPv6 address in brackets.
        Some((_, after)) if after.ends_with(']') => (address, None),
        Some((host, given)) => (host, Some(given)),
        None => (address, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !bracketed {
        return None;
    }
    let host = if host.is_empty() { "localhost" } else { host };
    let port = match given {
        Some(given) => given.parse::<u16>().ok()?,
        None => port,
    };
    Some(format!("{host}:{port}"))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

#[cfg(test)]
mod tests;
