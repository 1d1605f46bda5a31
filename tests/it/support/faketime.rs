//! Another clock (libfaketime, of Debian's package `faketime`).

use std::path::Path;

/// Where Debian has the library, on the machines that tests run on.
pub(crate) fn library() -> Option<String> {
    let places = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"));
    places.into_iter().find(|path| Path::new(path).exists())
}
