//! A tolerant reader of Dockerfiles: stages and instructions with their lines.
//!
//! It decides nothing about a build (BuildKit does); it finds stages by name and places to cut. Its rules are those
//! of BuildKit's `frontend/dockerfile/parser`; where that refuses a file, this reads on.

use std::sync::LazyLock;

use regex::Regex;

/// One build stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name after `AS`, as written.
    pub name: Option<String>,
    /// The image or stage that it starts from, as written; empty where `FROM` names none.
    pub base: String,
    /// Line of its `FROM`, from 1.
    pub line: u32,
    /// What follows `FROM`, in order.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// First line, from 1.
    pub line: u32,
    /// Last line, with continuations and heredocs.
    pub end_line: u32,
    /// The instruction's word in capitals, such as `RUN`.
    pub name: String,
    /// What follows the word: continuation lines joined, heredocs appended as they are.
    pub text: String,
}

/// The stages of a Dockerfile, in order. What precedes the first `FROM` belongs to none.
#[must_use]
pub fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(text) {
        if instruction.name == "FROM" {
            stages.push(stage(&instruction));
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push(instruction);
        }
    }
    stages
}

/// The position of a stage by name, in any case, or else by number; of stages with one name the last.
#[must_use]
pub fn find_stage(stages: &[Stage], wanted: &str) -> Option<usize> {
    let named = |stage: &Stage| {
        stage
            .name
            .as_ref()
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let numbered = || wanted.parse().ok().filter(|number| *number < stages.len());
    stages.iter().rposition(named).or_else(numbered)
}

/// The frontend image that a Dockerfile asks for by `# syntax=`, or by the forms with `//` and JSON.
#[must_use]
pub fn syntax(text: &str) -> Option<String> {
    let text = body(text).1;
    let first_word = |value: String| value.split(' ').next().unwrap_or_default().to_owned();
    let json = || match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => object.get("syntax")?.as_str().map(str::to_owned),
        _ => None,
    };
    directive(text, "#", "syntax")
        .or_else(|| directive(text, "//", "syntax"))
        .map(first_word)
        .or_else(json)
}

/// Every image that some BuildKit may take for the frontend that a Dockerfile asks for: more than [`syntax`] finds, as
/// versions differ in where directives end.
#[must_use]
pub fn frontends(text: &str) -> Vec<String> {
    let mut found: Vec<String> = syntax(text).into_iter().collect();
    for line in body(text).1.lines().map(str::trim) {
        let comment = line.strip_prefix('#').or_else(|| line.strip_prefix("//"));
        let Some(comment) = comment else {
            if line.is_empty() {
                continue;
            }
            break;
        };
        if let Some((name, value)) = comment.split_once('=')
            && name.trim().eq_ignore_ascii_case("syntax")
        {
            found.extend(value.split_whitespace().next().map(str::to_owned));
        }
    }
    found
}

/// A parser directive's value. Directives come before everything else, each in a comment of its own.
fn directive(text: &str, comment: &str, wanted: &str) -> Option<String> {
    for line in text.lines() {
        let (name, value) = line.strip_prefix(comment)?.split_once('=')?;
        let name = name.trim();
        if !["syntax", "escape", "check"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            return None;
        }
        let value = value.trim();
        if name.eq_ignore_ascii_case(wanted) && !value.is_empty() {
            return Some(value.to_owned());
        }
    }
    None
}

/// The text without byte order mark and `#!` line, and how many lines that takes away.
fn body(text: &str) -> (u32, &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (1, rest),
        _ => (0, text),
    }
}

fn stage(from: &Instruction) -> Stage {
    let mut words = from
        .text
        .split_whitespace()
        .skip_while(|word| word.starts_with("--"));
    let base = words.next().unwrap_or_default().to_owned();
    let named = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("as"));
    let name = words.next().filter(|_| named).map(str::to_owned);
    Stage {
        name,
        base,
        line: from.line,
        instructions: Vec::new(),
    }
}

fn instructions(text: &str) -> Vec<Instruction> {
    let (skipped, text) = body(text);
    let escape = if directive(text, "#", "escape").as_deref() == Some("`") {
        '`'
    } else {
        '\\'
    };
    let mut lines = text.lines().zip(skipped + 1..);
    let mut instructions = Vec::new();
    while let Some((first, line)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        let (part, mut more) = continued(first, escape);
        let mut logical = part.to_owned();
        let mut end_line = line;
        while more {
            let Some((next, number)) = lines.next() else {
                break;
            };
            end_line = number;
            // Comments and blank lines do not end a continuation.
            if next.trim().is_empty() || next.trim_start().starts_with('#') {
                continue;
            }
            let (part, goes_on) = continued(next, escape);
            logical.push_str(part);
            more = goes_on;
        }
        let (name, rest) = logical
            .split_once(char::is_whitespace)
            .unwrap_or((&logical, ""));
        let name = name.to_ascii_uppercase();
        let mut text = rest.trim().to_owned();
        if matches!(name.as_str(), "RUN" | "COPY" | "ADD") {
            for heredoc in heredocs(&text, escape) {
                for (body, number) in lines.by_ref() {
                    end_line = number;
                    let candidate = if heredoc.tabs {
                        body.trim_start_matches('\t')
                    } else {
                        body
                    };
                    if candidate == heredoc.name {
                        break;
                    }
                    text.push('\n');
                    text.push_str(body);
                }
            }
        }
        instructions.push(Instruction {
            line,
            end_line,
            name,
            text,
        });
    }
    instructions
}

/// A line without its continuation mark, and whether it had one. A doubled mark is text.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line
        .trim_end_matches([' ', '\t', '\r'])
        .strip_suffix(escape)
    {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

struct Heredoc {
    name: String,
    /// `<<-`: leading tabs of the body do not count.
    tabs: bool,
}

/// The heredocs that an instruction opens, in order: words such as `<<EOF`, `<<-"EOF"` or `3<<EOF`.
fn heredocs(text: &str, escape: char) -> Vec<Heredoc> {
    static OPENING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[0-9]*<<(-?)([^<]+)$").expect("a constant pattern is valid")
    });
    if !text.contains("<<") {
        return Vec::new();
    }
    let openings = words(text, escape);
    let openings = openings.iter().filter_map(|word| OPENING.captures(word));
    openings
        .map(|opening| Heredoc {
            name: opening[2].replace(['"', '\''], ""),
            tabs: !opening[1].is_empty(),
        })
        .filter(|heredoc| !heredoc.name.is_empty())
        .collect()
}

/// Splits at blanks outside of quotes; quotes stay.
fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if quote.is_none() && c.is_whitespace() {
            words.push(String::new());
            continue;
        }
        let word = words.last_mut().expect("there is a word from the start");
        word.push(c);
        match quote {
            _ if c == escape && quote != Some('\'') => word.extend(characters.next()),
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests;
