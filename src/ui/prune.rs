//! What a prune would delete, did, and left: tables for people, documents for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{ago, bytes, clean};
use crate::prune::execute::{Ended, Report};
use crate::prune::plan::{Item, Plan};
use crate::prune::policy::Thresholds;
use crate::prune::reason::Reason;
use crate::prune::usage::Snapshot;

/// Rows that people are shown of what goes; the rest is summed up.
pub(super) const ROWS: usize = 40;

/// Lines that people are shown of why things stay.
const REASONS: usize = 20;

/// Letters of an id that tell it from others.
const SHORT: usize = 12;

/// What something is called at most, in columns.
const WHAT: usize = 60;

/// A plan, and what came of it if it was done.
#[derive(Clone, Debug)]
pub struct Pruning<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it is called by.
    pub id: String,
    /// The same, where it can be given back.
    pub kept: Option<&'a str>,
    /// What it was made from.
    pub snapshot: &'a Snapshot,
    /// Why the disk's free space is not known.
    pub unknown: Option<&'a str>,
    /// When pruning begins and ends by itself.
    pub thresholds: Option<Thresholds>,
    /// Bytes that were asked to be free.
    pub wanted: Option<u64>,
    /// What was left out.
    pub notes: &'a [String],
    /// Whether it is done now.
    pub executes: bool,
    /// What came of it.
    pub report: Option<&'a Report>,
    /// Unix milliseconds.
    pub now: i64,
}

/// A plan, or what came of it.
pub(super) fn human(pruning: &Pruning<'_>, columns: Option<u16>, paint: Paint) -> String {
    if let Some(report) = pruning.report {
        return of_report(report);
    }
    let mut text = String::new();
    let plan = pruning.plan;
    if !plan.deletions.is_empty() {
        deletions(&mut text, pruning, columns, paint);
        text.push('\n');
    }
    kept(&mut text, plan, paint);
    let _ = writeln!(text, "{}", disk(pruning));
    for note in pruning.notes {
        let _ = writeln!(text, "{} {}", paint.doubtful("note:"), clean(note));
    }
    text.push_str(&summary(pruning, paint));
    text
}

fn deletions(text: &mut String, pruning: &Pruning<'_>, columns: Option<u16>, paint: Paint) {
    let all = &pruning.plan.deletions;
    let several = pruning.snapshot.caches.len() > 1 || !pruning.snapshot.images.is_empty();
    let mut rows = vec![["SIZE", "LAST USED", "WHY", "WHERE", "ID", "WHAT"].map(str::to_owned)];
    // The largest, in the order in which they are to go.
    let mut largest: Vec<usize> = (0..all.len()).collect();
    largest.sort_by_key(|place| std::cmp::Reverse(all[*place].item.bytes));
    let smaller = largest.split_off(ROWS.min(all.len()));
    largest.sort_unstable();
    for place in largest {
        let deletion = &all[place];
        let item = &deletion.item;
        rows.push([
            bytes(item.bytes),
            used(item, pruning.now),
            deletion.rule.text().to_owned(),
            clean(&item.builder),
            id(item),
            what(item),
        ]);
    }
    let without: &[usize] = if several { &[] } else { &[3] };
    table(text, &rows, without, columns, paint);
    if !smaller.is_empty() {
        let sum: u64 = smaller.iter().map(|place| all[*place].item.bytes).sum();
        let (count, sum) = (smaller.len(), bytes(sum));
        let _ = writeln!(
            text,
            "… and {count} smaller ones with {sum}; --json shows all"
        );
    }
}

/// A record's id as far as it is needed to tell it from others; an image's name.
fn id(item: &Item) -> String {
    let name = clean(&item.name);
    match item.kind {
        Some(_) => name.chars().take(SHORT).collect(),
        None => name,
    }
}

