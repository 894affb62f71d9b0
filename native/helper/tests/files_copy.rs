//! `copy` through the built helper: the tables 3.1 to 3.3 of spec/dockerfile.md.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{
    Bench, can_mount, copy_action, expect_error, expect_result, listing, mkdir_action, mkfile_action, plant, with,
};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::{Duration, UNIX_EPOCH};

const LOWER: &[&str] = &[
    "f etc/passwd root:x:0:0::/:/bin/sh\napp:x:100:101::/:/bin/sh",
    "f etc/group staff:x:50:",
    "d existing 700",
    "f existing/old old",
    "f file old",
    "l to-dir existing",
    "l to-file file",
    "l dangling made/deep",
    "l absolute /existing",
];
const CONTEXT: &[&str] = &[
    "f a.txt A",
    "f b.txt B",
    "f tool T 755",
    "d dir 750",
    "f dir/x X",
    "f dir/sub/y Y",
    "l dir/link ../../z",
    "l alias a.txt",
];

/// Runs one COPY from the context on the standard snapshot and gives what it changed, `etc` left out.
fn changes(sources: &[&str], dest: &str, options: &[(&str, Value)]) -> Result<Vec<String>, String> {
    let bench = Bench::new().lower(LOWER).context(CONTEXT);
    let mut action = copy_action(bench.directory(&[]), sources, dest);
    for (key, value) in options {
        action[*key] = value.clone();
    }
    let reply = bench.copy(&[action]);
    bench.check_host();
    if reply["event"] == "error" {
        assert_eq!(reply["kind"], "user", "{reply}");
        let message = reply["message"].as_str().unwrap();
        assert!(!message.contains(bench.path("").to_str().unwrap()), "a host path leaks: {message}");
        return Err(reply["code"].as_str().unwrap().to_owned());
    }
    Ok(listing(&bench.path("upper")))
}

#[test]
fn copy_places_files_and_directories_as_docker_does() {
    if !can_mount() {
        return;
    }
    let rows: &[(&[&str], &str, &[&str])] = &[
        (&["a.txt"], "/new/dir/", &["d new 755 0:0", "d new/dir 755 0:0", "f new/dir/a.txt A 644 0:0"]),
        (&["a.txt"], "/new/.", &["d new 755 0:0", "f new/a.txt A 644 0:0"]),
        (&["a.txt"], "/existing", &["d existing 700 0:0", "f existing/a.txt A 644 0:0"]),
        (&["a.txt"], "/new/name", &["d new 755 0:0", "f new/name A 644 0:0"]),
        (&["a.txt"], "/file", &["f file A 644 0:0"]),
        (&["a.txt"], "/", &["f a.txt A 644 0:0"]),
        (&["a.txt"], "/../../up/", &["d up 755 0:0", "f up/a.txt A 644 0:0"]),
        (&["tool"], "/bin/", &["d bin 755 0:0", "f bin/tool T 755 0:0"]),
        (&["alias"], "/d/", &["d d 755 0:0", "f d/alias A 644 0:0"]),
        (&["a.txt", "b.txt"], "/d/", &["d d 755 0:0", "f d/a.txt A 644 0:0", "f d/b.txt B 644 0:0"]),
        (&["*.txt"], "/d/", &["d d 755 0:0", "f d/a.txt A 644 0:0", "f d/b.txt B 644 0:0"]),
        (&["no*thing"], "/d/", &[]),
        (
            &["dir"],
            "/d",
            &["d d 755 0:0", "d d/sub 755 0:0", "f d/sub/y Y 644 0:0", "f d/x X 644 0:0", "l d/link ../../z 0:0"],
        ),
        (
            &["dir/"],
            "/existing",
            &[
                "d existing 700 0:0",
                "d existing/sub 755 0:0",
                "f existing/sub/y Y 644 0:0",
                "f existing/x X 644 0:0",
                "l existing/link ../../z 0:0",
            ],
        ),
        (&["a.txt"], "/to-dir", &["d existing 700 0:0", "f existing/a.txt A 644 0:0"]),
        (&["a.txt"], "/to-dir/", &["d existing 700 0:0", "f existing/a.txt A 644 0:0"]),
        (&["a.txt"], "/absolute/n/", &["d existing 700 0:0", "d existing/n 755 0:0", "f existing/n/a.txt A 644 0:0"]),
        (&["a.txt"], "/to-file", &["f file A 644 0:0"]),
        (&["a.txt"], "/dangling/", &["d made 755 0:0", "d made/deep 755 0:0", "f made/deep/a.txt A 644 0:0"]),
        (&["dir/sub"], "/dangling", &["d made 755 0:0", "d made/deep 755 0:0", "f made/deep/y Y 644 0:0"]),
        (&["dir/sub"], "/absolute", &["d existing 700 0:0", "f existing/y Y 644 0:0"]),
    ];
    for (sources, dest, wanted) in rows {
        let wanted: Vec<String> = wanted.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(changes(sources, dest, &[]), Ok(wanted), "{sources:?} {dest}");
    }
}

