//! `run` with `userNamespace`: root's step has ids that nobody on the machine has, and its files those of the image.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, tree};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

const FIRST: u32 = 300_000;

/// Without and with a user namespace of its own.
fn both(request: &Value) -> [Value; 2] {
    [request.clone(), mapped(request.clone())]
}

fn mapped(mut request: Value) -> Value {
    let range = json!([{"inside": 0, "outside": FIRST, "length": 65536}]);
    request["userNamespace"] = json!({"uids": range, "gids": range});
    request
}

fn with(sandbox: &Sandbox, script: &str, field: &str, value: Value) -> Value {
    let mut request = sandbox.shell(script);
    request[field] = value;
    request
}

fn bind(source: &Path, target: &str, readonly: bool) -> Value {
    json!({"kind": "bind", "source": source, "inside": "", "target": target, "readonly": readonly})
}

fn owner(path: &Path) -> (u32, u32) {
    let stat = path.symlink_metadata().unwrap();
    (stat.uid(), stat.gid())
}

/// What a tree holds: every path with kind, mode, owner, device, contents and extended attributes.
fn contents(dir: &Path) -> Vec<String> {
    let line = |name: String| {
        let path = dir.join(&name);
        let stat = path.symlink_metadata().unwrap();
        let bytes = if stat.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let link = fs::read_link(&path).unwrap_or_default();
        let mut names = vec![0_u8; 4096];
        let length = rustix::fs::llistxattr(&path, names.as_mut_slice()).unwrap();
        let mut names: Vec<_> = names[..length].split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
        names.sort();
        // What overlayfs notes of the lower file names the file system's own numbers.
        names.retain(|name| !["trusted.overlay.origin", "trusted.overlay.impure"].contains(&name.as_ref()));
        let values: Vec<_> = names
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| {
                let mut value = vec![0_u8; 4096];
                let length = rustix::fs::lgetxattr(&path, name.as_bytes(), value.as_mut_slice()).unwrap();
                value[..length].to_vec()
            })
            .collect();
        let (mode, uid, gid, rdev) = (stat.mode(), stat.uid(), stat.gid(), stat.rdev());
        format!("{name} {mode:o} {uid}:{gid} {rdev} {} {bytes:?} {link:?} {names:?} {values:?}", stat.nlink())
    };
    tree(dir).into_iter().map(line).collect()
}

#[test]
fn userns_auto_uid_0_of_the_step_is_an_id_of_nobody_on_the_host() {
    let Some(sandbox) = Sandbox::root() else { return };
    for network in ["none", "host"] {
        let request = with(
            &sandbox,
            "cat /proc/self/uid_map; sleep 30 & echo ready > /tmp/ready; wait",
            "network",
            json!(network),
        );
        sandbox.fresh();
        let child = sandbox.start(mapped(request));
        while !sandbox.upper().join("tmp/ready").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let helper = child.id();
        let ids = descendants(helper).into_iter().map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
            (value("Uid:"), value("Gid:"), value("Groups:"))
        });
        let ids: Vec<_> = ids.collect();
        // SIGTERM to the helper.
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(helper.cast_signed()).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        let done = sandbox.finish(child);
        let four = [FIRST; 4].map(|id| id.to_string()).join("\t");
        // Init, the shell and sleep.
        assert_eq!(ids.len(), 3, "{ids:?}");
        for (index, (uid, gid, groups)) in ids.into_iter().enumerate() {
            let wanted = if index == 0 { "" } else { "300000 300010" };
            assert_eq!((&uid, &gid, groups.as_str()), (&four, &four, wanted), "{index} {done:?}");
        }
        assert_eq!(done.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "300000", "65536"]);
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = text.split_whitespace().map(|text| text.parse::<u32>().unwrap());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

