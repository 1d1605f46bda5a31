//! Why something stays, would go or went, and what prunes deleted.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::paint::Paint;
use super::prune::{ROWS, counted, shortened, table, unknown, used};
use super::text::{ago, bytes, clean};
use crate::prune::plan::{Fate, Item};
use crate::record::{Deleted, PruneRow};

/// Why things stay or would go, and what went of that name.
pub(super) fn explained(
    found: &[(&Item, Fate<'_>)],
    gone: Option<&Deleted>,
    now: i64,
    paint: Paint,
) -> String {
    let mut text = String::new();
    for (item, verdict) in found {
        let decided = match verdict {
            Fate::Goes(rule) => format!("would go now: {}", rule.text()),
            Fate::Stays(reason) if reason.is_spare() => {
                format!(
                    "stays now: {}; it may go when space is needed",
                    reason.text()
                )
            }
            Fate::Stays(reason) => format!("stays: {}", reason.text()),
        };
        let _ = writeln!(
            text,
            "{}  {}",
            paint.bold(&clean(&item.name)),
            clean(&decided)
        );
        let (size, when) = (bytes(item.bytes), used(item, now));
        let _ = match &item.kind {
            Some(kind) => writeln!(
                text,
                "  {} in {}, {size}, last used {when}",
                clean(kind.name()),
                clean(&item.builder)
            ),
            None => writeln!(text, "  image, {size}, made, named or first seen {when}"),
        };
        let _ = writeln!(text, "  {}", clean(&item.description));
    }
    if let Some(gone) = gone {
        let _ = match gone.at {
            0 => writeln!(
                text,
                "{}  was to be deleted when prewarm was interrupted",
                paint.bold(&clean(&gone.item))
            ),
            at => writeln!(
                text,
                "{}  was deleted {}: {}",
                paint.bold(&clean(&gone.item)),
                ago(at, now),
                gone.rule
            ),
        };
        let _ = writeln!(
            text,
            "  {} in {}, {}, last used {}\n  {}",
            clean(&gone.kind),
            clean(&gone.builder),
            bytes(gone.bytes),
            gone.used_at.map_or_else(unknown, |at| ago(at, now)),
            clean(&gone.description)
        );
    }
    text
}

pub(super) fn explained_document(found: &[(&Item, Fate<'_>)], gone: Option<&Deleted>) -> Value {
    let found = found.iter().map(|(item, verdict)| {
        let mut document = json!(item);
        match verdict {
            Fate::Goes(rule) => document["goes"] = json!(rule),
            Fate::Stays(reason) => {
                document["stays"] = json!(reason);
                document["because"] = reason.text().into();
            }
        }
        document
    });
    json!({"found": found.collect::<Vec<_>>(), "deleted": gone})
}

/// What went in the last prunes, the newest of which may still run.
pub(super) fn history(
    prunes: &[(PruneRow, Vec<Deleted>)],
    running: bool,
    now: i64,
    columns: Option<u16>,
    paint: Paint,
) -> String {
    if prunes.is_empty() {
        return "nothing was pruned in the last 30 days\n".to_owned();
    }
    let mut text = String::new();
    for (place, (row, deletions)) in prunes.iter().enumerate() {
        let ended = match (row.ended_at, row.reported) {
            (None, _) if running && place == 0 => "goes on".to_owned(),
            (None, _) | (_, None) => "interrupted".to_owned(),
            (_, Some(reported)) => format!(
                "{}, {} of {}",
                counted(row.items),
                bytes(reported),
                bytes(row.planned)
            ),
        };
        let head = format!("{}: {ended}; {}", ago(row.started_at, now), row.reason);
        let _ = writeln!(text, "{}", paint.bold(&head));
        let mut rows = vec![["SIZE", "LAST USED", "WHY", "ID", "WHAT"].map(str::to_owned)];
        for gone in deletions.iter().take(ROWS) {
            rows.push([
                bytes(gone.bytes),
                gone.used_at.map_or_else(unknown, |at| ago(at, now)),
                gone.rule.clone(),
                clean(&gone.item),
                shortened(&gone.description),
            ]);
        }
        table(&mut text, &rows, &[], columns, paint);
        if deletions.len() > ROWS {
            let _ = writeln!(text, "… and {} more", deletions.len() - ROWS);
        }
    }
    text
}
