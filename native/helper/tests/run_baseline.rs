//! `run`: every value of the sandbox's baseline, read from inside a step, as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox, compile, every, tree};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Runs a script without network, so that every namespace but the user's is a new one.
fn quiet(sandbox: &Sandbox, script: &str) -> String {
    let mut request = sandbox.shell(script);
    request["network"] = json!("none");
    sandbox.run(request).ok().to_owned()
}

#[test]
fn baseline_values_are_what_the_reference_says() {
    for (who, sandbox) in every() {
        let status = "grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | tr '\\n' ' '";
        let caps = "00000000a80425fb";
        let none = "0000000000000000";
        let rows: [(&str, String); 12] = [
            (status, format!("{none} {caps} {caps} {caps} {none} 0 2 ")),
            ("umask; pwd; hostname", "0022\n/\nbuildsandbox\n".into()),
            ("env | grep -v -E '^(PWD|SHLVL|_)=' | sort", "HOME=/root\nPATH=/bin\n".into()),
            (
                "cat; for f in /proc/self/fd/*; do readlink $f | cut -d: -f1; done | sort | uniq -c | grep -c pipe",
                "1\n".into(),
            ),
            ("cat /proc/self/oom_score_adj", "500\n".into()),
            ("ls /sys/class/net; cat /proc/net/dev | tail -n +3 | wc -l", "lo\n1\n".into()),
            ("echo x 2>/dev/null >/run/kept || mkdir /run && echo x > /run/kept && cat /run/kept", "x\n".into()),
            ("cat /etc/hosts /etc/resolv.conf", "127.0.0.1\tlocalhost buildsandbox\nnameserver 192.0.2.53\n".into()),
            ("ulimit -Sn; ulimit -Sc; ulimit -Hc", "1024\n0\n0\n".into()),
            (
                "ls -A /dev",
                "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
                    .into(),
            ),
            (
                "cd /dev; stat -c '%n %t:%T %a' null zero full random urandom tty",
                "null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\n".into(),
            ),
            ("ps -o pid,comm | tail -n +2 | wc -l; cat /proc/1/comm", "5\ntsbuild-helper\n".into()),
        ];
        for (script, wanted) in rows {
            let seen = quiet(&sandbox, script);
            if script.starts_with("ps ") {
                // The first process, the shell, ps, tail and wc: nothing of the host.
                let mut lines = seen.lines();
                assert!(lines.next().unwrap().trim().parse::<u32>().unwrap() <= 5, "{who:?} {seen}");
                continue;
            }
            assert_eq!(seen, wanted, "{who:?} {script}");
        }
    }
}

#[test]
fn baseline_mounts_have_the_attributes_that_the_reference_says() {
    for (who, sandbox) in every() {
        let seen = quiet(&sandbox, "cut -d' ' -f5,6 /proc/self/mountinfo");
        let attributes = |path: &str| {
            let line = seen.lines().rfind(|line| line.split(' ').next() == Some(path));
            line.unwrap_or_else(|| panic!("{who:?} {path} {seen}")).split(' ').nth(1).unwrap().to_owned()
        };
        for (path, wanted) in [
            ("/", "rw,nodev,relatime"),
            ("/proc", "rw,nosuid,nodev,noexec,relatime"),
            ("/proc/sys", "ro,nosuid,nodev,noexec,relatime"),
            ("/sys", "ro,nosuid,nodev,noexec,relatime"),
            ("/sys/fs/cgroup", "ro,nosuid,nodev,noexec,relatime"),
            ("/dev", "rw,nosuid,nodev,noexec,relatime"),
            ("/dev/pts", "rw,nosuid,noexec,relatime"),
            ("/dev/shm", "rw,nosuid,nodev,noexec,relatime"),
            ("/dev/mqueue", "rw,nosuid,nodev,noexec,relatime"),
            ("/etc/hosts", "ro,nosuid,nodev,noexec,relatime"),
            ("/etc/resolv.conf", "ro,nosuid,nodev,noexec,relatime"),
        ] {
            assert_eq!(attributes(path), wanted, "{who:?} {path}");
        }
        // Nothing of the host is mounted that the sandbox does not name.
        let known = ["/", "/proc", "/sys", "/dev", "/etc/hosts", "/etc/resolv.conf"];
        for line in seen.lines() {
            let path = line.split(' ').next().unwrap();
            let below = ["/proc/", "/sys/", "/dev/"].iter().any(|dir| path.starts_with(dir));
            assert!(below || known.contains(&path), "{who:?} {line}");
        }
    }
}