#[test]
fn userns_auto_file_owners_in_the_layer_are_those_of_the_image() {
    let Some(sandbox) = Sandbox::root() else { return };
    let script = "set -e; stat -c '%u:%g' / /bin /home/app /etc/passwd; touch /made; touch /theirs; chown 1000:1001 /theirs; \
                  stat -c '%u:%g' /made /theirs; chmod 700 /home/app; chown 5:6 /etc/group; id -u; id -g";
    let done = sandbox.run(mapped(sandbox.shell(script)));
    assert_eq!(done.ok(), "0:0\n0:0\n1000:1001\n0:0\n0:0\n1000:1001\n0\n0\n");
    let upper = sandbox.upper();
    for (name, wanted) in
        [("", (0, 0)), ("made", (0, 0)), ("theirs", (1000, 1001)), ("home/app", (1000, 1001)), ("etc/group", (5, 6))]
    {
        assert_eq!(owner(&upper.join(name)), wanted, "{name}");
    }
    // The image itself is as it was.
    assert_eq!(owner(&sandbox.image().join("etc/group")), (0, 0));
    let mut request = sandbox
        .shell("id -u; id -G; touch ~/x; stat -c %u:%g ~/x; echo again > /dev/stdout; touch /etc/x || echo refused");
    request["user"] = json!("app");
    assert_eq!(sandbox.run(mapped(request)).ok(), "1000\n1001 2000 2001\n1000:1001\nagain\nrefused\n");
    assert_eq!(owner(&upper.join("home/app/x")), (1000, 1001));
}

/// What package managers do, and what overlayfs has marks for.
const EVERYTHING: &str = "set -e
    echo new > /etc/new; chown 42:43 /etc/new; chmod 4755 /etc/new
    mv /lower/file /lower/renamed; rm /lower/gone; rm -r /lower/deep; mkdir /lower/deep; echo x > /lower/deep/only
    ln -s ../etc/new /lower/link; ln /lower/renamed /lower/hard; mv /lower/dir /lower/moved 2>/dev/null || cp -a /lower/dir /lower/moved
    cp -p /lower/setuid /lower/again; chmod u+s /lower/again; chown -R 7:8 /lower/moved; mkfifo /lower/pipe
    chmod 600 /lower/attrs; mkdir -m 1777 /lower/sticky; touch -d '2020-01-01 00:00:00' /etc/new
    mkdir -m 2775 /lower/setgid; chgrp 50 /lower/setgid; chmod g+s /lower/setgid; touch /lower/setgid/inherits
    echo made:x:1234:1234::/:/bin/sh >> /etc/passwd; chown made /lower/sticky";

