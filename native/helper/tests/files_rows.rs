//! The rows of tables 3.1 to 3.3 of spec/dockerfile.md that `files_copy.rs` does not have, each named after its row.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{
    Bench, call_lines, can_mount, copy_action, expect_error, expect_result, listing, plant, selection, with,
};
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What one COPY from a context of these entries makes in an empty image; directories are left out.
fn files(context: &[&str], sources: &[&str], dest: &str, options: &[(&str, Value)]) -> Vec<String> {
    let bench = Bench::new().context(context);
    let mut action = copy_action(bench.directory(&[]), sources, dest);
    for (key, value) in options {
        match *key {
            "exclude" | "parents" => action["selection"][*key] = value.clone(),
            _ => action[*key] = value.clone(),
        }
    }
    // Every row holds with the digest of a scan too.
    let scanned = bench.scan(bench.directory(&[]), &action["selection"]);
    action["expect"] = scanned["selections"][0]["digest"].clone();
    expect_result(bench.copy(&[action]));
    bench.check_host();
    let lines = listing(&bench.path("upper")).into_iter().filter(|line| !line.starts_with("d "));
    lines.map(|line| line.trim_end_matches(" 644 0:0").trim_end_matches(" 0:0").to_owned()).collect()
}

#[test]
fn dir_to_anything_copies_its_contents() {
    if !can_mount() {
        return;
    }
    for source in ["dir", "dir/", "dir/.", "/dir", "./dir", "dir/sub/.."] {
        for dest in ["/to", "/to/", "/to/."] {
            let got = files(&["f dir/x X", "f dir/sub/y Y"], &[source], dest, &[]);
            assert_eq!(got, ["f to/sub/y Y", "f to/x X"], "{source} {dest}");
        }
    }
}

#[test]
fn source_from_context_is_clamped_to_its_root() {
    if !can_mount() {
        return;
    }
    // The canary stands beside the context.
    for source in ["../canary", "/canary", "../../../canary", "sub/../../canary", "./canary"] {
        let got = files(&["f canary inside", "d sub"], &[source], "/to/", &[]);
        assert_eq!(got, ["f to/canary inside"], "{source}");
    }
}

#[test]
fn wildcard_syntax_is_that_of_filepath_match() {
    if !can_mount() {
        return;
    }
    let context =
        ["f a.go 1", "f ab.go 2", "f b.txt 3", "f sub/c.go 4", "f sub/deep/d.go 5", "f [x 6", "f *lit 7", "f z-1 8"];
    for (source, wanted) in [
        ("*.go", vec!["a.go", "ab.go"]),
        ("?.*", vec!["a.go", "b.txt"]),
        ("[ab].*", vec!["a.go", "b.txt"]),
        ("[^a]*.txt", vec!["b.txt"]),
        ("[a-c]b.go", vec!["ab.go"]),
        ("*/*.go", vec!["c.go"]),
        ("*/*/*.go", vec!["d.go"]),
        ("sub/*/d.go", vec!["d.go"]),
        ("[[]x", vec!["[x"]),
        // Without a wildcard elsewhere a backslash is a backslash.
        ("\\*li?", vec!["*lit"]),
        ("z[\\-]1", vec!["z-1"]),
        ("**.go", vec!["a.go", "ab.go"]),
        ("none*", vec![]),
        ("sub/none*", vec![]),
        ("none/*", vec![]),
    ] {
        let got = files(&context, &[source], "/to/", &[]);
        let names: Vec<&str> = got.iter().map(|line| line[5..].split(' ').next().unwrap()).collect();
        let mut wanted = wanted;
        wanted.sort_unstable();
        assert_eq!(names, wanted, "{source}");
    }
    for source in ["[", "[a", "a[]b", "z[-]1", "*\\"] {
        let bench = Bench::new().context(&context);
        expect_error(&bench.copy(&[copy_action(bench.directory(&[]), &[source, "*"], "/to/")]), "ERR_PATTERN_INVALID");
    }
}