#[test]
fn baseline_namespaces_are_new_ones() {
    for (who, sandbox) in every() {
        let seen = quiet(&sandbox, "for n in ipc mnt net pid uts user time; do readlink /proc/self/ns/$n; done");
        for line in seen.lines() {
            let kind = line.split(':').next().unwrap();
            let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            let same = kind == "time" || kind == "user" && who == As::Root;
            assert_eq!(host.to_string_lossy() == line, same, "{who:?} {line}");
        }
    }
}

/// Every path that newer versions of moby hide. What this kernel does not have cannot be shown here.
#[test]
fn baseline_masked_paths_show_nothing() {
    for (who, sandbox) in every() {
        let mut tried = 0;
        let mut paths: Vec<String> = [
            "/proc/acpi",
            "/proc/asound",
            "/proc/interrupts",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/sys/devices/virtual/powercap",
            "/sys/firmware",
        ]
        .map(str::to_owned)
        .to_vec();
        for number in 0..256 {
            paths.push(format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle"));
        }
        for path in paths.iter().filter(|path| Path::new(path).exists()) {
            let script = format!(
                "if [ -d {path} ]; then ls -A {path} | wc -c; else head -c 100 {path} | wc -c; fi; \
                                  touch {path}/x 2>/dev/null; echo x 2>/dev/null > {path}; true"
            );
            assert_eq!(quiet(&sandbox, &script), "0\n", "{who:?} {path}");
            tried += 1;
        }
        assert!(tried >= 3, "{tried}");
        println!("{who:?}: {tried} hidden paths read");
    }
}

#[test]
fn baseline_read_only_paths_refuse_writes() {
    for (who, sandbox) in every() {
        for path in [
            "/proc/bus/x",
            "/proc/fs/x",
            "/proc/irq/default_smp_affinity",
            "/proc/sys/kernel/core_pattern",
            "/proc/sysrq-trigger",
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "/sys/fs/cgroup/x",
        ] {
            let mut request =
                sandbox.shell(&format!("[ -e $(dirname {path}) ] || exit 0; echo 1 > {path} || touch {path}"));
            request["network"] = json!("none");
            let done = sandbox.run(request);
            let exists = Path::new(path).exists();
            let refused = ["Read-only file system", "No such file", "nonexistent", "Permission denied"];
            assert!(refused.iter().any(|text| done.stderr.contains(text)) || !exists, "{who:?} {path} {done:?}");
            assert!(done.code() != 0 || !exists, "{who:?} {path} {done:?}");
        }
        assert!(sandbox.sh("echo x > /proc/sys/kernel/core_pattern").stderr.contains("Read-only"), "{who:?}");
        let done = sandbox.sh("mkdir /sys/fs/cgroup/x || echo 1 > /sys/fs/cgroup/cgroup.procs");
        assert!(done.stderr.contains("Read-only file system"), "{who:?} {done:?}");
    }
}

#[test]
fn run_01_no_descriptor_of_the_helper_reaches_the_step() {
    for (who, sandbox) in every() {
        let seen = quiet(&sandbox, "ls /proc/$$/fd; for f in /proc/$$/fd/*; do readlink $f; done | cut -d: -f1 | uniq");
        assert_eq!(seen, "0\n1\n2\npipe\n", "{who:?}");
        for number in [0, 3, 7, 8, 9, 12, 63] {
            let mut request = sandbox.shell("ls ../../..");
            request["cwd"] = json!(format!("/proc/self/fd/{number}"));
            assert_eq!(sandbox.run(request).error(), "ERR_WORKDIR_INVALID", "{who:?} {number}");
        }
    }
}

#[test]
fn run_03_and_06_devices_of_the_image_are_never_used() {
    for (who, sandbox) in every() {
        let canary = sandbox.path("canary");
        fs::create_dir(&canary).unwrap();
        sandbox.give(&canary);
        let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let dev = sandbox.image().join("dev");
        for null in ["link", "file", "fifo"] {
            fs::create_dir(&dev).unwrap();
            match null {
                "link" => symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap(),
                "file" => fs::write(dev.join("null"), "").unwrap(),
                _ => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    dev.join("null"),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                )
                .unwrap(),
            }
            sandbox.give(&dev);
            let seen = quiet(&sandbox, "stat -c '%t:%T' /dev/null; echo x > /dev/null; head -c 9 /proc/keys | wc -c");
            assert_eq!(seen, "1:3\n0\n", "{who:?} {null}");
            fs::remove_dir_all(&dev).unwrap();
        }
        symlink(&canary, &dev).unwrap();
        assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID", "{who:?}");
        fs::remove_file(&dev).unwrap();
        assert_eq!(tree(&canary), Vec::<String>::new());
        assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
    }
}