#[test]
fn copy_refuses_what_cannot_be_merged() {
    if !can_mount() {
        return;
    }
    for (sources, dest, code) in [
        (vec!["a.txt", "b.txt"], "/new", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["*.txt"], "/file", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["dir"], "/file", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["dir"], "/to-file", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["a.txt"], "/file/", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["a.txt"], "/file/x", "ERR_COPY_NOT_DIRECTORY"),
        (vec!["missing"], "/d/", "ERR_COPY_SOURCE_NOT_FOUND"),
    ] {
        assert_eq!(changes(&sources, dest, &[]), Err(code.to_owned()), "{sources:?} {dest}");
    }
    let bench = Bench::new().lower(&["d app/x"]).context(&["f x 1"]);
    let reply = bench.copy(&[copy_action(bench.directory(&[]), &["."], "/app")]);
    expect_error(&reply, "ERR_COPY_OVER_DIRECTORY");
    assert_eq!(reply["message"], "cannot replace to directory /app/x with file");
}

#[test]
fn copy_merges_a_directory_through_a_symlink_below_the_destination() {
    if !can_mount() {
        return;
    }
    // As on a Debian with a merged /usr.
    let lower =
        ["f usr/bin/old old", "d usr/bin 711", "l bin usr/bin", "l lib64 /usr/lib", "d usr/lib", "l up ../../usr/lib"];
    let context = ["f bin/new 1", "d bin 700", "f bin/sub/x 2", "f lib64/y 3", "f up/z 4", "f bin/both bin"];
    let bench = Bench::new().lower(&lower).context(&context);
    chown(bench.path("lower/usr/bin"), Some(3), Some(4)).unwrap();
    let source = std::fs::File::open(bench.path("context/bin")).unwrap();
    source.set_modified(UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
    let scanned = bench.scan(bench.directory(&[]), &crate::files_support::selection(&["."]));
    let action = copy_action(bench.directory(&[]), &["."], "/");
    expect_result(bench.copy(&[with(action, "expect", scanned["selections"][0]["digest"].clone())]));
    assert_eq!(std::fs::metadata(bench.path("upper/usr/bin")).unwrap().mtime(), 1_000);
    let wanted = [
        "d usr 755 0:0",
        "d usr/bin 711 3:4",
        "d usr/bin/sub 755 0:0",
        "d usr/lib 755 0:0",
        "f usr/bin/both bin 644 0:0",
        "f usr/bin/new 1 644 0:0",
        "f usr/bin/old old 644 0:0",
        "f usr/bin/sub/x 2 644 0:0",
        "f usr/lib/y 3 644 0:0",
        "f usr/lib/z 4 644 0:0",
        "l bin usr/bin 0:0",
        "l lib64 /usr/lib 0:0",
        "l up ../../usr/lib 0:0",
    ];
    assert_eq!(bench.merged(), wanted);
}

#[test]
fn copy_lets_the_same_file_win_when_two_directories_meet_in_one() {
    if !can_mount() {
        return;
    }
    for _ in 0..20 {
        let bench = Bench::new().lower(&["l bin usr/bin", "d usr/bin"]);
        let bench = bench.context(&["f bin/x bin", "h bin/y bin/x", "f usr/bin/x usr", "f usr/bin/z z"]);
        expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["."], "/")]));
        let wanted = ["f usr/bin/x usr 644 0:0", "f usr/bin/y bin 644 0:0", "f usr/bin/z z 644 0:0"];
        let merged = bench.merged();
        assert!(wanted.iter().all(|line| merged.contains(&(*line).to_owned())), "{merged:?}");
    }
}

