//! The patterns that people write for names: of records and images that stay, and of branches that are protected.

/// Whether `text` has the form of `pattern`, in which `*` is any run of characters and all else is itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Each `*` first takes as little as it can; on a mismatch the last one takes one more byte.
    let mut last_star: Option<(usize, usize)> = None;
    while seen < text.len() {
        if pattern.get(at) == Some(&b'*') {
            last_star = Some((at, seen));
            at += 1;
        } else if pattern.get(at) == Some(&text[seen]) {
            at += 1;
            seen += 1;
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            at = star + 1;
            seen = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_are_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a\nb", true),
            ("app:*", "app:1", true),
            ("app:*", "app:", true),
            ("app:*", "my/app:1", false),
            ("*/app:*", "my/app:1", true),
            (
                "*pip install*",
                "[builder 3/4] RUN pip install -r requirements.txt",
                true,
            ),
            ("*pip install", "RUN pip install torch", false),
            ("a*a", "a", false),
            ("a*b*c", "abxbc", true),
            ("**", "x", true),
            ("a.c", "abc", false),
            ("[a]", "a", false),
            ("\u{e9}*", "\u{e9}t\u{e9}", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn as_the_same_regular_expression(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let expression = format!("^{}$", pattern.replace('*', ".*"));
            let expression = regex::Regex::new(&expression).expect("letters and stars make one");
            prop_assert_eq!(matches(&pattern, &text), expression.is_match(&text));
        }
    }
}
