//! Patterns to matchers: the way of `moby/patternmatcher`, which writes a Go regular expression.
//!
//! Two steps, so that each can be compared with its model: the pattern becomes the very text that Docker hands to
//! Go's `regexp`, and that text becomes the same expression for the `regex` crate.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::glob;

/// How a pattern is matched.
pub(super) enum Kind {
    /// The path itself.
    Exact,
    /// Anything that starts with the pattern less its trailing `**`.
    Prefix,
    /// Anything that ends with the pattern less its leading `**`.
    Suffix,
    /// A regular expression over the decoded path.
    Expression(Regex),
}

/// How a clean pattern without its `!` is matched. The error is what Go reports as a syntax error.
pub(super) fn compile(pattern: &[u8]) -> Result<Kind, &'static str> {
    match translate(&glob::decode(pattern)) {
        Translation::Exact => Ok(Kind::Exact),
        Translation::Prefix => Ok(Kind::Prefix),
        Translation::Suffix => Ok(Kind::Suffix),
        Translation::Expression(go) => {
            let expression =
                from_go(&go).ok_or("an escape or bracket that Go's regular expressions refuse")?;
            Regex::new(&expression)
                .map(Kind::Expression)
                .map_err(|_| "too large, or not a pattern")
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Translation {
    Exact,
    Prefix,
    Suffix,
    /// In Go's syntax.
    Expression(String),
}

/// `Pattern.compile` of `moby/patternmatcher`.
fn translate(pattern: &str) -> Translation {
    let mut text = String::from("^");
    let mut kind = Translation::Exact;
    let expression = || Translation::Expression(String::new());
    let mut rest = pattern.chars().peekable();
    let mut first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                // `**/` is `**`.
                rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    text.push_str("(.*/)?");
                    kind = expression();
                } else if kind == Translation::Exact {
                    kind = Translation::Prefix;
                } else {
                    text.push_str(".*");
                    kind = expression();
                }
                if first {
                    kind = Translation::Suffix;
                }
            }
            '*' => {
                text.push_str("[^/]*");
                kind = expression();
            }
            '?' => {
                text.push_str("[^/]");
                kind = expression();
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => text.extend(['\\', character]),
            '\\' => {
                text.push('\\');
                if let Some(escaped) = rest.next() {
                    text.push(escaped);
                    kind = expression();
                }
            }
            '[' | ']' => {
                text.push(character);
                kind = expression();
            }
            _ => text.push(character),
        }
        first = false;
    }
    if let Translation::Expression(_) = kind {
        text.push('$');
        kind = Translation::Expression(text);
    }
    kind
}

/// A Go expression, as [`translate`] makes them, for the `regex` crate; `None` for what Go refuses, and for the
/// few escapes (`\x`, `\p`, `\Q`, octal) that mean something to Go's expressions only.
fn from_go(go: &str) -> Option<String> {
    let mut text = String::with_capacity(go.len());
    let mut rest = go.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next()? {
                class @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                    text.push('[');
                    text.push_str(perl_class(class)?);
                    text.push(']');
                }
                // Go's word boundary looks at ASCII only; both read the same in the other cases.
                'b' => text.push_str("(?-u:\\b)"),
                assertion @ ('A' | 'z') => text.extend(['\\', assertion]),
                other => push_literal(&mut text, escaped(other)?),
            },
            '[' => bracket(&mut rest, &mut text)?,
            ']' => text.push_str("\\]"),
            _ => text.push(character),
        }
    }
    Some(text)
}

/// Copies a class from after its `[`. Inside, Go knows no nesting and no set operations, the `regex` crate does.
fn bracket(rest: &mut Peekable<Chars<'_>>, text: &mut String) -> Option<()> {
    text.push('[');
    if rest.next_if_eq(&'^').is_some() {
        text.push('^');
    }
    let mut first = true;
    while first || rest.next_if_eq(&']').is_none() {
        first = false;
        if let Some(name) = posix_class(rest) {
            text.push_str(&name);
            continue;
        }
        let low = match class_item(rest)? {
            Item::Class(class) => {
                text.push_str(class);
                continue;
            }
            Item::Character(character) => character,
        };
        let mut ahead = rest.clone();
        let high = if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            *rest = ahead;
            match class_item(rest)? {
                Item::Character(high) if high >= low => high,
                _ => return None,
            }
        } else {
            low
        };
        push_literal(text, low);
        text.push('-');
        push_literal(text, high);
    }
    text.push(']');
    Some(())
}

