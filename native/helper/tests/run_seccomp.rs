//! `run`: every system call, tried from inside a step, against the page that lists what a step may call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::sandbox::{compile, every};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

/// Makes each call of a file of lines `number argument` and prints `number argument errno`.
///
/// No call is carried out: a filter of the program's own hands each one that the sandbox lets through to the parent
/// process, which answers EDOM. The kernel asks all filters and takes the strictest answer, and an errno is stricter than
/// asking a listener; so EDOM means that the sandbox allows the call, and any other errno is the sandbox's own. `exit`
/// and `pause` are tried like all others.
const PROBE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
enum { MARK = 0x7473621d, LAST = 0x6c617374 };
static char output[1 << 20];
/* The mark stays in its register until another call takes it out. */
static long marked(unsigned long number, unsigned long argument) {
  long result = syscall(number, argument, 0, 0, 0, 0, MARK);
  int error = result < 0 ? errno : 0;
  syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
  return error;
}
static void probe(const char *path) {
  FILE *rows = fopen(path, "r");
  unsigned long number, argument, used = 0;
  if (!rows) { perror(path); marked(SYS_getppid, LAST); _exit(9); }
  while (fscanf(rows, "%lu %lu", &number, &argument) == 2) {
    long error = marked(number, argument);
    used += snprintf(output + used, sizeof output - used, "%lu %lu %ld\n", number, argument, error);
  }
  fputs(output, stdout);
  fflush(stdout);
  marked(SYS_getppid, LAST);
  _exit(0);
}
int main(int argc, char **argv) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof code / sizeof *code, code };
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program, 0, 0, 0);
  if (listener < 0) { perror("seccomp"); return 8; }
  alarm(20);
  int child = fork();
  if (child == 0) probe(argv[1]);
  for (int last = 0; !last;) {
    struct seccomp_notif asked;
    memset(&asked, 0, sizeof asked);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) { perror("recv"); return 7; }
    struct seccomp_notif_resp answer = { .id = asked.id, .error = -EDOM };
    last = asked.data.args[0] == LAST;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer)) { perror("send"); return 6; }
  }
  int status;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}
"#;

/// What the page says of each number: its name, and the word for the sandbox and for `minimal`.
fn page() -> BTreeMap<u64, [String; 3]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/seccomp.md");
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let number = cells.get(1)?.parse().ok()?;
            Some((number, [cells[2].to_owned(), cells[3].to_owned(), cells[4].to_owned()]))
        })
        .collect()
}

/// The rows of the calls that their argument decides: call, argument, whether it is allowed.
fn by_argument() -> Vec<(u64, u64, bool)> {
    let clone = (0..32).map(|bit| (56, 1 << bit, ![17, 25, 26, 27, 28, 29, 30].contains(&bit)));
    let families =
        (0..64).map(|family| (41, family, family < 46 && ![12, 19, 20, 23, 25, 34, 37, 38, 40].contains(&family)));
    let persona = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].map(|value| (135, value, true));
    let refused = [1, 4, 0x10_0000, 0x40_0000, 0xffff_fffe].map(|value| (135, value, false));
    // The kernel takes the lower half of the family.
    let wide = [(41, (1 << 32) | 38, false), (41, (1 << 32) | 1, true)];
    clone.chain(families).chain(persona).chain(refused).chain(wide).collect()
}

/// uretprobe and uprobe: newer kernels ask no filter about them. The first kills a process that calls it by itself.
const NEVER_FILTERED: [u64; 2] = [335, 336];

#[test]
fn every_system_call_gives_a_step_what_the_reference_page_says() {
    const X32: u64 = 0x4000_0000;
    let page = page();
    assert!(page.len() > 380, "{}", page.len());
    let mut count = 0;
    for (who, sandbox) in every() {
        let program = sandbox.image().join("bin/probe");
        if !compile(PROBE, &program) {
            return;
        }
        for (column, mode) in ["sandbox", "minimal", "insecure"].into_iter().enumerate() {
            let mut wanted: Vec<(u64, u64, i32)> = Vec::new();
            for number in (0..=600).filter(|number| !NEVER_FILTERED.contains(number)) {
                let errno = match page.get(&number).map(|row| row.get(column + 1).map(String::as_str)) {
                    _ if mode == "insecure" => libc::EDOM,
                    Some(Some("allowed")) => libc::EDOM,
                    Some(Some("EPERM")) => libc::EPERM,
                    Some(Some("ENOSYS")) => libc::ENOSYS,
                    Some(Some("by argument")) => continue,
                    // A number that never was a call, and one that the list does not know yet.
                    None if number < 470 => libc::EPERM,
                    None => libc::ENOSYS,
                    Some(word) => panic!("{number}: {word:?}"),
                };
                wanted.push((number, 0, errno));
                wanted.push((number | X32, 0, if mode == "insecure" { libc::EDOM } else { libc::ENOSYS }));
            }
            for (number, argument, allowed) in by_argument() {
                let allowed = allowed || mode == "insecure";
                wanted.push((number, argument, if allowed { libc::EDOM } else { libc::EPERM }));
            }
            let rows: String = wanted.iter().map(|(number, argument, _)| format!("{number} {argument}\n")).collect();
            fs::write(sandbox.image().join("rows"), rows).unwrap();
            let mut request = sandbox.request(&["probe", "/rows"]);
            request["security"] = json!(mode);
            let done = sandbox.run(request);
            let seen: Vec<&str> = done.ok().lines().collect();
            assert_eq!(seen.len(), wanted.len(), "{who:?} {mode}");
            for (line, (number, argument, errno)) in seen.iter().zip(&wanted) {
                assert_eq!(*line, format!("{number} {argument} {errno}"), "{who:?} {mode} {:?}", page.get(number));
            }
            count += wanted.len();
        }
    }
    println!("{count} system calls tried; skipped in each: {NEVER_FILTERED:?}");
}

#[test]
fn the_26_calls_that_dockers_profile_ties_to_sys_admin_are_refused() {
    let page = page();
    let words =
        |name: &str| page.values().find(|row| row[0] == name).map(|row| [row[1].clone(), row[2].clone()]).unwrap();
    for name in [
        "bpf",
        "fanotify_init",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "lookup_dcookie",
        "lsm_get_self_attr",
        "lsm_list_modules",
        "lsm_set_self_attr",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "perf_event_open",
        "quotactl",
        "quotactl_fd",
        "setdomainname",
        "sethostname",
        "setns",
        "syslog",
        "umount2",
        "unshare",
        // Further calls that give a step nothing and attacks much.
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "keyctl",
        "add_key",
        "request_key",
        "userfaultfd",
        "open_by_handle_at",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "settimeofday",
        "clock_settime",
        "acct",
        "iopl",
        "ioperm",
        "process_madvise",
        "pidfd_getfd",
        "kcmp",
        "pivot_root",
        "nfsservctl",
        "open_tree_attr",
        "vhangup",
        "move_pages",
        "migrate_pages",
        "mbind",
    ] {
        assert_eq!(words(name), ["EPERM", "EPERM"], "{name}");
    }
    assert_eq!(words("clone"), ["by argument", "by argument"]);
    assert_eq!(words("clone3"), ["ENOSYS", "ENOSYS"]);
    assert_eq!(words("chroot"), ["allowed", "EPERM"]);
    assert_eq!(words("ptrace"), ["allowed", "allowed"]);
}
