//! `run`: what reaches the step's layer, and what must not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, every, tree};
use rustix::fs::FileType;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

const NOTHING: Vec<String> = Vec::new();

#[test]
fn run_leaves_nothing_behind_by_itself() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("cat /etc/hosts /run/secrets/deep/file >/dev/null; ls /mnt/a/b /work/tmp");
    fs::create_dir(sandbox.path("dir")).unwrap();
    fs::write(sandbox.path("file"), "secret").unwrap();
    request["mounts"] = json!([
        {"kind": "bind", "source": sandbox.path("dir"), "inside": "", "target": "/mnt/a/b", "readonly": true},
        {"kind": "bind", "source": sandbox.path("file"), "inside": "", "target": "/run/secrets/deep/file", "readonly": true},
        {"kind": "tmpfs", "target": "/work/tmp", "sizeBytes": 65536, "readonly": false},
    ]);
    assert_eq!(sandbox.run(request).code(), 0);
    assert_eq!(tree(&sandbox.upper()), NOTHING);
}

#[test]
fn run_keeps_the_metadata_of_the_parents_of_mount_points() {
    let Some(sandbox) = Sandbox::root() else { return };
    let etc = sandbox.image().join("etc");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o2751)).unwrap();
    std::os::unix::fs::chown(&etc, Some(12), Some(34)).unwrap();
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o2751)).unwrap();
    let fd = fs::File::open(&etc).unwrap();
    rustix::fs::fsetxattr(&fd, "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    rustix::fs::fsetxattr(&fd, "trusted.note", b"kept too", rustix::fs::XattrFlags::empty()).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    fd.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time)).unwrap();

    let done = sandbox.sh("stat -c '%a %u:%g %Y' /etc");
    assert_eq!(done.ok(), "2751 12:34 1000000000\n");
    // Changing the mode copies the directory up with everything else it has.
    assert_eq!(sandbox.sh("chmod 2755 /etc").code(), 0);
    assert_eq!(tree(&sandbox.upper()), ["etc"]);
    let copied = fs::File::open(sandbox.upper().join("etc")).unwrap();
    let stat = copied.metadata().unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o2755, 12, 34));
    assert_eq!((stat.mtime(), stat.mtime_nsec()), (1_000_000_000, 123_456_789));
    let mut value = [0_u8; 16];
    for (name, wanted) in [("user.note", &b"kept"[..]), ("trusted.note", b"kept too")] {
        if !tmpfs_keeps(name) {
            crate::sandbox::skip_part(&format!("tmpfs of this kernel keeps no {name} attributes"));
            continue;
        }
        let length = rustix::fs::fgetxattr(&copied, name, &mut value).unwrap();
        assert_eq!(&value[..length], wanted, "{name}");
    }
}

/// BuildKit makes mount points in the snapshot and takes them away after the step (CVE-2024-23652). Here there is nothing
/// to take away, so what the step does to a parent leads nowhere.
#[test]
fn mnt_05_nine_mounts_leave_no_stub_and_no_new_time() {
    for (who, sandbox) in every() {
        let canary = sandbox.path("canary");
        fs::create_dir_all(canary.join("b/c")).unwrap();
        fs::create_dir_all(sandbox.image().join("a/b")).unwrap();
        fs::create_dir_all(sandbox.image().join("opt/kept")).unwrap();
        for dir in ["a", "a/b", "opt", "opt/kept", "etc"] {
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
            let dir = fs::File::open(sandbox.image().join(dir)).unwrap();
            dir.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
        }
        sandbox.give(&sandbox.path("image"));
        let tmpfs = |target: &str| json!({"kind": "tmpfs", "target": target, "sizeBytes": null, "readonly": false});
        let secret =
            |target: &str| json!({"kind": "secret", "target": target, "data": "eA==", "mode": 256, "uid": 0, "gid": 0});
        let mounts = json!([
            tmpfs("/a/b/c"),
            tmpfs("/opt/kept/new/deep"),
            tmpfs("/opt/new"),
            tmpfs("/new"),
            tmpfs("/tmp"),
            secret("/run/secrets/one"),
            secret("/etc/secret"),
            secret("/a/secret"),
            secret("/new/inside"),
        ]);
        let mut request = sandbox.shell("stat -c '%n %Y' /a /a/b /opt /opt/kept /etc; ls -A /run/secrets");
        request["mounts"] = mounts.clone();
        assert_eq!(
            sandbox.run(request).ok(),
            "/a 1000000000\n/a/b 1000000000\n/opt 1000000000\n/opt/kept 1000000000\n/etc 1000000000\none\n",
            "{who:?}"
        );
        assert_eq!(tree(&sandbox.upper()), NOTHING, "{who:?}");
        // The step takes away what it can of the parents, and puts links to the host in their place.
        let mut request = sandbox.shell(&format!(
            "umount /a/b/c 2>/dev/null && echo UNMOUNTED; rm -rf /a 2>/dev/null; \
             rm -rf /opt; ln -s {0} /a; ln -s {0} /opt; true",
            canary.display()
        ));
        request["mounts"] = mounts;
        assert_eq!(sandbox.run(request).ok(), "", "{who:?}");
        assert_eq!(tree(&canary), ["b", "b/c"], "{who:?}");
        for path in tree(&sandbox.upper()) {
            assert!(!path.contains("secret") && !path.contains("new"), "{who:?} {path}");
        }
    }
}

