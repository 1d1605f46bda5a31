//! Our lines in a hook's file: between two marks, with a digest that tells whether somebody edited them.
//!
//! Pure: from bytes to bytes. Whatever [`insert`] puts in, [`remove`] takes out again to the byte.

use std::ops::Range;

use super::spool;

/// How the files begin that are ours as a whole.
pub(super) const SHEBANG: &[u8] = b"#!/bin/sh\n";

const BEGIN_LINES: &str = "# >>> prewarm ";
const BEGIN_FILE: &str = "# >>> prewarm file ";
const BEGIN_END: &str = " >>>";
const END: &str = "# <<< prewarm <<<";
const ABOUT: &str = "# Leaves word for prewarm. `prewarm hooks uninstall` removes these lines.\n";

/// How much of a file is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// A few lines in a file of somebody else's.
    Lines,
    /// The file.
    File,
}

/// What a file holds of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    None,
    /// Our lines as we wrote them: from the first mark to the end of the last, without the newline.
    Ours(Extent, Range<usize>),
    /// Marks of ours, but not what we wrote.
    Edited,
}

/// Puts the marks around lines, which end in a newline; there is none after the last mark.
pub(super) fn marked(extent: Extent, lines: &[u8]) -> Vec<u8> {
    let body = [ABOUT.as_bytes(), lines].concat();
    let begin = begin(extent, &body);
    [begin.as_bytes(), b"\n", &body, END.as_bytes()].concat()
}

fn begin(extent: Extent, body: &[u8]) -> String {
    let prefix = match extent {
        Extent::Lines => BEGIN_LINES,
        Extent::File => BEGIN_FILE,
    };
    format!("{prefix}{}{BEGIN_END}", spool::hex(body))
}

/// Looks for our marks.
pub(super) fn find(content: &[u8]) -> Mark {
    let with = |start: &'static str| {
        lines(content).filter(move |line| content[line.clone()].starts_with(start.as_bytes()))
    };
    let (mut begins, mut ends) = (with(BEGIN_LINES), with(END));
    let (first, last) = match (begins.next(), begins.next(), ends.next(), ends.next()) {
        (None, _, None, _) => return Mark::None,
        (Some(first), None, Some(last), None) if first.end < last.start => (first, last),
        _ => return Mark::Edited,
    };
    let body = &content[first.end + 1..last.start];
    let is = |extent| &content[first.clone()] == begin(extent, body).as_bytes();
    let extent = if is(Extent::Lines) {
        Extent::Lines
    } else if is(Extent::File) {
        Extent::File
    } else {
        return Mark::Edited;
    };
    if &content[last.clone()] == END.as_bytes() {
        Mark::Ours(extent, first.start..last.end)
    } else {
        Mark::Edited
    }
}

/// The ranges of lines, without their newlines.
fn lines(content: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    content.split(|byte| *byte == b'\n').map(move |line| {
        let range = start..start + line.len();
        start = range.end + 1;
        range
    })
}

/// Puts our lines after the first line of a script, above everything that may `exec` or `exit`.
pub(super) fn insert(script: &[u8], block: &[u8]) -> Vec<u8> {
    match script.iter().position(|byte| *byte == b'\n') {
        Some(newline) => {
            let (shebang, rest) = script.split_at(newline + 1);
            [shebang, block, b"\n", rest].concat()
        }
        // A file without a last newline stays one.
        None => [script, b"\n", block].concat(),
    }
}

/// Puts other lines in the place of ours.
pub(super) fn replace(content: &[u8], at: &Range<usize>, block: &[u8]) -> Vec<u8> {
    [&content[..at.start], block, &content[at.end..]].concat()
}

/// Takes our lines out.
pub(super) fn remove(content: &[u8], at: &Range<usize>) -> Vec<u8> {
    let (before, after) = (&content[..at.start], &content[at.end..]);
    match after.strip_prefix(b"\n") {
        Some(after) => [before, after].concat(),
        None => before.strip_suffix(b"\n").unwrap_or(before).to_owned(),
    }
}
