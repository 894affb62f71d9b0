//! `run`: the five kinds of mounts, as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox, every, tree};
use base64::Engine;
use rustix::fs::{CWD, RenameFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

const NOTHING: Vec<String> = Vec::new();

fn secret(target: &str, bytes: &[u8], mode: u32, uid: u32, gid: u32) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    json!({"kind": "secret", "target": target, "data": data, "mode": mode, "uid": uid, "gid": gid})
}

fn bind(source: &Path, inside: &str, target: &str, readonly: bool) -> Value {
    json!({"kind": "bind", "source": source, "inside": inside, "target": target, "readonly": readonly})
}

fn with_mounts(sandbox: &Sandbox, script: &str, mounts: &[Value]) -> Value {
    let mut request = sandbox.shell(script);
    request["mounts"] = json!(mounts);
    request
}

/// Makes a directory beside the image, with files in it.
fn directory(sandbox: &Sandbox, name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let dir = sandbox.path(name);
    fs::create_dir_all(&dir).unwrap();
    for (file, text) in files {
        fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
        fs::write(dir.join(file), text).unwrap();
    }
    sandbox.give(&dir);
    dir
}

#[test]
fn run_binds_a_path_inside_of_a_source() {
    for (who, sandbox) in every() {
        let cache = directory(&sandbox, "cache", &[("deep/sub/file", "inside"), ("etc/passwd", "of the cache")]);
        symlink("/deep/sub", cache.join("absolute")).unwrap();
        symlink("../../deep/sub/file", cache.join("deep/upwards")).unwrap();
        symlink("/etc", cache.join("etc-link")).unwrap();
        for (inside, script, wanted) in [
            ("deep/sub", "cat /m/file; echo more >> /m/new", "inside"),
            ("/deep/../deep/./sub/", "cat /m/file", "inside"),
            ("absolute", "cat /m/file", "inside"),
            ("deep/upwards", "cat /m", "inside"),
            ("etc-link", "cat /m/passwd", "of the cache"),
            ("../../../../etc-link/passwd", "cat /m", "of the cache"),
        ] {
            let done = sandbox.run(with_mounts(&sandbox, script, &[bind(&cache, inside, "/m", false)]));
            assert_eq!(done.ok(), wanted, "{who:?} {inside}");
            assert_eq!(tree(&sandbox.upper()), NOTHING);
        }
        assert_eq!(fs::read_to_string(cache.join("deep/sub/new")).unwrap(), "more\n");
    }
}

#[test]
fn run_names_target_and_path_of_a_source_that_is_missing() {
    for (who, sandbox) in every() {
        let cache = directory(&sandbox, "cache", &[("file", "")]);
        symlink("/etc", cache.join("sel")).unwrap();
        symlink("loop", cache.join("loop")).unwrap();
        symlink("/proc/self/root", cache.join("magic")).unwrap();
        for (inside, why) in [
            ("sel", "does not exist"),
            ("missing/deep", "does not exist"),
            ("magic", "does not exist"),
            ("file/x", "leads through something that is no directory"),
            ("loop", "leads through a symlink"),
        ] {
            let lower = json!({"lower": [cache], "upper": null, "work": null});
            for mount in [
                bind(&cache, inside, "/some/target", true),
                json!({"kind": "snapshot", "root": lower, "inside": inside, "target": "/some/target"}),
            ] {
                let done = sandbox.run(with_mounts(&sandbox, "true", &[mount]));
                assert_eq!(
                    (done.error(), &done.last["kind"]),
                    ("ERR_MOUNT_SOURCE_INVALID", &json!("user")),
                    "{who:?} {inside}"
                );
                let message = done.last["message"].as_str().unwrap();
                let wanted = format!("the source {inside:?} of the mount at \"/some/target\" {why}");
                assert!(message.starts_with(&wanted), "{message}");
            }
        }
        let gone = sandbox.path("gone");
        let done = sandbox.run(with_mounts(&sandbox, "true", &[bind(&gone, "", "/m", true)]));
        assert_eq!(done.error(), "ERR_MOUNT_SOURCE_INVALID", "{who:?}");
    }
}

