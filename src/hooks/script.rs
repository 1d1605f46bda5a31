//! What kind of program a hook of somebody else's is, by its bytes.

use std::path::Path;

use super::Event;

/// Shells in whose scripts our lines can stand.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "zsh", "ksh"];

/// Options of theirs that our lines do not mind. Others wrap: `-x` would show our lines, `-r` would refuse them.
const OPTIONS: &str = "abefhkmuCE";

/// How a program can live with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// A shell script that can hold our lines.
    Shell,
    /// A program that must stay as it is, but may have another name.
    Other,
    /// Git LFS's own hook: `git lfs install` knows it by its exact text.
    GitLfs,
    /// A program that asks by which name it was called, and must keep it.
    Named,
    /// A script whose first line ends in CR LF, which the kernel cannot start.
    CarriageReturn,
}

impl Script {
    pub(super) fn of(content: &[u8], event: Event) -> Self {
        let Some(rest) = content.strip_prefix(b"#!") else {
            return Self::Other;
        };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
        if line.ends_with(b"\r") {
            return Self::CarriageReturn;
        }
        if contains(content, b"overcommit") {
            return Self::Named;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            return Self::Other;
        };
        if !is_shell(line) {
            return Self::Other;
        }
        if is_git_lfs(rest, event) {
            return Self::GitLfs;
        }
        Self::Shell
    }
}

/// Whether a shebang's words name a shell, directly or through `env`.
fn is_shell(line: &str) -> bool {
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let mut program = words.next().map(base).unwrap_or_default();
    if program == "env" {
        let mut next = words.next().unwrap_or_default();
        if next == "-S" {
            next = words.next().unwrap_or_default();
        }
        program = base(next);
    }
    let harmless = |word: &str| {
        word.strip_prefix('-').is_some_and(|flags| {
            !flags.is_empty() && flags.chars().all(|flag| OPTIONS.contains(flag))
        })
    };
    SHELLS.contains(&program) && words.all(harmless)
}

fn base(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// Whether a script does what one of Git LFS's templates does, and nothing else.
fn is_git_lfs(script: &[u8], event: Event) -> bool {
    let Ok(script) = std::str::from_utf8(script) else {
        return false;
    };
    let call = format!("git lfs {} \"$@\"", event.name());
    let mut code = script
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    code.peek().is_some()
        && code
            .all(|line| line == call || line.starts_with("command -v git-lfs >/dev/null 2>&1 ||"))
}

fn contains(content: &[u8], word: &[u8]) -> bool {
    content.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_known_by_their_first_line() {
        for (line, expected) in [
            ("#!/bin/sh", Script::Shell),
            ("#! /bin/sh -e", Script::Shell),
            ("#!/usr/bin/env bash", Script::Shell),
            ("#!/usr/bin/env -S bash -eu", Script::Shell),
            ("#!/usr/local/bin/zsh -f", Script::Shell),
            ("#!/bin/ksh", Script::Shell),
            ("#!/bin/bash -x", Script::Other),
            ("#!/bin/bash -r", Script::Other),
            ("#!/bin/bash --posix", Script::Other),
            ("#!/bin/bash -", Script::Other),
            ("#!/usr/bin/env python3", Script::Other),
            ("#!/usr/bin/perl", Script::Other),
            ("#!/bin/busybox sh", Script::Other),
            ("#!/usr/bin/env", Script::Other),
            ("#!", Script::Other),
            ("", Script::Other),
            ("echo no shebang", Script::Other),
            ("\u{7f}ELF", Script::Other),
            ("#!/bin/sh\r", Script::CarriageReturn),
            ("#!/usr/bin/env python3\r", Script::CarriageReturn),
        ] {
            for rest in ["", "\n", "\nexit 1\r\n"] {
                let content = format!("{line}{rest}");
                assert_eq!(
                    Script::of(content.as_bytes(), Event::PrePush),
                    expected,
                    "{content:?}"
                );
            }
        }
    }

    #[test]
    fn git_lfs_is_known_by_its_whole_text() {
        let event = Event::PostMerge;
        let guard = "command -v git-lfs >/dev/null 2>&1 || { printf >&2 \"\\n%s\\n\\n\" \"This repository is configured for Git LFS but 'git-lfs' was not found on your path.\"; exit 2; }";
        let call = "git lfs post-merge \"$@\"";
        for (text, expected) in [
            (format!("#!/bin/sh\n{guard}\n{call}\n"), Script::GitLfs),
            (format!("#!/bin/sh\n{call}"), Script::GitLfs),
            (format!("#!/bin/sh\n{guard}\n{call}\nmake\n"), Script::Shell),
            (
                "#!/bin/sh\ngit lfs pre-push \"$@\"\n".to_owned(),
                Script::Shell,
            ),
            ("#!/bin/sh\n".to_owned(), Script::Shell),
        ] {
            assert_eq!(Script::of(text.as_bytes(), event), expected, "{text}");
        }
    }

    #[test]
    fn what_goes_by_its_own_name_keeps_it() {
        let text = b"#!/usr/bin/env ruby\n# Entrypoint for Overcommit hook integration.\nrequire 'overcommit'\n";
        assert_eq!(Script::of(text, Event::PostCommit), Script::Named);
    }
}
