//! `run`: images made to reach the host. The canary must stay what it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, tree};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// A directory of the host with one file.
fn canary(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.path("canary");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "untouched").unwrap();
    dir
}

fn assert_untouched(dir: &Path) {
    assert_eq!(tree(dir), ["file"]);
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "untouched");
}

#[test]
fn run_refuses_images_whose_kernel_directories_are_not_directories() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    for name in ["dev", "proc", "sys"] {
        let path = sandbox.image().join(name);
        for target in [canary.to_str().unwrap(), "tmp", "/missing", "../../../../../../canary", name] {
            symlink(target, &path).unwrap();
            assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID", "{name} -> {target}");
            fs::remove_file(&path).unwrap();
        }
        fs::write(&path, "a file").unwrap();
        assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID", "{name}");
        fs::remove_file(&path).unwrap();
    }
    assert_untouched(&canary);
    assert_eq!(sandbox.sh("true").code(), 0);
}

#[test]
fn run_keeps_links_of_etc_inside_the_image() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    for name in ["hosts", "resolv.conf"] {
        symlink(canary.join("file"), sandbox.image().join("etc").join(name)).unwrap();
    }
    let done = sandbox.sh("cat /etc/hosts");
    // Both lead to one place inside the image; the later mount lies on top.
    assert_eq!(done.ok(), "nameserver 192.0.2.53\n");
    assert_untouched(&canary);
    assert_eq!(tree(&sandbox.upper()), Vec::<String>::new());
    fs::remove_file(sandbox.image().join("etc/hosts")).unwrap();
    for target in ["/proc/sys/kernel/core_pattern", "/sys/x", "/dev/null", "hosts", "/"] {
        symlink(target, sandbox.image().join("etc/hosts")).unwrap();
        assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID", "{target}");
        fs::remove_file(sandbox.image().join("etc/hosts")).unwrap();
    }
    fs::remove_dir_all(sandbox.image().join("etc")).unwrap();
    symlink(&canary, sandbox.image().join("etc")).unwrap();
    assert_eq!(sandbox.sh("ls /etc/").ok(), "hosts\nresolv.conf\n");
    assert_untouched(&canary);
}

#[test]
fn run_never_uses_device_nodes_of_the_image() {
    let Some(sandbox) = Sandbox::root() else { return };
    let dev = sandbox.image().join("dev");
    fs::create_dir(&dev).unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap();
    symlink("/etc", dev.join("pts")).unwrap();
    fs::write(dev.join("shm"), "").unwrap();
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let done = sandbox
        .sh("stat -c %F /dev/null /dev/pts /dev/shm; echo x > /dev/null; echo x > /proc/keys; wc -c < /proc/keys");
    assert_eq!(done.ok(), "character special file\ndirectory\ndirectory\n0\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
}

#[test]
fn run_refuses_working_directories_outside_of_the_image() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    for number in 0..64 {
        let mut request = sandbox.shell("pwd; ls -d .");
        request["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let done = sandbox.run(request);
        assert_eq!(done.error(), "ERR_WORKDIR_INVALID", "{number}: {done:?}");
    }
    for cwd in ["/proc/self/cwd", "/proc/1/root", "/proc/self/root/tmp", "/etc/passwd", "/etc/passwd/x", "/loop/x"] {
        let _ = symlink("loop", sandbox.image().join("loop"));
        let mut request = sandbox.shell("true");
        request["cwd"] = json!(cwd);
        assert_eq!(sandbox.run(request).error(), "ERR_WORKDIR_INVALID", "{cwd}");
    }
    symlink(&canary, sandbox.image().join("out")).unwrap();
    let mut request = sandbox.shell("touch made; pwd");
    request["cwd"] = json!("/../../out/new");
    let wanted = format!("{}/new\n", canary.display());
    assert_eq!(sandbox.run(request).ok(), wanted, "made at the place of that name inside the image");
    assert!(sandbox.upper().join(wanted.trim().trim_start_matches('/')).join("made").exists());
    assert_untouched(&canary);
}

#[test]
fn run_keeps_mount_targets_inside_the_image() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    symlink(&canary, sandbox.image().join("out")).unwrap();
    symlink("/../../../../", sandbox.image().join("top")).unwrap();
    let outside = format!("/top{}/deep", canary.display());
    for target in ["/out", "/out/file", "/out/new/deep", "/../../out", outside.as_str()] {
        let mut request = sandbox.shell("true");
        request["mounts"] = json!([{"kind": "tmpfs", "target": target, "sizeBytes": null, "readonly": false}]);
        assert_eq!(sandbox.run(request).code(), 0, "{target}");
        assert_untouched(&canary);
        assert_eq!(tree(&sandbox.upper()), Vec::<String>::new(), "{target}");
    }
}