/// Columns as wide as they need to be; those in `without` are left out. The last one ends where the terminal does.
pub(super) fn table<const N: usize>(
    text: &mut String,
    rows: &[[String; N]],
    without: &[usize],
    most: Option<u16>,
    paint: Paint,
) {
    let shown: Vec<usize> = (0..N).filter(|column| !without.contains(column)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| measure_text_width(&row[column]));
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = shown.iter().map(|column| width(*column)).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = shown
            .iter()
            .zip(&widths)
            .map(|(column, width)| {
                pad_str(&row[*column], *width, Alignment::Left, None).into_owned()
            })
            .collect();
        let line = cells.join("  ");
        let most = most.map_or(usize::MAX, usize::from);
        let line = truncate_str(line.trim_end(), most, "…");
        let line = if number == 0 {
            paint.dim(&line)
        } else {
            line.into_owned()
        };
        let _ = writeln!(text, "{line}");
    }
}

/// What stays, by why.
fn kept(text: &mut String, plan: &Plan, paint: Paint) {
    let mut sums: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for kept in &plan.kept {
        let sum = sums.entry(class(&kept.reason)).or_default();
        sum.0 += 1;
        sum.1 = sum.1.saturating_add(kept.item.bytes);
    }
    if sums.is_empty() {
        return;
    }
    let all = sums
        .values()
        .fold(0_u64, |all, (_, bytes)| all.saturating_add(*bytes));
    let _ = writeln!(text, "{}", paint.bold(&format!("Stays: {}", bytes(all))));
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
    let rows: Vec<[String; 3]> = sums
        .into_iter()
        .map(|(why, (count, sum))| [format!("  {}", bytes(sum)), counted(count), clean(&why)])
        .collect();
    let widths = [0, 1].map(|column: usize| {
        let cells = rows.iter().map(|row| measure_text_width(&row[column]));
        cells.max().unwrap_or(0)
    });
    let more = rows.len().saturating_sub(REASONS);
    for [size, count, why] in rows.into_iter().take(REASONS) {
        let size = pad_str(&size, widths[0], Alignment::Left, None);
        let count = pad_str(&count, widths[1], Alignment::Left, None);
        let _ = writeln!(text, "{size}  {}  {why}", paint.dim(&count));
    }
    if more > 0 {
        let _ = writeln!(
            text,
            "  … and less for {more} other reasons; --json shows all"
        );
    }
}

/// What is told of many at once.
fn class(reason: &Reason) -> String {
    match reason {
        Reason::Young { age_ms, .. } if *age_ms < 0 => reason.text(),
        Reason::Young { least_ms, .. } => {
            let least = std::time::Duration::from_millis(least_ms.unsigned_abs());
            format!(
                "used in the last {}",
                crate::config::units::format_duration(least)
            )
        }
        Reason::Child(_) => "something that stays stands on it".to_owned(),
        Reason::Container(_) => "a container was made from it".to_owned(),
        Reason::UnknownKind(_) => "of a kind that is not known".to_owned(),
        reason => reason.text(),
    }
}

pub(super) fn counted(items: usize) -> String {
    match items {
        1 => "1 item".to_owned(),
        items => format!("{items} items"),
    }
}

fn disk(pruning: &Pruning<'_>) -> String {
    match (&pruning.snapshot.disk, pruning.thresholds, pruning.unknown) {
        (Some(disk), Some(thresholds), _) => format!(
            "{}: {} free of {}; {}",
            clean(&disk.path),
            bytes(disk.free),
            bytes(disk.total),
            match pruning.wanted {
                Some(wanted) => format!("{} are wanted", bytes(wanted)),
                None => format!(
                    "pruned below {}, up to {}",
                    bytes(thresholds.start),
                    bytes(thresholds.until)
                ),
            }
        ),
        (_, _, reason) => format!(
            "What is free is not known{}",
            reason.map_or(String::new(), |reason| format!(": {}", clean(reason)))
        ),
    }
}

