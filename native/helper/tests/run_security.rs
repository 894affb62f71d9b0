//! `run`: what a request may tighten or loosen: limits, privileges, a root that is read only.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox, compile, every, tree};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn with(sandbox: &Sandbox, script: &str, field: &str, value: Value) -> Value {
    let mut request = sandbox.shell(script);
    request[field] = value;
    request
}

#[test]
fn run_gives_dev_shm_the_size_that_is_asked_for() {
    for (who, sandbox) in every() {
        for (size, kib) in [(json!(null), "65536\n"), (json!(1 << 20), "1024\n"), (json!(128 << 20), "131072\n")] {
            let script = "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2";
            assert_eq!(sandbox.run(with(&sandbox, script, "shmSizeBytes", size)).ok(), kib, "{who:?}");
        }
    }
}

/// The limits of a process as the kernel tells them, one line each: name, soft, hard.
fn limits(text: &str) -> Vec<(String, String, String)> {
    text.lines()
        .filter(|line| line.starts_with("Max "))
        .map(|line| {
            let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
            (words[0].to_owned(), words[1].to_owned(), words[2].to_owned())
        })
        .collect()
}

#[test]
fn run_limits_open_files_and_core_dumps_unless_told_otherwise() {
    for (who, sandbox) in every() {
        let own = limits(&fs::read_to_string("/proc/self/limits").unwrap());
        let hard = own.iter().find(|row| row.0 == "Max open files").unwrap().2.parse().unwrap_or(u64::MAX).min(524_288);
        let seen = limits(sandbox.sh("cat /proc/self/limits").ok());
        let mut wanted = own;
        for row in &mut wanted {
            match row.0.as_str() {
                "Max open files" => (row.1, row.2) = ("1024".into(), hard.to_string()),
                "Max core file size" => (row.1, row.2) = ("0".into(), "0".into()),
                _ => {}
            }
        }
        assert_eq!(seen, wanted, "{who:?}");
    }
}

#[test]
fn run_sets_every_ulimit_that_docker_knows() {
    const ROWS: [(&str, &str); 15] = [
        ("core", "Max core file size"),
        ("cpu", "Max cpu time"),
        ("data", "Max data size"),
        ("fsize", "Max file size"),
        ("locks", "Max file locks"),
        ("memlock", "Max locked memory"),
        ("msgqueue", "Max msgqueue size"),
        ("nice", "Max nice priority"),
        ("nofile", "Max open files"),
        ("nproc", "Max processes"),
        ("rss", "Max resident set"),
        ("rtprio", "Max realtime priority"),
        ("rttime", "Max realtime timeout"),
        ("sigpending", "Max pending signals"),
        ("stack", "Max stack size"),
    ];
    let Some(sandbox) = Sandbox::root() else { return };
    let own = limits(&fs::read_to_string("/proc/self/limits").unwrap());
    for (name, row) in ROWS {
        // Large enough for the shell to live, and no more than this process may itself.
        let own = own.iter().find(|(name, ..)| name == row).unwrap().2.parse().unwrap_or(u64::MAX);
        let (soft, hard) = (own.min(77_000_000), own.min(99_000_000));
        // Where root may not raise them: no request could be told from none.
        if hard == 0 && matches!(name, "rtprio" | "nice") {
            continue;
        }
        assert_ne!(hard, 0, "{name}");
        let ulimits = json!([{"name": name, "soft": soft, "hard": hard}]);
        let done = sandbox.run(with(&sandbox, "cat /proc/self/limits", "ulimits", ulimits));
        let seen = limits(done.ok());
        let found = seen.iter().find(|(name, ..)| name == row).unwrap_or_else(|| panic!("{row} {seen:?}"));
        assert_eq!(
            (found.1.as_str(), found.2.as_str()),
            (soft.to_string().as_str(), hard.to_string().as_str()),
            "{name}"
        );
    }
    let unlimited = json!([{"name": "core", "soft": 5, "hard": null}, {"name": "core", "soft": null, "hard": null}]);
    let done = sandbox.run(with(&sandbox, "ulimit -Hc; ulimit -Sc", "ulimits", unlimited));
    assert_eq!(done.ok(), "unlimited\nunlimited\n");
}

