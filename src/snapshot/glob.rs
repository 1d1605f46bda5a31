//! Paths and globs by the rules of Go's `path/filepath` on Unix, because BuildKit's clients follow them.
//!
//! Paths are bytes, as git's are. Characters are what Go decodes: a byte that is not UTF-8 is one U+FFFD.

/// `filepath.Clean`: the shortest equivalent path, `.` for nothing.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut clean = parts.join(&b'/');
    if rooted {
        clean.insert(0, b'/');
    }
    if clean.is_empty() {
        clean.push(b'.');
    }
    clean
}

/// `filepath.Join` of two elements.
pub(super) fn join(left: &[u8], right: &[u8]) -> Vec<u8> {
    match (left, right) {
        (b"", b"") => Vec::new(),
        (b"", path) | (path, b"") => clean(path),
        _ => clean(&[left, b"/", right].concat()),
    }
}

/// `filepath.Dir` and `filepath.Base` of a clean relative path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

/// The characters of a name as Go's decoder sees them.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// One step of a glob.
enum Token {
    /// `*`: any run of characters but `/`.
    Run,
    /// `?`: any character but `/`.
    Any,
    /// A character itself.
    Literal(char),
    /// `[...]` or `[^...]` with inclusive ranges.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern of `filepath.Match`.
pub(super) struct Glob(Vec<Token>);

impl Glob {
    /// Reads a pattern; `None` where Go says `ErrBadPattern`.
    pub(super) fn parse(pattern: &[u8]) -> Option<Self> {
        let text = decode(pattern);
        let mut rest = text.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '*' => Token::Run,
                '?' => Token::Any,
                '\\' => Token::Literal(rest.next()?),
                '[' => {
                    let negated = rest.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                        let low = class_character(&mut rest)?;
                        let high = match rest.next_if_eq(&'-') {
                            Some(_) => class_character(&mut rest)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Token::Class { negated, ranges }
                }
                _ => Token::Literal(character),
            });
        }
        Some(Self(tokens))
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<char> = decode(name).chars().collect();
        let (mut token, mut position) = (0, 0);
        // Where to go on after the last `*` took one character more; earlier ones need no second try.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(token), name.get(position)) {
                (None, None) => return true,
                (Some(Token::Run), _) => {
                    retry = Some((token, position));
                    token += 1;
                    continue;
                }
                (Some(step), Some(character)) if step.takes(*character) => {
                    token += 1;
                    position += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((run, start))
                    if name.get(start).is_some_and(|character| *character != '/') =>
                {
                    retry = Some((run, start + 1));
                    (token, position) = (run + 1, start + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Run => false,
            Self::Any => character != '/',
            Self::Literal(literal) => *literal == character,
            Self::Class { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character))
                    != *negated
            }
        }
    }
}

fn class_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let character = match rest.next()? {
        '-' | ']' => return None,
        '\\' => rest.next()?,
        character => character,
    };
    // Go wants the class to go on, if only with its closing bracket.
    rest.peek().map(|_| character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_is_go_s() {
        for (path, expected) in [
            ("", "."),
            ("./a", "a"),
            ("a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../..", ".."),
            ("/..", "/"),
            ("/a/./b/..", "/a"),
            ("!a/../b", "b"),
            ("**/", "**"),
            (".", "."),
        ] {
            assert_eq!(decode(&clean(path.as_bytes())), expected, "{path}");
        }
    }

    #[test]
    fn match_is_go_s() {
        for (pattern, name, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[^b-d]", "abc", Some(false)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("a?b", "a/b", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-x]", "-", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            ("\\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("[^bc", "a", None),
            ("a[", "ab", None),
            ("*x", "xxx", Some(true)),
        ] {
            let outcome = Glob::parse(pattern.as_bytes()).map(|glob| glob.matches(name.as_bytes()));
            assert_eq!(outcome, expected, "{pattern} on {name}");
        }
        assert!(Glob::parse(b"a?c").expect("valid").matches(b"a\xffc"));
    }
}
