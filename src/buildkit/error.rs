//! What can go wrong between us and BuildKit, by what cures it.

use std::time::Duration;

use tonic::Code;

use super::progress::NOT_SEEN;
use crate::error::{Kind, Remedy};

/// A failure of a solve, or of reaching BuildKit at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildkitError {
    /// Nobody answers BuildKit's protocol.
    #[error("BuildKit does not answer: {reason}")]
    Unreachable {
        /// What the connection said.
        reason: String,
    },
    /// A step of the Dockerfile failed.
    #[error("step {step} failed: {reason}")]
    Step {
        /// The step's name, as BuildKit shows it.
        step: String,
        /// Why, such as `exit code: 1`.
        reason: String,
        /// The last lines that it printed.
        log: Vec<String>,
        /// The line in the Dockerfile, from 1.
        line: Option<u32>,
    },
    /// The Dockerfile cannot be used as it is: a syntax error, or a stage that is not there.
    #[error("the Dockerfile cannot be built: {reason}")]
    Dockerfile {
        /// What the frontend said.
        reason: String,
        /// The line in the Dockerfile, from 1.
        line: Option<u32>,
    },
    /// A step takes a file that the context does not have.
    #[error("{reason}")]
    Missing {
        /// Which, and where it was looked for.
        reason: String,
        /// The line in the Dockerfile, from 1.
        line: Option<u32>,
    },
    /// A base image, or the frontend's own, cannot be had.
    #[error("image {image} cannot be had: {reason}")]
    Image {
        /// Its reference.
        image: String,
        /// What the registry said.
        reason: String,
    },
    /// This BuildKit cannot export a registry cache.
    #[error("this BuildKit cannot export a cache to a registry: {reason}")]
    NoCacheExport {
        /// What it said.
        reason: String,
    },
    /// The registry did not take the cache.
    #[error("the registry did not take the cache {reference}: {reason}")]
    Export {
        /// The tag.
        reference: String,
        /// What it said.
        reason: String,
    },
    /// Files could not be read on our side.
    #[error("the context could not be sent: {reason}")]
    Context {
        /// Why.
        reason: String,
    },
    /// The disk on which BuildKit keeps its state is full.
    #[error("BuildKit's disk is full: {reason}")]
    DiskFull {
        /// What it said.
        reason: String,
    },
    /// We stopped it.
    #[error("the build was stopped")]
    Cancelled,
    /// It took longer than allowed.
    #[error("the build took longer than {} seconds", .limit.as_secs())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// Anything else, in BuildKit's words.
    #[error("the build failed: {reason}")]
    Other {
        /// What it said.
        reason: String,
    },
}

impl Remedy for BuildkitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Step { .. }
            | Self::Missing { .. }
            | Self::TimedOut { .. }
            | Self::Other { .. } => Kind::Work,
            Self::Dockerfile { .. } => Kind::Usage,
            Self::Unreachable { .. }
            | Self::Image { .. }
            | Self::Context { .. }
            | Self::DiskFull { .. } => Kind::Environment,
            // The steps are built all the same.
            Self::NoCacheExport { .. } | Self::Export { .. } => Kind::NotPushed,
            Self::Cancelled => Kind::Signal(2),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => "check that the builder runs: `prewarm builder status`, `docker info`".to_owned(),
            Self::NoCacheExport { .. } => "the Engine's classic image store has no registry cache: use the BuildKit \
                 container (`[builder] endpoint = \"container\"`), or switch the Engine to the containerd image store"
                .to_owned(),
            Self::Image { image, reason }
                if reason.contains("connection refused")
                    && ["127.", "localhost", "[::1]"].iter().any(|host| image.starts_with(host)) =>
            {
                "check that the registry runs; a BuildKit container reaches this machine's loopback only with `network = \
                 \"host\"` under [builder] in ~/.config/prewarm/config.toml"
                    .to_owned()
            }
            Self::Image { image, reason } if reason.contains("401") || reason.contains("authorization") => {
                let host = crate::engine::image::registry_of(image);
                format!("log in with `docker login {host}`, if {image} is right")
            }
            Self::Image { image, .. } => {
                format!("check the name, the network and the login for {image}; CI would fail in the same way")
            }
            Self::DiskFull { .. } => "free disk space where BuildKit keeps its state, then run again".to_owned(),
            Self::TimedOut { .. } => "raise `[warm] timeout`, or find the step that hangs".to_owned(),
            Self::Export { .. } => "the steps are warm on this machine; run `prewarm warm` again to push them".to_owned(),
            Self::Step { reason, .. } if reason.contains("secret ") && reason.contains("not found") => {
                "declare the secret in the target's table of .prewarm.toml, `secrets = [{ id = \"…\", env = \"…\" }]`, \
                 and allow it in [consent] of your own configuration"
                    .to_owned()
            }
            Self::Missing { reason, .. } | Self::Step { reason, .. } if reason.ends_with(NOT_SEEN) => {
                "if the file is here, `git add` and commit it; CI would fail on the same step".to_owned()
            }
            Self::Missing { .. } | Self::Step { .. } => "CI would fail on the same step".to_owned(),
            Self::Dockerfile { .. } | Self::Context { .. } | Self::Cancelled | Self::Other { .. } => {
                return None;
            }
        })
    }
}

