//! Request metadata as BuildKit encodes it.
//!
//! Values that are not printable ASCII are URL-query-escaped, and a companion key `<name>-encoded` says so
//! (`encodeStringForHeader` in `session/filesync/filesync.go` of moby/buildkit).

use tonic::metadata::MetadataMap;

/// Every value of `key`, decoded.
pub(super) fn values(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let encoded = metadata.contains_key(format!("{key}-encoded"));
    metadata
        .get_all(key)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(|value| {
            if encoded {
                unescape(value)
            } else {
                value.to_owned()
            }
        })
        .collect()
}

/// The first value of `key`.
pub(super) fn value(metadata: &MetadataMap, key: &str) -> Option<String> {
    values(metadata, key).into_iter().next()
}

/// Undoes Go's `url.QueryEscape`. What is not an escape stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = |at: usize| {
            bytes
                .get(at)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        match (bytes[index], hex(index + 1), hex(index + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(
                    u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"),
                );
                index += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            (byte, ..) => decoded.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_the_rest_stays() {
        for (escaped, plain) in [
            ("requirements%2A.txt", "requirements*.txt"),
            ("caf%C3%A9+menu", "café menu"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("", ""),
        ] {
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn only_marked_values_are_decoded() {
        let mut metadata = MetadataMap::new();
        metadata.append("followpaths", "a%2Bb".parse().expect("ASCII"));
        assert_eq!(values(&metadata, "followpaths"), ["a%2Bb"]);
        metadata.append("followpaths-encoded", "1".parse().expect("ASCII"));
        assert_eq!(values(&metadata, "followpaths"), ["a+b"]);
    }
}
