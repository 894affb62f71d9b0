//! `run`: the walls around a step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, skip};
use serde_json::json;
use std::fs;
use std::process::Command;

#[test]
fn run_gives_root_fourteen_capabilities_and_others_none() {
    let Some(sandbox) = Sandbox::root() else { return };
    for (user, held) in [("", "00000000a80425fb"), ("app", "0000000000000000")] {
        let mut request = sandbox.shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        request["user"] = json!(user);
        let wanted = format!(
            "CapInh:\t0000000000000000\nCapPrm:\t{held}\nCapEff:\t{held}\nCapBnd:\t00000000a80425fb\n\
             CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n"
        );
        assert_eq!(sandbox.run(request).ok(), wanted, "{user}");
    }
}

/// Prints the errno of each call. `-` in the table stands for "any but EPERM and ENOSYS".
const CALLS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/wait.h>
static void row(const char *name, long result) { printf("%s=%d\n", name, result < 0 ? errno : 0); fflush(stdout); }
#define CALL(number, ...) row(#number, syscall(number, ##__VA_ARGS__))
int main(void) {
  CALL(SYS_unshare, CLONE_NEWUSER);
  CALL(SYS_unshare, CLONE_NEWNS);
  CALL(SYS_setns, 0, 0);
  CALL(SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
  CALL(SYS_umount2, "/proc", 0);
  CALL(SYS_pivot_root, ".", ".");
  CALL(428, -1, "", 0);            /* open_tree */
  CALL(429, -1, "", -1, "", 0);    /* move_mount */
  CALL(430, "tmpfs", 0);           /* fsopen */
  CALL(442, -1, "", 0, 0, 0);      /* mount_setattr */
  CALL(SYS_keyctl, 0, -3, 0);
  CALL(SYS_add_key, "user", "x", "y", 1, -3);
  CALL(SYS_request_key, "user", "x", 0, -3);
  CALL(SYS_bpf, 0, 0, 0);
  CALL(SYS_userfaultfd, 0);
  CALL(SYS_perf_event_open, 0, 0, 0, 0, 0);
  CALL(425, 1, 0);                 /* io_uring_setup */
  CALL(SYS_open_by_handle_at, -1, 0, 0);
  CALL(SYS_init_module, 0, 0, "");
  CALL(SYS_kexec_load, 0, 0, 0, 0);
  CALL(SYS_reboot, 0, 0, 0, 0);
  CALL(SYS_swapon, "/x", 0);
  CALL(SYS_settimeofday, 0, 0);
  CALL(SYS_quotactl, 0, 0, 0, 0);
  CALL(SYS_syslog, 3, 0, 0);
  CALL(SYS_personality, 0xffffffff);
  CALL(SYS_personality, 0x0400000);
  CALL(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0);
  CALL(SYS_socket, 40, SOCK_STREAM, 0);
  CALL(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
  CALL(435, 0, 0);                 /* clone3 */
  CALL(1000);
  CALL(0x40000000 | SYS_getpid);   /* x32 */
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  row("clone(CLONE_NEWUSER)", child);
  child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  row("clone", child);
  waitpid(child, 0, 0);
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");  /* 32-bit getpid */
  printf("i386=%ld\n", result < 0 ? -result : 0);
  return 0;
}
"#;

#[test]
fn run_filters_system_calls() {
    let Some(sandbox) = Sandbox::root() else { return };
    let source = sandbox.path("calls.c");
    let program = sandbox.image().join("bin/calls");
    fs::write(&source, CALLS).unwrap();
    let compiler = Command::new("cc").args(["-static", "-w", "-o"]).arg(&program).arg(&source).status();
    if !compiler.is_ok_and(|status| status.success()) {
        return skip("there is no C compiler with a static libc; run \"apt-get install gcc libc6-dev\"");
    }
    let done = sandbox.run(sandbox.request(&["calls"]));
    let (perm, nosys) = (libc::EPERM, libc::ENOSYS);
    let mut wanted = Vec::new();
    for name in ["unshare", "unshare", "setns", "mount", "umount2", "pivot_root"] {
        wanted.push((format!("SYS_{name}"), perm));
    }
    wanted.extend(["428", "429", "430", "442"].map(|number| (number.to_owned(), perm)));
    for name in ["keyctl", "add_key", "request_key", "bpf", "userfaultfd", "perf_event_open"] {
        wanted.push((format!("SYS_{name}"), perm));
    }
    wanted.push(("425".into(), perm));
    for name in
        ["open_by_handle_at", "init_module", "kexec_load", "reboot", "swapon", "settimeofday", "quotactl", "syslog"]
    {
        wanted.push((format!("SYS_{name}"), perm));
    }
    wanted.extend([("SYS_personality", 0), ("SYS_personality", perm)].map(|(name, errno)| (name.to_owned(), errno)));
    wanted.extend([perm, perm, 0].map(|errno| ("SYS_socket".to_owned(), errno)));
    wanted.extend(
        [
            ("435", nosys),
            ("1000", nosys),
            ("0x40000000 | SYS_getpid", nosys),
            ("clone(CLONE_NEWUSER)", perm),
            ("clone", 0),
            ("i386", nosys),
        ]
        .map(|(name, errno)| (name.to_owned(), errno)),
    );
    let wanted: String = wanted.iter().map(|(name, errno)| format!("{name}={errno}\n")).collect();
    assert_eq!(done.ok(), wanted);
}

#[test]
fn run_passes_three_descriptors() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("ls /proc/$$/fd; true");
    assert_eq!(done.ok(), "0\n1\n2\n");
}

#[test]
fn run_masks_and_protects_kernel_files() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done =
        sandbox.sh("for f in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/sched_debug; do \
           [ -e $f ] && head -c1 $f | wc -c; done; \
         for d in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do \
           [ -e $d ] && ls $d | wc -l; done; true");
    assert!(done.ok().lines().count() >= 2, "{done:?}");
    assert!(done.ok().lines().all(|count| count == "0"), "{done:?}");
    for path in
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/power/state"]
    {
        let done = sandbox.sh(&format!("[ -e {path} ] || exit 0; echo x > {path}"));
        let refused = done.stderr.contains("Read-only file system");
        assert!(refused || done.code() == 0 && done.stderr.is_empty(), "{path}: {done:?}");
    }
    assert!(
        sandbox.sh("echo x > /proc/sys/kernel/core_pattern").stderr.contains("Read-only"),
        "it must exist everywhere"
    );
    let done = sandbox.sh("mkdir /sys/fs/cgroup/x");
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
}

