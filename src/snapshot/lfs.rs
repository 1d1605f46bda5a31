//! Git LFS pointer files: the small text that a repository holds in place of a large file.

/// A pointer is shorter than this (the LFS specification, "the pointer file must be less than 1024 bytes").
pub(super) const POINTER_LIMIT: u64 = 1024;

/// What a pointer file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// SHA-256 of the content, 64 lower-case hexadecimal digits.
    pub(super) oid: String,
    /// Size of the content in bytes.
    pub(super) size: u64,
}

impl Pointer {
    /// Reads a pointer file; `None` for any other content. Format: the LFS specification, version 1.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != "version https://git-lfs.github.com/spec/v1" {
            return None;
        }
        let (mut oid, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = Some(value.strip_prefix("sha256:")?),
                ("size", value) => size = Some(value.parse().ok()?),
                _ => {}
            }
        }
        let oid = oid?;
        let digits = oid
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (oid.len() == 64 && digits).then(|| Self {
            oid: oid.to_owned(),
            size: size.unwrap_or_default(),
        })
    }

    /// Where the content is, below an LFS directory.
    pub(super) fn object_path(&self) -> String {
        format!(
            "objects/{}/{}/{}",
            &self.oid[..2],
            &self.oid[2..4],
            self.oid
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";

    #[test]
    fn reads_a_pointer() {
        let text =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n");
        let pointer = Pointer::parse(text.as_bytes()).expect("a pointer");
        assert_eq!(
            pointer,
            Pointer {
                oid: OID.to_owned(),
                size: 12345
            }
        );
        assert_eq!(pointer.object_path(), format!("objects/4d/7a/{OID}"));
    }

    #[test]
    fn leaves_other_files_alone() {
        for text in [
            String::new(),
            "version https://git-lfs.github.com/spec/v1\n".to_owned(),
            format!("oid sha256:{OID}\nsize 1\n"),
            "version https://git-lfs.github.com/spec/v1\noid sha256:../../etc/passwd\nsize 1\n"
                .to_owned(),
            format!("version https://git-lfs.github.com/spec/v1\noid md5:{OID}\nsize 1\n"),
        ] {
            assert_eq!(Pointer::parse(text.as_bytes()), None, "{text}");
        }
    }
}
