//! What holds of every plan, whatever there is.

use proptest::prelude::*;

use super::*;

/// Names of all kinds, and some that only look like them.
fn names() -> impl Strategy<Value = String> {
    let slug = prop_oneof![
        Just("main"),
        Just("topic"),
        Just("feature-x"),
        Just("release-7"),
        Just("gone"),
        Just("gone-too"),
        Just("test-topic"),
    ];
    let branch = (
        slug,
        prop_oneof![Just(""), Just(".merge"), Just("-linux-arm64")],
    )
        .prop_map(|(slug, end)| format!("builder-cache-{slug}{end}"));
    let content = (
        prop_oneof![Just("k"), Just("s"), Just("i")],
        prop_oneof![Just(KEY), Just(OTHER_KEY)],
    )
        .prop_map(|(kind, digits)| format!("builder-cache-{kind}-{digits}"));
    prop_oneof![
        branch,
        content,
        "[a-z]{1,8}",
        "builder-cache-[a-z0-9-]{1,12}"
    ]
}

prop_compose! {
    fn any_tag()(
        name in names(),
        content in 0..6_u8,
        known in 0..10_u8,
        days in -3..70_i64,
    ) -> Tag {
        let made = (known > 1).then_some(NOW - days * 24 * HOUR);
        Tag {
            name,
            digest: (known > 0).then(|| digest(&content.to_string())),
            cache: (known > 2).then_some(Facts { made, bytes: 1 }),
        }
    }
}

fn any_tags() -> impl Strategy<Value = Vec<Tag>> {
    proptest::collection::vec(any_tag(), 0..24).prop_map(|tags| {
        let by_name: BTreeMap<String, Tag> = tags
            .into_iter()
            .map(|tag| (tag.name.clone(), tag))
            .collect();
        by_name.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn only_old_caches_of_our_own_go(
        tags in any_tags(),
        after in 0..60_u64,
        used in proptest::option::of(proptest::bool::ANY),
    ) {
        let mut known = known();
        known.after = Duration::from_secs(after * 86_400);
        known.uses = used.map(|used| Uses {
            keys: if used { set(&[KEY]) } else { BTreeSet::new() },
            branches: BTreeSet::new(),
        });
        let decisions = plan(&tags, &known);
        prop_assert_eq!(decisions.len(), tags.len());
        let by_name: BTreeMap<&str, &Tag> = tags.iter().map(|it| (it.name.as_str(), it)).collect();
        for decision in decisions.iter().filter(|it| it.fate == Fate::Goes) {
            let tag = by_name[decision.tag.as_str()];
            let made = tag.cache.and_then(|cache| cache.made).expect("unknown ages stay");
            prop_assert!(tag.digest.is_some());
            prop_assert!(NOW - made > i64::try_from(after).expect("small") * 24 * HOUR, "{tag:?}");
            let slug = tag.name.strip_prefix("builder-cache-").expect("only ours go");
            for living in ["main", "topic", "feature-x", "release-7"] {
                prop_assert_ne!(slug.trim_end_matches(".merge"), living);
                let other_target = format!("-{living}");
                prop_assert!(!slug.ends_with(&other_target), "{slug}");
            }
            prop_assert!(!slug.starts_with("i-0123"), "{slug}");
            if slug == format!("k-{KEY}") {
                prop_assert_eq!(used, Some(false));
            }
        }
    }

    #[test]
    fn a_manifest_is_removed_only_with_all_its_names(tags in any_tags()) {
        let decisions = plan(&tags, &known());
        let fates: BTreeMap<&str, Fate> =
            decisions.iter().map(|it| (it.tag.as_str(), it.fate)).collect();
        let mut removed = 0;
        for removal in removals(&decisions) {
            let names = tags.iter().filter(|it| it.digest.as_ref() == Some(&removal.digest));
            let stays = names.clone().find(|it| fates[it.name.as_str()] == Fate::Stays);
            prop_assert_eq!(stays.is_some(), removal.survivor.is_some());
            for name in &removal.tags {
                prop_assert_eq!(fates[name.as_str()], Fate::Goes);
                if removal.survivor.is_some() {
                    // Names of content never go from a manifest that stays.
                    prop_assert!(matches!(kind(name, &known().templates), Kind::Branch));
                }
            }
            removed += removal.tags.len();
        }
        let goes = decisions.iter().filter(|it| it.fate == Fate::Goes).count();
        prop_assert_eq!(goes, removed, "every tag that goes is part of one removal");
    }

    #[test]
    fn the_order_of_the_tags_does_not_matter((tags, shuffled) in any_tags().prop_flat_map(|tags| {
        (Just(tags.clone()), Just(tags).prop_shuffle())
    })) {
        prop_assert_eq!(plan(&tags, &known()), plan(&shuffled, &known()));
    }

    #[test]
    fn what_is_left_stays_at_the_next_time(tags in any_tags()) {
        let decisions = plan(&tags, &known());
        let stays: BTreeSet<&str> = decisions
            .iter()
            .filter(|it| it.fate == Fate::Stays)
            .map(|it| it.tag.as_str())
            .collect();
        let left: Vec<Tag> = tags.iter().filter(|it| stays.contains(it.name.as_str())).cloned().collect();
        let again = plan(&left, &known());
        prop_assert!(again.iter().all(|it| it.fate == Fate::Stays), "{again:?}");
    }
}
