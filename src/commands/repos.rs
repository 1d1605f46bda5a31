//! `prewarm repos`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, Ended};
use crate::consent::{Grant, Store};
use crate::record::{Query, Records};
use crate::ui::text::{ago, clean};

pub(super) fn run(context: &Context<'_>) -> Ended {
    let world = context.world;
    let allowed = Store::at(world.paths.consent()).load()?;
    let now = world.now_ms();
    // A history that cannot be read tells nothing; the list is of use without it.
    let records = Records::open(&world.paths.database(), now / 1000).ok();
    let last_warm = |grant: &Grant| {
        let (records, _) = records.as_ref()?;
        let query = Query {
            repository: Some(grant.work_dir.display().to_string()),
            limit: 1,
        };
        Some(records.history(&query).ok()?.first()?.warm.started_at)
    };
    let mut text = String::new();
    let mut documents = Vec::new();
    for grant in allowed.grants() {
        let (last, missing) = (last_warm(grant), !grant.common_dir.is_dir());
        let shown = clean(&world.paths.shown(&grant.work_dir));
        let gone = if missing {
            "  (not there any more)"
        } else {
            ""
        };
        let warmed = last.map_or_else(
            || "never warmed".to_owned(),
            |at| format!("warmed {}", ago(at, now)),
        );
        let allowed = ago(grant.since, now);
        writeln!(text, "{shown}{gone}\n  allowed {allowed}, {warmed}")
            .expect("writing to a String never fails");
        documents.push(json!({
            "path": grant.work_dir.display().to_string(),
            "git_dir": grant.common_dir.display().to_string(),
            "since": grant.since,
            "last_warm": last,
            "approvals": grant.approved().len(),
            "missing": missing,
        }));
    }
    if text.is_empty() {
        text.push_str("No repository is allowed; `prewarm allow` does that.\n");
    }
    context
        .ui
        .result(&text, &json!({ "repositories": documents }))?;
    Ok(ExitCode::SUCCESS)
}
