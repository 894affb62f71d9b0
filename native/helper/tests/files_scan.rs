//! `scan` through the built helper: what is selected, what counts in a digest, what is read again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{Bench, call, can_mount, expect_error, expect_result, plant, selection, settled, with};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const TREE: &[&str] =
    &["f src/main.ts code", "f src/lib/a.ts aaa", "d src/empty 700", "l src/link ../../outside", "f README.md hi 600"];

fn digest(bench: &Bench, ignore: &[&str], selection: &Value) -> String {
    bench.scan(bench.directory(ignore), selection)["selections"][0]["digest"].as_str().unwrap().to_owned()
}

/// Names in the manifest of a selection.
fn names(bench: &Bench, ignore: &[&str], selection: &Value) -> Vec<String> {
    let manifest = bench.manifest(bench.directory(ignore), selection);
    let name = |line: &str| line.rsplit_once(" /").map(|(_, name)| name.to_owned());
    manifest.lines().filter_map(name).collect()
}

#[test]
fn scan_writes_the_documented_manifest() {
    let bench = Bench::new().context(TREE).context(&["f odd%name\u{e9} x", "p pipe", "f tool x 4755"]);
    let manifest = bench.manifest(bench.directory(&[]), &selection(&[".", "README.md"]));
    let sha = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let wanted = format!(
        "tsbuild-content-v1\n\
         source dir\n\
         f 0600 0:0 2 8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4 /README.md\n\
         f 0644 0:0 1 {sha} /odd%25name%c3%a9\n\
         p 0644 0:0 /pipe\n\
         d 0755 0:0 /src\n\
         d 0700 0:0 /src/empty\n\
         d 0755 0:0 /src/lib\n\
         f 0644 0:0 3 9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0 /src/lib/a.ts\n\
         l 0777 0:0 ../../outside /src/link\n\
         f 0644 0:0 4 5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b /src/main.ts\n\
         f 4755 0:0 1 {sha} /tool\n\
         source file\n\
         f 0600 0:0 2 8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4 /README.md\n"
    );
    assert_eq!(manifest, wanted);
    assert_eq!(
        digest(&bench, &[], &selection(&[".", "README.md"])),
        "sha256:aa5e11064de1def8bad6e588f283a62a00e0702cfae74167c2ecdd8f6452f727"
    );
}

#[test]
fn scan_gives_the_same_digest_when_only_order_owner_and_time_differ() {
    let mut reversed = TREE.to_vec();
    reversed.reverse();
    let (one, two) = (Bench::new().context(TREE), Bench::new().context(&reversed));
    let main = std::fs::File::open(two.path("context/src/main.ts")).unwrap();
    main.set_modified(std::time::UNIX_EPOCH).unwrap();
    let _ = std::os::unix::fs::chown(two.path("context/src/main.ts"), Some(7), Some(8));
    assert_eq!(digest(&one, &[], &selection(&["."])), digest(&two, &[], &selection(&["."])));
}