#[test]
fn copy_refuses_a_directory_over_a_symlink_that_leads_to_none() {
    if !can_mount() {
        return;
    }
    for link in ["l app/bin nowhere", "l app/bin /file", "l app/bin bin", "l app/bin ../file/x"] {
        let bench = Bench::new().lower(&["f file x", link]).context(&["f bin/x 1"]);
        let reply = bench.copy(&[copy_action(bench.directory(&[]), &["."], "/app")]);
        expect_error(&reply, "ERR_COPY_NOT_DIRECTORY");
        let wanted = "cannot copy to non-directory: /app/bin, a symlink that leads to no directory";
        assert_eq!(reply["message"], wanted, "{link}");
    }
    let bench = Bench::new().lower(&["f app/bin x"]).context(&["f bin/x 1"]);
    let reply = bench.copy(&[copy_action(bench.directory(&[]), &["."], "/app")]);
    assert_eq!(reply["message"], "cannot copy to non-directory: /app/bin");
    // A host path of the same name is no directory of the image.
    let bench = Bench::new().context(&["f bin/canary overwritten"]);
    std::os::unix::fs::symlink(bench.path("host"), bench.path("lower/bin")).unwrap();
    let reply = bench.copy(&[copy_action(bench.directory(&[]), &["."], "/")]);
    expect_error(&reply, "ERR_COPY_NOT_DIRECTORY");
    bench.check_host();
}

#[test]
fn copy_replaces_what_has_the_name_and_leaves_its_other_links_alone() {
    if !can_mount() {
        return;
    }
    let bench =
        Bench::new().lower(&["f d/one old", "h d/two d/one", "l d/a.txt ../host", "f host old"]).context(CONTEXT);
    let actions = ["one", "a.txt"].map(|name| {
        let dest = if name == "one" { "/d/one" } else { "/d/" };
        copy_action(bench.directory(&[]), &["a.txt"], dest)
    });
    expect_result(bench.copy(&actions));
    let merged = bench.merged();
    for line in ["f d/one A 644 0:0", "f d/two old 644 0:0", "f d/a.txt A 644 0:0", "f host old 644 0:0"] {
        assert!(merged.contains(&line.to_owned()), "{line} {merged:?}");
    }
}

#[test]
fn copy_lets_the_later_source_win() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f one/x 1", "f one/y 1", "f two/x 2"]);
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["one", "two"], "/d")]));
    assert_eq!(bench.merged(), ["d d 755 0:0", "f d/x 2 644 0:0", "f d/y 1 644 0:0"]);
}

#[test]
fn copy_merges_directories_and_takes_over_their_metadata() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["d top 700", "f top/nested/old old", "d top/nested 700"]);
    let bench = bench.context(&["f new/nested/x X", "d new/nested 751", "d new 711"]);
    chown(bench.path("lower/top/nested"), Some(5), Some(5)).unwrap();
    chown(bench.path("lower/top"), Some(6), Some(6)).unwrap();
    let dir = std::fs::File::open(bench.path("context/new")).unwrap();
    dir.set_modified(UNIX_EPOCH + Duration::new(1_000, 5)).unwrap();
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["new"], "/top")]));
    let wanted = ["d top 700 6:6", "d top/nested 751 0:0", "f top/nested/old old 644 0:0", "f top/nested/x X 644 0:0"];
    assert_eq!(bench.merged(), wanted);
    let top = std::fs::metadata(bench.path("upper/top")).unwrap();
    assert_eq!((top.mtime(), top.mtime_nsec()), (1_000, 5), "the top directory takes the time of its source");
}

