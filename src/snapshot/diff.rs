//! How two texts differ, for people.

/// The lines that differ, as `diff --unified` shows them without its header; empty for equal texts.
#[must_use]
pub fn unified(old: &[u8], new: &[u8]) -> String {
    let shown = git2::Patch::from_buffers(old, None, new, None, None)
        .and_then(|mut patch| Ok(String::from_utf8_lossy(&patch.to_buf()?).into_owned()))
        .unwrap_or_default();
    match shown.find("@@ ") {
        Some(start) => shown[start..].to_owned(),
        None if old == new => String::new(),
        None => "binary content differs\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn shows_the_lines_that_differ() {
        insta::assert_snapshot!(unified(b"a\nb\n", b"a\nc\n"), @r"
        @@ -1,2 +1,2 @@
         a
        -b
        +c
        ");
        assert_eq!(unified(b"a", b"a"), "");
        assert_eq!(unified(b"a\0", b"b\0"), "binary content differs\n");
    }
}