#[test]
fn scan_gives_another_digest_when_something_that_counts_differs() {
    type Change = fn(&Bench);
    let changes: [(&str, Change); 7] = [
        ("content", |bench| plant(&bench.path("context"), &["f src/main.ts cod3"])),
        ("file mode", |bench| plant(&bench.path("context"), &["f src/main.ts code 755"])),
        ("directory mode", |bench| plant(&bench.path("context"), &["d src/lib 750"])),
        ("a new empty directory", |bench| plant(&bench.path("context"), &["d src/new"])),
        ("a name", |bench| {
            std::fs::rename(bench.path("context/src/main.ts"), bench.path("context/src/mine.ts")).unwrap();
        }),
        ("a link", |bench| {
            std::fs::remove_file(bench.path("context/src/link")).unwrap();
            plant(&bench.path("context"), &["l src/link elsewhere"]);
        }),
        ("an attribute", |bench| {
            let path = bench.path("context/src/main.ts");
            rustix::fs::setxattr(&path, "user.x", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        }),
    ];
    for (what, change) in changes {
        let bench = Bench::new().context(TREE);
        let before = digest(&bench, &[], &selection(&["src"]));
        change(&bench);
        assert_ne!(digest(&bench, &[], &selection(&["src"])), before, "{what}");
    }
}

#[test]
fn scan_tells_sources_apart_where_the_result_may_differ() {
    let bench = Bench::new().context(&["f a 1", "f b 2", "f d/x 1", "f e/x 1"]);
    let of = |sources: &[&str]| digest(&bench, &[], &selection(sources));
    assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    assert_eq!(of(&["d"]), of(&["e"]), "a directory's own name does not reach the image");
    assert_eq!(of(&["d"]), of(&["d/"]));
    assert_eq!(of(&["d"]), of(&["./d/."]));
    assert_ne!(of(&["d"]), of(&["d/x"]));
    assert_ne!(of(&["d", "e"]), of(&["d"]));
}

#[test]
fn scan_selects_as_docker_does() {
    let bench = Bench::new().context(&[
        "f a.txt 1",
        "f b.txt 2",
        "f dir/c.txt 3",
        "f dir/sub/d.txt 4",
        "f dir/.hidden 5",
        "f [x 6",
        "l link dir",
        "l file-link a.txt",
        "l nest link/sub",
        "f pkg/one/package.json 7",
        "f pkg/one/src/index.ts 8",
        "f pkg/two/package.json 9",
    ]);
    for (sources, wanted) in [
        (vec!["a.txt"], "a.txt"),
        (vec!["*.txt"], "a.txt b.txt"),
        (vec!["dir"], ".hidden c.txt sub sub/d.txt"),
        (vec!["dir/*"], ".hidden c.txt d.txt"),
        (vec!["/dir/c.txt"], "c.txt"),
        (vec!["../../dir/c.txt"], "c.txt"),
        (vec!["dir/../b.txt"], "b.txt"),
        (vec!["link"], ".hidden c.txt sub sub/d.txt"),
        (vec!["link/c.txt"], "c.txt"),
        (vec!["link/c*"], "c.txt"),
        (vec!["file-link"], "file-link"),
        (vec!["nest"], "d.txt"),
        (vec!["[[]x"], "%5bx"),
        (vec!["?.txt"], "a.txt b.txt"),
        (vec!["no*match"], ""),
        (vec!["no/such/*"], ""),
        (vec!["*/c.txt"], "c.txt"),
        (vec!["pkg/*/package.json"], "package.json package.json"),
        (vec!["b.txt", "a.txt"], "b.txt a.txt"),
    ] {
        let wanted = wanted.replace("%5b", "[");
        assert_eq!(names(&bench, &[], &selection(&sources)).join(" "), wanted, "{sources:?}");
    }
}

#[test]
fn scan_keeps_paths_when_parents_is_given() {
    let bench = Bench::new().context(&[
        "f pkg/one/package.json 7",
        "f pkg/one/src/index.ts 8",
        "f pkg/two/package.json 9",
        "f top 1",
    ]);
    for (source, wanted) in [
        ("pkg/one/package.json", "pkg pkg/one pkg/one/package.json"),
        ("pkg/*/package.json", "pkg pkg/one pkg/one/package.json pkg/two pkg/two/package.json"),
        ("**/package.json", "pkg pkg/one pkg/one/package.json pkg/two pkg/two/package.json"),
        ("pkg/./one/package.json", "one one/package.json"),
        ("pkg/./*/src", "one one/src one/src/index.ts"),
        ("./pkg/./two", "two two/package.json"),
        ("top", "top"),
        ("**/nothing", ""),
    ] {
        let selection = with(selection(&[source]), "parents", json!(true));
        assert_eq!(names(&bench, &[], &selection).join(" "), wanted, "{source}");
    }
    let missing = with(selection(&["pkg/three"]), "parents", json!(true));
    let reply = bench.scan(bench.directory(&[]), &missing);
    assert_eq!(reply["selections"][0]["missing"][0]["source"], "pkg/three");
}

#[test]
fn scan_leaves_out_what_exclude_matches() {
    let bench = Bench::new().context(&["f d/a.txt 1", "f d/b.md 2", "f d/sub/c.txt 3", "f d/sub/d.md 4", "f e.txt 5"]);
    for (sources, exclude, wanted) in [
        (vec!["d"], vec!["*.txt"], "b.md sub sub/c.txt sub/d.md"),
        (vec!["d"], vec!["**/*.txt"], "b.md sub sub/d.md"),
        (vec!["d"], vec!["sub"], "a.txt b.md"),
        (vec!["d"], vec!["sub", "!sub/c.txt"], "a.txt b.md sub sub/c.txt"),
        (vec!["d/*"], vec!["*.txt"], "b.md d.md"),
        (vec!["*.txt"], vec!["*.txt"], ""),
        (vec!["."], vec!["d/*.md"], "d d/a.txt d/sub d/sub/c.txt d/sub/d.md e.txt"),
    ] {
        let selection = with(selection(&sources), "exclude", json!(exclude));
        assert_eq!(names(&bench, &[], &selection).join(" "), wanted, "{sources:?} {exclude:?}");
    }
}

#[test]
fn scan_obeys_dockerignore() {
    let bench = Bench::new().context(&[
        "f node_modules/x/index.js 1",
        "f node_modules/keep/me 2",
        "f docs/README.md 3",
        "f docs/other.md 4",
        "f a.md 5",
        "l to-docs docs/other.md",
    ]);
    for (ignore, sources, wanted) in [
        (vec!["node_modules", "docs", "to-docs"], vec!["."], "a.md"),
        (vec!["*", "!a.md"], vec!["."], "a.md"),
        (
            vec!["node_modules", "!node_modules/keep", "docs", "to-docs", "a.md"],
            vec!["."],
            "node_modules node_modules/keep node_modules/keep/me",
        ),
        (vec!["docs", "!docs/README.md"], vec!["docs"], "README.md"),
        (vec!["docs", "!**/README.md"], vec!["docs/*"], "README.md"),
        (vec!["**/*.md"], vec!["*.md"], ""),
        (vec!["docs"], vec!["*.md"], "a.md"),
    ] {
        assert_eq!(names(&bench, &ignore, &selection(&sources)).join(" "), wanted, "{ignore:?} {sources:?}");
    }
    for (ignore, source, rule) in [
        (vec!["x", "docs"], "docs/other.md", Some(1)),
        (vec!["docs", "!docs/README.md"], "docs/other.md", Some(0)),
        (vec!["**/other.md"], "to-docs", Some(0)),
        (vec!["to-docs"], "to-docs", Some(0)),
        (vec!["docs"], "docs", Some(0)),
        (vec!["docs"], "nowhere", None),
    ] {
        let reply = bench.scan(bench.directory(&ignore), &selection(&[source]));
        let missing = &reply["selections"][0]["missing"];
        assert_eq!(*missing, json!([{"source": source, "ignoredBy": rule}]), "{ignore:?} {source}");
    }
}

#[test]
fn scan_refuses_malformed_patterns() {
    let bench = Bench::new().context(&["f a 1"]);
    for (ignore, sources) in [(vec!["["], vec!["."]), (vec!["!"], vec!["."]), (vec![], vec!["[a"])] {
        let tree = bench.directory(&ignore);
        let request = json!({"op": "scan", "tree": tree, "selections": [selection(&sources)], "manifest": false});
        expect_error(&call(&request), "ERR_PATTERN_INVALID");
    }
}

#[test]
fn scan_never_leaves_the_context() {
    let chain: Vec<String> = (0..41).map(|at| format!("l chain{at} chain{}", at + 1)).collect();
    let bench = Bench::new()
        .context(&["f canary inside", "f etc/passwd inside", "l abs /canary", "l up ../../../canary", "d sub"])
        .context(&[
            "l sub/up ../../canary",
            "l etc-link /etc",
            "l dots ../..",
            "l loop loop",
            "l magic /proc/self/root",
        ])
        .context(&["l dangling /nowhere", "l chain41 canary"])
        .context(&chain.iter().map(String::as_str).collect::<Vec<_>>());
    let inside = "inside".len();
    for source in
        ["abs", "up", "sub/up", "etc-link/passwd", "dots/canary", "chain3", "chain2", "../canary", "/../canary"]
    {
        let reply = bench.scan(bench.directory(&[]), &selection(&[source]));
        assert_eq!(reply["selections"][0]["bytes"], inside, "{source}: {reply}");
    }
    for source in ["dangling", "magic", "magic/etc/passwd", "canary/x"] {
        let reply = bench.scan(bench.directory(&[]), &selection(&[source]));
        assert_eq!(reply["selections"][0]["missing"][0]["source"], source, "{reply}");
    }
    for source in ["loop", "loop/x", "chain0", "chain1"] {
        let tree = bench.directory(&[]);
        let request = json!({"op": "scan", "tree": tree, "selections": [selection(&[source])], "manifest": false});
        expect_error(&call(&request), "ERR_SYMLINK_LOOP");
    }
}

#[test]
fn scan_takes_special_files_for_what_they_are() {
    let bench = Bench::new().context(&["p pipe", "s socket", "f file x"]);
    assert_eq!(names(&bench, &[], &selection(&["."])), ["file", "pipe", "socket"]);
    let trees = [Some(bench.directory(&[])), can_mount().then(|| bench.stage())];
    for tree in trees.into_iter().flatten() {
        let manifest = bench.manifest(tree, &selection(&["."]));
        assert!(manifest.lines().any(|line| line.starts_with("f ") && line.ends_with(" /socket")), "{manifest}");
    }
}

#[test]
fn scan_reads_only_files_whose_stat_changed() {
    let bench = Bench::new().context(&["f a aaaa", "f b bbbbbb", "f sub/c cc"]);
    let first = bench.scan(bench.directory(&[]), &selection(&["."]));
    assert_eq!(first["hashedBytes"], 12);
    let before = settled(&bench, &selection(&["."]));
    assert_eq!(first["selections"], before["selections"]);

    // A touched file is read, and only that; the digest stays.
    std::fs::File::open(bench.path("context/b")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let touched = bench.scan(bench.directory(&[]), &selection(&["."]));
    assert_eq!(touched["hashedBytes"], 6);
    assert_eq!(touched["selections"], before["selections"]);

    // An edit of the same size with the old mtime put back shows in ctime.
    let path = bench.path("context/a");
    let mtime = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "AAAA").unwrap();
    std::fs::File::open(&path).unwrap().set_modified(mtime).unwrap();
    let edited = bench.scan(bench.directory(&[]), &selection(&["."]));
    assert_ne!(edited["selections"], before["selections"]);
}

#[test]
fn scan_ignores_a_damaged_fingerprint_file() {
    let bench = Bench::new().context(&["f a aaaa", "f sub/c cc"]);
    let before = settled(&bench, &selection(&["."]));
    let path = bench.path("fingerprints");
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&path, &bad).unwrap();
        let reply = bench.scan(bench.directory(&[]), &selection(&["."]));
        assert_eq!(reply["hashedBytes"], 6, "byte {at}");
        assert_eq!(reply["selections"], before["selections"], "byte {at}");
    }
    for length in [0, 4, 11, 12, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert_eq!(bench.scan(bench.directory(&[]), &selection(&["."]))["hashedBytes"], 6, "{length} bytes");
    }
}