#[test]
fn copy_keeps_times_links_and_attributes() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f d/a x 4755", "h d/b d/a", "p d/pipe", "l d/l nowhere", "f e/c y"]);
    let at = |seconds| UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    std::fs::File::open(bench.path("context/d/a")).unwrap().set_modified(at(1_000)).unwrap();
    rustix::fs::setxattr(bench.path("context/d/a"), "user.k", b"v", rustix::fs::XattrFlags::empty()).unwrap();
    std::fs::File::open(bench.path("context/e")).unwrap().set_modified(at(2_000)).unwrap();
    expect_result(bench.copy(&[copy_action(bench.directory(&[]), &["."], "/t")]));
    let meta = |name: &str| std::fs::symlink_metadata(bench.path("upper/t").join(name)).unwrap();
    assert_eq!(meta("d/a").modified().unwrap(), at(1_000));
    assert_eq!(meta("e").modified().unwrap(), at(2_000));
    assert_eq!(meta("d/a").ino(), meta("d/b").ino(), "hard links stay");
    assert_eq!(meta("d/a").mode() & 0o7777, 0o4755);
    let mut value = [0_u8; 8];
    let length = rustix::fs::getxattr(bench.path("upper/t/d/a"), "user.k", &mut value).unwrap();
    assert_eq!(&value[..length], b"v");
    let lines = listing(&bench.path("upper"));
    assert!(lines.contains(&"p t/d/pipe 644 0:0".to_owned()) && lines.contains(&"l t/d/l nowhere 0:0".to_owned()));
}

#[test]
fn copy_keeps_owners_and_devices_of_a_stage() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f d/a x", "s d/sock", "l d/l nowhere"]);
    chown(bench.path("context/d/a"), Some(7), Some(8)).unwrap();
    chown(bench.path("context/d"), Some(7), Some(8)).unwrap();
    rustix::fs::chownat(
        rustix::fs::CWD,
        bench.path("context/d/l"),
        Some(rustix::fs::Uid::from_raw(9)),
        None,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    let device = rustix::fs::makedev(1, 3);
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
    let null = bench.path("context/d/null");
    let made = rustix::fs::mknodat(rustix::fs::CWD, &null, kind, mode, device).is_ok();
    expect_result(bench.copy(&[copy_action(bench.stage(), &["d"], "/top")]));
    let lines = listing(&bench.path("upper"));
    for line in ["d top 755 0:0", "f top/a x 644 7:8", "f top/sock  755 0:0", "l top/l nowhere 9:0"] {
        assert!(lines.contains(&line.to_owned()), "{line} {lines:?}");
    }
    if made {
        let meta = std::fs::symlink_metadata(bench.path("upper/top/null")).unwrap();
        assert_eq!(meta.rdev(), device);
    }
}

#[test]
fn copy_applies_chown_and_chmod() {
    if !can_mount() {
        return;
    }
    type Row<'r> = (&'r [(&'r str, &'r str)], &'r [&'r str], &'r str, &'r [&'r str]);
    let rows: &[Row<'_>] = &[
        (
            &[("chown", "app")],
            &["a.txt"],
            "/n/m/",
            &["d n 755 100:101", "d n/m 755 100:101", "f n/m/a.txt A 644 100:101"],
        ),
        (&[("chown", "7")], &["a.txt"], "/x", &["f x A 644 7:7"]),
        (&[("chown", "app:staff")], &["a.txt"], "/x", &["f x A 644 100:50"]),
        (
            &[("chown", "7:8")],
            &["dir"],
            "/d",
            &["d d 755 7:8", "d d/sub 755 7:8", "f d/sub/y Y 644 7:8", "f d/x X 644 7:8", "l d/link ../../z 7:8"],
        ),
        (
            &[("chmod", "640")],
            &["dir"],
            "/n/d",
            &[
                "d n 640 0:0",
                "d n/d 640 0:0",
                "d n/d/sub 640 0:0",
                "f n/d/sub/y Y 640 0:0",
                "f n/d/x X 640 0:0",
                "l n/d/link ../../z 0:0",
            ],
        ),
        (
            &[("chmod", "u=rwX,go-rwx")],
            &["dir"],
            "/d",
            &["d d 755 0:0", "d d/sub 700 0:0", "f d/sub/y Y 600 0:0", "f d/x X 600 0:0", "l d/link ../../z 0:0"],
        ),
        (&[("chmod", "4755"), ("chown", "7")], &["a.txt"], "/x", &["f x A 4755 7:7"]),
    ];
    for (options, sources, dest, wanted) in rows {
        let options: Vec<(&str, Value)> = options.iter().map(|&(key, value)| (key, json!(value))).collect();
        let wanted: Vec<String> = wanted.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(changes(sources, dest, &options), Ok(wanted), "{options:?} {sources:?} {dest}");
    }
    for (key, value, code) in [
        ("chown", "nobody", "ERR_USER_NOT_FOUND"),
        ("chown", "app:nogroup", "ERR_USER_NOT_FOUND"),
        ("chmod", "64a", "ERR_MODE_INVALID"),
        ("chmod", "17777", "ERR_MODE_INVALID"),
    ] {
        assert_eq!(changes(&["a.txt"], "/x", &[(key, json!(value))]), Err(code.to_owned()), "{key} {value}");
    }
}

