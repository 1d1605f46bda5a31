//! The session: a byte stream to BuildKit in which we are the gRPC server.
//!
//! Source of the protocol: `session/session.go` and `session/grpchijack` of moby/buildkit.

use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::buildkit::v1::BytesMessage;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::MetadataValue;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::auth::AuthService;
use super::filesync::{FileSyncServer, Sources};
use super::secrets::SecretService;
use super::ssh::AgentService;
use super::{BuildkitError, Client};

/// Bytes in flight between BuildKit and our services. Back-pressure begins here: a sender that is ahead by this much
/// waits.
const PIPE: usize = 256 << 10;

/// What a session hands out.
pub struct Services {
    /// The Dockerfile and the context.
    pub sources: Sources,
    /// Registry logins.
    pub auth: AuthService,
    /// Build secrets.
    pub secrets: SecretService,
    /// SSH agents.
    pub ssh: AgentService,
    /// Names what BuildKit keeps of the context, so that the next build has to send only what changed; in ASCII. Builds
    /// that serve a directory with other modes need another name: BuildKit does not look at a directory's mode again, and
    /// would compute its checksum from the old one.
    pub shared_key: String,
}

/// An open session; closing it is dropping it.
#[derive(Debug)]
pub struct Session {
    /// The id by which a solve names it.
    pub id: String,
    _server: AbortOnDropHandle<()>,
    _pump: AbortOnDropHandle<()>,
}

impl Session {
    /// Opens a session on `client` and serves it in the background.
    ///
    /// # Errors
    /// [`BuildkitError::Unreachable`] where the call is refused.
    ///
    /// # Panics
    /// When the shared key is not ASCII.
    pub async fn open(client: &Client, services: Services) -> Result<Self, BuildkitError> {
        let id = identity();
        let shared_key =
            MetadataValue::try_from(services.shared_key.as_str()).expect("a shared key is ASCII");
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let server = tokio::spawn(serve(ours, services));
        let (from_server, mut to_server) = tokio::io::split(theirs);
        let outgoing = ReaderStream::with_capacity(from_server, 64 << 10)
            .take_while(|chunk| std::future::ready(chunk.is_ok()))
            .filter_map(|chunk| std::future::ready(chunk.ok()))
            .map(|chunk| BytesMessage { data: chunk.into() });
        let mut request = Request::new(outgoing);
        let metadata = request.metadata_mut();
        let value = MetadataValue::try_from(id.as_str()).expect("a session id is ASCII");
        metadata.insert("x-docker-expose-session-uuid", value);
        metadata.insert("x-docker-expose-session-sharedkey", shared_key);
        metadata.insert(
            "x-docker-expose-session-name",
            MetadataValue::from_static("prewarm"),
        );
        for method in METHODS {
            metadata.append(
                "x-docker-expose-session-grpc-method",
                MetadataValue::from_static(method),
            );
        }
        let incoming = client
            .control()
            .session(request)
            .await
            .map_err(|status| BuildkitError::Unreachable {
                reason: status.message().to_owned(),
            })?
            .into_inner()
            .map(|message| {
                message
                    .map(|message| bytes::Bytes::from(message.data))
                    .map_err(std::io::Error::other)
            });
        let pump = tokio::spawn(async move {
            let mut incoming = StreamReader::new(incoming);
            // An end or an error here means that BuildKit closed the session; the solve reports why.
            let _ended = tokio::io::copy_buf(&mut incoming, &mut to_server).await;
            let _closed = to_server.shutdown().await;
        });
        Ok(Self {
            id,
            _server: AbortOnDropHandle::new(server),
            _pump: AbortOnDropHandle::new(pump),
        })
    }
}

/// The methods that we answer, as BuildKit's `Caller.Supports` looks them up.
const METHODS: [&str; 9] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/FetchToken",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
    "/moby.filesync.v1.Auth/VerifyTokenAuthority",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];

async fn serve(stream: DuplexStream, services: Services) {
    let incoming = stream::once(std::future::ready(Ok::<_, std::io::Error>(stream)))
        // The server ends when the stream of connections does; the one connection outlives that only while it is open.
        .chain(stream::pending());
    let served = Server::builder()
        // Patterns come as headers; Go's gRPC takes as much.
        .http2_max_header_list_size(16 << 20)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(HealthServer::new(Alive))
        .add_service(FileSyncServer::new(services.sources))
        .add_service(AuthServer::new(services.auth))
        .add_service(SecretsServer::new(services.secrets))
        .add_service(SshServer::new(services.ssh))
        .serve_with_incoming(incoming)
        .await;
    // The only connection ended; whoever waits for it sees that by itself.
    drop(served);
}

/// BuildKit asks every few seconds and drops a session that does not answer.
struct Alive;

type Answers = std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(
        &self,
        _request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse::default()))
    }

    type WatchStream = Answers;

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Answers>, Status> {
        let answers = stream::once(std::future::ready(Ok(serving()))).chain(stream::pending());
        Ok(Response::new(Box::pin(answers)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

/// A random id in BuildKit's own form: 25 characters of `[0-9a-z]` (`identity.NewID`).
pub(crate) fn identity() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .take(25)
        .collect()
}