#[test]
fn scan_needs_no_fingerprint_file() {
    let bench = Bench::new().context(&["f a aaaa", "f sub/c cc"]);
    let before = settled(&bench, &selection(&["."]));
    let path = bench.path("fingerprints");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert_eq!(bench.scan(bench.directory(&[]), &selection(&["."]))["selections"], before["selections"]);
    std::fs::remove_file(&path).unwrap();
    // Nobody writes to it: who waited would wait for ever.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(bench.scan(bench.directory(&[]), &selection(&["."]))["selections"], before["selections"]);
    assert!(std::fs::metadata(&path).unwrap().is_file(), "the scan keeps what it hashed");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let reply = bench.scan(bench.directory(&[]), &selection(&["."]));
    assert_eq!((&reply["hashedBytes"], &reply["selections"]), (&6.into(), &before["selections"]));
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert!(!left.into_iter().any(|entry| entry.unwrap().file_name().to_string_lossy().contains(".new")));
}

#[test]
fn scan_keeps_fingerprints_of_what_another_selection_holds() {
    let bench = Bench::new().context(&["f a aaaa", "f sub/c cc", "f sub/d ddd", "f gone/e e"]);
    settled(&bench, &selection(&["."]));
    std::fs::write(bench.path("context/sub/c"), "CC").unwrap();
    std::fs::remove_file(bench.path("context/sub/d")).unwrap();
    std::fs::remove_dir_all(bench.path("context/gone")).unwrap();
    settled(&bench, &selection(&["sub"]));
    assert_eq!(bench.scan(bench.directory(&[]), &selection(&["."]))["hashedBytes"], 0);
    let text = String::from_utf8_lossy(&std::fs::read(bench.path("fingerprints")).unwrap()).into_owned();
    assert!(!text.contains("gone"));
}

