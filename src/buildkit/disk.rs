//! What BuildKit keeps on disk, and the deletion of records that are named one by one.
//!
//! `Control.Prune` has more ways to be called than are safe. Space caps (`max_used_space`, `min_free_space`) are ignored
//! by older servers, which then delete everything; label filters are ignored by all. So the only call in here names
//! records by their ids, at most [`BATCH`] at a time, never sets `all`, and has BuildKit itself skip what was used since.

use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BuildHistoryRequest, DiskUsageRequest, PruneRequest, UsageRecord,
};

use super::{BuildkitError, Client};
use crate::prune::usage::{Kind, Record, RecordId};

/// Records of one call: BuildKit holds a lock meanwhile, and the filter is a regular expression.
pub const BATCH: usize = 50;

/// How long a listing may take: BuildKit measures layers of which it does not know the size yet.
const LISTING: Duration = Duration::from_secs(120);

/// How long one batch may take. It goes on in BuildKit when we stop waiting.
const DELETION: Duration = Duration::from_secs(300);

/// How long BuildKit may take to say what it builds.
const ANSWER: Duration = Duration::from_secs(5);

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Records that are gone, with the bytes that BuildKit says they had.
    pub records: Vec<(RecordId, u64)>,
}

impl Client {
    /// Everything that BuildKit keeps.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn usage(&self) -> Result<Vec<Record>, BuildkitError> {
        // Ten thousand records are about three megabytes; the limit on messages (16 MiB) is BuildKit's own.
        let answer = tokio::time::timeout(
            LISTING,
            self.control().disk_usage(DiskUsageRequest::default()),
        )
        .await
        .map_err(|_| late("list its cache", LISTING))?
        .map_err(|status| refused("list its cache", &status))?;
        Ok(answer.into_inner().record.into_iter().map(record).collect())
    }

    /// Deletes exactly these records, as far as BuildKit lets go of them: not what is in use, shared with an image, held by
    /// a child that stays, or was used within `keep`.
    ///
    /// # Errors
    /// When the connection is lost or BuildKit refuses. What was deleted until then is not known.
    ///
    /// # Panics
    /// When there are more than [`BATCH`], or none.
    pub async fn delete(&self, ids: &[RecordId], keep: Duration) -> Result<Deleted, BuildkitError> {
        assert!(
            !ids.is_empty() && ids.len() <= BATCH,
            "without an id, everything would be meant"
        );
        let request = PruneRequest {
            filter: vec![filter(ids)],
            all: false,
            keep_duration: i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX),
            reserved_space: 0,
            max_used_space: 0,
            min_free_space: 0,
        };
        let pruned = async {
            let mut stream = self.control().prune(request).await?.into_inner();
            let mut deleted = Deleted::default();
            while let Some(record) = stream.message().await? {
                if let Some(id) = RecordId::parse(&record.id) {
                    let bytes = u64::try_from(record.size).unwrap_or(0);
                    deleted.records.push((id, bytes));
                }
            }
            Ok::<_, tonic::Status>(deleted)
        };
        tokio::time::timeout(DELETION, pruned)
            .await
            .map_err(|_| late("delete records", DELETION))?
            .map_err(|status| refused("delete records", &status))
    }

    /// Whether BuildKit builds anything, for anybody; `None` where it cannot say (before 0.11).
    pub async fn builds(&self) -> Option<bool> {
        let request = BuildHistoryRequest {
            active_only: true,
            early_exit: true,
            ..BuildHistoryRequest::default()
        };
        let first = async {
            let answer = self.control().listen_build_history(request).await.ok()?;
            let first = answer.into_inner().message().await.ok()?;
            Some(first.is_some())
        };
        tokio::time::timeout(ANSWER, first).await.ok().flatten()
    }
}

/// Matches these ids and no others. Quoted, since an alternation ends an unquoted value (containerd's filter grammar).
fn filter(ids: &[RecordId]) -> String {
    let ids: Vec<&str> = ids.iter().map(RecordId::as_str).collect();
    format!("id~=\"^({})$\"", ids.join("|"))
}

fn record(record: UsageRecord) -> Record {
    // Servers before BuildKit 0.10 know one parent only.
    #[expect(deprecated, reason = "older servers fill only this field")]
    let parents = match record.parents {
        parents if parents.is_empty() && !record.parent.is_empty() => vec![record.parent],
        parents => parents,
    };
    Record {
        id: record.id,
        kind: Kind::from_name(&record.record_type),
        description: record.description,
        bytes: u64::try_from(record.size).unwrap_or(0),
        created_ns: record.created_at.as_ref().and_then(nanoseconds),
        used_ns: record.last_used_at.as_ref().and_then(nanoseconds),
        uses: u64::try_from(record.usage_count).unwrap_or(0),
        in_use: record.in_use,
        shared: record.shared,
        parents,
    }
}

/// Since 1970; `None` for what is not a time (Go's zero time is in the year 1).
fn nanoseconds(time: &Timestamp) -> Option<i64> {
    let nanoseconds = time
        .seconds
        .checked_mul(1_000_000_000)?
        .checked_add(i64::from(time.nanos))?;
    (nanoseconds > 0).then_some(nanoseconds)
}

fn late(what: &'static str, time: Duration) -> BuildkitError {
    BuildkitError::Unreachable {
        reason: format!(
            "it was to {what}, and did not in {} seconds",
            time.as_secs()
        ),
    }
}

fn refused(what: &'static str, status: &tonic::Status) -> BuildkitError {
    BuildkitError::Unreachable {
        reason: format!("it was to {what}: {}", status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_names_whole_ids_in_quotes() {
        let ids = ["a".repeat(25), "0123456789abcdefghijklmno".to_owned()];
        let ids: Vec<_> = ids.iter().filter_map(|id| RecordId::parse(id)).collect();
        assert_eq!(
            filter(&ids),
            "id~=\"^(aaaaaaaaaaaaaaaaaaaaaaaaa|0123456789abcdefghijklmno)$\""
        );
    }

    #[test]
    fn times_of_no_use_are_none() {
        let time = |seconds, nanos| nanoseconds(&Timestamp { seconds, nanos });
        assert_eq!(time(1, 5), Some(1_000_000_005));
        assert_eq!(time(-62_135_596_800, 0), None);
        assert_eq!(time(i64::MAX, 0), None);
        assert_eq!(time(0, 0), None);
    }
}
