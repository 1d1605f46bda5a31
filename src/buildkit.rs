//! BuildKit's own protocol: one gRPC connection to its `Control` service, on any stream that reaches it.
//!
//! A solve is three calls side by side: `Session`, a byte stream in which *we* are the gRPC server that hands out
//! files, credentials and secrets; `Solve`, which returns when the build ends; and `Status`, its progress. Nothing here
//! knows git, registries or the Docker Engine: files come from a [`Tree`](crate::snapshot::Tree), streams from
//! [`crate::engine`].

use std::sync::Mutex;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{InfoRequest, ListWorkersRequest};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};

use crate::engine::stream::BoxedStream;

pub mod auth;
pub mod disk;
pub mod error;
pub mod filesync;
pub mod progress;
pub mod secrets;
pub mod session;
pub mod solve;
pub mod ssh;

pub use error::BuildkitError;

/// Messages of up to this many bytes are taken, as BuildKit itself does (`defaults.GRPCMaxRecvMsgSize`, 16 MiB).
pub(crate) const MAX_MESSAGE: usize = 16 << 20;

/// How long BuildKit may take to answer a question that needs no work.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// A connection to one BuildKit.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    info: Info,
}

/// What a BuildKit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its version, such as `v0.13.2`; part of every key, because versions disagree about cache keys.
    pub version: String,
    /// The identity of its worker, which changes when its state is made anew.
    pub worker: String,
    /// The platform that it builds for when none is named, such as `linux/amd64`.
    pub platform: String,
}

impl Client {
    /// Speaks BuildKit's protocol on `stream` and asks who is there.
    ///
    /// # Errors
    /// [`BuildkitError::Unreachable`] where the other side is not a BuildKit, or does not answer in 20 seconds.
    pub async fn connect(stream: BoxedStream) -> Result<Self, BuildkitError> {
        tokio::time::timeout(ANSWER_TIME, Self::handshake(stream))
            .await
            .map_err(|_| BuildkitError::Unreachable {
                reason: format!("no answer in {} seconds", ANSWER_TIME.as_secs()),
            })?
    }

    async fn handshake(stream: BoxedStream) -> Result<Self, BuildkitError> {
        let unreachable = |reason: String| BuildkitError::Unreachable { reason };
        // The stream can be used once: a lost connection is an error to report, never a silent second connection, which
        // would not know our session.
        let stream = Mutex::new(Some(stream));
        let connector = tower::service_fn(move |_| {
            let taken = stream.lock().ok().and_then(|mut slot| slot.take());
            async move {
                taken
                    .map(TokioIo::new)
                    .ok_or_else(|| std::io::Error::other("the connection was lost"))
            }
        });
        let channel = Endpoint::from_static("http://buildkit")
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .connect_with_connector(connector)
            .await
            .map_err(|error| unreachable(error::chain(&error)))?;
        let mut control =
            ControlClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let workers = control
            .list_workers(ListWorkersRequest::default())
            .await
            .map_err(|status| unreachable(status.message().to_owned()))?
            .into_inner();
        let worker = workers
            .record
            .into_iter()
            .next()
            .ok_or_else(|| unreachable("it has no worker".to_owned()))?;
        let platform = worker
            .platforms
            .first()
            .map_or_else(String::new, |platform| {
                let mut text = format!("{}/{}", platform.os, platform.architecture);
                if !platform.variant.is_empty() {
                    text.push('/');
                    text.push_str(&platform.variant);
                }
                text
            });
        // `Info` came with BuildKit 0.11; before it only the worker's record says the version.
        let version = match control.info(InfoRequest {}).await {
            Ok(answer) => answer.into_inner().buildkit_version,
            Err(_) => worker.buildkit_version,
        };
        Ok(Self {
            channel,
            info: Info {
                version: version.map_or_else(String::new, |version| version.version),
                worker: worker.id,
                platform,
            },
        })
    }

    /// Who answers.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    pub(crate) fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }
}
