//! Which tags go, on what there is and what is known; and what is asked of the registry then.

mod execution;
mod properties;

use super::*;

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_795_000_000_000;
const KEY: &str = "0123456789abcdef01234567";
const OTHER_KEY: &str = "fedcba9876543210fedcba98";

fn template(text: &str) -> Template {
    Template::new(text, "builder", None).expect(text)
}

fn known() -> Known {
    Known {
        templates: vec![template("builder-cache-{branch}")],
        branches: set(&["main", "topic", "feature/x"]),
        protected: vec!["main".to_owned(), "release/*".to_owned()],
        uses: Some(Uses::default()),
        after: Duration::from_secs(30 * 86_400),
        now: NOW,
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn digest(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

/// A cache that was made so many hours ago.
fn tag(name: &str, content: &str, hours: i64) -> Tag {
    Tag {
        name: name.to_owned(),
        digest: Some(digest(content)),
        cache: Some(Facts {
            made: Some(NOW - hours * HOUR),
            bytes: 100,
        }),
    }
}

fn old(name: &str) -> Tag {
    tag(name, name, 31 * 24)
}

/// Whether a lone tag goes, and why.
fn fate(tag: &Tag, known: &Known) -> (Fate, String) {
    let decisions = plan(std::slice::from_ref(tag), known);
    let [decision] = decisions.as_slice() else {
        panic!("{decisions:?}")
    };
    (decision.fate, decision.reason.clone())
}

fn is(tag: &Tag, known: &Known, fate_: Fate, reason: &str) {
    assert_eq!(fate(tag, known), (fate_, reason.to_owned()), "{tag:?}");
}

#[test]
fn each_tag_is_judged_by_its_name_and_its_age() {
    use Fate::{Goes, Stays};
    let gone = "its branch is gone";
    let unused = "nobody is known to need it for 30 days";
    let young = "was made within 30 days";
    let other = "is not of a kind that prewarm makes";
    for (name, fate, reason) in [
        ("builder-cache-gone", Goes, gone),
        ("builder-cache-gone.merge", Goes, gone),
        ("builder-cache-topic", Stays, "the branch topic is there"),
        (
            "builder-cache-topic.merge",
            Stays,
            "the branch topic is there",
        ),
        (
            "builder-cache-feature-x",
            Stays,
            "the branch feature/x is there",
        ),
        // Case is kept in tags.
        ("builder-cache-Topic", Goes, gone),
        ("builder-cache-main", Stays, "the branch main is there"),
        (
            "builder-cache-release-1.0",
            Stays,
            "release-1.0 is protected: its tag is CI's",
        ),
        (
            "builder-cache-release-1.0.merge",
            Stays,
            "release-1.0 is protected: its tag is CI's",
        ),
        (
            "builder-cache-test-main",
            Stays,
            "may be of the branch main, under another target",
        ),
        (
            "builder-cache-a-b-topic",
            Stays,
            "may be of the branch topic, under another target",
        ),
        (
            "builder-cache-topic-linux-arm64",
            Stays,
            "may be of the branch topic, under another target",
        ),
        (
            "builder-cache-my-feature-x",
            Stays,
            "may be of the branch feature-x, under another target",
        ),
        ("builder-cache-topical", Goes, gone),
        ("builder-cache-topic-two", Goes, gone),
        ("latest", Stays, other),
        ("v1.0", Stays, other),
        ("builder", Stays, other),
        ("cache-gone", Stays, other),
    ] {
        is(&old(name), &known(), fate, reason);
        if fate == Goes {
            is(&tag(name, name, 30 * 24), &known(), Stays, young);
        }
    }
    let key = format!("builder-cache-k-{KEY}");
    let staging = format!("builder-cache-s-{KEY}");
    let inputs = format!("builder-cache-i-{KEY}");
    is(&old(&key), &known(), Goes, unused);
    is(&tag(&key, "x", 1), &known(), Stays, young);
    // A clock that is behind.
    is(&tag(&key, "x", -9_999), &known(), Stays, young);
    is(
        &old(&staging),
        &known(),
        Goes,
        "left over from an export more than 30 days ago",
    );
    is(&tag(&staging, "x", 1), &known(), Stays, young);
    is(
        &old(&inputs),
        &known(),
        Stays,
        "tells what a recipe needs, and is small",
    );
    is(&old(&format!("{key}0")), &known(), Stays, other);
    is(
        &old(&format!("{staging}-linux-s390x")),
        &known(),
        Stays,
        other,
    );
}

#[test]
fn what_is_unknown_stays() {
    let dateless = |name: &str| Tag {
        cache: Some(Facts {
            made: None,
            bytes: 1,
        }),
        ..old(name)
    };
    let image = |name: &str| Tag {
        cache: None,
        ..old(name)
    };
    let unread = |name: &str| Tag {
        digest: None,
        ..image(name)
    };
    for name in ["builder-cache-gone", &format!("builder-cache-k-{KEY}")] {
        let known = known();
        is(
            &dateless(name),
            &known,
            Fate::Stays,
            "does not say when it was made",
        );
        let reason = "is no BuildKit cache, or cannot be read";
        is(&image(name), &known, Fate::Stays, reason);
        is(&unread(name), &known, Fate::Stays, reason);
    }
    let lost = Known {
        uses: None,
        ..known()
    };
    let reason = "the history cannot say whether it was of use";
    is(
        &old(&format!("builder-cache-k-{KEY}")),
        &lost,
        Fate::Stays,
        reason,
    );
    is(
        &old("builder-cache-gone"),
        &lost,
        Fate::Goes,
        "its branch is gone",
    );
}

#[test]
fn what_was_of_use_here_stays() {
    let mut known = known();
    known.uses = Some(Uses {
        keys: set(&[
            "0123",
            &format!("{KEY}89abcdef"),
            "0123456789abcdef01234568",
        ]),
        branches: set(&["elsewhere"]),
    });
    let reason = "was of use here within 30 days";
    is(
        &old(&format!("builder-cache-k-{KEY}")),
        &known,
        Fate::Stays,
        reason,
    );
    let unused = old(&format!("builder-cache-k-{OTHER_KEY}"));
    assert_eq!(fate(&unused, &known).0, Fate::Goes);
    // Another repository on this machine shares the cache.
    let reason = "the branch elsewhere was of use here within 30 days";
    is(&old("builder-cache-elsewhere"), &known, Fate::Stays, reason);
}

#[test]
fn long_branches_are_found_by_the_names_that_they_were_cut_to() {
    let branch = "long/".repeat(60);
    let mut known = known();
    let name = known.templates[0].branch(&branch);
    assert_eq!(fate(&old(&name), &known).0, Fate::Goes);
    known.branches.insert(branch);
    assert_eq!(fate(&old(&name), &known).0, Fate::Stays);
    // A branch that is called like a key.
    let branch = format!("k-{KEY}");
    let name = known.templates[0].branch(&branch);
    assert_eq!(fate(&old(&name), &known).0, Fate::Stays);
}

#[test]
fn a_name_that_two_targets_may_have_made_goes_only_if_it_may_by_both() {
    let mut known = known();
    known
        .templates
        .push(template("builder-cache-test_{branch}"));
    let reason = "the branch topic is there";
    is(
        &old("builder-cache-test_topic"),
        &known,
        Fate::Stays,
        reason,
    );
    assert_eq!(fate(&old("builder-cache-test_gone"), &known).0, Fate::Goes);
    // A key of one, a branch of the other.
    known.templates = vec![template("a-{branch}"), template("a-k-{branch}")];
    let reason = "is not of a kind that prewarm makes";
    is(&old(&format!("a-k-{KEY}")), &known, Fate::Stays, reason);
    // A template that could have made any tag.
    known.templates = vec![template("{branch}")];
    is(&old("gone"), &known, Fate::Stays, reason);
}

#[test]
fn names_of_content_stay_with_what_they_name() {
    let key = format!("builder-cache-k-{KEY}");
    let staging = format!("builder-cache-s-{KEY}");
    let together = |name: &str| tag(name, "one", 31 * 24);
    let fates = |tags: &[Tag]| {
        let decisions = plan(tags, &known());
        let fates: Vec<_> = decisions.into_iter().map(|it| (it.tag, it.fate)).collect();
        fates
    };
    let tags = [
        together(&key),
        together(&staging),
        together("builder-cache-topic"),
    ];
    assert!(fates(&tags).iter().all(|(_, fate)| *fate == Fate::Stays));
    let decisions = plan(&tags, &known());
    let reason = "names the same cache as builder-cache-topic, which stays";
    assert_eq!(decisions[0].reason, reason);
    assert_eq!(removals(&decisions), []);

    // A tag of somebody else's counts as well, once its digest is known.
    let mut foreign = together("my-own-name");
    foreign.cache = None;
    let tags = [together(&key), foreign];
    assert!(fates(&tags).iter().all(|(_, fate)| *fate == Fate::Stays));

    // All of them go, with one request.
    let tags = [
        together(&staging),
        together("builder-cache-gone"),
        together(&key),
    ];
    let decisions = plan(&tags, &known());
    assert_eq!(
        removals(&decisions),
        [Removal {
            digest: digest("one"),
            tags: vec!["builder-cache-gone".to_owned(), key.clone(), staging],
            survivor: None,
        }]
    );

    // The name of a branch goes even so: whoever makes that branch again does not mean this.
    let mut known = known();
    known.uses.as_mut().expect("there are some").keys = set(&[KEY]);
    let decisions = plan(&[together(&key), together("builder-cache-gone")], &known);
    assert_eq!(
        removals(&decisions),
        [Removal {
            digest: digest("one"),
            tags: vec!["builder-cache-gone".to_owned()],
            survivor: Some(key),
        }]
    );
}

#[test]
fn bytes_count_once_and_only_where_no_name_is_left() {
    let repository = Repository::parse("ghcr.io/acme/app").expect("a repository");
    let key = format!("builder-cache-k-{KEY}");
    let tags = [
        tag("builder-cache-a", "one", 9_999),
        tag("builder-cache-b", "one", 9_999),
        tag("builder-cache-c", "two", 9_999),
        tag("builder-cache-d", "three", 9_999),
        tag("builder-cache-topic", "three", 9_999),
        tag(&key, "three", 9_999),
    ];
    let plan = Plan {
        repository,
        decisions: plan(&tags, &known()),
    };
    assert_eq!(plan.count(Fate::Goes), 4);
    assert_eq!(plan.bytes(Fate::Goes), 200);
    assert_eq!(plan.bytes(Fate::Deleted), 0);
}

#[test]
fn times_read_as_people_say_them() {
    for (seconds, text) in [
        (0, "0 min"),
        (61, "2 min"),
        (90 * 60, "90 min"),
        (12 * 3_600, "12 h"),
        (86_400, "a day"),
        (36 * 3_600, "36 h"),
        (30 * 86_400, "30 days"),
    ] {
        assert_eq!(days(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn tens_of_thousands_of_tags_are_decided_over() {
    let mut known = known();
    known.branches = (0..10_000).map(|it| format!("team/{it}/living")).collect();
    known.uses.as_mut().expect("there are some").keys =
        (0..2_000).map(|it| format!("{it:064x}")).collect();
    let tags: Vec<Tag> = (0..20_000)
        .map(|it| old(&format!("builder-cache-team-{it}-living")))
        .chain((0..20_000).map(|it| old(&format!("builder-cache-k-{it:024x}"))))
        .collect();
    let goes = removals(&plan(&tags, &known)).len();
    assert_eq!(goes, 10_000 + 20_000 - 1, "a key of zeros begins them all");
}
