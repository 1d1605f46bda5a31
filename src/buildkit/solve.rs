//! One solve: the request, its progress, its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, SolveRequest, StatusRequest,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::progress::{End, Event, Progress, Step};
use super::session::{Services, Session, identity};
use super::{BuildkitError, Client, error};
use crate::config::Compression;
use crate::registry::Digest;
use crate::snapshot::Filter;

/// How long a stopped solve may take to end on BuildKit's side before we leave it behind.
const STOP_TIME: Duration = Duration::from_millis(900);

/// What to build. Everything here but the caches is part of what decides the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The Dockerfile's name in the `dockerfile` directory.
    pub filename: String,
    /// The stage; `None` for the last.
    pub stage: Option<String>,
    /// The platform; `None` for the builder's own.
    pub platform: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Ask the registry for every base image, as a fresh CI runner does, even where the Engine's store has one of that
    /// name.
    pub pulls: bool,
}

/// Where a cache is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheReference {
    /// The full reference with its tag.
    pub reference: String,
    /// Plain HTTP, or a certificate that need not be checked.
    pub insecure: bool,
}

/// A cache to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheExport {
    /// Where.
    pub to: CacheReference,
    /// How layers are compressed.
    pub compression: Compression,
}

/// One solve.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to build.
    pub definition: Definition,
    /// Caches to read.
    pub imports: Vec<CacheReference>,
    /// The cache to write; `None` builds only.
    pub export: Option<CacheExport>,
    /// How long it may take.
    pub limit: Duration,
}

/// What came of a solve, also of one that failed.
#[derive(Debug)]
pub struct Report {
    /// The steps as far as they got.
    pub steps: Vec<Step>,
    /// What BuildKit asked of the context.
    pub asked: BTreeSet<Filter>,
    /// Bytes of file contents sent.
    pub sent_bytes: u64,
    /// The digest of the exported cache's manifest, where an export was wanted; or why it failed.
    pub result: Result<Option<Digest>, BuildkitError>,
}

impl Client {
    /// Builds. Progress goes to `events`, which never blocks the build for long: its receiver must keep reading.
    /// Cancelling `stop` ends the solve on BuildKit's side too.
    pub async fn solve(
        &self,
        request: &Request,
        services: Services,
        events: mpsc::Sender<Event>,
        stop: &CancellationToken,
    ) -> Report {
        let sources = services.sources.clone();
        let mut progress = Progress::default();
        let result = self
            .run(request, services, &mut progress, events, stop)
            .await;
        let context_failure = sources.failure();
        let export = request
            .export
            .as_ref()
            .map(|export| export.to.reference.as_str());
        let result = result.map_err(|failure| match failure {
            Failure::Known(error) => error,
            Failure::Status(status) => failed_step(progress.steps(), &status)
                .filter(|_| context_failure.is_none())
                .unwrap_or_else(|| error::classify(&status, export, context_failure)),
        });
        Report {
            steps: progress.into_steps(),
            asked: sources.asked(),
            sent_bytes: sources.sent_bytes(),
            result,
        }
    }