#[test]
fn wildcard_without_match_does_nothing_and_does_not_make_the_destination() {
    if !can_mount() {
        return;
    }
    let copy = |bench: &Bench, sources: &[&str], dest: &str| {
        let (before, last) = call_lines(&bench.copy_request(&[copy_action(bench.directory(&[]), sources, dest)]));
        expect_result(last);
        let codes = before.iter().filter_map(|line| line["code"].as_str().map(str::to_owned));
        codes.collect::<Vec<String>>()
    };
    let bench = Bench::new().context(&["f a x"]);
    assert_eq!(copy(&bench, &["no*", "none?"], "/made/deep/"), ["copy-nothing"]);
    assert!(listing(&bench.path("upper")).is_empty());
    // A source that may be missing, beside one that is there, is a habit and no mistake.
    assert!(copy(&Bench::new().context(&["f a x"]), &["no*", "a"], "/to/").is_empty());
    assert_eq!(files(&["f a x"], &["no*", "a"], "/to/", &[]), ["f to/a x"]);
}

#[test]
fn wildcard_hits_a_dir_whose_contents_are_copied_and_is_not_walked_further() {
    if !can_mount() {
        return;
    }
    let context = ["f x-dir/x-in 1", "f x-dir/sub/f 2", "f x-file 3", "f y/x-below 4"];
    assert_eq!(files(&context, &["x*"], "/to/", &[]), ["f to/sub/f 2", "f to/x-file 3", "f to/x-in 1"]);
}

#[test]
fn wildcard_order_is_lexical_and_later_overwrites() {
    if !can_mount() {
        return;
    }
    let context = ["f a/same 1", "f b/same 2", "f B/same 3", "f a/only-a x"];
    assert_eq!(files(&context, &["*"], "/to/", &[]), ["f to/only-a x", "f to/same 2"]);
    assert_eq!(files(&context, &["b", "a"], "/to/", &[]), ["f to/only-a x", "f to/same 1"]);
}

#[test]
fn unicode_percent_plus_and_blanks_are_literal() {
    if !can_mount() {
        return;
    }
    for name in ["ünïcödé", "a%20b", "a+b", "日本", "tab\there", "quo'te\"", "back\nline", "-dash", "%"] {
        let bench = Bench::new();
        std::fs::write(bench.path("context").join(name), "x").unwrap();
        std::fs::write(bench.path("context/other"), "o").unwrap();
        expect_result(bench.copy(&[copy_action(bench.directory(&[]), &[name], "/to/")]));
        assert_eq!(listing(&bench.path("upper")), ["d to 755 0:0".to_owned(), format!("f to/{name} x 644 0:0")]);
    }
    let bench = Bench::new();
    std::fs::write(bench.path("context/two words"), "x").unwrap();
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["two words"], "/new name")]));
    assert_eq!(listing(&bench.path("upper")), ["f new name x 644 0:0"]);
}

#[test]
fn names_are_bytes_without_normalisation() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    // Composed, decomposed, no UTF-8 at all, and two that differ by case.
    for name in [&b"d/\xc3\xa9"[..], b"d/e\xcc\x81", b"d/\xff\xfe", b"d/Case", b"d/case"] {
        let path = bench.path("context").join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["d"], "/to")]));
    for name in [&b"\xc3\xa9"[..], b"e\xcc\x81", b"\xff\xfe", b"Case", b"case"] {
        let got = std::fs::read(bench.path("upper/to").join(std::ffi::OsStr::from_bytes(name))).unwrap();
        assert_eq!(got, [b"d/", name].concat());
    }
}

