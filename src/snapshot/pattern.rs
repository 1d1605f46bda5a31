//! Include and exclude patterns, exactly as BuildKit's clients apply them.
//!
//! The rules are those of `github.com/moby/patternmatcher` (`.dockerignore`'s), oddities included: a result that
//! differs from Docker's, however sensible, would be a cache miss in CI. On top comes [`Matcher::settled`], which
//! only ever says that nothing below a directory can change the verdict.

use super::SnapshotError;
use super::expression::{self, Kind};
use super::glob::{self, Glob};

/// Patterns in order; the last one that matches decides.
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
    /// See [`Matcher::skips`].
    plain: bool,
}

/// Per pattern, whether it matched the path or a directory above it. Empty above the root's entries.
pub(super) type Flags = Vec<bool>;

struct Pattern {
    /// Without the leading `!`.
    clean: Vec<u8>,
    /// It began with `!`.
    exception: bool,
    kind: Kind,
    /// One glob per path component, where matching is by component.
    components: Option<Vec<Glob>>,
    /// How many bytes at the start stand for themselves.
    literal: usize,
}

impl Matcher {
    /// Reads patterns. `narrowing` says which ones a walk must not lose: the plain ones of an include list, the
    /// exceptions of an exclude list.
    pub(super) fn new(patterns: &[Vec<u8>], narrowing: Narrowing) -> Result<Self, SnapshotError> {
        let mut read = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let text = trim(pattern);
            if !text.is_empty() {
                read.push(Pattern::new(text).map_err(|reason| SnapshotError::Pattern {
                    pattern: glob::decode(pattern),
                    reason,
                })?);
            }
        }
        let plain = read
            .iter()
            .filter(|pattern| pattern.exception == narrowing.exceptions())
            .all(|pattern| !pattern.stem().iter().any(|byte| b"*[]?^\\".contains(byte)));
        Ok(Self {
            patterns: read,
            plain,
        })
    }

    /// Whether the path matches, and what its entries need to know. `parent` are the flags of its directory.
    pub(super) fn matches(&self, path: &[u8], parent: &[bool]) -> (bool, Flags) {
        let mut matched = false;
        let mut flags = vec![false; self.patterns.len()];
        let mut decoded = None;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut hit = parent.get(index).copied().unwrap_or(false);
            if !hit {
                // A pattern that could not change the verdict is not tried, so its flag stays down for all that
                // is below. Docker does the same.
                if pattern.exception != matched {
                    continue;
                }
                hit = pattern.matches(path, &mut decoded);
            }
            flags[index] = hit;
            if hit {
                matched = !pattern.exception;
            }
        }
        (matched, flags)
    }

    /// Whether fsutil's walk skips a directory that got `verdict`, because only patterns without wildcards could
    /// bring something below it back. It judges by the pattern's text, so it can skip too much (`a/*/**`).
    pub(super) fn skips(&self, directory: &[u8], narrowing: Narrowing) -> bool {
        self.plain
            && !self
                .patterns
                .iter()
                .filter(|pattern| pattern.exception == narrowing.exceptions())
                .any(|pattern| below(&[pattern.stem(), b"/"].concat(), directory))
    }

    /// Whether everything below `directory` gets the same `verdict` as itself, whatever its name.
    pub(super) fn settled(&self, directory: &[u8], verdict: bool, flags: &[bool]) -> bool {
        // The verdict is the kind of the last raised flag, and flags stay up: only a new flag of the other kind
        // can change it.
        self.patterns
            .iter()
            .zip(flags)
            .filter(|(pattern, flag)| pattern.exception == verdict && !**flag)
            .all(|(pattern, _)| !pattern.reaches_below(directory))
    }
}

/// Which patterns decide what a walk may skip.
#[derive(Clone, Copy)]
pub(super) enum Narrowing {
    /// An include list.
    Include,
    /// An exclude list.
    Exclude,
}

impl Narrowing {
    fn exceptions(self) -> bool {
        matches!(self, Self::Exclude)
    }
}

impl Pattern {
    fn new(text: &[u8]) -> Result<Self, &'static str> {
        let mut clean = glob::clean(text);
        let exception = clean[0] == b'!';
        if exception {
            clean.remove(0);
        }
        if clean.is_empty() {
            return Err("a `!` needs a pattern after it");
        }
        if Glob::parse(&clean).is_none() {
            return Err("a bracket or backslash is not closed");
        }
        let kind = expression::compile(&clean)?;
        let literal = clean
            .iter()
            .position(|byte| b"*?[]\\^".contains(byte))
            .unwrap_or(clean.len());
        // Brackets and escapes can match a `/` in the expression, `**` matches any number of components.
        let by_component = !clean.iter().any(|byte| b"[]\\^".contains(byte))
            && !clean.windows(2).any(|pair| pair == b"**");
        let components = by_component
            .then(|| clean.split(|byte| *byte == b'/').map(Glob::parse).collect())
            .flatten();
        Ok(Self {
            clean,
            exception,
            kind,
            components,
            literal,
        })
    }

    /// The pattern less a trailing `/**`, then less a trailing `/*`.
    fn stem(&self) -> &[u8] {
        let stem = self.clean.strip_suffix(b"/**").unwrap_or(&self.clean);
        stem.strip_suffix(b"/*").unwrap_or(stem)
    }

    /// `decoded` is kept between the patterns that look at one path.
    fn matches(&self, path: &[u8], decoded: &mut Option<String>) -> bool {
        match &self.kind {
            Kind::Exact => path == self.clean,
            Kind::Prefix => path.starts_with(&self.clean[..self.clean.len() - 2]),
            Kind::Suffix => {
                let suffix = &self.clean[2..];
                // `**/foo` is also `foo`.
                path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path)
            }
            Kind::Expression(expression) => {
                expression.is_match(decoded.get_or_insert_with(|| glob::decode(path)))
            }
        }
    }

    /// Whether some name below `directory` could match. Errs on the side of yes.
    fn reaches_below(&self, directory: &[u8]) -> bool {
        // What begins with `text` and what is below the directory meet when one is the start of the other.
        let inside =
            |text: &[u8]| below(text, directory) || [directory, b"/"].concat().starts_with(text);
        match &self.kind {
            Kind::Exact => below(&self.clean, directory),
            Kind::Prefix => inside(&self.clean[..self.clean.len() - 2]),
            Kind::Suffix => true,
            Kind::Expression(_) => {
                inside(&self.clean[..self.literal])
                    && self.components.as_ref().is_none_or(|components| {
                        let mut names = directory.split(|byte| *byte == b'/');
                        let mut globs = components.iter();
                        names.all(|name| globs.next().is_some_and(|glob| glob.matches(name)))
                            && globs.next().is_some()
                    })
            }
        }
    }
}

/// Whether `path` starts with `directory` and a slash.
fn below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Removes white space around a pattern, as `strings.TrimSpace` does.
fn trim(pattern: &[u8]) -> &[u8] {
    std::str::from_utf8(pattern)
        .map_or_else(|_| pattern.trim_ascii(), |text| text.trim().as_bytes())
}

#[cfg(test)]
mod tests;
