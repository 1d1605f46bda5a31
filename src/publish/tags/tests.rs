use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::registry::is_tag;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const RECIPE: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

fn template(text: &str) -> Template {
    Template::new(text, "builder", None).expect(text)
}

#[test]
fn slugs_are_those_of_metadata_action() {
    let table = [
        ("main", "main"),
        ("feature/login", "feature-login"),
        ("Feature/LOGIN", "Feature-LOGIN"),
        ("fix//two", "fix-two"),
        ("fix/ä ö/x", "fix-x"),
        ("a/-b", "a--b"),
        ("release/1.0_rc", "release-1.0_rc"),
        (
            "dependabot/npm_and_yarn/@types/node-20.1",
            "dependabot-npm_and_yarn-types-node-20.1",
        ),
        ("日本", "-"),
        ("", ""),
    ];
    for (branch, expected) in table {
        assert_eq!(slug(branch), expected, "{branch}");
    }
}

#[test]
fn a_warm_has_tags_for_each_purpose() {
    insta::assert_debug_snapshot!(template("builder-cache-{branch}").tags(KEY, RECIPE, Some("feature/login")), @r#"
    Tags {
        key: "builder-cache-k-0123456789abcdef01234567",
        staging: "builder-cache-s-fedcba9876543210fedcba98",
        inputs: "builder-cache-i-fedcba9876543210fedcba98",
        branch: Some(
            "builder-cache-feature-login",
        ),
    }
    "#);
    assert_eq!(
        template("builder-cache-{branch}")
            .tags(KEY, RECIPE, None)
            .branch,
        None
    );
}

#[test]
fn one_of_several_platforms_is_named_at_the_end() {
    let arm = Template::new("builder-cache-{branch}", "builder", Some("linux/arm64/v8"))
        .expect("a template");
    insta::assert_debug_snapshot!(arm.tags(KEY, RECIPE, Some("main")), @r#"
    Tags {
        key: "builder-cache-k-0123456789abcdef01234567",
        staging: "builder-cache-s-fedcba9876543210fedcba98-linux-arm64-v8",
        inputs: "builder-cache-i-fedcba9876543210fedcba98-linux-arm64-v8",
        branch: Some(
            "builder-cache-main-linux-arm64-v8",
        ),
    }
    "#);
}

#[test]
fn the_prefix_of_content_named_tags_comes_from_the_template_or_the_target() {
    let table = [
        ("{branch}", "builder", "builder-k-", "main"),
        ("{branch}-cache", "deps", "deps-k-", "main-cache"),
        ("{branch}", "-odd one", "_odd-one-k-", "main"),
        ("x--{branch}.y", "builder", "x-k-", "x--main.y"),
        ("cache{branch}", "builder", "cache-k-", "cachemain"),
    ];
    for (text, target, prefix, branch) in table {
        let tags = Template::new(text, target, None)
            .expect(text)
            .tags(KEY, RECIPE, Some("main"));
        assert!(tags.key.starts_with(prefix), "{text}: {}", tags.key);
        assert_eq!(tags.branch.as_deref(), Some(branch), "{text}");
    }
}

#[test]
fn templates_that_cannot_work_are_refused() {
    let long = format!("{}{{branch}}", "x".repeat(97));
    let table = [
        (
            "builder-cache",
            "tag template `builder-cache` does not contain `{branch}`",
        ),
        (
            "{branch}-{branch}",
            "tag template `{branch}-{branch}` contains `{branch}` more than once",
        ),
        (
            "a/{branch}",
            "tag template `a/{branch}` has characters other than letters, digits, `.`, `_` and `-`",
        ),
        (
            "-{branch}",
            "tag template `-{branch}` begins with `.` or `-`",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(
            Template::new(text, "builder", None)
                .expect_err(text)
                .to_string(),
            expected
        );
    }
    let error = Template::new(&long, "builder", None)
        .expect_err("too long")
        .to_string();
    assert!(
        error.ends_with("leaves too little of a tag's 128 characters"),
        "{error}"
    );
}

#[test]
fn a_branch_cannot_take_a_content_named_tag() {
    let hex = "0123456789abcdef01234567";
    let plain = template("builder-cache-{branch}");
    assert_eq!(
        plain.branch(&format!("k-{hex}")),
        format!("builder-cache-k-{hex}-eeaba7d8")
    );
    assert_eq!(
        plain.branch(&format!("i/{hex}")),
        format!("builder-cache-i-{hex}-{}", short(&format!("i/{hex}")))
    );
    // Near misses are ordinary branches.
    for branch in [
        format!("k-{}", &hex[1..]),
        format!("k-{hex}8"),
        format!("k-{hex}-x"),
        format!("x-{hex}"),
    ] {
        assert_eq!(plain.branch(&branch), format!("builder-cache-{branch}"));
    }
    let glued = template("cache{branch}");
    assert_ne!(
        glued.branch(&format!("-k-{hex}")),
        glued.tags(hex, hex, None).key
    );
}

fn short(branch: &str) -> String {
    Digest::of(branch.as_bytes()).hex()[..8].to_owned()
}

#[test]
fn only_what_passes_128_characters_is_cut() {
    let template = template("builder-cache-{branch}");
    let fits = "b".repeat(128 - "builder-cache-".len());
    assert_eq!(template.branch(&fits), format!("builder-cache-{fits}"));
    let long = format!("{fits}b");
    let cut = template.branch(&long);
    assert_eq!(cut.len(), 128);
    assert!(cut.ends_with(&format!("bb-{}", short(&long))), "{cut}");
}

#[test]
fn protected_branches_match_by_name_and_by_tag() {
    let patterns: Vec<String> = ["main", "master", "release/*", "*-stable", "v*.x"]
        .map(str::to_owned)
        .into();
    let table = [
        ("main", true),
        ("master", true),
        ("release/1.0", true),
        ("release/1.0/fix", true),
        ("release/", true),
        ("py-stable", true),
        ("a/b-stable", true),
        ("v1.x", true),
        ("v.x", true),
        // They would write the tag that a protected branch's CI reads.
        ("release-1.0", true),
        ("release//1.0", true),
        ("mainline", false),
        ("feature/main", false),
        ("Main", false),
        ("release", false),
        ("v1.y", false),
        ("stable", false),
    ];
    for (branch, expected) in table {
        assert_eq!(protected(branch, &patterns), expected, "{branch}");
    }
    assert!(!protected("main", &[]));
    assert!(protected("anything", &["*".to_owned()]));
}

proptest! {
    #[test]
    fn every_tag_is_legal(
        branch in "\\PC{0,200}",
        text in "([a-zA-Z0-9_][a-z._-]{0,20})?\\{branch\\}[a-z._-]{0,20}",
        platform in proptest::option::of("linux/(amd64|arm/v7)"),
    ) {
        let template = Template::new(&text, "bui lder", platform.as_deref()).expect("a template");
        let tags = template.tags(KEY, RECIPE, Some(&branch));
        prop_assert!(is_tag(&tags.key), "{}", tags.key);
        prop_assert!(is_tag(&tags.inputs), "{}", tags.inputs);
        let branch = tags.branch.expect("a branch was given");
        prop_assert!(is_tag(&branch), "{}", branch);
        prop_assert!(branch != tags.key && branch != tags.inputs);
    }

    #[test]
    fn long_branches_keep_apart(ends in proptest::collection::hash_set("[a-z/]{1,8}", 2..20)) {
        let template = template("builder-cache-{branch}");
        let tags: HashSet<String> =
            ends.iter().map(|end| template.branch(&format!("{}{end}", "long/".repeat(40)))).collect();
        prop_assert_eq!(tags.len(), ends.len());
    }

    #[test]
    fn a_pattern_without_stars_protects_exactly_its_slug(branch in "[a-z/-]{1,12}", pattern in "[a-z/-]{1,12}") {
        prop_assert_eq!(protected(&branch, std::slice::from_ref(&pattern)), slug(&branch) == slug(&pattern));
    }
}

/// The workflow in README names the branch's tag as we do.
#[test]
fn the_readme_s_workflow_reads_the_tags_that_are_written() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("run: |\n").expect("there is a script");
    let script: Vec<&str> = rest
        .lines()
        .take_while(|line| line.starts_with("       "))
        .map(str::trim_start)
        .collect();
    let script = script.join("\n");
    for branch in [
        "",
        "newer-sympy",
        "feature/login",
        "a//b",
        "über/#1 ✓",
        "v1.2_x",
    ] {
        let output = tempfile::NamedTempFile::new().expect("a file");
        let status = std::process::Command::new("bash")
            .args(["-e", "-c", &script])
            .env("BRANCH", branch)
            .env("GITHUB_OUTPUT", output.path())
            .status()
            .expect("bash runs");
        assert!(status.success());
        let tag = |branch: &str| {
            let tag = template("builder-cache-{branch}").branch(branch);
            format!("type=registry,ref=ghcr.io/acme/app:{tag}")
        };
        let main = tag("main");
        let expected = if branch.is_empty() {
            format!("from<<END\n{main}\nEND\nto={main},mode=max\n")
        } else {
            let own = tag(branch);
            format!("from<<END\n{own}.merge\n{own}\n{main}\nEND\n")
        };
        let written = std::fs::read_to_string(output.path()).expect("readable");
        assert_eq!(written, expected, "{branch}");
    }
}

#[test]
fn shapes_are_told_by_names_alone() {
    let branch = |slug: &str| Some(Shape::Branch(slug.to_owned()));
    let digits = &KEY[..24];
    let plain = template("builder-cache-{branch}");
    let arm = Template::new("builder-cache-{branch}", "builder", Some("linux/arm64")).expect("one");
    let table = [
        ("builder-cache-topic".to_owned(), branch("topic"), None),
        (
            "builder-cache-topic-linux-arm64".to_owned(),
            branch("topic-linux-arm64"),
            branch("topic"),
        ),
        (
            format!("builder-cache-k-{digits}"),
            Some(Shape::Key(digits.to_owned())),
            Some(Shape::Key(digits.to_owned())),
        ),
        (
            format!("builder-cache-s-{digits}"),
            Some(Shape::Staging),
            None,
        ),
        (
            format!("builder-cache-i-{digits}"),
            Some(Shape::Inputs),
            None,
        ),
        (
            format!("builder-cache-i-{digits}-linux-arm64"),
            None,
            Some(Shape::Inputs),
        ),
        // Another platform's, or a branch with such a name: not certainly anything.
        (format!("builder-cache-s-{digits}-linux-s390x"), None, None),
        (format!("builder-cache-k-{digits}0"), None, None),
        ("builder-cache-k-0123".to_owned(), branch("k-0123"), None),
        (
            format!("builder-cache-k-{}", digits.to_uppercase()),
            branch(&format!("k-{}", digits.to_uppercase())),
            None,
        ),
        ("builder-cache-".to_owned(), None, None),
        ("builder-cache".to_owned(), None, None),
        ("latest".to_owned(), None, None),
        ("xbuilder-cache-topic".to_owned(), None, None),
    ];
    for (tag, by_plain, by_arm) in table {
        assert_eq!(plain.shape(&tag), by_plain, "{tag}");
        assert_eq!(arm.shape(&tag), by_arm, "{tag} for arm64");
    }
    let any = template("{branch}");
    assert_eq!(any.shape("latest"), None);
    assert_eq!(
        any.shape(&format!("builder-k-{digits}")),
        Some(Shape::Key(digits.to_owned()))
    );
    assert_eq!(template("{branch}-cache").shape("x-cache"), branch("x"));
}

proptest! {
    #[test]
    fn what_a_template_makes_it_knows(
        branch in "[a-zA-Z0-9./äöü_-]{1,200}",
        text in "[a-z_][a-z-]{0,12}\\{branch\\}[a-z.-]{0,6}",
        platform in proptest::option::of(Just("linux/arm64")),
    ) {
        let template = Template::new(&text, "builder", platform).expect("a template");
        let tags = template.tags(KEY, RECIPE, Some(&branch));
        prop_assert_eq!(template.shape(&tags.key), Some(Shape::Key(KEY[..24].to_owned())));
        prop_assert_eq!(template.shape(&tags.staging), Some(Shape::Staging));
        prop_assert_eq!(template.shape(&tags.inputs), Some(Shape::Inputs));
        let shape = template.shape(&tags.branch.expect("there is a branch"));
        prop_assert!(matches!(shape, Some(Shape::Branch(_)) | None), "{shape:?}");
    }

    #[test]
    fn any_name_has_at_most_one_shape(name in "\\PC{0,60}|builder-cache-[kis]-[0-9a-f]{20,30}.{0,4}") {
        let _ = template("builder-cache-{branch}").shape(&name);
    }
}