#[test]
fn run_02_the_program_of_the_helper_cannot_be_changed_from_inside() {
    for (who, sandbox) in every() {
        let before = fs::read(sandbox.helper()).unwrap();
        let seen = quiet(
            &sandbox,
            "(echo x > /proc/1/exe) 2>/dev/null && echo WRITTEN; (chmod 777 /proc/1/exe) 2>/dev/null && echo CHANGED; \
             cat /proc/1/environ 2>/dev/null | wc -c; ls -l /proc/1/cwd /proc/1/root 2>/dev/null | grep -c -- '->'; true",
        );
        // The first process holds more than the step may, so its files are closed to it.
        assert_eq!(seen, "0\n0\n", "{who:?}");
        assert!(fs::read(sandbox.helper()).unwrap() == before, "{who:?}");
    }
}

/// Puts a character into the input of the terminal, were there one, and asks for one.
const INJECT: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
int main(void) {
  for (int fd = 0; fd < 3; fd++) printf("%d ", ioctl(fd, TIOCSTI, "x") ? errno : 0);
  printf("%d\n", open("/dev/tty", O_RDWR) < 0 ? errno : 0);
  return 0;
}
"#;

#[test]
fn run_12_no_terminal_takes_injected_input() {
    for (who, sandbox) in every() {
        if !compile(INJECT, &sandbox.image().join("bin/inject")) {
            return;
        }
        let wanted = format!("{0} {0} {0} {1}\n", libc::ENOTTY, libc::ENXIO);
        assert_eq!(quiet(&sandbox, "inject"), wanted, "{who:?}");
    }
}

#[test]
fn run_15_no_environment_of_the_builder_is_readable() {
    for (who, sandbox) in every() {
        let seen = quiet(&sandbox, "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; true");
        assert!(!seen.contains("of-the-host"), "{who:?} {seen}");
        assert!(seen.contains("PATH=/bin"), "{who:?} {seen}");
    }
}

#[test]
fn run_13_new_namespaces_and_mounts_are_refused() {
    for (who, sandbox) in every() {
        for (script, text) in [
            ("unshare -U true", "Operation not permitted"),
            ("unshare -m true", "Operation not permitted"),
            ("mount -t tmpfs none /tmp", "permission denied"),
            ("umount /proc", "Operation not permitted"),
            ("mount -o remount,rw /sys", "permission denied"),
            ("dmesg", "Operation not permitted"),
            ("hostname other", "Operation not permitted"),
        ] {
            let done = sandbox.sh(script);
            assert!(done.code() != 0, "{who:?} {script}");
            let lower = done.stderr.to_lowercase();
            assert!(
                lower.contains(&text.to_lowercase()) || lower.contains("not permitted"),
                "{who:?} {script} {done:?}"
            );
        }
    }
}
