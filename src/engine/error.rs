//! What can go wrong with the Engine and on the way to a BuildKit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::AlertDescription;

use crate::error::{Kind, Remedy};

/// A failure of the Engine, of our BuildKit container, or of the way to a BuildKit.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No Engine is where one usually is.
    #[error("no Docker Engine found; looked at {}", looked.join(", "))]
    NotFound {
        /// The places, in order.
        looked: Vec<String>,
    },
    /// An address that we cannot use.
    #[error("{origin} names the Docker Engine as `{host}`: {reason}")]
    Host {
        /// The address as written.
        host: String,
        /// Who says so.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS without an authority to verify the server by.
    #[error(
        "{origin} asks for TLS to {host}, but there is no ca.pem beside the client's certificate"
    )]
    Authority {
        /// The address as written.
        host: String,
        /// Who says so.
        origin: String,
    },
    /// A docker context that is selected but cannot be used.
    #[error("the docker context `{name}` cannot be used: {reason}")]
    Context {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that should say how to reach or set up a BuildKit.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing answers there.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// The address, and who named it.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Older than what we can work with.
    #[error("the Docker Engine at {address} speaks API {api}; prewarm needs API {needed} or newer")]
    TooOld {
        /// The address.
        address: String,
        /// Its newest API version.
        api: String,
        /// The oldest that we take.
        needed: &'static str,
    },
    /// The Engine refused or garbled a request.
    #[error("the Docker Engine failed to {action}: {reason}")]
    Request {
        /// What we asked for, completing "failed to".
        action: String,
        /// What it said.
        reason: String,
    },
    /// The Engine has no BuildKit to offer on its socket.
    #[error(
        "the Docker Engine at {address} does not open its BuildKit: it answered {status} to `POST /grpc`"
    )]
    NoBuildkit {
        /// The address.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// The image of our BuildKit container cannot be had.
    #[error("cannot pull the BuildKit image {reference}: {reason}")]
    Image {
        /// The image.
        reference: String,
        /// What the registry or the Engine said.
        reason: String,
    },
    /// Something of our name that we did not make.
    #[error("the {what} `{name}` was not made by prewarm, so it is left alone")]
    Foreign {
        /// "container" or "volume".
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// Our container must be made anew while somebody uses it.
    #[error(
        "the BuildKit container must be made anew ({why}), but {sessions} connection(s) to it are in use"
    )]
    Busy {
        /// What changed.
        why: &'static str,
        /// Commands that run in it.
        sessions: usize,
    },
    /// The container runs, or should, but its BuildKit does not answer.
    #[error(
        "BuildKit in the container `{name}` is not ready: {reason}{}",
        log_tail(log)
    )]
    NotReady {
        /// The container.
        name: String,
        /// Exit code, or the last failure to connect.
        reason: String,
        /// Its last log lines.
        log: Vec<String>,
    },
    /// `docker buildx dial-stdio` failed.
    #[error("cannot reach the buildx builder `{name}`")]
    Buildx {
        /// The builder's name.
        name: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl EngineError {
    /// A file that cannot be used.
    pub(super) fn file(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

fn log_tail(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("\nits last log lines:\n  {}", log.join("\n  "))
}

impl Remedy for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::File { .. } => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => "start Docker, or set DOCKER_HOST or a docker context to where it runs".to_owned(),
            Self::Host { host, .. } if host.starts_with("ssh://") => {
                "forward the Engine's socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`) and set \
                 DOCKER_HOST=unix:///tmp/docker.sock, or use `endpoint = \"buildx:NAME\"`"
                    .to_owned()
            }
            Self::Host { .. } => "use unix:///path/to/docker.sock or tcp://host:port".to_owned(),
            Self::Authority { .. } => {
                "put the authority that signed the server's certificate there; \
                 DOCKER_CERT_PATH names the directory where DOCKER_TLS_VERIFY asks for TLS"
                    .to_owned()
            }
            Self::Context { .. } => "see `docker context ls`, choose another with `docker context use NAME`".to_owned(),
            Self::Unreachable { source, .. } => return unreachable_hint(source),
            Self::TooOld { .. } => "upgrade Docker to 20.10 or newer".to_owned(),
            Self::NoBuildkit { .. } => "use `endpoint = \"container\"`, which needs nothing of the Engine's own BuildKit".to_owned(),
            Self::Image { reference, .. } => format!(
                "try `docker pull {reference}`; `docker login` where it asks for one; \
                 or use the Engine's own BuildKit (`endpoint = \"engine\"`)"
            ),
            Self::Foreign { what, name } => format!("rename or remove it (`docker {what} rm {name}`) if nobody needs it"),
            Self::Busy { .. } => "try again when the other builds have ended".to_owned(),
            Self::NotReady { .. } => {
                "check `buildkitd_config` and the image; `prewarm builder remove` starts afresh".to_owned()
            }
            Self::Buildx { name, .. } => format!("try `docker buildx inspect --bootstrap {name}`"),
            Self::File { .. } | Self::Request { .. } => return None,
        };
        Some(hint)
    }
}

fn unreachable_hint(source: &io::Error) -> Option<String> {
    let tls = source
        .get_ref()
        .and_then(<dyn std::error::Error + Send + Sync>::downcast_ref::<rustls::Error>);
    if let Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) = tls {
        return Some(
            "give it a client's certificate: cert.pem and key.pem beside the Engine's ca.pem, or `cert` and `key` in \
             `[builder.tls]`"
                .to_owned(),
        );
    }
    if tls.is_some() {
        return Some(
            "check that the CA file holds the authority that signed the server's certificate, that the certificate \
             names this host, and that the client's certificate and key belong together"
                .to_owned(),
        );
    }
    let hint = match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "start it, or correct the address"
        }
        io::ErrorKind::PermissionDenied => {
            "add yourself to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again)"
        }
        io::ErrorKind::TimedOut => "check that the address is right and that no firewall drops it",
        _ => return None,
    };
    Some(hint.to_owned())
}
