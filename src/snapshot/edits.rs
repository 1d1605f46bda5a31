//! What a work tree has otherwise than a snapshot, for people who forgot to commit.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::ObjectType;

use super::attributes::Treatment;
use super::error::SnapshotError;
use super::filter::Filter;
use super::node::Kind;
use super::store::from_oid;
use super::tree::{Found, Tree};
use super::{ObjectId, place};

/// At most so many files are looked at: this is a courtesy, and people wait for it.
const FILES: usize = 1000;

/// Larger ones are not.
const SIZE: u64 = 1 << 20;

impl Tree {
    /// The selected files whose content in the work tree at `work_dir` is another one, by their paths from its root. What
    /// is not there at all may be left out on purpose (a sparse checkout), and what a filter changes on checkout cannot
    /// be compared: neither counts.
    ///
    /// # Errors
    ///
    /// As for [`Tree::walk`].
    pub fn edited(&self, filter: &Filter, work_dir: &Path) -> Result<Vec<String>, SnapshotError> {
        let mut edited = Vec::new();
        let mut looked_at = 0;
        self.traverse(filter, false, &mut |path, found| {
            let Found::Node(Kind::File { .. }, id, treatment) = found else {
                return Ok(ControlFlow::Continue(()));
            };
            let mut place = self.place.path.clone();
            for component in path.split(|byte| *byte == b'/') {
                place::descend(&mut place, component);
            }
            let file = work_dir.join(std::ffi::OsStr::from_bytes(&place));
            if treatment == Treatment::default()
                && differs(&file, id)
                && self.store.pointer(id, self.store.size(id)?)?.is_none()
            {
                edited.push(String::from_utf8_lossy(&place).into_owned());
            }
            looked_at += 1;
            Ok(if looked_at < FILES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(edited)
    }
}

/// Whether a file is there and not that blob, whatever its line endings.
fn differs(file: &Path, id: ObjectId) -> bool {
    let small = |metadata: &fs::Metadata| metadata.is_file() && metadata.len() <= SIZE;
    if !fs::symlink_metadata(file).is_ok_and(|metadata| small(&metadata)) {
        return false;
    }
    let Ok(content) = fs::read(file) else {
        return false;
    };
    let is = |content: &[u8]| {
        git2::Oid::hash_object(ObjectType::Blob, content).is_ok_and(|hash| from_oid(hash) == id)
    };
    !is(&content) && !is(&without_cr(&content))
}

fn without_cr(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.iter().copied().peekable();
    let mut kept = Vec::with_capacity(content.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            kept.push(byte);
        }
    }
    kept
}
