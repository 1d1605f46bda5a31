//! How an error is shown: what failed, why, and what to do next.

use std::fmt::Write;

use serde_json::{Value, json};

use super::paint::Paint;
use super::text::clean;
use crate::error::{Error, Kind};

/// `error: …`, its causes indented, then hints. Further lines of a message stay lines.
pub(super) fn human(error: &Error, paint: Paint) -> String {
    let mut text = String::new();
    add(&mut text, &paint.bad("error:"), &error.message);
    for cause in &error.causes {
        add(&mut text, "  because", cause);
    }
    for hint in &error.hints {
        add(&mut text, &paint.bold("hint:"), hint);
    }
    text
}

fn add(text: &mut String, label: &str, message: &str) {
    let mut lines = message.lines().map(clean);
    let first = lines.next().unwrap_or_default();
    let _ = writeln!(text, "{label} {first}");
    for line in lines {
        let _ = writeln!(text, "    {line}");
    }
}

/// `{"error": {"kind", "message", "causes", "hints"}}`, part of the command line's interface.
pub(super) fn document(error: &Error) -> Value {
    let kind = match error.kind {
        Kind::Work => "work",
        Kind::Usage => "usage",
        Kind::Environment => "environment",
        Kind::NotPushed => "not-pushed",
        Kind::NeedsApproval => "needs-approval",
        Kind::Unsettled => "unsettled",
        Kind::Internal => "internal",
        Kind::Signal(_) => "signal",
    };
    json!({"error": {
        "kind": kind,
        "message": error.message,
        "causes": error.causes,
        "hints": error.hints,
    }})
}
