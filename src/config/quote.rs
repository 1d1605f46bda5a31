//! Keys and strings as TOML writes them.

use std::fmt::Write as _;

/// A key as TOML writes it: bare where it can be.
pub(super) fn bare_or_quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A string as TOML writes it on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("a string takes any text");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn strings_are_quoted_so_that_they_read_the_same() {
        for text in ["", "a b", "q\"uo\\te", "tab\tline\nbell\u{7}", "ünïcode"] {
            let document = format!("{} = {}", bare_or_quoted(text), quoted(text));
            let table = DeTable::parse(&document).expect("what we write is TOML");
            let (key, value) = table.get_ref().iter().next().expect("one key");
            assert_eq!(
                (key.get_ref().as_ref(), value.get_ref().as_str()),
                (text, Some(text))
            );
        }
    }
}