fn summary(pruning: &Pruning<'_>, paint: Paint) -> String {
    let plan = pruning.plan;
    let mut text = String::new();
    let missing = |text: &mut String| {
        if plan.missing > 0 {
            let _ = writeln!(
                text,
                "{} more would have to go than may; `prewarm prune --help` has what lets more go",
                paint.doubtful(&bytes(plan.missing))
            );
        }
    };
    if plan.deletions.is_empty() {
        let at_floor = plan.kept.iter().find_map(|kept| match kept.reason {
            Reason::Floor(floor) => Some(floor),
            _ => None,
        });
        if let Some(floor) = at_floor {
            let _ = writeln!(
                text,
                "Nothing may go: the caches are left {} (`prune.floor`); --max-cache goes below that.",
                bytes(floor)
            );
        } else if plan.missing == 0 {
            text.push_str(
                "Nothing needs to go; --free, --max-cache or --keep-newer-than ask for more.\n",
            );
        } else {
            text.push_str("Nothing may go.\n");
            missing(&mut text);
        }
        return text;
    }
    let (count, sum) = (counted(plan.deletions.len()), bytes(plan.bytes()));
    if pruning.executes {
        let head = format!("Deleting {count}, {sum} (plan {})", pruning.id);
        let _ = writeln!(text, "{}", paint.bold(&head));
        missing(&mut text);
        return text;
    }
    let _ = writeln!(
        text,
        "{}",
        paint.bold(&format!("Would delete {count}, {sum}"))
    );
    missing(&mut text);
    let _ = match pruning.kept {
        Some(id) => writeln!(
            text,
            "`prewarm prune --plan {id}` deletes exactly this, within a minute; the same command with --yes plans anew and deletes."
        ),
        None => writeln!(text, "The same command with --yes plans anew and deletes."),
    };
    text
}

fn of_report(report: &Report) -> String {
    let measured = match report.measured {
        None => "not measured".to_owned(),
        Some(grown) if grown < 0 => format!(
            "measured {} less free (others write to that disk, too)",
            bytes(grown.unsigned_abs())
        ),
        Some(grown) => format!("measured {}", bytes(grown.unsigned_abs())),
    };
    let mut text = format!(
        "{} deleted: planned {}, reported {}, {measured}\n",
        counted(report.items),
        bytes(report.planned),
        bytes(report.reported)
    );
    if report.stayed > 0 {
        let _ = writeln!(
            text,
            "{} stayed: in use, or used so recently that BuildKit keeps them",
            counted(report.stayed)
        );
    }
    if report.ended == Ended::Stopped {
        text.push_str("Stopped before everything was done.\n");
    }
    if let Some(reason) = &report.unjournalled {
        let _ = writeln!(text, "The journal lacks some of it: {}", clean(reason));
    }
    text
}

/// The command's JSON, part of its interface.
pub(super) fn document(pruning: &Pruning<'_>) -> Value {
    let plan = pruning.plan;
    let deletions = plan.deletions.iter();
    let kept = plan.kept.iter();
    json!({
        "plan": pruning.id,
        "bytes": plan.bytes(),
        "missing": plan.missing,
        "deletions": deletions.collect::<Vec<_>>(),
        "kept": kept.map(|kept| {
            let mut document = json!(kept);
            document["because"] = kept.reason.text().into();
            document
        }).collect::<Vec<_>>(),
        "disk": pruning.snapshot.disk.as_ref().zip(pruning.thresholds).map(|(disk, thresholds)| json!({
            "path": disk.path, "total": disk.total, "free": disk.free,
            "start": thresholds.start, "until": thresholds.until,
        })),
        "notes": pruning.notes,
        "report": pruning.report.map(|report| json!({
            "ended": match &report.ended {
                Ended::Done => "done",
                Ended::Enough => "enough",
                Ended::Stopped => "stopped",
                Ended::Building => "building",
                Ended::InVain => "in-vain",
                Ended::Failed(_) => "failed",
            },
            "planned": report.planned, "reported": report.reported, "measured": report.measured,
            "items": report.items, "stayed": report.stayed, "unjournalled": report.unjournalled,
        })),
    })
}

pub(super) fn used(item: &Item, now: i64) -> String {
    item.used.map_or_else(unknown, |used| ago(used, now))
}

pub(super) fn unknown() -> String {
    "unknown".to_owned()
}

fn what(item: &Item) -> String {
    if item.name == item.description {
        return String::new();
    }
    shortened(&item.description)
}

/// The beginning says what it is.
pub(super) fn shortened(text: &str) -> String {
    let text = text.strip_prefix("mount / from exec ").unwrap_or(text);
    let text = clean(text.strip_prefix("/bin/sh -c ").unwrap_or(text));
    truncate_str(&text, WHAT, "…").into_owned()
}