#[test]
fn copy_of_root_from_stage_takes_all_with_special_files() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&[
        "f etc/x X 600",
        "p run/pipe",
        "d proc 555",
        "d tmp 1777",
        "l bin usr/bin",
        "f usr/bin/t T 2755",
    ]);
    for sources in [["/"], ["."]] {
        expect_result(bench.copy(&[copy_action(bench.stage(), &sources, "/")]));
        let wanted = [
            "d etc 755 0:0",
            "d proc 555 0:0",
            "d run 755 0:0",
            "d tmp 1777 0:0",
            "d usr 755 0:0",
            "d usr/bin 755 0:0",
            "f etc/x X 600 0:0",
            "f usr/bin/t T 2755 0:0",
            "l bin usr/bin 0:0",
            "p run/pipe 644 0:0",
        ];
        assert_eq!(bench.merged(), wanted);
        std::fs::remove_dir_all(bench.path("merged")).unwrap();
    }
}

#[test]
fn source_symlink_is_followed_when_named_or_matched_and_keeps_its_name() {
    if !can_mount() {
        return;
    }
    let context = [
        "f real/file x",
        "l link real/file",
        "l dir-link real",
        "l abs /real/file",
        "l up ../../real/file",
        "l two link",
    ];
    for (source, wanted) in [
        ("link", "f to/link x"),
        ("two", "f to/two x"),
        ("abs", "f to/abs x"),
        ("up", "f to/up x"),
        ("dir-link/file", "f to/file x"),
        ("dir-link", "f to/file x"),
        ("lin?", "f to/link x"),
        ("dir-lin?", "f to/file x"),
        ("dir-link/*", "f to/file x"),
    ] {
        assert_eq!(files(&context, &[source], "/to/", &[]), [wanted], "{source}");
    }
    for (source, link) in [("dangling", "nowhere"), ("dang*", "nowhere"), ("dangling", "/etc/hostname-of-the-host")] {
        let bench = Bench::new().context(&[&format!("l dangling {link}"), "f x x"]);
        let reply = bench.copy(&[copy_action(bench.directory(&[]), &[source], "/to/")]);
        expect_error(&reply, "ERR_COPY_SOURCE_NOT_FOUND");
    }
    let bench = Bench::new().context(&["l loop loop"]);
    expect_error(&bench.copy(&[copy_action(bench.directory(&[]), &["loop"], "/to/")]), "ERR_SYMLINK_LOOP");
}

#[test]
fn file_caps_are_kept_when_chown_changes_the_owner() {
    if !can_mount() {
        return;
    }
    let caps = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bench = Bench::new().context(&["f d/tool x 755"]);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(bench.path("context/d/tool"), "security.capability", &caps, flags).unwrap();
    for (at, (sources, chown)) in [("d", "7:8"), ("d/tool", "7:8"), ("d", "0:0")].into_iter().enumerate() {
        let action = copy_action(bench.directory(&[]), &[sources], &format!("/{at}/"));
        expect_result(bench.copy(&[with(action, "chown", json!(chown))]));
        let mut value = [0_u8; 32];
        let path = bench.path(&format!("upper/{at}/tool"));
        let length = rustix::fs::getxattr(path, "security.capability", &mut value).unwrap();
        assert_eq!(value[..length], caps, "{sources} {chown}");
    }
}

#[test]
fn setuid_setgid_and_sticky_are_kept_also_with_chown() {
    if !can_mount() {
        return;
    }
    let bench =
        Bench::new().context(&["f d/u x 4755", "f d/g x 2755", "f d/both x 6711", "d d/sticky 1777", "d d/sgid 2775"]);
    let action = copy_action(bench.directory(&[]), &["d"], "/to");
    expect_result(bench.copy(&[with(action, "chown", json!("7:8"))]));
    let wanted = [
        "d to 755 7:8",
        "d to/sgid 2775 7:8",
        "d to/sticky 1777 7:8",
        "f to/both x 6711 7:8",
        "f to/g x 2755 7:8",
        "f to/u x 4755 7:8",
    ];
    assert_eq!(listing(&bench.path("upper")), wanted);
}