#[test]
fn run_refuses_ulimits_that_it_cannot_set() {
    for (who, sandbox) in every() {
        let mut rows = vec![
            ("files", json!(1), json!(1), "the name is none of core, cpu"),
            ("nofile", json!(2), json!(1), "\"nofile=2:1\" cannot be set: the soft limit is above the hard one"),
            // More than any machine allows, root or not.
            ("nofile", json!(1), json!(null), "cannot be set: "),
        ];
        if who != As::Root {
            rows.push((
                "rtprio",
                json!(1),
                json!(99),
                "the hard limit of the builder itself is 0, and it may not raise it",
            ));
        }
        for (name, soft, hard, text) in rows {
            let ulimits = json!([{"name": name, "soft": soft, "hard": hard}]);
            let done = sandbox.run(with(&sandbox, "true", "ulimits", ulimits));
            assert_eq!((done.error(), &done.last["kind"]), ("ERR_STEP_INVALID", &json!("user")), "{who:?} {done:?}");
            assert!(done.last["message"].as_str().unwrap().contains(text), "{who:?} {done:?}");
        }
    }
}

#[test]
fn run_keeps_a_read_only_root_from_the_step_but_not_its_mounts() {
    for (who, sandbox) in every() {
        let mut request = with(
            &sandbox,
            "touch /x /tmp/x /etc/passwd 2>&1 | grep -c Read-only; touch /m/x /dev/shm/x && pwd; cat /etc/hosts | wc -l",
            "readonly",
            json!(true),
        );
        request["mounts"] = json!([{"kind": "tmpfs", "target": "/m", "sizeBytes": null, "readonly": false}]);
        request["cwd"] = json!("/made/here");
        assert_eq!(sandbox.run(request).ok(), "3\n/made/here\n1\n", "{who:?}");
        assert_eq!(tree(&sandbox.upper()), ["made", "made/here"], "{who:?}");
    }
}

/// Prints what a setuid program got.
const BECOME: &str = r#"
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void) { printf("%d %d\n", geteuid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); return 0; }
"#;

#[test]
fn run_with_no_new_privileges_makes_setuid_programs_give_nothing() {
    for (who, sandbox) in every().filter(|(who, _)| *who != As::SingleId) {
        let program = sandbox.image().join("bin/become");
        if !compile(BECOME, &program) {
            return;
        }
        sandbox.give(&program);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        for (flag, wanted) in [(false, "0 0\n"), (true, "1000 1\n")] {
            let mut request = sandbox.request(&["become"]);
            request["noNewPrivileges"] = json!(flag);
            request["user"] = json!("1000:1000");
            assert_eq!(sandbox.run(request).ok(), wanted, "{who:?}");
        }
    }
}

const STATUS: &str =
    "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|Seccomp):' /proc/self/status | cut -f2 | tr '\\n' ' '";