fn prepare_lower(sandbox: &Sandbox) {
    let lower = sandbox.image().join("lower");
    for name in ["deep/a/b", "dir/sub"] {
        fs::create_dir_all(lower.join(name)).unwrap();
    }
    for name in ["file", "gone", "setuid", "attrs", "caps", "dir/x", "dir/sub/y", "deep/z"] {
        fs::write(lower.join(name), name).unwrap();
    }
    symlink("x", lower.join("dir/link")).unwrap();
    chown(lower.join("dir/x"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(lower.join("setuid"), Permissions::from_mode(0o4755)).unwrap();
    rustix::fs::setxattr(lower.join("attrs"), "user.note", b"kept", XattrFlags::empty()).unwrap();
    // cap_net_raw+ep
    let mut capability = [0_u8; 20];
    capability[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    capability[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
    rustix::fs::setxattr(lower.join("caps"), "security.capability", &capability, XattrFlags::empty()).unwrap();
}

#[test]
fn userns_auto_gives_the_layer_of_the_same_step_without() {
    let Some(sandbox) = Sandbox::root() else { return };
    prepare_lower(&sandbox);
    let script = format!("{EVERYTHING}; chmod 700 /lower/caps; cat /proc/self/uid_map >&2");
    let seen = both(&sandbox.shell(&script)).map(|request| {
        let done = sandbox.run(request);
        assert_eq!(done.code(), 0, "{done:?}");
        let found = contents(&sandbox.upper());
        assert!(sandbox.upper().join("lower/gone").symlink_metadata().unwrap().file_type().is_char_device());
        (done.stderr, found)
    });
    let [(map, plain), (inner_map, inner)] = seen;
    assert!(!map.contains("300000") && inner_map.contains("300000"), "{map} {inner_map}");
    assert!(plain.len() > 15, "{plain:?}");
    assert_eq!(plain, inner);
}

#[test]
fn userns_auto_gives_the_same_layer_digest() {
    let Some(sandbox) = Sandbox::root() else { return };
    prepare_lower(&sandbox);
    let digests = both(&sandbox.shell(EVERYTHING)).map(|request| {
        let done = sandbox.run(request);
        assert_eq!(done.code(), 0, "{done:?}");
        layer_digest(&sandbox)
    });
    assert_eq!(digests[0], digests[1]);
}

fn layer_digest(sandbox: &Sandbox) -> String {
    let compression = json!({"format": "none", "level": 0});
    // Every time the same, for a layer holds times.
    let request =
        json!({"op": "diff", "upper": sandbox.upper(), "form": {"compression": compression, "clampMtime": 0}});
    let mut child = {
        let mut command = sandbox.command("exec \"$0\" 3<>\"$1\"");
        command.arg(sandbox.helper()).arg(sandbox.path("layer"));
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    for name in ["stdout", "stderr"] {
        fs::write(sandbox.path(name), "").unwrap();
    }
    sandbox.send(&mut child, &request);
    let done = sandbox.finish(child);
    done.last["result"]["diffId"].as_str().unwrap_or_else(|| panic!("{done:?}")).to_owned()
}

#[test]
fn userns_auto_mounts_have_the_ids_of_the_step_inside_and_of_the_image_on_disk() {
    let Some(sandbox) = Sandbox::root() else { return };
    let cache = sandbox.path("cache");
    fs::create_dir_all(cache.join("theirs")).unwrap();
    chown(cache.join("theirs"), Some(1000), Some(1001)).unwrap();
    let file = sandbox.path("file");
    fs::write(&file, "bound").unwrap();
    chown(&file, Some(1000), Some(0)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let hidden = sandbox.path("hidden");
    fs::write(&hidden, "of a user that the namespace does not have").unwrap();
    chown(&hidden, Some(70_000), Some(70_000)).unwrap();
    fs::set_permissions(&hidden, Permissions::from_mode(0o600)).unwrap();
    let _listener = UnixListener::bind(sandbox.path("socket")).unwrap();
    let empty = json!({"lower": [], "upper": null, "work": null});
    let layer = sandbox.path("layer");
    fs::create_dir(&layer).unwrap();
    chown(&layer, Some(3), Some(4)).unwrap();
    for name in ["mount-upper", "mount-work"] {
        fs::create_dir(sandbox.path(name)).unwrap();
    }
    let writable = json!({"lower": [layer], "upper": sandbox.path("mount-upper"), "work": sandbox.path("mount-work")});
    let mounts = json!([
        bind(&cache, "/cache", false),
        bind(&file, "/run/one/file", true),
        bind(&hidden, "/hidden", true),
        {"kind": "tmpfs", "target": "/t", "sizeBytes": null, "readonly": false},
        {"kind": "tmpfs", "target": "/t/deep/er", "sizeBytes": null, "readonly": false},
        {"kind": "tmpfs", "target": "/cache/made/in", "sizeBytes": null, "readonly": false},
        {"kind": "secret", "target": "/run/secrets/s", "data": "eA==", "mode": 0o400, "uid": 1000, "gid": 1001},
        {"kind": "socket", "source": sandbox.path("socket"), "target": "/run/agent", "mode": 0o600, "uid": 1000, "gid": 1001},
        {"kind": "snapshot", "root": empty, "inside": "", "target": "/empty"},
        {"kind": "snapshot", "root": writable, "inside": "", "target": "/snapshot"},
    ]);
    let script = "stat -c '%n %u:%g %a' /cache /cache/theirs /run/one /run/one/file /t /t/deep /t/deep/er /cache/made /cache/made/in \
         /run/secrets/s /run/agent /empty /snapshot /new /new/cwd /dev /dev/null /dev/pts /dev/pts/ptmx /dev/shm /dev/mqueue /etc/hosts; \
         touch /cache/root.$0 /cache/theirs/app.$0 /snapshot/new /t/x /dev/shm/x; chown 1000:1001 /cache/theirs/app.$0; \
         stat -c %u /t/x /dev/shm/x; cat /run/one/file; cat /hidden 2>/dev/null || id -u > /cache/refused.$0";
    let mut seen = Vec::new();
    for (name, outside) in [("plain", false), ("mapped", true)] {
        let mut request = sandbox.request(&["/bin/sh", "-c", script, name]);
        (request["mounts"], request["cwd"]) = (mounts.clone(), json!("/new/cwd"));
        let done = sandbox.run(if outside { mapped(request) } else { request });
        assert_eq!(done.code(), 0, "{done:?}");
        assert_eq!(owner(&sandbox.upper().join("new/cwd")), (0, 0));
        assert_eq!(owner(&cache.join(format!("root.{name}"))), (0, 0));
        assert_eq!(owner(&cache.join("made/in")), (0, 0));
        assert_eq!(owner(&cache.join(format!("theirs/app.{name}"))), (1000, 1001));
        assert_eq!(owner(&sandbox.path("mount-upper/new")), (0, 0));
        for name in ["mount-upper", "mount-work"] {
            fs::remove_dir_all(sandbox.path(name)).unwrap();
            fs::create_dir(sandbox.path(name)).unwrap();
        }
        fs::remove_dir_all(cache.join("made")).unwrap();
        seen.push(done.stdout);
    }
    assert!(seen[1].contains("/run/secrets/s 1000:1001 400\n") && seen[1].contains("/dev/mqueue 0:0"), "{}", seen[1]);
    assert_eq!(seen[0].replace("of a user that the namespace does not have", ""), seen[1]);
    // Real root reads what belongs to an id beyond the map; root of the namespace does not.
    assert!(cache.join("refused.mapped").exists() && !cache.join("refused.plain").exists());
}

#[test]
fn userns_auto_capabilities_count_inside_the_namespace_only() {
    let Some(sandbox) = Sandbox::root() else { return };
    rustix::fs::mknodat(
        CWD,
        sandbox.image().join("disk"),
        FileType::CharacterDevice,
        Mode::RUSR,
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    let script = "grep -E 'Cap(Eff|Bnd|Inh)|Seccomp:|NoNewPrivs' /proc/self/status; mknod /tmp/null c 1 3 2>/dev/null || echo no-node; \
                  cat /disk 2>/dev/null || echo no-device; \
                  echo 0 2>/dev/null > /proc/1/oom_score_adj || echo no-init; ls /proc/1/root 2>/dev/null || echo no-root; \
                  kill -9 1; echo alive; echo x 2>/dev/null > /proc/sys/kernel/hostname || echo read-only; chown 70000 /tmp 2>/dev/null || echo no-id";
    let done = sandbox.run(mapped(sandbox.shell(script)));
    assert_eq!(
        done.ok(),
        "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n\
         no-node\nno-device\nno-init\nno-root\nalive\nread-only\nno-id\n",
        "{done:?}"
    );
    // Nor does a step without other walls open a device of the image, or change what belongs to the machine.
    let script = "cat /disk 2>/dev/null || echo no-device; mknod /tmp/null c 1 3 2>/dev/null || echo no-node; \
                  mount -t tmpfs none /tmp && echo mounted; hostname other && hostname; \
                  mount -o remount,rw /sys 2>/dev/null || echo no-sys; \
                  umount /proc 2>/dev/null || echo locked";
    let done = sandbox.run(mapped(with(&sandbox, script, "security", json!("insecure"))));
    assert_eq!(done.stdout, "no-device\nno-node\nmounted\nother\nno-sys\nlocked\n", "{done:?}");
}

#[test]
fn userns_auto_network_none_belongs_to_the_namespace() {
    let Some(sandbox) = Sandbox::root() else { return };
    let script = "ls /sys/class/net; httpd -p 127.0.0.1:80 -h /etc && wget -q -O - http://127.0.0.1/group | grep ^root";
    for request in both(&with(&sandbox, script, "network", json!("none"))) {
        assert_eq!(sandbox.run(request).ok(), "lo\nroot:x:0:\n");
    }
}

#[test]
fn userns_auto_names_ids_and_file_systems_that_cannot_be_mapped() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.run(mapped(with(&sandbox, "true", "user", json!("70000:70000"))));
    assert_eq!((done.error(), &done.last["kind"]), ("ERR_ROOTLESS_IDMAP", &json!("environment")), "{done:?}");
    let source = Path::new("/sys/kernel");
    let done = sandbox.run(mapped(with(&sandbox, "true", "mounts", json!([bind(source, "/m", true)]))));
    assert_eq!((done.error(), &done.last["kind"]), ("ERR_NAMESPACE_DENIED", &json!("environment")), "{done:?}");
    assert!(done.last["message"].as_str().unwrap().contains("/sys/kernel"), "{done:?}");
    let mut request = mapped(sandbox.shell("true"));
    request["userNamespace"]["uids"][0]["length"] = json!(0);
    assert_eq!(sandbox.run(request).error(), "ERR_ROOTLESS_IDMAP");
}