#[test]
fn large_files_are_copied_whole_with_and_without_a_digest() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at * 7 / 3) as u8).collect();
    std::fs::write(bench.path("context/large"), &content).unwrap();
    let scanned = bench.scan(bench.directory(&[]), &selection(&["large"]));
    for (dest, expect) in [("/plain", Value::Null), ("/checked", scanned["selections"][0]["digest"].clone())] {
        let action = with(copy_action(bench.directory(&[]), &["large"], dest), "expect", expect);
        let result = expect_result(bench.copy(&[action]));
        assert_eq!(result["bytes"], content.len());
        assert!(std::fs::read(bench.path("upper").join(&dest[1..])).unwrap() == content, "{dest}");
    }
}

#[test]
fn mtime_of_created_parents_is_now_and_of_what_is_copied_that_of_the_source() {
    if !can_mount() {
        return;
    }
    let started = SystemTime::now() - Duration::from_secs(5);
    let bench = Bench::new().context(&["f d/f x", "l d/l f", "f d/sub/g x", "p d/p"]);
    let old = UNIX_EPOCH + Duration::new(77, 5);
    for name in ["d/f", "d/sub/g", "d/sub", "d"] {
        std::fs::File::open(bench.path("context").join(name)).unwrap().set_modified(old).unwrap();
    }
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 },
        last_modification: rustix::fs::Timespec { tv_sec: 77, tv_nsec: 5 },
    };
    let no_follow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    for name in ["d/l", "d/p"] {
        rustix::fs::utimensat(rustix::fs::CWD, bench.path("context").join(name), &times, no_follow).unwrap();
    }
    let actions =
        [copy_action(bench.directory(&[]), &["d"], "/a/b/c"), copy_action(bench.directory(&[]), &["d/f"], "/n/m/file")];
    expect_result(bench.copy(&actions));
    let time = |name: &str| std::fs::symlink_metadata(bench.path("upper").join(name)).unwrap().modified().unwrap();
    for name in ["a/b/c", "a/b/c/f", "a/b/c/l", "a/b/c/p", "a/b/c/sub", "a/b/c/sub/g", "n/m/file"] {
        assert_eq!(time(name), old, "{name}");
    }
    for name in ["a", "a/b", "n", "n/m"] {
        assert!(time(name) >= started, "{name}");
    }
}

#[test]
fn owner_from_local_context_is_root_and_from_a_stage_that_of_the_source() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f d/f x", "d d/sub", "l d/l f"]);
    for name in ["d/f", "d/sub", "d"] {
        chown(bench.path("context").join(name), Some(5), Some(6)).unwrap();
    }
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["d"], "/context")]));
    expect_result(bench.copy(&[copy_action(bench.stage(), &["d"], "/stage")]));
    let wanted = [
        "d context 755 0:0",
        "d context/sub 755 0:0",
        "d stage 755 0:0",
        "d stage/sub 755 5:6",
        "f context/f x 644 0:0",
        "f stage/f x 644 5:6",
        "l context/l f 0:0",
        "l stage/l f 0:0",
    ];
    assert_eq!(listing(&bench.path("upper")), wanted);
}

#[test]
fn hardlinks_are_preserved_within_one_action_and_share_the_new_metadata() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f d/a x 600", "h d/sub/b d/a", "h d/c d/a", "f d/other x"]);
    let mut action = with(copy_action(bench.directory(&[]), &["d"], "/to"), "chown", json!("7:8"));
    action["chmod"] = json!("g+r");
    expect_result(bench.copy(&[action]));
    let meta = |name: &str| std::fs::metadata(bench.path("upper/to").join(name)).unwrap();
    let (a, b, c) = (meta("a"), meta("sub/b"), meta("c"));
    assert_eq!((a.ino(), a.ino(), a.nlink()), (b.ino(), c.ino(), 3));
    assert_eq!((a.mode() & 0o7777, a.uid(), a.gid()), (0o640, 7, 8));
    assert_eq!(meta("other").nlink(), 1);
}