enum Item {
    Character(char),
    Class(&'static str),
}

fn class_item(rest: &mut Peekable<Chars<'_>>) -> Option<Item> {
    Some(match rest.next()? {
        '\\' => {
            let character = rest.next()?;
            match perl_class(character) {
                Some(class) => Item::Class(class),
                None => Item::Character(escaped(character)?),
            }
        }
        character => Item::Character(character),
    })
}

/// `[:alpha:]` and the like, which both sides spell alike.
fn posix_class(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let ahead: String = rest.clone().collect();
    let name = &ahead[..ahead.strip_prefix("[:")?.find(":]")? + 4];
    for _ in name.chars() {
        rest.next();
    }
    Some(name.to_owned())
}

/// What a Perl class holds; Go's know ASCII only. The content of a bracket.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'D' => "[^0-9]",
        's' => "\\t\\n\\f\\r ",
        'S' => "[^\\t\\n\\f\\r ]",
        'w' => "0-9A-Za-z_",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// What an escaped character stands for.
fn escaped(character: char) -> Option<char> {
    Some(match character {
        'a' => '\u{7}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ if character.is_ascii() && !character.is_ascii_alphanumeric() => character,
        _ => return None,
    })
}

fn push_literal(text: &mut String, character: char) {
    write!(text, "\\x{{{:x}}}", u32::from(character)).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_as_docker_does() {
        use Translation::{Exact, Prefix, Suffix};
        let go = |text: &str| Translation::Expression(text.to_owned());
        for (pattern, expected) in [
            ("*", go("^[^/]*$")),
            ("file*", go("^file[^/]*$")),
            ("a*/b", go("^a[^/]*/b$")),
            ("**", Suffix),
            ("**/**", go("^(.*/)?.*$")),
            ("dir/**", Prefix),
            ("**/dir", Suffix),
            ("**file", Suffix),
            ("**/dir2/*", go("^(.*/)?dir2/[^/]*$")),
            ("**/dir2/**", go("^(.*/)?dir2/.*$")),
            ("**/**/*.txt", go("^(.*/)?(.*/)?[^/]*\\.txt$")),
            ("a[b-d]e", go("^a[b-d]e$")),
            (".*", go("^\\.[^/]*$")),
            ("abc.def", Exact),
            ("abc?def", go("^abc[^/]def$")),
            ("**/foo/bar", Suffix),
            ("a(b)c/def", Exact),
            ("a.|)$(}+{bc", Exact),
            ("a\\*b", go("^a\\*b$")),
            ("dist/*.whl", go("^dist/[^/]*\\.whl$")),
        ] {
            assert_eq!(translate(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn go_s_expressions_keep_their_meaning() {
        for (go, name, expected) in [
            ("^[[a]$", "[", Some(true)),
            ("^[a&&b]$", "&", Some(true)),
            ("^[^a-c]$", "d", Some(true)),
            ("^[a~~b]$", "~", Some(true)),
            ("^[\\]a]$", "]", Some(true)),
            ("^a\\<b$", "a<b", Some(true)),
            ("^build\\debug$", "build/debug", Some(false)),
            ("^build\\debug$", "build7ebug", Some(true)),
            ("^bin\\Debug$", "binxebug", Some(true)),
            ("^[\\D]$", "x", Some(true)),
            ("^obj\\Release$", "", None),
            ("^[[:digit:]x]$", "7", Some(true)),
            ("^[c-a]$", "b", None),
            ("^\\d$", "٣", Some(false)),
        ] {
            let outcome = from_go(go).map(|text| Regex::new(&text).expect("valid").is_match(name));
            assert_eq!(outcome, expected, "{go} on {name}");
        }
    }
}