/// What the helper may itself: as root what this process may, in a user namespace of its own everything.
fn all(who: As) -> String {
    if who != As::Root {
        let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        return format!("{:016x}", (1_u64 << (last + 1)) - 1);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap().to_owned()
}

#[test]
fn test_security_mode_gives_each_mode_its_capabilities_and_filter() {
    for (who, sandbox) in every() {
        let (sandboxed, minimal, none) = ("00000000a80425fb", "00000000000005fb", "0000000000000000");
        for (mode, held, filter) in
            [("sandbox", sandboxed, 2), ("minimal", minimal, 2), ("insecure", all(who).as_str(), 0)]
        {
            let done = sandbox.run(with(&sandbox, STATUS, "security", json!(mode)));
            assert_eq!(done.ok(), format!("{none} {held} {held} {held} {none} {filter} "), "{who:?} {mode}");
            if who == As::SingleId {
                continue;
            }
            let mut request = with(&sandbox, STATUS, "security", json!(mode));
            request["user"] = json!("app");
            let done = sandbox.run(request);
            assert_eq!(done.ok(), format!("{none} {none} {none} {held} {none} {filter} "), "{who:?} {mode}");
        }
    }
}

#[test]
fn test_security_mode_sysfs_and_devices_of_an_insecure_step() {
    for (who, sandbox) in every() {
        let done = sandbox.run(with(
            &sandbox,
            "grep -E ' /(sys|proc|proc/sys|proc/kcore) ' /proc/self/mountinfo | cut -d' ' -f5-6; \
             unshare -m true && echo unshared; ls -A /dev | grep -c loop; cd /dev; ls -1 kmsg cuse fuse kvm net/tun loop-control 2>/dev/null; true",
            "security",
            json!("insecure"),
        ));
        let text = done.ok();
        assert!(text.contains("/proc rw,nosuid,nodev,noexec"), "{who:?} {done:?}");
        assert!(text.contains("/sys rw,nosuid,nodev,noexec"), "{who:?} {done:?}");
        assert!(!text.contains("/proc/sys ") && !text.contains("/proc/kcore "), "{who:?} {done:?}");
        assert!(text.contains("unshared\n"), "{who:?} {done:?}");
        for name in ["kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control"] {
            let listed = text.lines().any(|line| line == name);
            assert_eq!(listed, Path::new("/dev").join(name).exists(), "{who:?} {name} {done:?}");
        }
        assert_eq!(tree(&sandbox.upper()), Vec::<String>::new());
    }
}

#[test]
fn run_lets_an_insecure_step_of_root_mount_and_open_devices() {
    let Some(sandbox) = Sandbox::root() else { return };
    let script = "mkdir /m && mount -t tmpfs none /m && touch /m/x && mknod /null c 1 3 && echo x > /null && \
                  mknod /dev/null2 c 1 3 && echo x > /dev/null2 && echo $((1 + $(wc -c < /proc/sys/kernel/core_pattern) * 0))";
    assert_eq!(sandbox.run(with(&sandbox, script, "security", json!("insecure"))).ok(), "1\n");
    let done = sandbox.sh("mkdir /m; mount -t tmpfs none /m");
    assert!(done.stderr.contains("Operation not permitted") || done.stderr.contains("permission denied"), "{done:?}");
}

#[test]
fn run_shows_an_insecure_step_its_own_cgroups_and_no_others() {
    let Some(sandbox) = Sandbox::root() else { return };
    let parent = Path::new("/sys/fs/cgroup/pids").join(format!("tsbuild-test-{}", std::process::id()));
    if fs::create_dir(&parent).is_err() {
        return crate::sandbox::skip_part("this machine has no cgroup of version 1 that could be shown");
    }
    let script = "ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/cgroup.procs | wc -l; \
                  mkdir /sys/fs/cgroup/pids/inner && rmdir /sys/fs/cgroup/pids/inner && echo made";
    let mut seen = Vec::new();
    for mode in ["insecure", "sandbox"] {
        let mut request = with(&sandbox, script, "security", json!(mode));
        request["cgroups"] = json!([{"version": 1, "controllers": ["pids"], "path": parent}]);
        seen.push(sandbox.run(request));
    }
    let left = tree(&parent).iter().any(|path| parent.join(path).is_dir());
    fs::remove_dir(&parent).unwrap();
    assert!(!left);
    // The first process, the shell, cat and wc, of which some may have ended.
    let lines: Vec<&str> = seen[0].ok().lines().collect();
    assert!(lines[0] == "pids" && lines[1].trim().parse::<u32>().unwrap() >= 2 && lines[2] == "made", "{:?}", seen[0]);
    assert!(!seen[1].stdout.contains("pids") && !seen[1].stdout.contains("made"), "{:?}", seen[1]);
}