fn tmpfs_keeps(name: &str) -> bool {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    rustix::fs::fsetxattr(&file, name, b"x", rustix::fs::XattrFlags::empty()).is_ok()
}

#[test]
fn run_records_changes_as_overlayfs_does() {
    let Some(sandbox) = Sandbox::root() else { return };
    fs::write(sandbox.image().join("gone"), "").unwrap();
    let done = sandbox.sh("rm /gone; echo new > /tmp/new; mkdir /run; echo kept > /run/file; mv /home/app /home/moved");
    // redirect_dir is off, so busybox's mv falls back to a copy as it does across file systems.
    assert_eq!(done.code(), 0, "{done:?}");
    let upper = sandbox.upper();
    let gone = fs::symlink_metadata(upper.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(fs::read_to_string(upper.join("run/file")).unwrap(), "kept\n");
    assert_eq!(tree(&upper), ["gone", "home", "home/app", "home/moved", "run", "run/file", "tmp", "tmp/new"]);
}

#[test]
fn run_shows_one_device_for_all_files() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("stat -c %d / /etc /etc/passwd /bin/busybox; touch /tmp/new; stat -c %d /tmp/new");
    let mut devices: Vec<&str> = done.ok().lines().collect();
    devices.dedup();
    assert_eq!(devices.len(), 1, "{done:?}");
    let done = sandbox.sh("stat -c %i /etc/passwd; echo x >> /etc/passwd; stat -c %i /etc/passwd");
    let inodes: Vec<&str> = done.ok().lines().collect();
    assert_eq!(inodes[0], inodes[1], "a copy-up must not look like another file");
}

#[test]
fn run_works_on_an_image_without_layers() {
    let Some(sandbox) = Sandbox::root() else { return };
    sandbox.fresh();
    let bin = sandbox.upper().join("bin");
    fs::create_dir(&bin).unwrap();
    crate::program::copy_program(sandbox.image().join("bin/busybox"), &bin.join("busybox"));
    let before = tree(&sandbox.upper());
    let mut request = sandbox.request(&["/bin/busybox", "ls", "/", "/etc"]);
    request["root"]["lower"] = json!([]);
    let done = sandbox.call(request);
    assert_eq!(done.ok(), "/:\nbin\ndev\netc\nproc\nsys\n\n/etc:\nhosts\nresolv.conf\n");
    assert_eq!(tree(&sandbox.upper()), before);
}

#[test]
fn run_stacks_layers_topmost_first() {
    let Some(sandbox) = Sandbox::root() else { return };
    let layers: Vec<_> = (0..480)
        .map(|number| {
            let layer = sandbox.path(&format!("layer{number}"));
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join("which"), number.to_string()).unwrap();
            layer
        })
        .chain([sandbox.image()])
        .collect();
    let mut request = sandbox.shell("cat /which");
    request["root"]["lower"] = json!(layers);
    assert_eq!(sandbox.run(request).ok(), "0");
}

#[test]
fn run_mounts_layers_whose_paths_are_long() {
    for (who, sandbox) in every() {
        // 255 bytes are the most that the kernel takes as text.
        let base = sandbox.path("x");
        for length in [200, 254, 255, 256, 1000, 3000] {
            let mut dir = base.clone();
            while dir.as_os_str().len() + 2 < length {
                let rest = length - dir.as_os_str().len() - 1;
                dir = dir.join("y".repeat(if rest > 200 { 100 } else { rest }));
            }
            assert_eq!(dir.as_os_str().len(), length);
            let layers: Vec<_> = (0..45)
                .map(|number| {
                    // The last 45 differ in their end, not in their length.
                    let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
                    let path = dir.with_file_name(format!("{}{number:02}", &name[..name.len() - 2]));
                    fs::create_dir_all(&path).unwrap();
                    fs::write(path.join("which"), number.to_string()).unwrap();
                    path
                })
                .chain([sandbox.image()])
                .collect();
            let (upper, work) = (dir.with_file_name("upper"), dir.with_file_name("work"));
            for path in [&upper, &work] {
                fs::create_dir_all(path).unwrap();
            }
            sandbox.give(&base);
            let mut request = sandbox.shell("cat /which; echo new > /new");
            request["root"] = json!({"lower": layers, "upper": upper, "work": work});
            assert_eq!(sandbox.run(request).ok(), "0", "{who:?} {length}");
            assert_eq!(tree(&upper), ["new"], "{who:?} {length}");
            fs::remove_dir_all(&base).unwrap();
        }
    }
}