    async fn run(
        &self,
        request: &Request,
        services: Services,
        progress: &mut Progress,
        events: mpsc::Sender<Event>,
        stop: &CancellationToken,
    ) -> Result<Option<Digest>, Failure> {
        let session = Session::open(self, services)
            .await
            .map_err(Failure::Known)?;
        let reference = identity();
        let mut solving = self.control();
        let mut watching = self.control();
        let mut solve = Box::pin(solving.solve(solve_request(request, &session.id, &reference)));
        let watched = watching.status(StatusRequest { r#ref: reference });
        let watch = async {
            let Ok(answer) = watched.await else { return };
            let mut updates = answer.into_inner();
            while let Ok(Some(update)) = updates.message().await {
                for event in progress.apply(update) {
                    // Nobody listening is no reason to stop building.
                    let _unheard = events.send(event).await;
                }
            }
        };
        tokio::pin!(watch);
        let mut watch_ended = false;
        let limit = tokio::time::sleep(request.limit);
        tokio::pin!(limit);
        let ended = loop {
            tokio::select! {
                answer = &mut solve => break answer.map_err(|status| Failure::Status(Box::new(status))),
                () = &mut watch, if !watch_ended => watch_ended = true,
                () = stop.cancelled() => break Err(Failure::Known(BuildkitError::Cancelled)),
                () = &mut limit => {
                    break Err(Failure::Known(BuildkitError::TimedOut { limit: request.limit }));
                }
            }
        };
        // Dropping an unfinished call resets its stream, which cancels the solve on BuildKit's side; the end of the
        // status stream tells that it ended there.
        drop(solve);
        if !watch_ended {
            let _left_behind = tokio::time::timeout(STOP_TIME, watch).await;
        }
        let response = ended?.into_inner().exporter_response;
        let Some(export) = &request.export else {
            return Ok(None);
        };
        // BuildKit reports success when there was nothing to export, too.
        let descriptor = response
            .get("cache.manifest")
            .and_then(|text| manifest_digest(text));
        descriptor.map(Some).ok_or_else(|| {
            Failure::Known(BuildkitError::Export {
                reference: export.to.reference.clone(),
                reason: "BuildKit exported nothing, though the build succeeded".to_owned(),
            })
        })
    }
}

enum Failure {
    Status(Box<tonic::Status>),
    Known(BuildkitError),
}

/// The digest in `cache.manifest`, which is an OCI descriptor as JSON.
fn manifest_digest(text: &str) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    struct Descriptor {
        digest: String,
    }
    Digest::parse(&serde_json::from_str::<Descriptor>(text).ok()?.digest)
}

/// The error of the instruction that failed, with its output.
fn failed_step(steps: &[Step], status: &tonic::Status) -> Option<BuildkitError> {
    let (step, reason) = steps
        .iter()
        .filter(|step| step.is_instruction())
        .find_map(|step| match &step.end {
            Some(End::Failed(reason)) => Some((step, reason)),
            _ => None,
        })?;
    if reason.contains("no space left on device") {
        return Some(BuildkitError::DiskFull {
            reason: reason.clone(),
        });
    }
    Some(BuildkitError::Step {
        step: step.name.clone(),
        reason: reason.clone(),
        log: step.log.iter().cloned().collect(),
        line: error::source_line(status),
    })
}

fn solve_request(request: &Request, session: &str, reference: &str) -> SolveRequest {
    let definition = &request.definition;
    let mut attributes = HashMap::from([("filename".to_owned(), definition.filename.clone())]);
    attributes.extend(
        definition
            .stage
            .clone()
            .map(|stage| ("target".to_owned(), stage)),
    );
    attributes.extend(
        definition
            .platform
            .clone()
            .map(|platform| ("platform".to_owned(), platform)),
    );
    attributes.extend(
        definition
            .args
            .iter()
            .map(|(name, value)| (format!("build-arg:{name}"), value.clone())),
    );
    if definition.pulls {
        attributes.insert("image-resolve-mode".to_owned(), "pull".to_owned());
    }
    let exports = request.export.iter().map(export_entry).collect();
    let imports: Vec<CacheOptionsEntry> = request
        .imports
        .iter()
        .map(|import| entry(import, []))
        .collect();
    if !imports.is_empty() {
        // The frontend reads its own copy of the imports, so that caches apply to the builds that it starts itself.
        let copies: Vec<_> = imports
            .iter()
            .map(|import| serde_json::json!({ "Type": import.r#type, "Attrs": import.attrs }))
            .collect();
        attributes.insert(
            "cache-imports".to_owned(),
            serde_json::Value::Array(copies).to_string(),
        );
    }
    SolveRequest {
        r#ref: reference.to_owned(),
        session: session.to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes,
        // Not for BuildKit's own history: ours says more, and writing that one takes it longer than all else when
        // everything is cached.
        internal: true,
        cache: Some(CacheOptions {
            exports,
            imports,
            ..CacheOptions::default()
        }),
        ..SolveRequest::default()
    }
}

fn export_entry(export: &CacheExport) -> CacheOptionsEntry {
    let compression = match export.compression {
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
        Compression::Uncompressed => "uncompressed",
    };
    entry(
        &export.to,
        [
            ("mode", "max"),
            ("compression", compression),
            // An image manifest is what every registry takes; it exists only with OCI media types.
            ("image-manifest", "true"),
            ("oci-mediatypes", "true"),
            // An export that fails must be seen: it is all that we are here for.
            ("ignore-error", "false"),
        ],
    )
}

fn entry<const N: usize>(
    cache: &CacheReference,
    attributes: [(&str, &str); N],
) -> CacheOptionsEntry {
    let mut attrs: HashMap<String, String> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    attrs.insert("ref".to_owned(), cache.reference.clone());
    if cache.insecure {
        attrs.insert("registry.insecure".to_owned(), "true".to_owned());
    }
    CacheOptionsEntry {
        r#type: "registry".to_owned(),
        attrs,
    }
}
