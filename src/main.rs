//! The `prewarm` program.
fn main() {}
