//! Expected values follow moby's patternmatcher, as BuildKit's walk uses it.

use super::*;

/// Asks as a walk does: each parent first.
fn ask(matcher: &Matcher, path: &[u8]) -> bool {
    let mut state = State::default();
    for (at, _) in path.iter().enumerate().filter(|&(_, &byte)| byte == b'/') {
        state = matcher.enter(path.get(..at).unwrap(), &state);
    }
    matcher.matches(path, &state)
}

fn check(rows: &[(&str, &str, bool)]) {
    for (patterns, path, wanted) in rows {
        let matcher = Matcher::new(patterns.split(',')).unwrap();
        assert_eq!(ask(&matcher, path.as_bytes()), *wanted, "{patterns} {path}");
    }
}

#[test]
fn matches_follows_moby_when_one_rule_is_given() {
    check(&[
        ("**", "file", true),
        ("**", "file/", true),
        ("**/", "file", true),
        ("**", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir", false),
        ("dir/**", "dir/dir2/file", true),
        ("dir", "dir", true),
        ("dir", "dir/x/y", true),
        ("dir/", "dir/x", true),
        ("/dir", "dir", true),
        ("./dir", "dir", true),
        ("a/../dir", "dir", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/file", true),
        ("**/file", "file", true),
        ("**/file", "xfile", false),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\\\", "a\\", true),
        ("a\\b", "ab", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        (
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
        ("*.md", "README.md", true),
        ("*.md", "docs/README.md", false),
        ("**/*.md", "docs/README.md", true),
        ("*.py[cod]", "x.pyc", true),
        ("**/*.py[cod]", "a/b/x.pyd", true),
        ("*.py[cod]", "x.pyx", false),
        ("a*c?e", "abcde", true),
        ("?", "é", true),
        ("??", "é", false),
        ("*/*", "a/b", true),
        ("*/b", "a/b/c", true),
        ("**b", "a/xb", true),
        ("a**b", "axb", false),
        ("a**b", "ax/b", true),
        ("Foo", "foo", false),
    ]);
}

#[test]
fn matches_follows_moby_when_rules_take_back() {
    check(&[
        ("*,!b", "b", false),
        ("*,!b", "b/c", false),
        ("*,!b", "a", true),
        ("a,!a/b/c", "a/b/c", false),
        ("a,!a/b/c", "a/b/d", true),
        ("**,!a/**/x.o", "a/b/c/x.o", false),
        ("**,!a/**/x.o", "a/b/c/y.o", true),
        ("*.md,!README.md", "README.md", false),
        ("*.md,!README*.md,README-secret.md", "README-secret.md", true),
        ("*.md,README-secret.md,!README*.md", "README-secret.md", false),
        ("**,!util,!util/docker,!docs", "util/docker/x", false),
        ("a,!a/b,a/b/c", "a/b/c", true),
        ("a,!a/b,a/b/c", "a/b/d", false),
        ("!a,a", "a", true),
        ("docs,!docs/README.md", "docs/README.md", false),
        // Docker's walk does not ask `a*` for the directory a, which `a` excluded already.
        ("a,!a/b,a*", "a/b", false),
    ]);
}

#[test]
fn matches_keeps_the_expression_syntax_that_moby_lets_through() {
    check(&[
        ("a|b*", "axyz", true),
        ("a|b", "a|b", true),
        ("a|b", "a", false),
        ("x{2}*", "xx", true),
        ("x{y}*", "x{y}z", true),
        ("\\d*", "7", true),
        ("\\d*", "d", false),
        ("[&]*", "&x", true),
        ("a^b*", "a^b", false),
        ("x(y)*", "x(y)z", true),
        ("[[]a", "[a", true),
        ("[!a]b", "!b", true),
    ]);
}

#[test]
fn matches_stops_at_a_newline_when_a_deep_wildcard_would_cross_it() {
    check(&[("a/**/x*", "a/b\nc/x1", false), ("a/*/x*", "a/b\nc/x1", true), ("**/x", "b\nc/x", true)]);
}

#[test]
fn matches_takes_names_that_are_not_utf8() {
    let matcher = Matcher::new(["a?c", "x[^y]z"]).unwrap();
    assert!(ask(&matcher, b"a\xffc"));
    assert!(ask(&matcher, b"x\xffz"));
}

#[test]
fn new_refuses_malformed_patterns() {
    for pattern in ["!", "! ", "[", "a[", "[]", "a\\", "[z-a]*", "x[]y"] {
        let failure = Matcher::new([pattern]).expect_err(pattern);
        assert_eq!(failure.code, "ERR_PATTERN_INVALID", "{pattern}");
    }
}

#[test]
fn decider_names_the_rule_that_wins() {
    let matcher = Matcher::new(["", "*.md", "!README*", "README-secret*"]).unwrap();
    let state = State::default();
    assert_eq!(matcher.decider(b"x.md", &state), Some(1));
    assert_eq!(matcher.decider(b"README-secret.md", &state), Some(3));
    assert_eq!(matcher.decider(b"README.md", &state), None);
    assert_eq!(matcher.decider(b"other", &state), None);
}

#[test]
fn may_except_below_prunes_what_no_exception_reaches() {
    let plain = Matcher::new(["*", "!src/app"]).unwrap();
    assert!(plain.may_except_below(b"src"));
    assert!(!plain.may_except_below(b"node_modules"));
    let deep = Matcher::new(["*", "!**/keep"]).unwrap();
    assert!(deep.may_except_below(b"node_modules"));
}

#[test]
fn matches_answers_quickly_when_rules_and_paths_are_many() {
    let patterns: Vec<String> = (0..100)
        .map(|at| match at % 4 {
            0 => format!("**/name{at}"),
            1 => format!("*.ext{at}"),
            2 => format!("dir{at}/**"),
            _ => format!("**/*.suffix{at}"),
        })
        .collect();
    let matcher = Matcher::new(patterns.iter().map(String::as_str)).unwrap();
    let state = matcher.enter(b"packages/app", &State::default());
    let started = std::time::Instant::now();
    let hits = (0..50_000).filter(|at| matcher.matches(format!("packages/app/file{at}.ts").as_bytes(), &state)).count();
    assert_eq!(hits, 0);
    // Debug builds are some twenty times slower than the release build, whose bar is 0.05 s.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// A case of `test/patterns/cases.json`; the tests of libs/dockerfile read how its patterns come from an ignore file.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    #[serde(rename = "ignore")]
    _ignore: String,
    patterns: Vec<String>,
    excluded: Vec<String>,
    kept: Vec<String>,
}

#[test]
fn matches_agrees_with_the_table_that_the_dockerfile_library_shares() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../test/patterns/cases.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let matcher = Matcher::new(case.patterns.iter().map(String::as_str)).unwrap();
        let rows = case.excluded.iter().map(|path| (path, true)).chain(case.kept.iter().map(|path| (path, false)));
        for (path, wanted) in rows {
            if ask(&matcher, path.as_bytes()) != wanted {
                wrong.push(format!("{}: {path} should be {}", case.rule, if wanted { "excluded" } else { "kept" }));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cases.len() > 80);
}
