//! `read` through the built helper, against trees that somebody else filled.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{Bench, call, can_mount, expect_error, expect_result, with};
use base64::Engine;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

fn read(tree: Value, paths: &[&str], max_bytes: u64) -> Value {
    call(&json!({"op": "read", "tree": tree, "paths": paths, "maxBytes": max_bytes}))
}

/// The texts of the files, `None` where there is none.
fn texts(reply: Value) -> Vec<Option<String>> {
    let decode =
        |text: &str| String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap();
    let result = expect_result(reply);
    result["files"].as_array().unwrap().iter().map(|file| file.as_str().map(decode)).collect()
}

#[test]
fn read_gives_each_path_its_bytes_in_order() {
    let bench = Bench::new().context(&["f Dockerfile FROM", "f sub/x X", "l link sub/x", "l dir-link sub", "d d"]);
    let tree = bench.directory(&["Dockerfile", "sub"]);
    let paths = [
        "sub/x",
        "Dockerfile",
        "link",
        "dir-link/x",
        "/Dockerfile",
        "./sub//x",
        "missing",
        "d",
        "Dockerfile/x",
        "",
        "/",
    ];
    let some = |text: &str| Some(text.to_owned());
    let wanted = [some("X"), some("FROM"), some("X"), some("X"), some("FROM"), some("X"), None, None, None, None, None];
    assert_eq!(texts(read(tree, &paths, 100)), wanted);
    assert_eq!(texts(read(bench.directory(&[]), &[], 100)), []);
}

#[test]
fn read_of_a_snapshot_sees_the_merged_tree() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["f a lower", "f b lower"]).context(&["f a upper"]);
    let root = json!({"lower": [bench.path("context"), bench.path("lower")], "upper": null, "work": null});
    let tree = json!({"kind": "snapshot", "root": root});
    assert_eq!(texts(read(tree, &["a", "b"], 10)), [Some("upper".to_owned()), Some("lower".to_owned())]);
}

#[test]
fn read_stays_inside_of_the_tree() {
    let bench = Bench::new().context(&["f canary inside", "d sub", "l up ../../canary", "l sub/up ../../../canary"]);
    for (name, target) in
        [("abs", bench.path("host/canary")), ("dir", bench.path("host")), ("magic", "/proc/self/root".into())]
    {
        symlink(target, bench.path("context").join(name)).unwrap();
    }
    let inside = Some("inside".to_owned());
    let paths = ["../canary", "../../canary", "sub/../../canary", "up", "sub/up"];
    assert_eq!(texts(read(bench.directory(&[]), &paths, 100)), vec![inside; 5]);
    let host = bench.path("host/canary");
    let through = format!("magic{}", host.display());
    let paths = ["abs", "dir/canary", &through, host.to_str().unwrap(), "magic/etc/passwd"];
    assert_eq!(texts(read(bench.directory(&[]), &paths, 100)), vec![None; 5]);
    bench.check_host();
}

#[test]
fn read_takes_regular_files_only_and_waits_for_none() {
    let bench = Bench::new().context(&["p fifo", "s socket", "l to-fifo fifo"]);
    let mut paths = vec!["fifo", "socket", "to-fifo", "loop-free"];
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
    let device = rustix::fs::makedev(1, 5);
    if rustix::fs::mknodat(rustix::fs::CWD, bench.path("context/zero"), kind, mode, device).is_ok() {
        paths.push("zero");
    }
    assert_eq!(texts(read(bench.directory(&[]), &paths, 100)), vec![None; paths.len()]);
}

#[test]
fn read_refuses_files_above_the_limit_whatever_their_size_says() {
    let bench = Bench::new().context(&["f exact 12345"]);
    std::fs::File::create(bench.path("context/huge")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(texts(read(bench.directory(&[]), &["exact"], 5)), [Some("12345".to_owned())]);
    for (path, limit) in [("exact", 4), ("exact", 0), ("huge", 1 << 20)] {
        let reply = read(bench.directory(&[]), &[path], limit);
        expect_error(&reply, "ERR_SIZE_MISMATCH");
        assert_eq!(reply["kind"], "user");
    }
}

#[test]
fn read_refuses_paths_that_are_none() {
    let bench = Bench::new().context(&["l loop loop", "f x x"]);
    let long = "n".repeat(300);
    for (path, code) in [("a\u{0}b", "ERR_PATH_INVALID"), (&long, "ERR_PATH_INVALID"), ("loop", "ERR_SYMLINK_LOOP")] {
        let reply = read(bench.directory(&[]), &["x", path], 100);
        expect_error(&reply, code);
        assert_eq!(reply["kind"], "user");
    }
    let missing = with(bench.directory(&[]), "path", json!(bench.path("nowhere")));
    assert_eq!(read(missing, &["x"], 100)["event"], "error");
}