/// What a solve was asked to export, which decides what an error of the registry means.
pub(super) fn classify(
    status: &tonic::Status,
    export: Option<&str>,
    context_failure: Option<String>,
) -> BuildkitError {
    let message = status.message();
    let reason = message
        .trim_start_matches("failed to solve: ")
        .trim_start_matches("rpc error: ")
        .to_owned();
    // Before what the transfer says of it, which ends because of this.
    if reason.contains("no space left on device") {
        return BuildkitError::DiskFull { reason };
    }
    if let Some(reason) = context_failure {
        return BuildkitError::Context { reason };
    }
    if status.code() == Code::Cancelled || reason.ends_with("context canceled") {
        return BuildkitError::Cancelled;
    }
    if reason.contains("unknown cache exporter") || reason.contains("cache export is not supported")
    {
        return BuildkitError::NoCacheExport { reason };
    }
    if reason.contains("failed to resolve source metadata for ")
        || reason.contains("pull access denied")
    {
        let before = "failed to resolve source metadata for ";
        let (image, reason) = reason
            .split_once(before)
            .and_then(|(_, rest)| rest.split_once(": "))
            .map_or(("of the base", reason.as_str()), |(image, rest)| {
                (image, rest)
            });
        let (image, reason) = (
            image.to_owned(),
            reason.trim_start_matches(&format!("{image}: ")).to_owned(),
        );
        return BuildkitError::Image { image, reason };
    }
    let line = source_line(status);
    if let Some(reason) = super::progress::missing_file(&reason) {
        return BuildkitError::Missing { reason, line };
    }
    if [
        "dockerfile parse error",
        "target stage",
        "file with no instructions",
        "failed to parse",
        "no build stage",
        "the Dockerfile cannot be empty",
    ]
    .iter()
    .any(|sign| reason.contains(sign))
        || reason.starts_with("dockerfile")
    {
        return BuildkitError::Dockerfile { reason, line };
    }
    let transport = matches!(status.code(), Code::Unavailable) && status.metadata().is_empty();
    if transport
        || reason == "transport error"
        || reason.contains("error reading from server")
        || reason.contains("h2 protocol error")
    {
        return BuildkitError::Unreachable { reason };
    }
    if let Some(reference) = export
        && [
            "error writing",
            "failed to push",
            "failed to copy",
            "failed commit on ref",
            "unexpected status",
            "error exporting",
            "authorization",
            "insufficient_scope",
            "failed to do request",
            "failed to authorize",
            "server message",
        ]
        .iter()
        .any(|sign| reason.contains(sign))
    {
        return BuildkitError::Export {
            reference: reference.to_owned(),
            reason,
        };
    }
    BuildkitError::Other { reason }
}

/// The Dockerfile line that an error points to.
///
/// BuildKit attaches `errdefs.Source` to the status as an `Any` whose value is JSON (`solver/errdefs/source.go` of
/// moby/buildkit registers the type under a `+json` URL).
pub(super) fn source_line(status: &tonic::Status) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Source {
        #[serde(default)]
        ranges: Vec<Range>,
    }
    #[derive(serde::Deserialize)]
    struct Range {
        start: Position,
    }
    #[derive(serde::Deserialize)]
    struct Position {
        line: u32,
    }
    let details =
        <bollard_buildkit_proto::google::rpc::Status as prost::Message>::decode(status.details())
            .ok()?;
    details
        .details
        .iter()
        .filter(|detail| detail.type_url.contains("errdefs.Source"))
        .filter_map(|detail| serde_json::from_slice::<Source>(&detail.value).ok())
        .find_map(|source| source.ranges.first().map(|range| range.start.line))
}

/// An error with all its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
