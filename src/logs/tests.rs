use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::*;

fn unit(active: &str) -> UnitState {
    UnitState {
        load: "loaded".to_owned(),
        active: active.to_owned(),
        ..UnitState::default()
    }
}

#[test]
fn the_log_is_where_the_daemon_writes_it() {
    let absent = UnitState {
        load: "not-found".to_owned(),
        active: "inactive".to_owned(),
        ..UnitState::default()
    };
    for (unit, files, expected) in [
        (None, false, None),
        (None, true, Some(Source::Files)),
        (Some(absent.clone()), false, None),
        (Some(absent), true, Some(Source::Files)),
        (Some(unit("active")), true, Some(Source::Journal)),
        (Some(unit("failed")), true, Some(Source::Journal)),
        (Some(unit("inactive")), false, Some(Source::Journal)),
        (Some(unit("inactive")), true, Some(Source::Files)),
    ] {
        assert_eq!(choose(unit.as_ref(), files), expected, "{unit:?} {files}");
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("a file can be opened");
    file.write_all(text.as_bytes())
        .expect("a file can be written");
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

#[test]
fn the_last_lines_are_of_all_files_together() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    append(&path("prewarm.2026-01-01.log"), "1\n2\n3\n");
    append(&path("prewarm.2026-01-02.log"), "4\n5\nunfin");
    append(&path("other.log"), "x\n");
    for (count, expected) in [
        (0, &[][..]),
        (1, &["5"]),
        (3, &["3", "4", "5"]),
        (50, &["1", "2", "3", "4", "5"]),
    ] {
        let (_, lines) = Follower::new(directory.path(), count).expect("it can be read");
        assert_eq!(lines, expected, "{count}");
    }
    let none = Follower::new(&path("absent"), 5).expect("there need not be any");
    assert!(none.1.is_empty());
}

#[test]
fn a_long_file_is_read_from_its_end() {
    let directory = directory();
    let file = directory.path().join("prewarm.2026-01-01.log");
    let lines: Vec<String> = (0..40_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    let text = lines.concat();
    assert!(text.len() as u64 > 4 * BLOCK);
    append(&file, &text);
    let (lines, end) = tail(&file, 20_000).expect("it can be read");
    assert_eq!(end, text.len() as u64);
    assert_eq!(lines.len(), 20_000);
    assert_eq!(lines[0], "line 20000");
}

#[test]
fn following_goes_on_in_the_next_file() {
    let directory = directory();
    let path = |day: u8| directory.path().join(format!("prewarm.2026-01-0{day}.log"));
    append(&path(1), "1\n2");
    let (mut follower, lines) = Follower::new(directory.path(), 10).expect("it can be read");
    let mut more = move || follower.more().expect("it can be read");
    assert_eq!(lines, ["1"]);
    assert_eq!(more(), [""; 0]);
    append(&path(1), "0\n3\n");
    assert_eq!(more(), ["20", "3"]);
    append(&path(1), "4\n");
    append(&path(2), "5\n");
    append(&path(3), "6\n");
    assert_eq!(more(), ["4", "5", "6"]);
    fs::remove_file(path(1)).expect("old files go");
    append(&path(3), "7\n");
    assert_eq!(more(), ["7"]);
    fs::write(path(3), "8\n").expect("a file can be written");
    assert_eq!(more(), ["8"]);
}

#[test]
fn the_first_file_may_come_later() {
    let directory = directory();
    let (mut follower, _) = Follower::new(directory.path(), 10).expect("it can be read");
    append(&directory.path().join("prewarm.2026-01-01.log"), "1\n");
    assert_eq!(follower.more().expect("it can be read"), ["1"]);
}
