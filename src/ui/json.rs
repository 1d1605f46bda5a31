//! JSON that can be looked at: every character that could drive a terminal is escaped, none is lost.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::text::is_unsafe;

/// `serde_json` escapes what the standard demands, which leaves DEL, the C1 controls and text direction.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut written = 0;
        for (at, character) in fragment
            .char_indices()
            .filter(|(_, character)| is_unsafe(*character))
        {
            CompactFormatter.write_string_fragment(writer, &fragment[written..at])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            written = at + character.len_utf8();
        }
        CompactFormatter.write_string_fragment(writer, &fragment[written..])
    }
}

/// A document on one line, with the newline.
pub(super) fn line(document: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    document.serialize(&mut Serializer::with_formatter(&mut bytes, Escaping))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes).expect("JSON is written as UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_document_is_one_harmless_line_and_means_the_same(text in any::<String>(), odd in "[\u{0}-\u{9f}\u{2028}-\u{202e}\"\\\\]{0,20}") {
            let document = vec![text, odd];
            let written = line(&document).expect("strings can be written");
            prop_assert!(!written.trim_end_matches('\n').contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&written).expect("it is JSON"), document);
        }
    }
}