#[test]
fn parents_keeps_the_path_and_gives_parents_the_metadata_of_the_source_dirs() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f a/b/c/f x", "d a/b/c 711", "d a/b 1755", "d a 700"]);
    chown(bench.path("context/a/b"), Some(5), Some(6)).unwrap();
    for (sources, dest, wanted) in [
        (
            "a/b/c/f",
            "/one/",
            vec![
                "d one 755 0:0",
                "d one/a 700 0:0",
                "d one/a/b 1755 5:6",
                "d one/a/b/c 711 0:0",
                "f one/a/b/c/f x 644 0:0",
            ],
        ),
        ("a/b/./c/f", "/two/", vec!["d two 755 0:0", "d two/c 711 0:0", "f two/c/f x 644 0:0"]),
        ("./a/b/c/./f", "/three/", vec!["d three 755 0:0", "f three/f x 644 0:0"]),
        (
            "a/./b/./c/f",
            "/four/",
            vec!["d four 755 0:0", "d four/b 1755 5:6", "d four/b/c 711 0:0", "f four/b/c/f x 644 0:0"],
        ),
    ] {
        let mut action = copy_action(bench.stage(), &[sources], dest);
        action["selection"]["parents"] = json!(true);
        expect_result(bench.copy(&[action]));
        let prefix = dest.trim_matches('/');
        let got = listing(&bench.path("upper"));
        let got: Vec<&String> = got.iter().filter(|line| line[2..].starts_with(prefix)).collect();
        assert_eq!(got, wanted, "{sources}");
    }
}

#[test]
fn parents_takes_wildcards_with_double_stars_and_misses_only_plain_paths() {
    if !can_mount() {
        return;
    }
    let context = ["f a/x.go 1", "f a/b/y.go 2", "f a/b/z.txt 3", "f c.go 4"];
    let parents = [("parents", json!(true))];
    for (source, wanted) in [
        ("**/*.go", vec!["f to/a/b/y.go 2", "f to/a/x.go 1", "f to/c.go 4"]),
        ("a/**/*.go", vec!["f to/a/b/y.go 2", "f to/a/x.go 1"]),
        ("a/./**/*.go", vec!["f to/b/y.go 2", "f to/x.go 1"]),
        ("*/x.go", vec!["f to/a/x.go 1"]),
        ("a/b", vec!["f to/a/b/y.go 2", "f to/a/b/z.txt 3"]),
        ("none/*", vec![]),
        ("**/none", vec![]),
    ] {
        assert_eq!(files(&context, &[source], "/to/", &parents), wanted, "{source}");
    }
    for source in ["none", "a/none", "none/./x", "a/./none"] {
        let bench = Bench::new().context(&context);
        let mut action = copy_action(bench.directory(&[]), &[source], "/to/");
        action["selection"]["parents"] = json!(true);
        expect_error(&bench.copy(&[action]), "ERR_COPY_SOURCE_NOT_FOUND");
    }
}