#[test]
fn run_works_on_a_read_only_view() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("cat /etc/hosts >/dev/null && touch /x");
    request["root"]["upper"] = json!(null);
    request["root"]["work"] = json!(null);
    let done = sandbox.run(request);
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
}

#[test]
fn run_refuses_a_work_directory_that_was_used() {
    let Some(sandbox) = Sandbox::root() else { return };
    assert_eq!(sandbox.sh("true").code(), 0);
    let done = sandbox.call(sandbox.shell("true"));
    assert_eq!(done.error(), "ERR_OVERLAY_MOUNT");
    assert!(done.last["message"].as_str().unwrap().contains("each mount needs a new one"), "{done:?}");
}

#[test]
fn run_mounts_what_the_request_names() {
    let Some(sandbox) = Sandbox::root() else { return };
    fs::create_dir_all(sandbox.path("cache/deep")).unwrap();
    fs::write(sandbox.path("script"), "#!/bin/sh\necho script\n").unwrap();
    fs::set_permissions(sandbox.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut request = sandbox.shell(
        "echo data > /cache/file; touch /ro/x 2>/dev/null || echo read-only; /dev/pipes/EOF; \
         stat -f -c %T /cache/inner /dev/shm; df -k /cache/inner | tail -1 | tr -s ' ' | cut -d' ' -f2",
    );
    let bind = |source: &str, target: &str, readonly: bool| json!({"kind": "bind", "source": sandbox.path(source), "inside": "", "target": target, "readonly": readonly});
    request["mounts"] = json!([
        bind("cache", "/cache", false),
        bind("cache", "/ro", true),
        {"kind": "tmpfs", "target": "/cache/inner", "sizeBytes": 131_072, "readonly": false},
        {"kind": "tmpfs", "target": "/dev/shm", "sizeBytes": null, "readonly": false},
        bind("script", "/dev/pipes/EOF", true),
    ]);
    assert_eq!(sandbox.run(request).ok(), "read-only\nscript\ntmpfs\ntmpfs\n128\n");
    assert_eq!(fs::read_to_string(sandbox.path("cache/file")).unwrap(), "data\n");
    assert_eq!(tree(&sandbox.upper()), NOTHING);
}

#[test]
fn run_removes_its_cgroup() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let Some(parent) = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        (fields[2] == "cgroup2").then(|| std::path::PathBuf::from(fields[1]))
    }) else {
        return crate::sandbox::skip("cgroup v2 is not mounted");
    };
    let id = format!("tsbuild-test-{}", std::process::id());
    let mut request = sandbox.shell("cat /proc/self/cgroup | grep ^0:");
    request["cgroups"] = json!([{"version": 2, "controllers": [], "path": parent}]);
    request["id"] = json!(id);
    let done = sandbox.run(request);
    assert!(done.ok().contains(&id) || done.ok() == "0::/\n", "{done:?}");
    assert!(!parent.join(id).exists());
    let mut request = sandbox.shell("true");
    request["cgroups"] = json!([{"version": 2, "controllers": [], "path": parent}]);
    request["id"] = json!("../escape");
    assert_eq!(sandbox.run(request).error(), "ERR_HELPER_INTERNAL");
}

#[test]
fn run_refuses_targets_that_belong_to_the_sandbox() {
    let Some(sandbox) = Sandbox::root() else { return };
    symlink("/proc", sandbox.image().join("alias")).unwrap();
    for target in ["/", "/proc", "/proc/sys", "/sys", "/sys/fs", "/dev", "/dev/../proc/1", "/alias/self", "/a/../sys"] {
        let mut request = sandbox.shell("true");
        request["mounts"] = json!([{"kind": "tmpfs", "target": target, "sizeBytes": null, "readonly": false}]);
        let done = sandbox.run(request);
        assert_eq!(done.error(), "ERR_MOUNT_TARGET_RESERVED", "{target}");
    }
    // A file cannot be mounted on a directory, nor the other way round.
    fs::write(sandbox.path("file"), "").unwrap();
    let mut request = sandbox.shell("true");
    request["mounts"] =
        json!([{"kind": "bind", "source": sandbox.path("file"), "inside": "", "target": "/etc", "readonly": true}]);
    assert_eq!(sandbox.run(request).error(), "ERR_ROOTFS_INVALID");
    let mut request = sandbox.shell("true");
    request["mounts"] = json!([{"kind": "tmpfs", "target": "/etc/passwd", "sizeBytes": null, "readonly": false}]);
    assert_eq!(sandbox.run(request).error(), "ERR_ROOTFS_INVALID");
    assert_eq!(
        FileType::from_raw_mode(fs::metadata(sandbox.image().join("etc/passwd")).unwrap().mode()),
        FileType::RegularFile
    );
}
