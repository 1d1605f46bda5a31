//! What the file of pins keeps, and what it refuses to be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn branch(repository: &str, common_dir: &str, branch: &str) -> Pin {
    Pin::Branch {
        repository: repository.to_owned(),
        common_dir: common_dir.to_owned(),
        branch: branch.to_owned(),
    }
}

#[test]
fn pins_are_there_for_the_next_one_and_for_nobody_else() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("state/pins.json");
    let store = PinStore::at(file.clone());
    assert_eq!(store.load().expect("nothing yet"), Pins::default());
    let record = Pin::Record { id: "a".repeat(25) };
    let image = Pin::Image {
        reference: "app:1".to_owned(),
    };
    let topic = branch("/w", "/w/.git", "topic");
    for (at, pin) in [&record, &image, &topic].into_iter().enumerate() {
        let at = i64::try_from(at).expect("small");
        assert!(store.update(|pins| pins.add(pin, at)).expect("written"));
        assert!(!store.update(|pins| pins.add(pin, 9)).expect("written"));
    }
    // A linked work tree has the same branches; another repository has not.
    let linked = branch("/linked", "/w/.git", "topic");
    let other = branch("/other", "/other/.git", "topic");
    let mut pins = store.load().expect("read");
    assert!(!pins.add(&linked, 9));
    assert!(pins.add(&other, 9) && pins.remove(&linked) && !pins.remove(&topic));
    assert_eq!(pins.branches.len(), 1);

    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let found: Vec<_> = store.load().expect("read").all().collect();
    assert_eq!(found, [(topic, 2), (image.clone(), 1), (record, 0)]);
    assert!(store.update(|pins| pins.remove(&image)).expect("written"));
    assert!(!store.update(|pins| pins.remove(&image)).expect("read"));
    assert!(store.load().expect("read").images.is_empty());
}

#[test]
fn what_cannot_be_trusted_is_no_list_of_pins_and_is_not_written_over() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("pins.json");
    let store = PinStore::at(file.clone());
    for text in [
        "",
        "{}",
        "null",
        "[]",
        r#"{"version": 1}"#,
        r#"{"version": 1, "records": [], "branches": []}"#,
        r#"{"version": 1, "records": [{"id": 7, "at": 1}], "branches": [], "images": []}"#,
        r#"{"version": 2, "records": [], "branches": [], "images": []}"#,
        r#"{"version": 1, "records": [], "branches": [], "images": []"#,
    ] {
        fs::write(&file, text).expect("written");
        let error = store.load().expect_err(text);
        assert!(error.hint().is_some(), "{error}");
        let added = store.update(|pins| pins.add(&branch("/w", "/w", "b"), 1));
        added.expect_err(text);
        assert_eq!(fs::read_to_string(&file).expect("read"), text);
    }
    fs::write(
        &file,
        r#"{"version": 1, "records": [], "branches": [], "images": []}"#,
    )
    .expect("written");
    store.load().expect("a good file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("it is ours");
    store.load().expect_err("others may write it");
    fs::remove_file(&file).expect("it is ours");
    fs::create_dir(&file).expect("a directory");
    store.load().expect_err("no file");
}