#[test]
fn copy_gives_implied_parents_the_metadata_of_their_source() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["d t/have 700"]).context(&["f have/x X", "d have 755", "f new/y Y", "d new 711"]);
    let mut action = copy_action(bench.directory(&[]), &["have/x", "new/y"], "/t/");
    action["selection"]["parents"] = json!(true);
    expect_result(bench.copy(&[action]));
    let wanted = ["d t 755 0:0", "d t/have 700 0:0", "d t/new 711 0:0", "f t/have/x X 644 0:0", "f t/new/y Y 644 0:0"];
    assert_eq!(bench.merged(), wanted);
}

#[test]
fn copy_accepts_the_digest_of_the_scan_and_refuses_another() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(CONTEXT).context(&["h dir/hard a.txt"]);
    for (tree, sources) in [
        (bench.directory(&["b.txt"]), vec!["."]),
        (bench.directory(&[]), vec!["*.txt", "dir"]),
        (bench.stage(), vec!["/"]),
    ] {
        let scanned = bench.scan(tree.clone(), &crate::files_support::selection(&sources));
        let action = with(copy_action(tree, &sources, "/d/"), "expect", scanned["selections"][0]["digest"].clone());
        expect_result(bench.copy(&[action]));
    }
    let scanned = bench.scan(bench.directory(&[]), &crate::files_support::selection(&["."]));
    let digest = scanned["selections"][0]["digest"].clone();
    let change: [&[&str]; 3] = [&["f a.txt Z"], &["f dir/new N"], &["d dir 755"]];
    for entries in change {
        plant(&bench.path("context"), entries);
        let action = with(copy_action(bench.directory(&[]), &["."], "/e"), "expect", digest.clone());
        expect_error(&bench.copy(&[action]), "ERR_CONTEXT_CHANGED");
    }
}

#[test]
fn mkdir_follows_links_and_leaves_what_is_there() {
    if !can_mount() {
        return;
    }
    for (path, wanted) in [
        ("/a/b", Ok(vec!["d a 755 100:101", "d a/b 711 100:101"])),
        ("/existing", Ok(vec![])),
        ("/to-dir/n", Ok(vec!["d existing 700 0:0", "d existing/n 711 100:101"])),
        ("/dangling", Ok(vec!["d made 755 100:101", "d made/deep 711 100:101"])),
        ("/", Ok(vec![])),
        ("/file", Err("ERR_COPY_NOT_DIRECTORY")),
        ("/file/x", Err("ERR_COPY_NOT_DIRECTORY")),
    ] {
        let bench = Bench::new().lower(LOWER);
        let reply = bench.copy(&[mkdir_action(path, 0o711, Some("app"))]);
        bench.check_host();
        match wanted {
            Ok(lines) => {
                expect_result(reply);
                assert_eq!(listing(&bench.path("upper")), lines, "{path}");
            }
            Err(code) => expect_error(&reply, code),
        }
    }
}

