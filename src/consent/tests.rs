//! What the file keeps, and what it refuses to be.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Allowed, Approval, ConsentError, MOST_APPROVALS, Reason, Store, path};

fn store() -> (TempDir, Store, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("state/consent.json");
    (directory, Store::at(file.clone()), file)
}

fn approval(digest: &str) -> Approval {
    Approval {
        digest: digest.to_owned(),
        at: 7,
        reason: Reason::OwnWork,
    }
}

fn allow(store: &Store, name: &str) {
    store
        .update(|allowed| {
            allowed
                .allow(Path::new(name), Path::new("/w"), 5)
                .approve(approval("d"));
        })
        .expect("written");
}

#[test]
fn what_is_allowed_is_there_for_the_next_one_and_for_nobody_else() {
    let (_directory, store, file) = store();
    assert_eq!(store.load().expect("nothing yet"), Allowed::default());
    let name = OsString::from_vec(b"/r/\xff%\n".to_vec());
    let commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    store
        .update(|allowed| {
            let grant = allowed.allow(Path::new(&name), Path::new("/w"), 5);
            grant.approve(Approval {
                reason: Reason::ByHand {
                    commit: Some(commit.to_owned()),
                },
                ..approval("by hand")
            });
            grant.approve_commit(commit.parse().expect("an id"));
        })
        .expect("written");
    let allowed = store.load().expect("read");
    let grant = allowed.grant(Path::new(&name)).expect("allowed");
    assert!(grant.approves("by hand") && !grant.approves("other"));
    assert_eq!(grant.commits().count(), 1);
    assert_eq!(allowed.grant(Path::new("/r")), None);
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let denied = store
        .update(|allowed| allowed.deny(|grant| grant.work_dir == Path::new("/w")))
        .expect("written");
    assert_eq!(denied.len(), 1);
    assert_eq!(store.load().expect("read"), Allowed::default());
    store
        .update(|allowed| allowed.approve(Path::new(&name), [approval("late")]))
        .expect("written");
    assert_eq!(store.load().expect("read"), Allowed::default());
}

#[test]
fn what_cannot_be_trusted_allows_nothing_and_is_not_written_over() {
    let good = {
        let (_directory, store, file) = store();
        allow(&store, "/r");
        fs::read_to_string(file).expect("read")
    };
    let cases: [(&str, String, u32); 6] = [
        ("truncated", good[..good.len() / 2].to_owned(), 0o600),
        ("empty", String::new(), 0o600),
        ("no JSON", "allowed: all".to_owned(), 0o600),
        (
            "another shape",
            "{\"version\": 1, \"repositories\": {}}".to_owned(),
            0o600,
        ),
        ("for all to write", good.clone(), 0o666),
        ("for the group to write", good.clone(), 0o620),
    ];
    for (name, text, mode) in cases {
        let (_directory, store, file) = store();
        fs::create_dir_all(file.parent().expect("in a directory")).expect("made");
        fs::write(&file, &text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("changed");
        let refused = store.load();
        assert!(
            matches!(refused, Err(ConsentError::Damaged { .. })),
            "{name}: {refused:?}"
        );
        assert!(store.update(|_| ()).is_err(), "{name}");
        assert_eq!(fs::read_to_string(&file).expect("read"), text, "{name}");

        let change = |allowed: &mut Allowed| {
            allowed.allow(Path::new("/new"), Path::new("/w"), 1);
        };
        let ((), aside) = store.update_or_set_aside(9, change).expect(name);
        let aside = aside.expect("it was set aside");
        assert_eq!(
            fs::read_to_string(&aside.path).expect("read"),
            text,
            "{name}"
        );
        let allowed = store.load().expect("a new file");
        assert_eq!(allowed.grants().len(), 1, "{name}");
    }
}

#[test]
fn a_newer_file_stays_where_it_is() {
    let (_directory, store, file) = store();
    fs::create_dir_all(file.parent().expect("in a directory")).expect("made");
    fs::write(&file, "{\"version\": 2, \"everything\": true}").expect("written");
    for refused in [
        store.load().map(drop),
        store.update(|_| ()),
        store.update_or_set_aside(1, |_| ()).map(drop),
    ] {
        assert!(
            matches!(refused, Err(ConsentError::Newer { version: 2, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_file_that_others_may_read_counts_and_is_made_private_again() {
    let (_directory, store, file) = store();
    allow(&store, "/r");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
    assert_eq!(store.load().expect("read").grants().len(), 1);
    allow(&store, "/other");
    let mode = fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let (_directory, store, _) = store();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || allow(store, &format!("/{number}")));
        }
    });
    assert_eq!(store.load().expect("read").grants().len(), 8);
}

#[test]
fn only_the_newest_approvals_are_kept() {
    let mut allowed = Allowed::default();
    let grant = allowed.allow(Path::new("/r"), Path::new("/w"), 0);
    for number in 0..=MOST_APPROVALS {
        grant.approve(approval(&number.to_string()));
        grant.approve(approval("renewed"));
    }
    assert_eq!(grant.approved().len(), MOST_APPROVALS);
    assert!(grant.approves("renewed") && !grant.approves("1") && grant.approves("2"));
}

proptest! {
    #[test]
    fn every_path_survives(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let original = PathBuf::from(OsString::from_vec(bytes));
        prop_assert_eq!(path::decode(&path::encode(&original)), Some(original));
    }

    #[test]
    fn no_damage_allows_more(cut in 0_usize..200, byte in any::<u8>()) {
        let (_directory, store, file) = store();
        allow(&store, "/r");
        let mut bytes = fs::read(&file).expect("read");
        let at = cut % bytes.len();
        bytes[at] = byte;
        fs::write(&file, &bytes).expect("written");
        if let Ok(allowed) = store.load() {
            prop_assert!(allowed.grants().len() <= 1);
        }
    }
}
