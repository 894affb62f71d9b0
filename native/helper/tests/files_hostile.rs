//! Hostile contexts, images and requests: CPY-01, -02, -03, -04 and -11 of spec/security.md. The host never changes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{
    Bench, call, can_mount, copy_action, expect_error, listing, mkdir_action, mkfile_action, selection,
};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exchanges a directory and a symlink to the host for as long as `work` runs.
fn while_swapping(bench: &Bench, work: impl FnOnce()) {
    let (real, fake) = (bench.path("context/d"), bench.path("context/fake"));
    symlink(bench.path("host"), &fake).unwrap();
    let stop = Stop(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.0.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let _ = rustix::fs::renameat_with(rustix::fs::CWD, &real, rustix::fs::CWD, &fake, flags);
            }
        });
        // Also when an assertion fails: the scope waits for its threads.
        let guard = Guard(&stop);
        work();
        drop(guard);
    });
}

struct Stop(AtomicBool);

struct Guard<'s>(&'s Stop);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn scan_reads_nothing_outside_when_a_directory_becomes_a_link() {
    let bench = Bench::new().context(&["f d/canary inside", "f d/e/canary inside"]);
    while_swapping(&bench, || {
        let selections: Vec<Value> = ["d/canary", "d", "."].iter().map(|&source| selection(&[source])).collect();
        let tree = crate::files_support::with(bench.directory(&[]), "fingerprints", Value::Null);
        let many: Vec<&Value> = (0..200).flat_map(|_| &selections).collect();
        for round in 0..25 {
            // Distinct selections, so that none is answered from an earlier one.
            let distinct: Vec<Value> = many
                .iter()
                .enumerate()
                .map(|(at, selection)| {
                    crate::files_support::with((*selection).clone(), "exclude", json!([format!("none{round}-{at}")]))
                })
                .collect();
            let request = json!({"op": "scan", "tree": tree, "selections": distinct, "manifest": false});
            let reply = call(&request);
            if reply["event"] == "error" {
                let code = reply["code"].as_str().unwrap();
                assert_eq!(code, "ERR_CONTEXT_CHANGED", "{reply}");
                continue;
            }
            for answer in reply["result"]["selections"].as_array().unwrap() {
                // The host's file has 11 bytes, ours have 6 each.
                assert_eq!(answer["bytes"].as_u64().unwrap() % 6, 0, "{answer}");
            }
        }
    });
    bench.check_host();
}

#[test]
fn copy_takes_nothing_from_outside_when_a_directory_becomes_a_link() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().context(&["f d/canary inside", "f d/e/canary inside"]);
    let actions: Vec<Value> = (0..100)
        .flat_map(|at| [("d/canary", at), ("d", at), (".", at)])
        .map(|(source, at)| copy_action(bench.directory(&[]), &[source], &format!("/{at}/")))
        .collect();
    while_swapping(&bench, || {
        for round in actions.chunks(1) {
            let reply = bench.copy(round);
            if reply["event"] == "error" {
                let code = reply["code"].as_str().unwrap();
                let known = ["ERR_CONTEXT_CHANGED", "ERR_COPY_SOURCE_NOT_FOUND", "ERR_COPY_NOT_DIRECTORY"];
                assert!(known.contains(&code), "{reply}");
            }
        }
    });
    bench.check_host();
    assert!(listing(&bench.path("upper")).iter().any(|line| line.contains("inside")));
}

/// Every way out of a snapshot through its own links.
const TRAPS: &[&str] = &[
    "d host",
    "l abs /canary-dir",
    "l up ../../../../host",
    "l root /",
    "l chain1 chain2",
    "l chain2 /abs",
    "l self self",
    "l proc /proc/self/root/host",
    "d sub",
    "l sub/up ../../../host",
];