/// One step exchanges a directory of a shared cache with a symlink to the host while another mounts that name.
/// `TSBUILD_RACE_ROUNDS` is the number of mounts.
#[test]
fn mnt_01_a_source_that_is_exchanged_for_a_symlink_never_leads_outside() {
    let rounds = std::env::var("TSBUILD_RACE_ROUNDS").map_or(500, |text| text.parse().unwrap());
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = directory(&sandbox, "canary", &[("host", "canary")]);
    let cache = directory(&sandbox, "cache", &[("sub/deep/inside", "")]);
    // Where the link leads inside of the cache there is nothing, or something of the cache.
    symlink(&canary, cache.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let request = with_mounts(&sandbox, "ls -A /m", &[bind(&cache, "x/../sub/deep", "/m", false)]);
    fs::create_dir(cache.join("x")).unwrap();
    let (mut mounted, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (a, b) = (cache.join("sub"), cache.join("link"));
                rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..rounds {
            let done = sandbox.run(request.clone());
            match done.last["code"].as_str() {
                None => {
                    assert_eq!(done.ok(), "inside\n");
                    mounted += 1;
                }
                code => {
                    assert_eq!(code, Some("ERR_MOUNT_SOURCE_INVALID"), "{done:?}");
                    refused += 1;
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("{rounds} rounds: {mounted} mounted, {refused} refused, 0 escapes");
    assert_eq!(tree(&canary), ["host"]);
}

#[test]
fn run_mounts_snapshots_of_other_roots() {
    for (who, sandbox) in every() {
        let lower = directory(&sandbox, "tools", &[("bin/tool", "tool"), ("old", "below")]);
        let upper_layer = directory(&sandbox, "tools2", &[("old", "above")]);
        let layers = json!({"lower": [upper_layer, lower], "upper": null, "work": null});
        let single = json!({"lower": [lower], "upper": null, "work": null});
        let mount = |root: &Value, inside: &str, target: &str| json!({"kind": "snapshot", "root": root, "inside": inside, "target": target});
        let done = sandbox.run(with_mounts(
            &sandbox,
            "cat /all/old /all/bin/tool /one/old /bins/tool /tmp/file; for f in /all/x /one/x /bins/x /tmp/file; do \
             echo x 2>/dev/null >> $f && exit 9; done; true",
            &[
                mount(&layers, "", "/all"),
                mount(&single, "", "/one"),
                mount(&layers, "bin", "/bins"),
                mount(&layers, "bin/tool", "/tmp/file"),
            ],
        ));
        assert_eq!(done.ok(), "abovetoolbelowtooltool", "{who:?} {done:?}");
        assert_eq!(tree(&sandbox.upper()), NOTHING);

        // With an upper layer of its own the process may write, and only that layer changes.
        for name in ["throw", "throw-work"] {
            directory(&sandbox, name, &[]);
        }
        let writable = json!({"lower": [lower], "upper": sandbox.path("throw"), "work": sandbox.path("throw-work")});
        let done = sandbox.run(with_mounts(
            &sandbox,
            "echo new > /m/new && echo more >> /m/tool && cat /m/tool",
            &[mount(&writable, "bin", "/m")],
        ));
        assert_eq!(done.ok(), "toolmore\n", "{who:?}");
        assert_eq!(tree(&sandbox.path("throw")), ["bin", "bin/new", "bin/tool"]);
        assert_eq!(fs::read_to_string(lower.join("bin/tool")).unwrap(), "tool");
        assert_eq!(tree(&sandbox.upper()), NOTHING);
    }
}

#[test]
fn mnt_02_a_link_of_a_snapshot_stays_in_its_own_root() {
    for (who, sandbox) in every() {
        let base = directory(&sandbox, "base", &[("of-the-stage", "")]);
        symlink("/", base.join("rootdir")).unwrap();
        symlink("../../../../../../..", base.join("upwards")).unwrap();
        for inside in ["rootdir", "upwards", "rootdir/rootdir/../.."] {
            let root = json!({"lower": [base], "upper": null, "work": null});
            let mount = json!({"kind": "snapshot", "root": root, "inside": inside, "target": "/BIND_BREAKOUT"});
            let done = sandbox.run(with_mounts(&sandbox, "ls /BIND_BREAKOUT", &[mount]));
            assert_eq!(done.ok(), "of-the-stage\nrootdir\nupwards\n", "{who:?} {inside}");
        }
        assert!(!Path::new("/BIND_BREAKOUT").exists());
    }
}

#[test]
fn run_mounts_a_tmpfs_that_is_read_only() {
    for (who, sandbox) in every() {
        let mount = json!({"kind": "tmpfs", "target": "/m", "sizeBytes": null, "readonly": true});
        let done = sandbox.run(with_mounts(&sandbox, "ls -A /m; touch /m/x", &[mount]));
        assert_eq!((done.code(), done.stdout.as_str()), (1, ""), "{who:?}");
        assert!(done.stderr.contains("Read-only file system"), "{who:?} {done:?}");
    }
}

#[test]
fn run_gives_secrets_as_files_in_memory() {
    for (who, sandbox) in every() {
        let other = if who == As::SingleId { 0 } else { 1000 };
        let mut request = with_mounts(
            &sandbox,
            "cd /run/secrets; stat -c '%n %a %u:%g %F %s' a b; stat -f -c %T a; cat a; \
             grep -E ' /run/secrets/(a|b) ' /proc/self/mountinfo | cut -d' ' -f5-6; \
             b; a 2>/dev/null || echo noexec; echo x 2>/dev/null > a || echo read-only; \
             chmod 777 a 2>/dev/null || echo read-only; rm a 2>/dev/null || echo busy",
            &[
                secret("/run/secrets/a", b"hunter2\n", 0o400, other, other),
                secret("/run/secrets/b", b"#!/bin/sh\necho executed\n", 0o555, 0, 0),
            ],
        );
        request["env"] = json!(["PATH=/bin:/run/secrets"]);
        let done = sandbox.run(request);
        assert_eq!(
            done.ok(),
            format!(
                "a 400 {other}:{other} regular file 8\nb 555 0:0 regular file 24\nramfs\nhunter2\n\
                 /run/secrets/a ro,nosuid,nodev,noexec,relatime\n/run/secrets/b ro,nosuid,nodev,relatime\n\
                 executed\nnoexec\nread-only\nread-only\nbusy\n"
            ),
            "{who:?} {done:?}"
        );
        assert_eq!(tree(&sandbox.upper()), NOTHING, "{who:?}");
        for name in ["upper", "work", "image"] {
            for path in tree(&sandbox.path(name)) {
                let file = sandbox.path(name).join(path);
                if file.is_file() && !file.is_symlink() {
                    assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("hunter2"), "{file:?}");
                }
            }
        }
    }
}

#[test]
fn run_gives_a_socket_its_owner_and_mode() {
    for (who, sandbox) in every() {
        let other = if who == As::SingleId { 0 } else { 1000 };
        let path = directory(&sandbox, "scratch", &[]).join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        sandbox.give(&path);
        let mount = |target: &str| json!({"kind": "socket", "source": path, "target": target, "mode": 0o640, "uid": other, "gid": other});
        let done = sandbox.run(with_mounts(
            &sandbox,
            "stat -c '%F %a %u:%g' /run/agent; chmod 777 /run/agent 2>/dev/null || echo read-only; \
             [ -S /run/agent ] && nc local:/run/agent < /dev/null 2>/dev/null; true",
            &[mount("/run/agent")],
        ));
        assert_eq!(done.ok(), format!("socket 640 {other}:{other}\nread-only\n"), "{who:?} {done:?}");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
        assert_eq!(tree(&sandbox.upper()), NOTHING);
        drop(listener);
        // What is no socket is left as it is.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        sandbox.give(&path);
        let done = sandbox.run(with_mounts(&sandbox, "true", &[mount("/run/agent")]));
        assert_eq!(done.error(), "ERR_MOUNT_SOURCE_INVALID", "{who:?} {done:?}");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600, "{who:?}");
    }
}

#[test]
fn run_refuses_owners_that_are_not_mapped_or_no_ids() {
    for (who, sandbox) in every() {
        let done = sandbox.run(with_mounts(&sandbox, "true", &[secret("/s", b"x", 0o400, u32::MAX, 0)]));
        assert_eq!(done.error(), "ERR_USER_INVALID", "{who:?}");
        let done = sandbox.run(with_mounts(&sandbox, "stat -c %u /s", &[secret("/s", b"x", 0o400, 2_000_000_000, 0)]));
        match who {
            As::Root => assert_eq!(done.ok(), "2000000000\n"),
            As::Rootless | As::SingleId => assert_eq!(done.error(), "ERR_ROOTLESS_IDMAP", "{who:?} {done:?}"),
        }
    }
}

#[test]
fn run_mounts_into_earlier_mounts_whatever_the_image_has_there() {
    for (who, sandbox) in every() {
        let cache = directory(&sandbox, "cache", &[("a/file", "")]);
        fs::create_dir_all(sandbox.image().join("m")).unwrap();
        symlink("/etc", sandbox.image().join("m/a")).unwrap();
        let tmpfs = |target: &str| json!({"kind": "tmpfs", "target": target, "sizeBytes": 65536, "readonly": false});
        let done = sandbox.run(with_mounts(
            &sandbox,
            "ls -A /m /m/a; ls /etc/passwd; stat -f -c %T /m/a/deep",
            &[bind(&cache, "", "/m", false), tmpfs("/m/a"), tmpfs("/m/a/deep")],
        ));
        assert_eq!(done.ok(), "/m:\na\n\n/m/a:\ndeep\n/etc/passwd\ntmpfs\n", "{who:?} {done:?}");
        assert_eq!(tree(&sandbox.upper()), NOTHING);
        assert_eq!(tree(&cache), ["a", "a/file"]);
        fs::remove_dir_all(sandbox.image().join("m")).unwrap();
    }
}

#[test]
fn run_reserves_the_targets_of_the_sandbox() {
    for (who, sandbox) in every() {
        for target in [
            "/",
            "/.",
            "/x/..",
            "/proc",
            "/proc/sys",
            "/proc/self/attr",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/null",
            "/dev/pts",
            "/dev/pts/0",
            "/dev/fd/3",
            "/dev/stdout",
            "/dev/../dev/tty",
            "/dev/.tsbuild/x",
            "/link/null",
        ] {
            let _ = symlink("/dev", sandbox.image().join("link"));
            for mount in [
                json!({"kind": "tmpfs", "target": target, "sizeBytes": null, "readonly": false}),
                secret(target, b"x", 0o400, 0, 0),
            ] {
                let done = sandbox.run(with_mounts(&sandbox, "true", &[mount]));
                assert_eq!(done.error(), "ERR_MOUNT_TARGET_RESERVED", "{who:?} {target} {done:?}");
            }
        }
        fs::remove_file(sandbox.image().join("link")).unwrap();
    }
}
