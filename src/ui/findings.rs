//! What an examination found: a line for each thing, and what to do below it.

use std::fmt::Write;

use console::{Alignment, measure_text_width, pad_str};
use serde_json::{Value, json};

use super::paint::Paint;
use super::text::clean;
use crate::doctor::{Finding, State};

/// The width of the longest state.
const STATE: usize = 7;

pub(super) fn human(findings: &[Finding], paint: Paint) -> String {
    let width = findings
        .iter()
        .map(|finding| measure_text_width(&finding.name))
        .max()
        .unwrap_or_default();
    let indent = " ".repeat(STATE + width + 4);
    let mut text = String::new();
    for finding in findings {
        let state = pad_str(word(finding.state), STATE, Alignment::Left, None);
        let name = clean(&finding.name);
        let name = pad_str(&name, width, Alignment::Left, None);
        let mut lines = finding.seen.lines().map(clean);
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(
            text,
            "{}  {name}  {first}",
            colored(finding.state, &state, paint)
        );
        for line in lines {
            let _ = writeln!(text, "{indent}{line}");
        }
        for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
            let _ = writeln!(text, "{indent}{} {}", paint.bold("→"), clean(line));
        }
    }
    let (failed, warned) = (count(findings, State::Fail), count(findings, State::Warn));
    let summary = match (failed, warned) {
        (0, 0) => "All is well.".to_owned(),
        (0, warned) => format!("Nothing fails; warnings: {warned}."),
        (failed, 0) => format!("Failures: {failed}."),
        (failed, warned) => format!("Failures: {failed}; warnings: {warned}."),
    };
    let _ = writeln!(text, "\n{summary}");
    text
}

/// `{"findings": [{"name", "state", "seen", "remedy"}], "failed", "warned"}`, part of the command line's interface.
pub(super) fn document(findings: &[Finding]) -> Value {
    json!({
        "findings": findings,
        "failed": count(findings, State::Fail),
        "warned": count(findings, State::Warn),
    })
}

fn count(findings: &[Finding], state: State) -> usize {
    let with = findings.iter().filter(|finding| finding.state == state);
    with.count()
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "fail",
        State::Unknown => "unknown",
    }
}

fn colored(state: State, text: &str, paint: Paint) -> String {
    match state {
        State::Ok => paint.good(text),
        State::Warn => paint.doubtful(text),
        State::Fail => paint.bad(text),
        State::Unknown => paint.dim(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_stand_below_what_they_cure() {
        let findings = [
            Finding::ok("git", "git version 2.47.3"),
            Finding::fail(
                "cache r/\u{1b}[31mx",
                "asks for a login\nsecond line",
                "log in",
            ),
            Finding::unknown("service", "not installed"),
        ];
        insta::assert_snapshot!(human(&findings, Paint { color: false }), @r"
        ok       git        git version 2.47.3
        fail     cache r/x  asks for a login
                            second line
                            → log in
        unknown  service    not installed

        Failures: 1.
        ");
        assert!(human(&findings[..1], Paint { color: false }).ends_with("\nAll is well.\n"));
        assert_eq!(
            document(&findings[1..2]),
            json!({
                "findings": [{
                    "name": "cache r/\u{1b}[31mx", "state": "fail", "seen": "asks for a login\nsecond line", "remedy": "log in",
                }],
                "failed": 1,
                "warned": 0,
            })
        );
    }
}