#[test]
fn mkfile_puts_a_heredoc_where_a_copied_file_would_go() {
    if !can_mount() {
        return;
    }
    for (dest, wanted) in [
        ("/n/x", vec!["d n 755 7:8", "f n/x hi\n 644 7:8"]),
        ("/n/", vec!["d n 755 7:8", "f n/doc hi\n 644 7:8"]),
        ("/existing", vec!["d existing 700 0:0", "f existing/doc hi\n 644 7:8"]),
        ("/to-dir", vec!["d existing 700 0:0", "f existing/doc hi\n 644 7:8"]),
        ("/file", vec!["f file hi\n 644 7:8"]),
        ("/to-file", vec!["f file hi\n 644 7:8"]),
        ("/", vec!["f doc hi\n 644 7:8"]),
    ] {
        let bench = Bench::new().lower(LOWER);
        let action = with(mkfile_action("doc", dest, b"hi\n"), "owner", json!("7:8"));
        expect_result(bench.copy(&[action]));
        assert_eq!(listing(&bench.path("upper")), wanted, "{dest}");
    }
    let bench = Bench::new().lower(LOWER).lower(&["d existing/doc"]);
    for (name, dest, code) in [
        ("doc", "/existing", "ERR_COPY_OVER_DIRECTORY"),
        ("doc", "/file/", "ERR_COPY_NOT_DIRECTORY"),
        ("doc", "/file/x", "ERR_COPY_NOT_DIRECTORY"),
        ("", "/d/", "ERR_PATH_INVALID"),
        (".", "/d/", "ERR_PATH_INVALID"),
        ("..", "/d/", "ERR_PATH_INVALID"),
        ("a/b", "/d/", "ERR_PATH_INVALID"),
        ("a\0b", "/d/", "ERR_PATH_INVALID"),
    ] {
        expect_error(&bench.copy(&[mkfile_action(name, dest, b"x")]), code);
    }
}

#[test]
fn mkfile_applies_chmod_and_mtime() {
    if !can_mount() {
        return;
    }
    for (chmod, wanted) in
        [("600", ["d n 600 0:0", "f n/doc x 600 0:0"]), ("g+w,o=", ["d n 755 0:0", "f n/doc x 660 0:0"])]
    {
        let bench = Bench::new();
        let action = with(mkfile_action("doc", "/n/", b"x"), "chmod", json!(chmod));
        expect_result(bench.copy(&[with(action, "mtime", json!(-7))]));
        assert_eq!(listing(&bench.path("upper")), wanted, "{chmod}");
        assert_eq!(std::fs::metadata(bench.path("upper/n/doc")).unwrap().mtime(), -7);
    }
    let wrong = with(mkfile_action("doc", "/n/", b"x"), "chmod", json!("9"));
    expect_error(&Bench::new().copy(&[wrong]), "ERR_MODE_INVALID");
}

#[test]
fn mkdir_takes_the_time_that_is_wanted_for_what_it_makes() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["d old"]);
    let before = std::fs::metadata(bench.path("lower/old")).unwrap().mtime();
    let at = |path: &str| with(mkdir_action(path, 0o755, None), "mtime", json!(1_000));
    expect_result(bench.copy(&[at("/old"), at("/new/dir")]));
    assert_eq!(std::fs::metadata(bench.path("upper/new/dir")).unwrap().mtime(), 1_000);
    let merged = std::fs::metadata(bench.path("lower/old")).unwrap().mtime();
    assert_eq!((merged, bench.path("upper/old").exists()), (before, false), "what exists is left alone");
}

#[test]
fn owners_are_looked_up_in_the_root_that_is_named() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(LOWER).context(&["f a x"]);
    let empty = json!({"lower": [], "upper": bench.path("upper"), "work": null});
    let action = || with(copy_action(bench.directory(&[]), &["a"], "/d/"), "chown", json!("app"));
    let request =
        |owners: Value| json!({"op": "copy", "root": empty, "owners": owners, "actions": [action()], "finish": null});
    expect_error(&crate::files_support::call(&request(Value::Null)), "ERR_USER_NOT_FOUND");
    let owners = json!({"lower": [bench.path("lower")], "upper": null, "work": null});
    expect_result(crate::files_support::call(&request(owners)));
    assert_eq!(listing(&bench.path("upper")), ["d d 755 100:101", "f d/a x 644 100:101"]);
    assert!(!bench.path("lower/d").exists(), "nothing is written where the names are looked up");
}