#[test]
fn exclude_is_relative_to_each_copied_root_with_exceptions_and_double_stars() {
    if !can_mount() {
        return;
    }
    let context = [
        "f a/x.go 1",
        "f a/keep.txt 2",
        "f a/sub/y.go 3",
        "f a/sub/z.txt 4",
        "f b/x.go 5",
        "f b/sub/w.txt 6",
        "f top.go 7",
    ];
    for (sources, exclude, wanted) in [
        (vec!["a"], json!(["*.go"]), vec!["f to/keep.txt 2", "f to/sub/y.go 3", "f to/sub/z.txt 4"]),
        (vec!["a"], json!(["**/*.go"]), vec!["f to/keep.txt 2", "f to/sub/z.txt 4"]),
        (vec!["a"], json!(["sub"]), vec!["f to/keep.txt 2", "f to/x.go 1"]),
        (vec!["a"], json!(["sub", "!sub/z.txt"]), vec!["f to/keep.txt 2", "f to/sub/z.txt 4", "f to/x.go 1"]),
        (vec!["a"], json!(["*", "!sub"]), vec!["f to/sub/y.go 3", "f to/sub/z.txt 4"]),
        (vec!["a"], json!(["a/x.go"]), vec!["f to/keep.txt 2", "f to/sub/y.go 3", "f to/sub/z.txt 4", "f to/x.go 1"]),
        (vec!["a", "b"], json!(["x.go", "sub/*.txt"]), vec!["f to/keep.txt 2", "f to/sub/y.go 3"]),
        (vec!["[ab]"], json!(["sub"]), vec!["f to/keep.txt 2", "f to/x.go 5"]),
        (vec!["."], json!(["a", "b/sub"]), vec!["f to/b/x.go 5", "f to/top.go 7"]),
        (vec!["top.go", "a/keep.txt"], json!(["*.go"]), vec!["f to/keep.txt 2"]),
        (vec!["a"], json!(["**"]), vec![]),
        // What leads above the root hits nothing.
        (vec!["b"], json!(["../x.go", "sub/../../x.go", "../**"]), vec!["f to/sub/w.txt 6", "f to/x.go 5"]),
    ] {
        assert_eq!(files(&context, &sources, "/to/", &[("exclude", exclude.clone())]), wanted, "{sources:?} {exclude}");
    }
}

#[test]
fn several_sources_to_a_name_without_slash_fail_unless_it_is_a_directory() {
    if !can_mount() {
        return;
    }
    for (lower, code) in [
        (vec![], Some("ERR_COPY_NOT_DIRECTORY")),
        (vec!["f to x"], Some("ERR_COPY_NOT_DIRECTORY")),
        (vec!["d to"], None),
        (vec!["d real", "l to real"], None),
    ] {
        let bench = Bench::new().lower(&lower).context(&["f a 1", "f b 2"]);
        let reply = bench.copy(&[copy_action(bench.directory(&[]), &["a", "b"], "/to")]);
        match code {
            Some(code) => {
                expect_error(&reply, code);
                assert!(reply["message"].as_str().unwrap().contains("end the destination with a slash"), "{reply}");
            }
            None => drop(expect_result(reply)),
        }
    }
}

#[test]
fn chmod_applies_to_created_parents_when_octal_and_per_entry_when_symbolic() {
    if !can_mount() {
        return;
    }
    for (chmod, wanted) in [
        (
            "751",
            ["d n 751 0:0", "d n/to 751 0:0", "d n/to/sub 751 0:0", "f n/to/exec x 751 0:0", "f n/to/plain x 751 0:0"],
        ),
        (
            "a+X",
            ["d n 755 0:0", "d n/to 755 0:0", "d n/to/sub 711 0:0", "f n/to/exec x 711 0:0", "f n/to/plain x 600 0:0"],
        ),
        (
            "go=u,u-w",
            ["d n 755 0:0", "d n/to 755 0:0", "d n/to/sub 577 0:0", "f n/to/exec x 577 0:0", "f n/to/plain x 466 0:0"],
        ),
    ] {
        let bench = Bench::new().context(&["f d/exec x 700", "f d/plain x 600", "d d/sub 700"]);
        let action = with(copy_action(bench.directory(&[]), &["d"], "/n/to"), "chmod", json!(chmod));
        expect_result(bench.copy(&[action]));
        assert_eq!(listing(&bench.path("upper")), wanted, "{chmod}");
    }
    // A directory that is there keeps its mode, one below it does not.
    let bench = Bench::new().lower(&["d to 700", "d to/sub 700"]).context(&["f d/sub/f x"]);
    plant(&bench.path("context"), &["d d 755"]);
    let action = with(copy_action(bench.directory(&[]), &["d"], "/to"), "chmod", json!("644"));
    expect_result(bench.copy(&[action]));
    assert_eq!(bench.merged(), ["d to 700 0:0", "d to/sub 644 0:0", "f to/sub/f x 644 0:0"]);
}