#[test]
fn run_makes_its_own_device_directory() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("ls /dev | tr '\\n' ' '; for n in null zero full random urandom tty; do \
                           stat -c '%n %F %a %t:%T %u:%g' /dev/$n; done; for l in stdout fd ptmx; do readlink /dev/$l; done; \
                           stat -c '%a' /dev /dev/shm; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; \
                           echo data > /dev/null; head -c 2 /dev/zero | wc -c");
    assert_eq!(
        done.ok(),
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \
         /dev/null character special file 666 1:3 0:0\n/dev/zero character special file 666 1:5 0:0\n\
         /dev/full character special file 666 1:7 0:0\n/dev/random character special file 666 1:8 0:0\n\
         /dev/urandom character special file 666 1:9 0:0\n/dev/tty character special file 666 5:0 0:0\n\
         /proc/self/fd/1\n/proc/self/fd\npts/ptmx\n755\n1777\n65536\n2\n"
    );
}

#[test]
fn run_shows_its_own_hosts_and_resolver() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("cat /etc/hosts /etc/resolv.conf; echo x >> /etc/hosts");
    assert_eq!(done.stdout, "127.0.0.1\tlocalhost buildsandbox\nnameserver 192.0.2.53\n");
    assert!(done.stderr.contains("Read-only file system"), "{done:?}");
    fs::write(sandbox.image().join("etc/hosts"), "of the image").unwrap();
    assert_eq!(sandbox.sh("cat /etc/hosts").ok(), "127.0.0.1\tlocalhost buildsandbox\n");
    assert_eq!(crate::sandbox::tree(&sandbox.upper()), Vec::<String>::new());
}

#[test]
fn run_without_network_has_only_loopback() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1; ip route; ping -c1 -w1 127.0.0.1 >/dev/null && echo up");
    request["network"] = json!("none");
    assert_eq!(sandbox.run(request).ok(), "lo\n1\nup\n");
}

#[test]
fn run_has_namespaces_of_its_own() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("for n in ipc mnt net pid uts; do readlink /proc/self/ns/$n; done");
    for line in done.ok().lines() {
        let kind = line.split(':').next().unwrap();
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(host.to_string_lossy() == line, kind == "net", "{line}");
    }
}

#[test]
fn run_shows_no_process_of_the_host() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox
        .sh("for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2>/dev/null; done; ls -d /proc/[0-9]* | wc -l");
    assert!(!done.ok().contains("CANARY"), "{done:?}");
    assert!(done.ok().lines().last().unwrap().trim().parse::<u32>().unwrap() <= 4, "{done:?}");
}

/// A loader that attacks the program it is asked to load. Exit code 10: chmod and open were both refused.
const LOADER: &str = r#"
static long call(long number, const char *path, long argument) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(path), "S"(argument) : "rcx", "r11", "memory");
  return result;
}
void _start(void) {
  long changed = call(90, "/proc/self/exe", 04777) == 0;
  long opened = call(2, "/proc/self/exe", 1) >= 0;
  call(60, (const char *)(10 + changed + 2 * opened), 0);
}
"#;

#[test]
fn run_hides_the_file_of_the_helper_from_the_step() {
    let Some(sandbox) = Sandbox::root() else { return };
    let before = fs::read(sandbox.helper()).unwrap();
    let mode = fs::metadata(sandbox.helper()).unwrap().permissions();
    // The step is the helper's own program, but the loader that it names is the image's.
    std::os::unix::fs::symlink("/proc/self/exe", sandbox.image().join("bin/self")).unwrap();
    let script = sandbox.image().join("bin/script");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let source = sandbox.path("loader.c");
    fs::write(&source, LOADER).unwrap();
    fs::create_dir(sandbox.image().join("lib64")).unwrap();
    let loader = sandbox.image().join("lib64/ld-linux-x86-64.so.2");
    let compiler = Command::new("cc")
        .args(["-static", "-nostdlib", "-fno-stack-protector", "-o"])
        .arg(&loader)
        .arg(&source)
        .status();
    if !compiler.is_ok_and(|status| status.success()) {
        return skip("there is no C compiler; run \"apt-get install gcc libc6-dev\"");
    }
    for argv in [["/bin/self"], ["/bin/script"], ["/proc/self/exe"]] {
        let done = sandbox.run(sandbox.request(&argv));
        assert_eq!(done.code(), 10, "{done:?}");
    }
    assert!(fs::read(sandbox.helper()).unwrap() == before);
    assert_eq!(fs::metadata(sandbox.helper()).unwrap().permissions(), mode);
}