#[test]
fn scan_does_not_write_the_fingerprint_file_when_nothing_changed() {
    let bench = Bench::new().context(&["f a aaaa"]);
    settled(&bench, &selection(&["."]));
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(bench.path("fingerprints")).unwrap());
    let before = inode();
    settled(&bench, &selection(&["."]));
    assert_eq!(inode(), before);
}

#[test]
fn scan_keeps_owners_when_the_tree_is_a_snapshot() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f a x", "d sub"]);
    std::os::unix::fs::chown(bench.path("context/a"), Some(7), Some(8)).unwrap();
    let manifest = bench.manifest(bench.stage(), &selection(&["/"]));
    assert!(manifest.contains("f 0644 7:8 1 "), "{manifest}");
}

#[test]
fn scan_names_what_cannot_be_read() {
    let bench = Bench::new().context(&["f secret x 000"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything; ask as the user nobody.
        for path in [bench.path(""), bench.path("context")] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let copy = bench.path("helper");
        crate::program::place_helper(&copy);
        let tree = with(bench.directory(&[]), "fingerprints", Value::Null);
        let request = json!({"op": "scan", "tree": tree, "selections": [selection(&["."])], "manifest": false});
        let reply = crate::files_support::call_as_nobody(&copy, &request);
        expect_error(&reply, "ERR_CONTEXT_UNREADABLE");
        assert!(reply["message"].as_str().unwrap().contains("secret"), "{reply}");
    } else {
        let tree = bench.directory(&[]);
        let request = json!({"op": "scan", "tree": tree, "selections": [selection(&["."])], "manifest": false});
        expect_error(&call(&request), "ERR_CONTEXT_UNREADABLE");
    }
}

#[test]
fn scan_answers_in_the_order_of_the_request() {
    let bench = Bench::new().context(&["f a 1", "f b 22"]);
    let selections = json!([selection(&["b"]), selection(&["a"]), selection(&["b"])]);
    let request = json!({"op": "scan", "tree": bench.directory(&[]), "selections": selections, "manifest": false});
    let reply = expect_result(call(&request));
    let bytes: Vec<u64> = (0..3).map(|at| reply["selections"][at]["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [2, 1, 2]);
    assert_eq!(reply["hashedBytes"], 3, "what was hashed for one selection is known to the next");
}

/// A checkout under a umask: two files, a program, directories, and what somebody chose.
fn checkout(umask: u32) -> Bench {
    let (file, program) = (0o666 & !umask, 0o777 & !umask);
    let entries = [
        format!("f Dockerfile x {file:o}"),
        format!("f src/main.ts code {file:o}"),
        format!("f src/run code {program:o}"),
        format!("d src {program:o}"),
        "f src/readonly x 444".to_owned(),
        "f src/setuid x 4755".to_owned(),
        "d src/sticky 1777".to_owned(),
        "l src/link main.ts".to_owned(),
    ];
    let bench = Bench::new();
    plant(&bench.path("context"), &entries.each_ref().map(String::as_str));
    bench
}

const UMASKS: [u32; 6] = [0o022, 0o002, 0o000, 0o027, 0o007, 0o077];

#[test]
fn scan_and_copy_see_one_tree_whatever_the_umask_of_the_checkout() {
    let all = selection(&["."]);
    let parents = with(selection(&["src/run"]), "parents", json!(true));
    let seen = |umask: u32| {
        let bench = checkout(umask);
        let tree = with(bench.directory(&[]), "checkoutUmask", json!(umask));
        let digests = [&all, &parents].map(|selection| {
            bench.scan(tree.clone(), selection)["selections"][0]["digest"].as_str().unwrap().to_owned()
        });
        let mut copied = Vec::new();
        if can_mount() {
            let copy = |selection: &Value, dest: &str, digest: &str| {
                let action =
                    with(crate::files_support::copy_action(tree.clone(), &[], dest), "selection", selection.clone());
                with(action, "expect", json!(digest))
            };
            let actions = [copy(&all, "/all/", &digests[0]), copy(&parents, "/parents/", &digests[1])];
            expect_result(bench.copy(&actions));
            copied = bench.merged();
        }
        (digests, copied)
    };
    let wanted = seen(0o022);
    for umask in UMASKS {
        assert_eq!(seen(umask), wanted, "{umask:o}");
    }
    if can_mount() {
        assert!(wanted.1.contains(&"f all/src/run code 755 0:0".to_owned()), "{:?}", wanted.1);
        assert!(wanted.1.contains(&"d parents/src 755 0:0".to_owned()), "{:?}", wanted.1);
        assert!(wanted.1.contains(&"f all/src/setuid x 4755 0:0".to_owned()), "{:?}", wanted.1);
    }
}

#[test]
fn scan_counts_a_mode_that_no_umask_made() {
    let digest = |umask: u32, change: &str| {
        let bench = checkout(umask);
        plant(&bench.path("context"), &[change]);
        let tree = with(bench.directory(&[]), "checkoutUmask", json!(umask));
        bench.scan(tree, &selection(&["."]))["selections"][0]["digest"].as_str().unwrap().to_owned()
    };
    let nothing = digest(0o022, "d src 755");
    for umask in [0o022, 0o002] {
        let private = digest(umask, "f src/main.ts code 600");
        assert_ne!(private, nothing, "{umask:o}");
        assert_eq!(private, digest(0o022, "f src/main.ts code 600"), "{umask:o}");
        let program = digest(umask, &format!("f src/main.ts code {:o}", 0o777 & !umask));
        assert_ne!(program, nothing, "{umask:o}");
        assert_eq!(program, digest(0o077, "f src/main.ts code 700"), "{umask:o}");
    }
    assert_ne!(digest(0o022, "d src 700"), nothing);
}

#[test]
fn scan_keeps_the_modes_that_files_have_in_the_fingerprints() {
    let bench = checkout(0o002);
    settled(&bench, &selection(&["."]));
    let seen = |umask: Value| {
        let tree = with(bench.directory(&[]), "checkoutUmask", umask);
        assert_eq!(bench.scan(tree.clone(), &selection(&["."]))["hashedBytes"], 0);
        bench.manifest(tree, &selection(&["src/run"]))
    };
    assert!(seen(json!(2)).contains("f 0755 0:0 4 "));
    assert!(seen(Value::Null).contains("f 0775 0:0 4 "));
}

#[test]
fn scan_leaves_uncounted_what_the_copy_has_of_its_own() {
    if !can_mount() {
        return;
    }
    let manifest = |modes: [&str; 3], owner: u32, uncounted: Value| {
        let [file, program, dir] = modes;
        let bench = Bench::new();
        let entries = [format!("f a x {file}"), format!("f s/b x {program}"), format!("d s {dir}"), "l l a".to_owned()];
        plant(&bench.path("context"), &entries.each_ref().map(String::as_str));
        for name in ["a", "s", "s/b", "l"] {
            std::os::unix::fs::lchown(bench.path("context").join(name), Some(owner), Some(owner)).unwrap();
        }
        let selection = with(selection(&["/"]), "uncounted", uncounted);
        let digest = bench.scan(bench.stage(), &selection)["selections"][0]["digest"].clone();
        let action = with(crate::files_support::copy_action(bench.stage(), &[], "/d/"), "selection", selection.clone());
        let action = with(with(action, "chmod", json!("750")), "chown", json!("1:2"));
        expect_result(bench.copy(&[with(action, "expect", digest)]));
        assert_eq!(
            bench.merged(),
            ["d d 750 1:2", "d d/s 750 1:2", "f d/a x 750 1:2", "f d/s/b x 750 1:2", "l d/l a 1:2"]
        );
        bench.manifest(bench.stage(), &selection)
    };
    let (usual, other) = (["644", "755", "755"], ["600", "4711", "1700"]);
    let both = json!(["mode", "owner"]);
    assert_eq!(manifest(usual, 0, both.clone()), manifest(other, 7, both.clone()));
    assert_eq!(manifest(usual, 7, json!(["mode"])), manifest(other, 7, json!(["mode"])));
    assert_eq!(manifest(usual, 0, json!(["owner"])), manifest(usual, 7, json!(["owner"])));
    assert_ne!(manifest(usual, 0, json!(["mode"])), manifest(usual, 7, json!(["mode"])));
    assert_ne!(manifest(usual, 0, json!(["owner"])), manifest(other, 0, json!(["owner"])));
    assert!(manifest(usual, 0, both).contains("\nf - - 1 2d711642"));
    assert!(manifest(usual, 7, json!(["mode"])).contains("\nd - 7:7 /s\n"));
    assert!(manifest(usual, 7, json!(["owner"])).contains("\nd 0755 - /s\n"));
}