#[test]
fn copy_stays_inside_when_the_destination_leads_out() {
    if !can_mount() {
        return;
    }
    for dest in
        ["/abs/", "/up/", "/up/x", "/root/host/", "/chain1/", "/sub/up/", "/proc/", "/self/", "/sub/../../../host/"]
    {
        let bench = Bench::new().lower(TRAPS).context(&["f a/f x"]);
        let host = bench.path("host");
        let outside = copy_action(bench.directory(&[]), &["a"], &format!("/root{}", host.display()));
        let mut parents = copy_action(bench.directory(&[]), &["a/f"], dest);
        parents["selection"]["parents"] = json!(true);
        let actions = [
            copy_action(bench.directory(&[]), &["a/f"], dest),
            copy_action(bench.directory(&[]), &["a"], dest.trim_end_matches('x')),
            parents,
            outside,
            mkdir_action(&format!("{dest}/made"), 0o755, None),
            mkfile_action("made", dest, b"x"),
            mkfile_action("made", &format!("{dest}/made"), b"x"),
        ];
        for action in actions {
            let reply = bench.copy(std::slice::from_ref(&action));
            let fine = reply["event"] == "result" || reply["kind"] == "user";
            assert!(fine, "{action} {reply}");
            bench.check_host();
        }
    }
}

#[test]
fn every_action_clamps_odd_paths_to_the_root() {
    if !can_mount() {
        return;
    }
    for path in ["..", "../..", "a/../..", "../victim", "/", "", ".", "/..", "..\\..\\victim", "/a//b/./c", "/\u{1}"] {
        let bench = Bench::new().context(&["f f x"]);
        let from = || bench.directory(&[]);
        for action in [
            mkdir_action(path, 0o755, None),
            mkfile_action("f", path, b"x"),
            mkfile_action(path, "/d/", b"x"),
            copy_action(from(), &["f"], path),
            copy_action(from(), &[path], "/d/"),
        ] {
            let reply = bench.copy(std::slice::from_ref(&action));
            assert!(reply["event"] == "result" || reply["kind"] == "user", "{action} {reply}");
            bench.check_host();
        }
    }
    let bench = Bench::new().context(&["f f x"]);
    let long = format!("/{}", "n".repeat(300));
    for path in ["/a\u{0}b", &long] {
        let make = mkdir_action(path, 0o755, None);
        expect_error(&bench.copy(&[make]), "ERR_PATH_INVALID");
        let reply = bench.copy(&[copy_action(bench.directory(&[]), &["f"], path)]);
        expect_error(&reply, "ERR_PATH_INVALID");
        let reply = bench.copy(&[copy_action(bench.directory(&[]), &[path], "/d/")]);
        assert_eq!(reply["kind"], "user", "{reply}");
    }
}

#[test]
fn names_in_an_image_are_looked_up_in_regular_files_only() {
    if !can_mount() {
        return;
    }
    let kinds: [(&str, &[&str]); 4] = [
        ("a fifo", &["p etc/passwd"]),
        ("a directory", &["d etc/passwd"]),
        ("a link to the host", &["l etc/passwd ../../../etc/passwd"]),
        ("nothing", &["d etc"]),
    ];
    for (what, entries) in kinds {
        let bench = Bench::new().lower(entries).context(&["f f x"]);
        let action =
            crate::files_support::with(copy_action(bench.directory(&[]), &["f"], "/d/"), "chown", json!("root"));
        let reply = bench.copy(&[action]);
        assert_eq!(reply["code"], "ERR_USER_NOT_FOUND", "{what} {reply}");
    }
}

#[test]
fn copy_refuses_a_device_that_would_hide_files() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, bench.path("context/white"), kind, mode, 0).unwrap();
    let reply = bench.copy(&[copy_action(bench.directory(&[]), &["."], "/d/")]);
    expect_error(&reply, "ERR_DEVICE_FORBIDDEN");
}

#[test]
fn copy_opens_no_device_of_the_image() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["d etc"]);
    // A number without a driver: to open it gives ENXIO, where the mount does not forbid it.
    let kind = rustix::fs::FileType::CharacterDevice;
    let device = rustix::fs::makedev(240, 0);
    let passwd = bench.path("lower/etc/passwd");
    rustix::fs::mknodat(rustix::fs::CWD, passwd, kind, rustix::fs::Mode::RUSR, device).unwrap();
    let action = || mkdir_action("/made", 0o755, Some("app"));
    let mut replies = vec![bench.copy(&[action()])];
    // The same without an overlay: a snapshot of one directory.
    let root = json!({"lower": [], "upper": bench.path("lower"), "work": null});
    replies.push(call(&json!({"op": "copy", "root": root, "owners": null, "actions": [action()], "finish": null})));
    for reply in replies {
        expect_error(&reply, "ERR_USER_NOT_FOUND");
        let message = reply["message"].as_str().unwrap();
        assert!(message.contains("/etc/passwd is not a regular file"), "{message}");
    }
}