#[test]
fn run_does_not_follow_links_inside_a_shared_mount() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    fs::create_dir(sandbox.path("cache")).unwrap();
    symlink(&canary, sandbox.path("cache/sub")).unwrap();
    let mut request = sandbox.shell("true");
    request["mounts"] = json!([
        {"kind": "bind", "source": sandbox.path("cache"), "inside": "", "target": "/cache", "readonly": false},
        {"kind": "tmpfs", "target": "/cache/sub", "sizeBytes": null, "readonly": false},
    ]);
    assert_eq!(sandbox.run(request).error(), "ERR_ROOTFS_INVALID");
    assert_untouched(&canary);
    let mut request = sandbox.shell("true");
    request["mounts"] =
        json!([{"kind": "bind", "source": sandbox.path("cache/sub"), "inside": "", "target": "/x", "readonly": false}]);
    assert_eq!(sandbox.run(request).error(), "ERR_MOUNT_SOURCE_INVALID");
}

#[test]
fn run_cannot_be_escaped_by_chroot() {
    let Some(sandbox) = Sandbox::root() else { return };
    // The well known way out of a chroot; after pivot_root there is nothing above to reach.
    let done = sandbox.sh(
        "mkdir /j; cd /; chroot /j /bin/true; cd ../../../../..; pwd; ls -d /work /proc/1/root/boot 2>/dev/null; true",
    );
    assert_eq!(done.ok().trim(), "/");
}

#[test]
fn run_opens_no_device_that_the_step_or_the_image_made() {
    let Some(sandbox) = Sandbox::root() else { return };
    // The device of the host's root file system: reading it would read every file of the host.
    let device = fs::metadata("/").unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let (kind, mode) = (rustix::fs::FileType::BlockDevice, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, sandbox.image().join("disk"), kind, mode, device).unwrap();
    fs::create_dir(sandbox.path("cache")).unwrap();
    let mut request = sandbox.shell(&format!(
        "for dir in / /tmp /dev /dev/shm /cache /ram; do mknod $dir/made b {major} {minor} || exit 9; \
         head -c 1 $dir/made && echo READ; done; head -c 1 /disk && echo READ; mknod /dev/mynull c 1 3; echo x > /dev/mynull && echo OPENED"
    ));
    request["mounts"] = json!([
        {"kind": "bind", "source": sandbox.path("cache"), "inside": "", "target": "/cache", "readonly": false},
        {"kind": "tmpfs", "target": "/ram", "sizeBytes": null, "readonly": false},
    ]);
    let done = sandbox.run(request);
    assert_eq!(done.stdout, "", "{done:?}");
    assert_eq!(done.stderr.matches("Permission denied").count(), 8, "{done:?}");
}

/// Two steps share a cache. One exchanges a directory of it with a symlink to the host, over and over, while the other
/// mounts below that name. `TSBUILD_RACE_ROUNDS` is the number of mounts.
#[test]
fn run_wins_the_race_for_a_mount_point_in_a_shared_mount() {
    let rounds = std::env::var("TSBUILD_RACE_ROUNDS").map_or(200, |text| text.parse().unwrap());
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = canary(&sandbox);
    let cache = sandbox.path("cache");
    fs::create_dir_all(cache.join("sub")).unwrap();
    symlink(&canary, cache.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut request = sandbox.shell("true");
    request["mounts"] = json!([
        {"kind": "bind", "source": cache, "inside": "", "target": "/cache", "readonly": false},
        {"kind": "tmpfs", "target": "/cache/sub/new", "sizeBytes": null, "readonly": false},
    ]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (a, b) = (cache.join("sub"), cache.join("link"));
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, &a, cwd, &b, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..rounds {
            let done = sandbox.run(request.clone());
            let refused = done.last["code"].as_str();
            assert!(
                refused.is_none_or(|code| code == "ERR_ROOTFS_INVALID" || code == "ERR_HELPER_SYSCALL"),
                "{done:?}"
            );
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_untouched(&canary);
}

#[test]
fn run_blames_the_image_for_paths_that_are_too_long() {
    let Some(sandbox) = Sandbox::root() else { return };
    symlink("y".repeat(256), sandbox.image().join("etc/hosts")).unwrap();
    assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID");
    fs::remove_file(sandbox.image().join("etc/hosts")).unwrap();
    for cwd in [format!("/{}", "y".repeat(256)), "/x".repeat(3000)] {
        let mut request = sandbox.shell("true");
        request["cwd"] = json!(cwd);
        assert_eq!(sandbox.run(request).error(), "ERR_WORKDIR_INVALID", "{} bytes", cwd.len());
    }
}
