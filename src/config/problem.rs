//! What is wrong with a configuration file: every problem, each with its place and what to write instead.

use std::fmt;
use std::io;
use std::ops::Range;

use serde::Serialize;

use crate::error::{Kind, Remedy};

/// Longest source line that is shown, in characters.
const EXCERPT: usize = 100;

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as people read it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The key as a dotted path, such as `target.builder.stage`; empty for a syntax error.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The line it is about, without its indentation.
    pub excerpt: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        if !self.excerpt.is_empty() {
            write!(formatter, "\n    | {}", self.excerpt)?;
        }
        if let Some(help) = &self.help {
            write!(formatter, "\n    = {help}")?;
        }
        Ok(())
    }
}

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file cannot be read at all.
    #[error("cannot read the configuration {file}")]
    Unreadable {
        /// The file, as people read it.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file says things that are wrong; at least one.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigErrors {
    /// The problems in the file's order; none when it could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid(problems) => problems,
        }
    }
}

impl Remedy for ConfigErrors {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Longest document in bytes. No configuration is longer; what is, is some other file, and not worth the reading.
pub(super) const LONGEST: usize = 64 << 10;

/// Refuses a document by its length.
pub(super) fn check_length(file: &str, length: usize) -> Result<(), ConfigErrors> {
    if length <= LONGEST {
        return Ok(());
    }
    Err(ConfigErrors::Unreadable {
        file: file.to_owned(),
        source: io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 KiB"),
    })
}

/// A configuration text and the name that its problems are reported under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'d> {
    pub(super) file: &'d str,
    pub(super) text: &'d str,
}

impl Source<'_> {
    /// The line, from 1, in which a byte is.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let before = self
            .text
            .as_bytes()
            .get(..offset)
            .unwrap_or(self.text.as_bytes());
        u32::try_from(before.split(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
    }

    /// A problem at a range of bytes. What came from the file is made safe to print on a terminal.
    pub(super) fn problem(
        &self,
        at: &Range<usize>,
        key: &str,
        message: &str,
        help: Option<&str>,
    ) -> Problem {
        let mut start = at.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let (before, after) = self.text.split_at(start);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after
            .find('\n')
            .map_or(self.text.len(), |newline| start + newline);
        Problem {
            file: self.file.to_owned(),
            line: self.line(start),
            column: u32::try_from(before[begin..].chars().count() + 1).unwrap_or(u32::MAX),
            key: printable(key),
            message: printable(message),
            help: help.map(printable),
            excerpt: excerpt(&self.text[begin..end]),
        }
    }
}

fn excerpt(line: &str) -> String {
    let line = printable(line.trim());
    if line.chars().count() <= EXCERPT {
        return line;
    }
    line.chars().take(EXCERPT).chain(['…']).collect()
}

/// A repository's file is somebody else's text: control and direction characters must not reach the terminal.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|c| {
            if hidden(c) {
                c.escape_unicode().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source {
            file: "f",
            text: "a = 1\n  é = \"ü\" x\n",
        };
        let at = source.text.find('x').expect("there is one");
        let problem = source.problem(&(at..at + 1), "é", "wrong", None);
        assert_eq!(
            (problem.line, problem.column, problem.excerpt.as_str()),
            (2, 11, "é = \"ü\" x")
        );
    }

    #[test]
    fn places_outside_of_the_text_are_its_end() {
        let source = Source {
            file: "f",
            text: "a\nb",
        };
        let problem = source.problem(&(99..100), "", "wrong", None);
        assert_eq!((problem.line, problem.column), (2, 2));
    }

    #[test]
    fn nothing_from_the_file_drives_the_terminal() {
        let source = Source {
            file: "f",
            text: "\u{1b}[2Jx\u{202e}",
        };
        insta::assert_snapshot!(source.problem(&(0..1), "k", "bad \u{7}", None), @r"
        f:1:1: bad \u{7}
            | \u{1b}[2Jx\u{202e}
        ");
    }
}
