//! The disk for people: how much is free, what the last prune freed, and what is in the way of more.

use std::fmt::Write as _;

use super::paint::Paint;
use super::text::{ago, bytes, clean};
use crate::prune::checked::{CacheUse, Checked, DiskUse, LastPrune, State};

/// What a look at the disk came to; `now` in Unix milliseconds.
pub(super) fn human(checked: &Checked, now: i64, paint: Paint) -> String {
    let mut text = String::new();
    let when = ago(checked.at, now);
    let (room, limits) = match &checked.disk {
        Some(disk) => (room(disk, checked.state, paint), limits(disk)),
        None => ("free space unknown".to_owned(), String::new()),
    };
    let _ = writeln!(text, "{}  {room}, {when}{limits}", paint.bold("disk"));
    let caches = caches(&checked.caches, checked.max_cache);
    let last = checked.last.as_ref().map(|last| pruned(last, now));
    let said: Vec<_> = caches.into_iter().chain(last).collect();
    if !said.is_empty() {
        let _ = writeln!(text, "  {}", said.join("; "));
    }
    let reason = checked.reason.as_deref().map(clean);
    let because = reason.map_or(String::new(), |reason| format!(": {reason}"));
    match checked.state {
        State::Enough | State::Pruned => {}
        State::Waiting => {
            let _ = writeln!(text, "  {}{because}", paint.doubtful("pruning waits"));
        }
        State::Unknown => {
            let _ = writeln!(text, "  {}{because}", paint.doubtful("not pruned"));
            let limit = "`max_cache` under `[prune]` in your configuration limits what caches take";
            hint(&mut text, limit, paint);
        }
        State::Failed => {
            let _ = writeln!(text, "  {}{because}", paint.bad("pruning failed"));
            hint(&mut text, "`prewarm prune` tries it, and tells more", paint);
        }
        State::Short => {
            let _ = writeln!(text, "  {}{because}", paint.bad("nothing more may go"));
            holders(&mut text, checked);
            hint(
                &mut text,
                "`prewarm prune` shows what stays and why, and takes other limits; `docker system df` shows what else \
                 the Engine keeps",
                paint,
            );
        }
    }
    text
}

fn room(disk: &DiskUse, state: State, paint: Paint) -> String {
    let free = format!("{} free", bytes(disk.free));
    let free = match state {
        State::Short => paint.bad(&free),
        _ if disk.free < disk.start => paint.doubtful(&free),
        _ => free,
    };
    format!("{free} of {} ({})", bytes(disk.total), clean(&disk.path))
}

fn limits(disk: &DiskUse) -> String {
    let (start, until) = (bytes(disk.start), bytes(disk.until));
    format!("; pruned below {start}, up to {until}")
}

/// What the caches have.
fn caches(caches: &[CacheUse], limit: Option<u64>) -> Option<String> {
    let sum = |of: fn(&CacheUse) -> u64| {
        let sizes = caches.iter().map(of);
        bytes(sizes.fold(0, u64::saturating_add))
    };
    let most = limit.map_or(String::new(), |limit| {
        format!(" of at most {}", bytes(limit))
    });
    (!caches.is_empty()).then(|| {
        let (all, prunable) = (sum(|cache| cache.bytes), sum(|cache| cache.prunable_bytes));
        format!("caches {all}{most}, {prunable} may go")
    })
}

/// The last prune. What BuildKit says was freed and what the disk has gained differ, so that both are shown.
fn pruned(last: &LastPrune, now: i64) -> String {
    let items = match last.items {
        1 => "1 item".to_owned(),
        items => format!("{items} items"),
    };
    let measured = match last.measured {
        None => "not measured".to_owned(),
        Some(gained) if gained < 0 => {
            format!("measured {} less free", bytes(gained.unsigned_abs()))
        }
        Some(gained) => format!("measured {}", bytes(gained.unsigned_abs())),
    };
    format!(
        "last pruned {}: {items}, planned {}, reported {}, {measured}",
        ago(last.at, now),
        bytes(last.planned),
        bytes(last.reported)
    )
}

/// What holds the space.
fn holders(text: &mut String, checked: &Checked) {
    for holder in &checked.holders {
        let _ = writeln!(
            text,
            "    {:>8}  {}: {}",
            bytes(holder.bytes),
            clean(&holder.what),
            clean(&holder.by)
        );
    }
}

fn hint(text: &mut String, remedy: &str, paint: Paint) {
    let _ = writeln!(text, "  {} {remedy}", paint.bold("hint:"));
}
