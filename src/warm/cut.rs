//! Cutting a Dockerfile short. What stands before the cut keeps its cache keys.
//!
//! A failed build exports nothing, so what stands before the step that failed is built, which costs nothing, and exported.
//! And BuildKit builds a stage that has no name only where it is the last.

use crate::config::detect::stages;

/// The Dockerfile before the instruction that stands in `line` (from 1); its last stage is that instruction's. `None` where
/// nothing of that stage remains but its base image, or there is no such instruction.
pub(super) fn before(dockerfile: &[u8], line: u32) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(dockerfile).ok()?;
    let stage = stages(text).into_iter().rfind(|stage| stage.line <= line)?;
    let mut instructions = stage.instructions.iter();
    let failing = instructions
        .find(|instruction| (instruction.line..=instruction.end_line).contains(&line))?;
    let builds = |name: &str| matches!(name, "RUN" | "COPY" | "ADD" | "WORKDIR");
    let kept = stage
        .instructions
        .iter()
        .take_while(|instruction| instruction.line < failing.line);
    kept.into_iter()
        .any(|instruction| builds(&instruction.name))
        .then(|| lines_before(text, failing.line))
}

/// The Dockerfile to the end of the stage of this number (from 0), which becomes the last.
pub(super) fn after_stage(dockerfile: &str, number: usize) -> Vec<u8> {
    match stages(dockerfile).get(number + 1) {
        Some(next) => lines_before(dockerfile, next.line),
        None => dockerfile.as_bytes().to_vec(),
    }
}

fn lines_before(text: &str, line: u32) -> Vec<u8> {
    let lines = usize::try_from(line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    text.split_inclusive('\n')
        .take(lines)
        .collect::<String>()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = "\
# syntax=docker/dockerfile:1
FROM busybox AS deps
RUN one
FROM busybox
COPY a b
RUN two && \\
    three
RUN four
";

    fn until(text: &str) -> String {
        DOCKERFILE[..DOCKERFILE.find(text).expect("it is there")].to_owned()
    }

    #[test]
    fn what_stands_before_the_failing_instruction_remains() {
        for (line, expected) in [
            (8, Some(until("RUN four"))),
            (6, Some(until("RUN two"))),
            // In the middle of an instruction: its beginning counts.
            (7, Some(until("RUN two"))),
            // Only a base image would remain.
            (5, None),
            (3, None),
            // No instruction.
            (1, None),
            (99, None),
        ] {
            let cut = before(DOCKERFILE.as_bytes(), line);
            let text = cut.map(|cut| String::from_utf8(cut).expect("a part of UTF-8 lines"));
            assert_eq!(text, expected, "line {line}");
        }
    }

    #[test]
    fn a_stage_becomes_the_last_by_what_follows_going() {
        for (number, expected) in [
            (0, until("FROM busybox\nCOPY")),
            (1, DOCKERFILE.to_owned()),
            (7, DOCKERFILE.to_owned()),
        ] {
            assert_eq!(
                after_stage(DOCKERFILE, number),
                expected.as_bytes(),
                "stage {number}"
            );
        }
    }
}
