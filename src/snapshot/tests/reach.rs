//! What a transfer holds in CI that it does not hold here.

use super::Fixture;
use crate::snapshot::{Checkout, Filter, Reach};

fn filter(follow: &[&str], exclude: &[&str]) -> Filter {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Filter {
        follow: texts(follow),
        include: Vec::new(),
        exclude: texts(exclude),
    }
}

#[test]
fn the_git_directory_and_the_root_are_taken_by_whatever_selects_them() {
    let fixture = Fixture::with(&[("src/a", "1"), (".gitignore", "x"), ("deps.txt", "1")]);
    fixture.link("src/up", "..");
    fixture.commit();
    let tree = fixture.head().context(".").expect("the root");
    let table: &[(&[&str], &[&str], bool, bool)] = &[
        // follow, exclude, root, .git
        (&[], &[], true, true),
        (&["."], &["target"], true, true),
        (&[], &[".git"], true, false),
        (&[], &["**/.git"], true, false),
        (&[], &["*", "!src"], true, false),
        (&[], &["*", "!src", "!.git"], true, true),
        (&["*"], &[], false, true),
        (&["*"], &["**/.git"], false, false),
        (&[".git*"], &[], false, true),
        (&[".g*"], &[], false, true),
        (&[".git/HEAD"], &[], false, true),
        (&["src/up"], &[], true, true),
        (&["src/up"], &[".git"], true, false),
        (&["deps.txt"], &[], false, false),
        (&[".gitignore"], &[], false, false),
    ];
    for (follow, exclude, root, git_directory) in table {
        let reach = tree.reach(&filter(follow, exclude)).expect("a filter");
        let expected = Reach {
            root: *root,
            git_directory: *git_directory,
            submodules: false,
        };
        assert_eq!(reach, expected, "{follow:?} {exclude:?}");
    }
    // A directory below the root has no `.git`.
    let below = fixture.head().context("src").expect("a directory");
    let reach = below.reach(&filter(&[], &[])).expect("a filter");
    assert_eq!((reach.root, reach.git_directory), (true, false));
}

#[test]
fn submodules_are_taken_as_a_whole_or_not() {
    let library = Fixture::with(&[("lib.c", "int x;")]);
    let fixture = Fixture::with(&[("a", "1")]);
    let url = library.work().display().to_string();
    fixture.git(&["submodule", "--quiet", "add", &url, "vendor/lib"]);
    fixture.commit();
    for submodules in [false, true] {
        let checkout = Checkout {
            submodules,
            ..Checkout::default()
        };
        let source = crate::snapshot::Source::Revision("HEAD".to_owned());
        let snapshot = fixture.take(&source, checkout).expect("a snapshot");
        let takes = |context: &str, follow: &[&str], exclude: &[&str]| {
            let tree = snapshot.context(context).expect("a directory");
            tree.reach(&filter(follow, exclude))
                .expect("a filter")
                .submodules
        };
        assert!(takes(".", &["vendor"], &[]));
        assert!(takes(".", &[], &[]));
        assert!(takes(".", &["vendor/lib"], &[]));
        assert!(takes("vendor", &["lib"], &[]));
        assert!(!takes(".", &["a"], &[]));
        assert!(!takes(".", &["vendor"], &["**/.git"]));
        assert!(!takes(".", &["vendor/lib/lib.c"], &[]));
    }
}
