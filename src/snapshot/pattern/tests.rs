use super::*;

fn matcher(patterns: &[&str]) -> Matcher {
    let patterns: Vec<_> = patterns
        .iter()
        .map(|pattern| pattern.as_bytes().to_vec())
        .collect();
    Matcher::new(&patterns, Narrowing::Exclude).expect("valid patterns")
}

/// The verdict on a path after a walk down to it, with its flags.
fn walk_down(matcher: &Matcher, path: &str) -> (bool, Flags) {
    let ends = path
        .match_indices('/')
        .map(|(index, _)| index)
        .chain([path.len()]);
    ends.fold((false, Flags::new()), |(_, flags), end| {
        matcher.matches(&path.as_bytes()[..end], &flags)
    })
}

fn verdict(patterns: &[&str], path: &str) -> bool {
    walk_down(&matcher(patterns), path).0
}

#[test]
fn single_patterns_match_as_docker_s_do() {
    for (pattern, path, expected) in [
        ("**", "file", true),
        ("**/", "file", true),
        ("**", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir", false),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir", "a/dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**file", "dir/dir/myfile", true),
        ("**/file", "dir/myfile", false),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a\\*b", "a*b", true),
        ("a\\\\", "a\\", true),
        ("a?b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("docs", "docs/a/b", true),
        ("docs/", "docs/a", true),
        ("/docs", "docs", false),
        ("./docs", "docs", true),
        ("  docs  ", "docs", true),
        ("a/../docs", "docs", true),
        ("*/temp*", "somedir/temporary.txt", true),
        ("*/temp*", "somedir/temp/x", true),
        ("*/temp*", "somedir/subdir/temporary.txt", false),
        ("*/*/temp*", "somedir/subdir/temporary.txt", true),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("doc", "docs", false),
    ] {
        assert_eq!(verdict(&[pattern], path), expected, "{pattern} on {path}");
    }
}

#[test]
fn the_last_matching_pattern_decides() {
    for (patterns, path, expected) in [
        (&["*.md", "!README.md"][..], "README.md", false),
        (&["*.md", "!README.md"], "CHANGES.md", true),
        (
            &["*.md", "!README*.md", "README-secret.md"],
            "README-secret.md",
            true,
        ),
        (
            &["*.md", "README-secret.md", "!README*.md"],
            "README-secret.md",
            false,
        ),
        (&["!README.md", "*.md"], "README.md", true),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "!docs/README.md"], "docs/other", true),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["**", "!util/docker/web"], "util/docker/web/foo", false),
        (
            &["**", "!util/docker/web", "util/docker/web/foo"],
            "util/docker/web/foo",
            true,
        ),
        (&["**", "!dist/*.whl"], "dist/a-2.4.0+g08.whl", false),
        (&["*", "!src", "src/*.log"], "src/a.log", true),
        (&["*", "!src", "src/*.log"], "src/main.rs", false),
        (&["# not a comment here"], "# not a comment here", true),
    ] {
        assert_eq!(verdict(patterns, path), expected, "{patterns:?} on {path}");
    }
}

#[test]
fn names_need_not_be_utf_8() {
    let one = |pattern: &str, path: &[u8]| matcher(&[pattern]).matches(path, &[]).0;
    assert!(one("a?c", b"a\xffc"));
    assert!(one("a*", b"a\xff\xfe"));
    assert!(one("a/**", b"a/\xff"));
    assert!(!one("a??c", b"a\xffc"));
}

#[test]
fn bad_patterns_are_named() {
    for pattern in ["!", "[", "a[", "\\", "[]a]", "[x-]", "obj\\Release"] {
        let error = Matcher::new(&[pattern.as_bytes().to_vec()], Narrowing::Include).err();
        assert!(
            error.is_some_and(|error| error.to_string().contains(pattern)),
            "{pattern}"
        );
    }
}

#[test]
fn a_directory_is_settled_when_no_pattern_can_reach_below_it() {
    for (patterns, directory, expected) in [
        (&[][..], "a", true),
        (&["a"], "a", true),
        (&["a/b"], "a", false),
        (&["a/b"], "ab", true),
        (&["a/b"], "c", true),
        (&["*.txt"], "a", true),
        (&["*/*.txt"], "a", false),
        (&["*/*.txt"], "a/b", true),
        (&["src/*.txt"], "lib", true),
        (&["s*/*.txt"], "lib", true),
        (&["s*/*.txt"], "src", false),
        (&["**/x"], "a", false),
        (&["a/**"], "a", false),
        (&["a/**"], "a/b", true),
        (&["a/**"], "b", true),
        (&["a**"], "b", true),
        (&["a/[b]/c"], "a", false),
        (&["a", "!a/b"], "a", false),
        (&["a", "!a/b"], "a/b", true),
        (&["a", "!b"], "a", true),
    ] {
        let matcher = matcher(patterns);
        let (outcome, flags) = walk_down(&matcher, directory);
        assert_eq!(
            matcher.settled(directory.as_bytes(), outcome, &flags),
            expected,
            "{patterns:?} at {directory}"
        );
    }
}
