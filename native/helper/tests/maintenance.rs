//! `probe`, `sync`, `remove` and `usage`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn probe_finds_out_what_root_can_do() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.call(json!({"op": "probe"}));
    let result = &done.last["result"];
    assert_eq!(result["protocol"], 1, "{done:?}");
    assert_eq!((&result["euid"], &result["overlay"], &result["seccomp"]), (&json!(0), &json!(true), &json!(true)));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(result["kernel"], release.trim());
    // What a session would use; nothing is made by asking.
    let cgroups = result["cgroups"].as_array().unwrap();
    assert!(cgroups.iter().all(|one| fs::metadata(one["path"].as_str().unwrap()).unwrap().is_dir()), "{done:?}");
    for tool in ["pasta", "slirp4netns"] {
        let installed = ["/usr/bin", "/bin"].map(|dir| json!(format!("{dir}/{tool}")));
        let found = installed.iter().any(|path| *path == result[tool]);
        assert_eq!(found, fs::exists(format!("/usr/bin/{tool}")).unwrap(), "{done:?}");
    }
    assert!(result["missing"].as_array().unwrap().iter().all(|one| one["required"] == json!(false)), "{done:?}");
}

#[test]
fn probe_finds_out_what_an_ordinary_user_can_do() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    let done = sandbox.call_with_map(json!({"op": "probe"}), &json!(null));
    let result = &done.last["result"];
    assert_eq!((&result["overlay"], &result["userNamespace"]), (&json!(true), &json!(true)), "{done:?}");
    assert!(result["subuids"][0]["length"].as_u64().unwrap() > 0, "{done:?}");
    assert_ne!(result["euid"], 0);
    let missing = result["missing"].as_array().unwrap();
    let fix = |feature: &str| missing.iter().find(|one| one["feature"] == feature).map(|one| one["fix"].clone());
    let everyone = fs::metadata("/dev/net/tun").is_ok_and(|tun| tun.permissions().mode() & 0o006 == 0o006);
    assert_eq!(fix("tun"), (!everyone).then(|| json!("chmod 666 /dev/net/tun")), "{done:?}");
    let has = |one: &serde_json::Value| one["controllers"].as_array().unwrap().contains(&json!("memory"));
    let limits = result["cgroups"].as_array().unwrap().iter().any(has);
    assert_eq!(fix("cgroups").is_none(), limits, "{done:?}");
}

#[test]
fn remove_deletes_trees_and_nothing_else() {
    let Some(sandbox) = Sandbox::rootless(As::SingleId) else { return };
    let tree = sandbox.path("tree");
    fs::create_dir_all(tree.join("locked/inner")).unwrap();
    fs::create_dir_all(tree.join("plain/deep")).unwrap();
    fs::write(sandbox.path("canary"), "kept").unwrap();
    fs::write(tree.join("locked/inner/file"), "").unwrap();
    symlink("../canary", tree.join("plain/file")).unwrap();
    symlink(sandbox.image(), tree.join("plain/dir")).unwrap();
    sandbox.give(&tree);
    fs::set_permissions(tree.join("locked/inner"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.join("plain"), fs::Permissions::from_mode(0o555)).unwrap();
    // The directory that holds the tree must be the user's own.
    let holder = sandbox.path("holder");
    fs::create_dir(&holder).unwrap();
    fs::rename(&tree, holder.join("tree")).unwrap();
    sandbox.give_one(&holder);
    let paths = [holder.join("tree"), holder.join("missing"), sandbox.path("no/such/parent")];
    for _ in 0..2 {
        let done = sandbox.call_with_map(json!({"op": "remove", "paths": paths}), &json!(null));
        assert_eq!(done.last["event"], "result", "{done:?}");
        assert!(!paths[0].exists());
    }
    assert_eq!(fs::read_to_string(sandbox.path("canary")).unwrap(), "kept");
    assert!(sandbox.image().join("bin/busybox").exists());
}

#[test]
fn remove_deletes_very_deep_trees() {
    let Some(sandbox) = Sandbox::root() else { return };
    let top = sandbox.path("deep");
    fs::create_dir(&top).unwrap();
    let mut dir: std::os::fd::OwnedFd = fs::File::open(&top).unwrap().into();
    for _ in 0..5000 {
        rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).unwrap();
        let file = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        rustix::fs::openat(&dir, "f", file, rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "d", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    let done = sandbox.call(json!({"op": "usage", "paths": [top]}));
    assert!(done.last["result"]["bytes"][0].as_u64().unwrap() >= 5000 * 4096, "{done:?}");
    let done = sandbox.call(json!({"op": "remove", "paths": [top]}));
    assert_eq!(done.last["event"], "result", "{done:?}");
    assert!(!top.exists());
}

#[test]
fn remove_refuses_relative_paths_and_the_root() {
    let Some(sandbox) = Sandbox::root() else { return };
    for path in ["relative", "/", ""] {
        let done = sandbox.call(json!({"op": "remove", "paths": [path]}));
        assert_eq!(done.error(), "ERR_HELPER_INTERNAL", "{path}");
    }
}

#[test]
fn usage_counts_blocks_and_hardlinks_once() {
    let Some(sandbox) = Sandbox::root() else { return };
    let tree = sandbox.path("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/file"), vec![1_u8; 100_000]).unwrap();
    fs::hard_link(tree.join("sub/file"), tree.join("again")).unwrap();
    symlink("/", tree.join("root")).unwrap();
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    let blocks = |path: &str| tree.join(path).symlink_metadata().unwrap().blocks() * 512;
    let wanted: u64 = ["", "sub", "sub/file", "root", "sparse"].map(blocks).iter().sum();
    let done = sandbox.call(json!({"op": "usage", "paths": [tree, tree.join("sub/file")]}));
    assert_eq!(done.last["result"]["bytes"], json!([wanted, 0]), "{done:?}");
    let done = sandbox.call(json!({"op": "usage", "paths": [sandbox.path("missing"), tree.join("sub")]}));
    assert_eq!(done.last["result"]["bytes"], json!([0, blocks("sub") + blocks("sub/file")]), "{done:?}");
}

#[test]
fn sync_takes_any_directories() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.call(json!({"op": "sync", "paths": [sandbox.upper(), sandbox.image(), "/dev/shm"]}));
    assert_eq!(done.last["result"]["op"], "sync", "{done:?}");
    let done = sandbox.call(json!({"op": "sync", "paths": [sandbox.path("missing")]}));
    assert_eq!(done.last["errno"], "ENOENT");
}

#[test]
fn usage_needs_few_descriptors_for_a_deep_tree() {
    let Some(sandbox) = Sandbox::root() else { return };
    let tree = sandbox.path("tree");
    fs::create_dir(&tree).unwrap();
    let mut dir = rustix::fs::open(&tree, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..600 {
        rustix::fs::mkdirat(&dir, "deep", rustix::fs::Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&dir, "beside", rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "deep", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    }
    let call = |request: serde_json::Value| {
        let mut command = sandbox.command("ulimit -n 256; exec \"$0\"");
        let pipes = command.arg(sandbox.helper()).stdin(std::process::Stdio::piped());
        let mut child = pipes.stdout(std::process::Stdio::piped()).spawn().unwrap();
        sandbox.send(&mut child, &request);
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let blocks = fs::metadata(&tree).unwrap().blocks() * 512;
    let reply = call(json!({"op": "usage", "paths": [tree]}));
    assert_eq!(reply["result"]["bytes"][0], 1201 * blocks, "{reply}");
    let reply = call(json!({"op": "remove", "paths": [tree]}));
    assert_eq!(reply["event"], "result", "{reply}");
    assert!(!tree.exists());
}
