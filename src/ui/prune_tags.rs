//! Tags of registries that go, and those that stay, as a table for each cache repository.

use std::fmt::Write;

use console::{Alignment, measure_text_width, pad_str};
use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{ago, bytes, clean};
use crate::prune::tags::{Decision, Fate, Kind, Plan};

const HEADER: [&str; 5] = ["", "TAG", "SIZE", "MADE", "WHY"];

pub(super) fn human(plans: &[Plan], executed: bool, now: i64, paint: Paint) -> String {
    let mut text = String::new();
    for plan in plans {
        let _ = writeln!(text, "{}", paint.bold(&plan.repository.to_string()));
        table(&mut text, plan, now, paint);
        let others = others(plan);
        if others > 0 {
            let what = if others == 1 { "tag" } else { "tags" };
            let _ = writeln!(text, "and {others} {what} of another kind, which never go");
        }
        text.push('\n');
    }
    let count = |fate| plans.iter().map(|plan| plan.count(fate)).sum::<usize>();
    let size = |fate| {
        plans
            .iter()
            .map(|plan| plan.bytes(fate))
            .fold(0, u64::saturating_add)
    };
    let say = |fate, verb| {
        let (count, size) = (count(fate), bytes(size(fate)));
        let tags = if count == 1 { "tag" } else { "tags" };
        format!(
            "{count} {tags} {verb}, at most {size}: caches share layers, and a registry frees space only by its own \
             garbage collection."
        )
    };
    let summary = match (executed, count(Fate::Goes), count(Fate::Deleted)) {
        (false, 0, _) | (true, _, 0) if count(Fate::Failed) == 0 => "Nothing is to go.".to_owned(),
        (false, ..) => {
            let goes = say(Fate::Goes, "would go");
            format!("{goes}\nThe same with --yes deletes them: `prewarm prune --registry --yes`")
        }
        (true, ..) => {
            let deleted = say(Fate::Deleted, "deleted");
            match count(Fate::Failed) {
                0 => deleted,
                failed => format!("{deleted}\nNot deleted: {failed}."),
            }
        }
    };
    let _ = writeln!(text, "{summary}");
    text
}

/// Tags that are nobody's business here.
fn others(plan: &Plan) -> usize {
    let others = plan.decisions.iter().filter(|it| is_other(it));
    others.count()
}

fn is_other(decision: &Decision) -> bool {
    matches!(decision.kind, Kind::Other | Kind::Inputs)
}

/// What goes first, then what stays; by name.
fn table(text: &mut String, plan: &Plan, now: i64, paint: Paint) {
    let shown = plan.decisions.iter().filter(|it| !is_other(it));
    let mut shown: Vec<&Decision> = shown.collect();
    shown.sort_by_key(|it| it.fate);
    if shown.is_empty() {
        text.push_str("no caches\n");
        return;
    }
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(shown.iter().map(|it| cells(it, now)));
    let width = |column: usize| {
        let widths = rows.iter().map(|row| measure_text_width(&row[column]));
        widths.max().unwrap_or(0)
    };
    let widths: [usize; HEADER.len()] = std::array::from_fn(width);
    for (number, row) in rows.iter().enumerate() {
        let fate = number.checked_sub(1).map(|index| shown[index].fate);
        let mut line = Vec::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = pad_str(cell, width, Alignment::Left, None);
            line.push(match (fate, column) {
                (None, _) => paint.dim(&cell),
                (Some(Fate::Goes | Fate::Deleted), 0) => paint.doubtful(&cell),
                (Some(Fate::Failed), 0) => paint.bad(&cell),
                _ => cell.into_owned(),
            });
        }
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
}

fn cells(decision: &Decision, now: i64) -> [String; HEADER.len()] {
    let fate = match decision.fate {
        Fate::Goes => "goes",
        Fate::Deleted => "deleted",
        Fate::Failed => "failed",
        Fate::Stays => "stays",
    };
    [
        fate.to_owned(),
        clean(&decision.tag),
        decision.bytes.map_or_else(String::new, bytes),
        decision
            .made
            .map_or_else(String::new, |made| ago(made, now)),
        clean(&decision.reason),
    ]
}

