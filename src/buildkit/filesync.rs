//! `FileSync.DiffCopy`: hands BuildKit the Dockerfile and the context, straight from git objects.
//!
//! BuildKit names a directory and the patterns it wants; we send a `Stat` for each entry that they select, parents
//! first and siblings in byte order; it asks for the contents of some of them by number; we stream those. What it asked
//! by is recorded: that is exactly what the build depends on. Only as much as the pipe holds is ever in memory.
//!
//! Source of the protocol: `session/filesync` of moby/buildkit, `send.go` and `receive.go` of tonistiigi/fsutil.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::snapshot::{Filter, Tree};

mod metadata;
mod packet;
mod sender;

pub use packet::{Packet, Stat};

/// Packets that may wait for the pipe; with 64 KiB of data each, at most 512 KiB.
const QUEUE: usize = 8;

/// What becomes of the frontend's question for the context's `.dockerignore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreFile {
    /// It gets the file, as for a path context.
    Served,
    /// It is told that there is none, as for a Git context.
    Hidden,
    /// It does not ask, because the Dockerfile has an ignore file of its own.
    NotAsked,
}

/// What a session serves.
#[derive(Clone)]
pub struct Sources {
    dockerfile: Tree,
    context: Tree,
    ignore_file: IgnoreFile,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Debug, Default)]
struct Asked {
    context: BTreeSet<Filter>,
    ignore_file_done: bool,
    sent_bytes: u64,
    failure: Option<String>,
}

impl Sources {
    /// Serves the directory that holds the Dockerfile, and the context.
    #[must_use]
    pub fn new(dockerfile: Tree, context: Tree, ignore_file: IgnoreFile) -> Self {
        let asked = Asked {
            ignore_file_done: ignore_file == IgnoreFile::NotAsked,
            ..Asked::default()
        };
        Self {
            dockerfile,
            context,
            ignore_file,
            asked: Arc::new(Mutex::new(asked)),
        }
    }

    /// What BuildKit asked of the context so far: the target's inputs.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<Filter> {
        self.lock().context.clone()
    }

    /// Bytes of file contents sent so far.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.lock().sent_bytes
    }

    /// Why a transfer failed on our side: BuildKit's own message only says that it did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what one request gets: the directory, and the filter to walk it by; `None` sends nothing at all.
    fn answer(&self, name: &str, filter: Filter) -> Result<(Tree, Option<Filter>), Status> {
        match name {
            "dockerfile" => Ok((self.dockerfile.clone(), Some(filter))),
            "context" => {
                let mut asked = self.lock();
                if filter.follow == [".dockerignore"] && !asked.ignore_file_done {
                    // The frontend's own question comes first, once, before it knows any `COPY`. A later one for the
                    // same path is a `COPY .dockerignore` and gets the file.
                    asked.ignore_file_done = true;
                    let served = (self.ignore_file == IgnoreFile::Served).then_some(filter);
                    return Ok((self.context.clone(), served));
                }
                asked.context.insert(filter.clone());
                Ok((self.context.clone(), Some(filter)))
            }
            other => Err(Status::not_found(format!("no directory is called {other}"))),
        }
    }
}

type Packets = ReceiverStream<Result<Packet, Status>>;

impl StreamingService<Packet> for Sources {
    type Response = Packet;
    type ResponseStream = Packets;
    type Future = BoxFuture<'static, Result<Response<Packets>, Status>>;

    fn call(&mut self, request: Request<Streaming<Packet>>) -> Self::Future {
        let sources = self.clone();
        Box::pin(async move { sources.diff_copy(request) })
    }
}

impl Sources {
    fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Packets>, Status> {
        let metadata: &MetadataMap = request.metadata();
        let name = metadata::value(metadata, "dir-name").unwrap_or_default();
        let filter = Filter {
            follow: metadata::values(metadata, "followpaths"),
            include: metadata::values(metadata, "include-patterns"),
            exclude: metadata::values(metadata, "exclude-patterns"),
        };
        let (tree, filter) = self.answer(&name, filter)?;
        let (packets, outgoing) = mpsc::channel(QUEUE);
        let sources = self.clone();
        tokio::spawn(async move {
            let sent = sender::send(tree, filter, request.into_inner(), packets.clone()).await;
            match sent {
                Ok(bytes) => sources.lock().sent_bytes += bytes,
                Err(error) => {
                    sources.lock().failure.get_or_insert_with(|| error.clone());
                    // A receiver that is gone has its own reason, which the solve reports.
                    let _gone = packets.send(Err(Status::aborted(error))).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// The gRPC service around [`Sources`].
///
/// Written by hand because the generated messages hold paths as UTF-8 strings, which git's paths need not be.
#[derive(Clone)]
pub struct FileSyncServer {
    sources: Sources,
}

impl FileSyncServer {
    /// A service for these sources.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources }
    }
}

impl NamedService for FileSyncServer {
    const NAME: &'static str = "moby.filesync.v1.FileSync";
}

impl Service<http::Request<Body>> for FileSyncServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sources = self.sources.clone();
        Box::pin(async move {
            if request.uri().path() != "/moby.filesync.v1.FileSync/DiffCopy" {
                return Ok(Status::unimplemented("only DiffCopy is served").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::<Packet, Packet>::default());
            Ok(grpc.streaming(sources, request).await)
        })
    }
}
