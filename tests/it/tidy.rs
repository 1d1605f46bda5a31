//! The sources keep the rules of the house.

mod deletions;

use std::fs;
use std::path::{Path, PathBuf};

/// A file that is longer does more than one thing.
const LONGEST: usize = 450;

/// Every Rust file below `src`, by its path there, with its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.sort();
    assert!(
        found.len() > 20,
        "these are not the sources: {}",
        root.display()
    );
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let path = path
                .strip_prefix(&root)
                .expect("it was found there")
                .display()
                .to_string();
            (path, text)
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("a directory can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code that contain one of these, outside the modules `allowed`, as `path:line: text`.
fn lines_with(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if allowed.iter().any(|module| is_in(&path, module)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| has_word(code, word)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether a file is `module.rs` or below `module/`.
fn is_in(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether `word` stands in `code` on its own: `git2::` does not stand in `bollard_git2::`.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_name))
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > LONGEST && !path.contains("tests"))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST} lines: {long:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    for (path, text) in sources() {
        for mark in marks {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[test]
fn only_the_ui_prints() {
    let printing = [
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "dbg!",
        "io::stdout",
        "io::stderr",
    ];
    let found = lines_with(&printing, &["ui", "daemon/log"]);
    let found: Vec<_> = found
        .into_iter()
        .filter(|line| !line.contains("is_terminal()"))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn planning_is_pure() {
    let pure = [
        "plan",
        "prune/choose",
        "prune/cost",
        "prune/guard",
        "prune/keep",
        "prune/needed",
        "prune/plan",
        "prune/policy",
        "prune/reason",
        "prune/usage",
    ];
    let impure = [
        "tokio",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime",
        "Instant",
    ];
    let elsewhere: Vec<_> = lines_with(&impure, &[])
        .into_iter()
        .filter(|line| pure.iter().any(|module| line.starts_with(module)))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn the_daemon_decides_without_doing_anything() {
    let impure = [
        "tokio",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime",
        "Instant::now",
    ];
    let elsewhere: Vec<_> = lines_with(&impure, &["daemon/state/tests"])
        .into_iter()
        .filter(|line| line.starts_with("daemon/state") || line.starts_with("daemon/interest"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn foreign_crates_stay_in_their_modules() {
    for (krate, modules) in [
        ("git2::", &["snapshot"][..]),
        ("bollard::", &["engine"]),
        ("bollard_buildkit_proto::", &["buildkit"]),
        ("rusqlite::", &["record"]),
        ("reqwest::", &["registry"]),
        ("notify::", &["daemon/watch"]),
        ("daemonize::", &["daemon/detach"]),
        ("sd_notify::", &["daemon/service"]),
        ("tracing_appender::", &["daemon/log"]),
    ] {
        let found = lines_with(&[krate], modules);
        assert!(found.is_empty(), "{krate} outside {modules:?}: {found:#?}");
    }
}

#[test]
fn words_are_found_on_their_own_only() {
    assert!(has_word("use git2::Repository;", "git2::"));
    assert!(!has_word("use libgit2::Repository;", "git2::"));
    assert!(is_in("ui/text.rs", "ui") && is_in("ui.rs", "ui") && !is_in("uid.rs", "ui"));
}