/// `{"repositories": [{"repository", "tags": [{"tag", "kind", "decision", "reason", "digest", "bytes", "made"}], "bytes"}],
/// "executed"}`, part of the command line's interface.
pub(super) fn document(plans: &[Plan], executed: bool) -> Value {
    let fate = if executed { Fate::Deleted } else { Fate::Goes };
    let repositories = plans.iter().map(|plan| {
        json!({
            "repository": plan.repository.to_string(),
            "tags": plan.decisions,
            "bytes": plan.bytes(fate),
        })
    });
    json!({"repositories": repositories.collect::<Vec<_>>(), "executed": executed})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Digest, Repository};

    const NOW: i64 = 1_795_000_000_000;

    fn decision(tag: &str, kind: Kind, fate: Fate, reason: &str) -> Decision {
        let cache = matches!(kind, Kind::Branch | Kind::Key);
        Decision {
            tag: tag.to_owned(),
            kind,
            fate,
            reason: reason.to_owned(),
            digest: cache.then(|| Digest::of(tag.as_bytes())),
            bytes: cache.then_some(12_400_000),
            made: cache.then_some(NOW - 40 * 86_400_000),
        }
    }

    fn plan(decisions: Vec<Decision>) -> Vec<Plan> {
        let repository = Repository::parse("ghcr.io/acme/app").expect("a repository");
        vec![Plan {
            repository,
            decisions,
        }]
    }

    fn shown(plans: &[Plan], executed: bool) -> String {
        human(plans, executed, NOW, Paint { color: false })
    }

    #[test]
    fn a_plan_says_what_goes_what_stays_and_how_to_go_on() {
        let plans = plan(vec![
            decision(
                "builder-cache-a",
                Kind::Branch,
                Fate::Stays,
                "the branch a is there",
            ),
            decision(
                "builder-cache-gone",
                Kind::Branch,
                Fate::Goes,
                "its branch is gone",
            ),
            decision("builder-cache-i-1", Kind::Inputs, Fate::Stays, "small"),
            decision("latest", Kind::Other, Fate::Stays, "other"),
        ]);
        insta::assert_snapshot!(shown(&plans, false), @r"
        ghcr.io/acme/app
               TAG                 SIZE     MADE         WHY
        goes   builder-cache-gone  12.4 MB  40 days ago  its branch is gone
        stays  builder-cache-a     12.4 MB  40 days ago  the branch a is there
        and 2 tags of another kind, which never go

        1 tag would go, at most 12.4 MB: caches share layers, and a registry frees space only by its own garbage collection.
        The same with --yes deletes them: `prewarm prune --registry --yes`
        ");
        let document = document(&plans, false);
        let repository = &document["repositories"][0];
        assert_eq!(
            (
                &document["executed"],
                &repository["repository"],
                &repository["bytes"]
            ),
            (
                &json!(false),
                &json!("ghcr.io/acme/app"),
                &json!(12_400_000)
            )
        );
        assert_eq!(repository["tags"].as_array().map(Vec::len), Some(4));
        assert_eq!(
            repository["tags"][1],
            json!({
                "tag": "builder-cache-gone",
                "kind": "branch",
                "decision": "goes",
                "reason": "its branch is gone",
                "digest": Digest::of(b"builder-cache-gone").as_str(),
                "bytes": 12_400_000,
                "made": NOW - 40 * 86_400_000,
            })
        );
    }

    #[test]
    fn a_result_says_what_went_and_what_did_not() {
        let plans = plan(vec![
            decision(
                "builder-cache-gone",
                Kind::Branch,
                Fate::Deleted,
                "its branch is gone",
            ),
            decision(
                "builder-cache-k-1",
                Kind::Key,
                Fate::Failed,
                "not tried: \u{1b}[31mno",
            ),
        ]);
        insta::assert_snapshot!(shown(&plans, true), @r"
        ghcr.io/acme/app
                 TAG                 SIZE     MADE         WHY
        deleted  builder-cache-gone  12.4 MB  40 days ago  its branch is gone
        failed   builder-cache-k-1   12.4 MB  40 days ago  not tried: no

        1 tag deleted, at most 12.4 MB: caches share layers, and a registry frees space only by its own garbage collection.
        Not deleted: 1.
        ");
    }

    #[test]
    fn nothing_to_do_is_said_shortly() {
        insta::assert_snapshot!(shown(&plan(Vec::new()), false), @r"
        ghcr.io/acme/app
        no caches

        Nothing is to go.
        ");
    }
}
