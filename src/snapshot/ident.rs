//! `$Id$` with the blob's id, as git writes it on checkout.
//!
//! git has this twice, and the two differ in odd cases. Both are here, because CI's bytes are what counts.

use super::ObjectId;

/// How an expansion begins; git compares the NUL at the end of its string, too.
const HEAD: &[u8; 4] = b"$Id\0";

enum State {
    /// So many bytes of [`HEAD`] were seen.
    Head(usize),
    /// After `$Id:`, until `$` or the end of the line.
    Skipping,
}

/// `ident_filter_fn` of git's `convert.c`: for files that git writes as it reads them.
pub(super) fn expand_streamed(bytes: &[u8], id: ObjectId) -> Vec<u8> {
    let expansion = format!(": {id} $").into_bytes();
    let mut output = Vec::with_capacity(bytes.len());
    let mut held = Vec::new();
    let mut state = State::Head(0);
    for &byte in bytes {
        match state {
            State::Skipping => {
                held.push(byte);
                if byte != b'\n' && byte != b'$' {
                    continue;
                }
                if byte == b'$' && !is_foreign(&held) {
                    held.truncate(3);
                    held.extend_from_slice(&expansion);
                }
            }
            State::Head(seen) => {
                if HEAD.get(seen) == Some(&byte) {
                    state = State::Head(seen + 1);
                    continue;
                }
                held.extend_from_slice(&HEAD[..seen]);
                match byte {
                    b'$' if seen == 3 => held.extend_from_slice(&expansion),
                    b':' if seen == 3 => {
                        held.push(byte);
                        state = State::Skipping;
                        continue;
                    }
                    _ => {
                        held.push(byte);
                        if seen == 3 {
                            // Held on to: an expansion that follows swallows it.
                            state = State::Head(0);
                            continue;
                        }
                    }
                }
            }
        }
        output.append(&mut held);
        state = State::Head(0);
    }
    if let State::Head(seen) = state {
        held.extend_from_slice(&HEAD[..seen]);
    }
    output.append(&mut held);
    output
}

/// `is_foreign_ident`: another version control system's, with a space inside.
fn is_foreign(held: &[u8]) -> bool {
    let Some(rest) = held.strip_prefix(b"$Id: ") else {
        return false;
    };
    let end = rest.iter().position(|byte| *byte == 0);
    rest[..end.unwrap_or(rest.len())]
        .iter()
        .enumerate()
        .any(|(index, byte)| {
            matches!(byte, b' ' | b'\t' | b'\r' | b'\n') && rest.get(index + 1) != Some(&b'$')
        })
}

/// `ident_to_worktree` of git's `convert.c`: for files that git converts in memory.
pub(super) fn expand_whole(bytes: &[u8], id: ObjectId) -> Vec<u8> {
    let find = |bytes: &[u8], byte| bytes.iter().position(|other| *other == byte);
    let expansion = format!("Id: {id} $").into_bytes();
    let mut output = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(dollar) = find(rest, b'$') {
        output.extend_from_slice(&rest[..=dollar]);
        rest = &rest[dollar + 1..];
        if rest.starts_with(b"Id$") {
            rest = &rest[3..];
        } else if let Some(value) = rest.strip_prefix(b"Id:") {
            let Some(end) = find(value, b'$') else { break };
            // The first byte is the space before the value.
            let foreign = value[..end]
                .iter()
                .skip(1)
                .position(|byte| *byte == b' ')
                .is_some_and(|space| space + 2 < end);
            if foreign || value[..end].contains(&b'\n') {
                continue;
            }
            rest = &value[end + 1..];
        } else {
            continue;
        }
        output.extend_from_slice(&expansion);
    }
    output.extend_from_slice(rest);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expansion_is_made_or_replaced() {
        let id = ObjectId::EMPTY_TREE;
        for (text, expected) in [
            ("a $Id$ b", "a $Id: ID $ b"),
            ("$Id: old $\n$Id$", "$Id: ID $\n$Id: ID $"),
            ("$Id:x$", "$Id: ID $"),
            (
                "$Id: a.c 1.2 2001/01/01 me $",
                "$Id: a.c 1.2 2001/01/01 me $",
            ),
            ("$Id: no\nend $", "$Id: no\nend $"),
            ("$ID$ $Idx$ $I", "$ID$ $Idx$ $I"),
            ("$Id", "$Id"),
            ("", ""),
        ] {
            let expected = expected.replace("ID $", &format!("{id} $"));
            for expand in [expand_streamed, expand_whole] {
                let expanded = expand(text.as_bytes(), id);
                assert_eq!(String::from_utf8_lossy(&expanded), expected, "{text:?}");
            }
        }
    }
}