#[test]
fn export_writes_the_merged_tree_and_follows_no_link_of_the_destination() {
    if !can_mount() {
        return;
    }
    let bench =
        Bench::new().lower(&["f a/x X", "f a/y Y 600", "l b a"]).context(&["f a/x old", "l a/y ../../host/canary"]);
    let root = json!({"lower": [bench.path("lower")], "upper": null, "work": null});
    let dest = json!({"kind": "directory", "path": bench.path("context")});
    let reply = crate::files_support::call(&json!({"op": "export", "root": root, "dest": dest}));
    let result = expect_result(reply);
    assert_eq!((&result["files"], &result["bytes"]), (&json!(2), &json!(2)));
    let wanted = ["d a 755 0:0", "f a/x X 644 0:0", "f a/y Y 600 0:0", "l b a 0:0"];
    assert_eq!(listing(&bench.path("context")), wanted);
    bench.check_host();
    std::fs::remove_dir_all(bench.path("context/a")).unwrap();
    std::os::unix::fs::symlink(bench.path("host"), bench.path("context/a")).unwrap();
    let reply = crate::files_support::call(&json!({"op": "export", "root": root, "dest": dest}));
    expect_error(&reply, "ERR_COPY_NOT_DIRECTORY");
    bench.check_host();
}

#[test]
fn copy_works_in_a_user_namespace_of_one_id() {
    if !crate::files_support::can_mount_rootless() {
        return;
    }
    let bench = Bench::new().lower(LOWER).context(CONTEXT);
    let request = |action: Value| bench.copy_request(&[action]);
    let action = copy_action(bench.directory(&[]), &["dir"], "/existing/");
    expect_result(crate::files_support::call_rootless(&request(action.clone())));
    let mode = std::fs::metadata(bench.path("upper/existing/sub/y")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let chown = with(action, "chown", json!("app"));
    let bench = Bench::new().lower(LOWER).context(CONTEXT);
    let request = |action: Value| bench.copy_request(&[action]);
    expect_error(&crate::files_support::call_rootless(&request(chown)), "ERR_ROOTLESS_IDMAP");
}

#[test]
fn finish_refuses_the_layer_of_a_huge_sparse_file() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f small x"]);
    std::fs::File::create(bench.path("upper/huge")).unwrap().set_len(1 << 40).unwrap();
    let mut request = bench.copy_request(&[copy_action(bench.directory(&[]), &["small"], "/d/")]);
    request["finish"] = json!({"content": false, "layer": {"compression": {"format": "gzip", "level": 1}, "clampMtime": null}, "sync": false});
    let script = format!("exec \"$0\" 6>\"{}\"", bench.path("layer").display());
    let (before, last) = crate::files_support::call_in_shell(&script, &request);
    assert_eq!(before.last().unwrap()["event"], "result", "the copy itself is done");
    expect_error(&last, "ERR_LAYER_UNREPRESENTABLE");
}

#[test]
fn finish_tells_the_content_between_the_result_and_the_layer() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f small x"]);
    let mut request = bench.copy_request(&[copy_action(bench.directory(&[]), &["small"], "/d/")]);
    request["finish"] = json!({"content": true, "layer": {"compression": {"format": "none", "level": 0}, "clampMtime": null}, "sync": false});
    let script = format!("exec \"$0\" 6>\"{}\"", bench.path("layer").display());
    let (before, last) = crate::files_support::call_in_shell(&script, &request);
    let events: Vec<&str> = before.iter().chain([&last]).map(|reply| reply["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["result", "content", "layer", "durable"]);
    let alone = crate::files_support::call(&json!({"op": "content", "trees": [bench.path("upper")]}));
    assert_eq!(expect_result(alone)["digests"], json!([before[1]["digest"]]));
}
