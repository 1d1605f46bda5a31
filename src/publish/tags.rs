//! The names of tags. Pure.

use crate::error::{Kind, Remedy};
use crate::prune::keep::matches;
use crate::registry::{Digest, TAG_LIMIT};

/// Where the branch's name goes in a template.
const BRANCH: &str = "{branch}";

/// As many hex digits of a key or recipe hash name a tag.
pub(crate) const CONTENT_DIGITS: usize = 24;

/// As many hex digits tell cut names apart.
const SHORT_DIGITS: usize = 8;

/// A branch's name keeps at least this much room in a tag.
const BRANCH_ROOM: usize = 32;

/// What a branch's name is in a tag, as `docker/metadata-action` makes it (`sanitizeTag`), so that existing workflows read
/// what we write: every run of characters outside `[a-zA-Z0-9._-]` becomes one `-`, and case is kept. Like there, `a/b` and
/// `a-b` are the same.
#[must_use]
pub fn slug(branch: &str) -> String {
    replace_runs(branch, |character| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
    })
}

/// Whether a branch's tag must never be written from a developer's machine; `*` in a pattern is any run of characters.
///
/// Slugs are compared as well: the branch `release-1.0` would write the very tag that `release/1.0` reads.
#[must_use]
pub fn protected(branch: &str, patterns: &[String]) -> bool {
    let branch_slug = slug(branch);
    patterns.iter().any(|pattern| {
        let pattern_slug = replace_runs(pattern, |character| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '*')
        });
        matches(pattern, branch) || matches(&pattern_slug, &branch_slug)
    })
}

/// The tags of one warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Names the content.
    pub key: String,
    /// Where BuildKit exports to. Nobody reads it: what was exported is looked at by its digest before it gets another tag.
    pub staging: String,
    /// Holds what BuildKit asked for, given the recipe.
    pub inputs: String,
    /// What CI reads; `None` when there is no branch to write for.
    pub branch: Option<String>,
}

/// What a tag is for, by its name alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A branch's, with this [`slug`] (or what it was cut to).
    Branch(String),
    /// A key's, with these first digits of it.
    Key(String),
    /// Where BuildKit exports to.
    Staging,
    /// What BuildKit asks for.
    Inputs,
}

/// How one platform of one target names its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    before: String,
    after: String,
    /// Begins the content-named tags.
    prefix: String,
    /// `-linux-arm64`, or nothing.
    platform: String,
}

/// A template that makes no legal tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tag template `{template}` {reason}")]
pub struct TemplateError {
    /// The template as configured.
    pub template: String,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: &'static str,
}

impl Remedy for TemplateError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("Use something like `tag = \"builder-cache-{branch}\"`.".to_owned())
    }
}

