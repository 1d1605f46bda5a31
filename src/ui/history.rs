//! The history as a table.

use std::time::Duration;

use console::{Alignment, measure_text_width, pad_str};

use super::paint::Paint;
use super::summary::Verdict;
use super::text::{ago, bytes, clean, duration};
use crate::record::{HistoryRow, Lead, State};

const HEADER: [&str; COLUMNS] = [
    "WHEN", "TARGET", "OUTCOME", "COMMIT", "STEPS", "EXPORTED", "TIME", "LEAD", "TAGS",
];
const COLUMNS: usize = 9;
/// The column that is painted by what it says.
const OUTCOME: usize = 2;
/// Digits that git shows of a commit by default.
const COMMIT_DIGITS: usize = 7;

/// One line per warm under a header; `now` in Unix milliseconds.
pub(super) fn human(rows: &[HistoryRow], leads: &[Lead], now: i64, paint: Paint) -> String {
    if rows.is_empty() {
        return "nothing was warmed yet\n".to_owned();
    }
    let table: Vec<[String; COLUMNS]> = rows
        .iter()
        .map(|row| cells(row, rows, leads, now))
        .collect();
    let header = HEADER.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADER.len())
        .map(|column| {
            let cells = std::iter::once(&header).chain(&table);
            cells
                .map(|cells| measure_text_width(&cells[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String; COLUMNS], painted: &dyn Fn(usize, &str) -> String| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                painted(column, &pad_str(cell, *width, Alignment::Left, None))
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut text = line(&header, &|_, cell| paint.dim(cell));
    for (row, cells) in rows.iter().zip(&table) {
        text.push_str(&line(cells, &|column, cell| match row.state {
            State::Finished(outcome) if column == OUTCOME => {
                Verdict::from(outcome).paint(cell, paint)
            }
            State::Interrupted if column == OUTCOME => paint.doubtful(cell),
            _ => cell.to_owned(),
        }));
    }
    text
}

fn cells(row: &HistoryRow, rows: &[HistoryRow], leads: &[Lead], now: i64) -> [String; COLUMNS] {
    let warm = &row.warm;
    let outcome = match row.state {
        State::Running => "running",
        State::Interrupted => "interrupted",
        State::Finished(outcome) => outcome.name(),
    };
    let steps = match (
        row.steps_cached,
        row.steps_total.saturating_sub(row.steps_cached),
    ) {
        (0, 0) => String::new(),
        (cached, run) => format!("{cached} cached, {run} run"),
    };
    let time = row.finished_at.map_or(String::new(), |finished| {
        duration(Duration::from_millis(
            u64::try_from(finished - warm.started_at).unwrap_or(0),
        ))
    });
    [
        ago(warm.started_at, now),
        target(row, rows),
        outcome.to_owned(),
        warm.commit.as_deref().map_or_else(
            || clean(&warm.source),
            |commit| clean(commit).chars().take(COMMIT_DIGITS).collect(),
        ),
        steps,
        if row.exported_bytes == 0 {
            String::new()
        } else {
            bytes(row.exported_bytes)
        },
        time,
        lead(row, leads),
        tags(&row.references),
    ]
}

/// By how much its cache was there before the first push that needed it.
fn lead(row: &HistoryRow, leads: &[Lead]) -> String {
    let mut of_row = leads.iter().filter(|lead| lead.warm == Some(row.id));
    let Some(ms) = of_row.next_back().and_then(|lead| lead.lead_ms) else {
        return String::new();
    };
    let time = duration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("{time} late") } else { time }
}

/// `repository/target`, with the platform where the table has the target on several.
fn target(row: &HistoryRow, rows: &[HistoryRow]) -> String {
    let warm = &row.warm;
    let name = format!(
        "{}/{}",
        repository(&warm.repository, rows),
        clean(&warm.target)
    );
    let several = rows.iter().any(|other| {
        other.warm.repository == warm.repository
            && other.warm.target == warm.target
            && other.warm.platform != warm.platform
    });
    if several {
        format!("{name} {}", clean(&warm.platform))
    } else {
        name
    }
}

/// The repository's own name, or its whole path where another one in the table is called the same.
fn repository(path: &str, rows: &[HistoryRow]) -> String {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let shared = rows
        .iter()
        .any(|row| row.warm.repository != path && name(&row.warm.repository) == name(path));
    clean(&if shared { path.to_owned() } else { name(path) })
}

/// The last reference's tag, which is the branch's, and how many there are besides.
fn tags(references: &[String]) -> String {
    let Some((last, others)) = references.split_last() else {
        return String::new();
    };
    let tag = clean(last.rsplit(':').next().unwrap_or(last));
    if others.is_empty() {
        tag
    } else {
        format!("{tag} (+{})", others.len())
    }
}