impl Template {
    /// Reads a target's `tag`. `platform` (`linux/arm64`) is given only when the target has several, and ends its tags.
    ///
    /// Content-named tags begin with what stands before `{branch}`, or with the target's name if nothing does.
    ///
    /// # Errors
    /// When `{branch}` is not in it exactly once, when a character is not legal in a tag, or when too little room is left
    /// for a branch's name.
    pub fn new(
        template: &str,
        target: &str,
        platform: Option<&str>,
    ) -> Result<Self, TemplateError> {
        let error = |reason| TemplateError {
            template: template.to_owned(),
            reason,
        };
        let (before, after) = template
            .split_once(BRANCH)
            .ok_or(error("does not contain `{branch}`"))?;
        if after.contains(BRANCH) {
            return Err(error("contains `{branch}` more than once"));
        }
        let fixed = format!("{before}{after}");
        if slug(&fixed) != fixed {
            return Err(error(
                "has characters other than letters, digits, `.`, `_` and `-`",
            ));
        }
        if before.starts_with(['.', '-']) {
            return Err(error("begins with `.` or `-`"));
        }
        let named = before.trim_end_matches('-');
        let prefix = if named.is_empty() {
            legal_start(slug(target))
        } else {
            named.to_owned()
        };
        let platform = platform
            .map(|platform| format!("-{}", slug(platform)))
            .unwrap_or_default();
        if fixed.len() + platform.len() + BRANCH_ROOM > TAG_LIMIT
            || prefix.len() + "-k-".len() + CONTENT_DIGITS + platform.len() > TAG_LIMIT
        {
            return Err(error("leaves too little of a tag's 128 characters"));
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            prefix,
            platform,
        })
    }

    /// The tags for a key and a recipe hash (both lower case hex, 24 digits or more) and a branch.
    ///
    /// The platform is part of the key, so the key tag does not repeat it: a target that gains a platform stays warm.
    #[must_use]
    pub fn tags(&self, key: &str, recipe: &str, branch: Option<&str>) -> Tags {
        let digits = |hash: &str| hash.chars().take(CONTENT_DIGITS).collect::<String>();
        Tags {
            key: format!("{}-k-{}", self.prefix, digits(key)),
            staging: format!("{}-s-{}{}", self.prefix, digits(recipe), self.platform),
            inputs: format!("{}-i-{}{}", self.prefix, digits(recipe), self.platform),
            branch: branch.map(|branch| self.branch(branch)),
        }
    }

    /// The tag that CI reads for a branch. Two branches share one only if they have the same [`slug`]; what would pass 128
    /// characters, or look like a content-named tag, gets a hash of the branch's name.
    #[must_use]
    pub fn branch(&self, branch: &str) -> String {
        let slug = slug(branch);
        let room = TAG_LIMIT - self.before.len() - self.after.len() - self.platform.len();
        let plain = self.compose(&slug);
        if slug.is_empty() || slug.len() > room || self.is_content_named(&plain) {
            let mut cut = slug;
            cut.truncate(room - SHORT_DIGITS - 1);
            let hash = Digest::of(branch.as_bytes());
            return self.compose(&format!("{cut}-{}", &hash.hex()[..SHORT_DIGITS]));
        }
        plain
    }

    /// What a tag is for, if this template may have made it. Whatever looks like a content-named tag is no branch's. A
    /// template of nothing but the branch's name could have made any tag, and so tells no branch's.
    #[must_use]
    pub fn shape(&self, tag: &str) -> Option<Shape> {
        for kind in ["-k-", "-i-", "-s-"] {
            let rest = tag.strip_prefix(&self.prefix);
            let Some((digits, end)) = rest
                .and_then(|rest| rest.strip_prefix(kind))
                .and_then(|rest| rest.split_at_checked(CONTENT_DIGITS))
                .filter(|(digits, _)| digits.bytes().all(is_hex))
            else {
                continue;
            };
            return match kind {
                "-k-" => end.is_empty().then(|| Shape::Key(digits.to_owned())),
                _ if end != self.platform => None,
                "-i-" => Some(Shape::Inputs),
                _ => Some(Shape::Staging),
            };
        }
        let slug = tag.strip_prefix(&self.before)?;
        let slug = slug.strip_suffix(&self.platform)?;
        let slug = slug.strip_suffix(&self.after)?;
        let tells = !(self.before.is_empty() && self.after.is_empty());
        (tells && !slug.is_empty()).then(|| Shape::Branch(slug.to_owned()))
    }

    fn compose(&self, slug: &str) -> String {
        legal_start(format!(
            "{}{slug}{}{}",
            self.before, self.after, self.platform
        ))
    }

    /// Whether a branch's tag is one that a key or a recipe could have: a branch may well be called `k-0123…`.
    fn is_content_named(&self, tag: &str) -> bool {
        let rest = tag.strip_prefix(&self.prefix);
        let rest = rest.and_then(|rest| {
            ["-k-", "-i-", "-s-"]
                .into_iter()
                .find_map(|kind| rest.strip_prefix(kind))
        });
        rest.is_some_and(|rest| {
            let digits = rest.bytes().take_while(|byte| is_hex(*byte)).count();
            digits >= CONTENT_DIGITS
                && matches!(&rest[CONTENT_DIGITS..], end if end.is_empty() || end == self.platform)
        })
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A tag must not begin with `.` or `-`; metadata-action leaves that to fail, we put `_` there.
fn legal_start(tag: String) -> String {
    match tag.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => tag,
    }
}

fn replace_runs(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut in_run = false;
    for character in text.chars() {
        if keep(character) {
            replaced.push(character);
        } else if !in_run {
            replaced.push('-');
        }
        in_run = !keep(character);
    }
    replaced
}

#[cfg(test)]
mod tests;
