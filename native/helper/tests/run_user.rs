//! `run`: the forms of `USER`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox, every};
use serde_json::json;
use std::fs;

#[test]
fn run_looks_users_and_groups_up_in_the_image() {
    for (who, sandbox) in every().filter(|(who, _)| *who != As::SingleId) {
        for (user, uid, gid, groups) in [
            ("", 0, 0, "0 10"),
            ("0", 0, 0, "0 10"),
            ("root", 0, 0, "0 10"),
            ("app", 1000, 1001, "1001 2000 2001"),
            ("1000", 1000, 1001, "1001 2000 2001"),
            ("app:", 1000, 1001, "1001 2000 2001"),
            ("app:extra", 1000, 2000, "2000"),
            ("app:7", 1000, 7, "7"),
            ("1000:1000", 1000, 1000, "1000"),
            ("4711", 4711, 0, "0"),
            ("4711:extra", 4711, 2000, "2000"),
            (":extra", 0, 2000, "2000"),
            ("007", 7, 0, "0"),
            ("4294967294", 4_294_967_294, 0, "0"),
            ("4294967294:4294967294", 4_294_967_294, 4_294_967_294, "4294967294"),
        ] {
            if who == As::Rootless && uid > 65_535 {
                continue;
            }
            let mut request = sandbox.shell("grep -E '^(Uid|Gid|Groups):' /proc/self/status");
            request["user"] = json!(user);
            let done = sandbox.run(request);
            let lines: Vec<String> =
                done.ok().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            let four = |id: u32| format!("{id} {id} {id} {id}");
            let wanted = [format!("Uid: {}", four(uid)), format!("Gid: {}", four(gid)), format!("Groups: {groups}")];
            assert_eq!(lines, wanted, "{who:?} {user}");
        }
    }
}

#[test]
fn run_refuses_users_that_do_not_exist() {
    for (who, sandbox) in every() {
        for (user, code) in [
            ("nobody-here", "ERR_USER_NOT_FOUND"),
            ("app:nogroup-here", "ERR_USER_NOT_FOUND"),
            ("broken", "ERR_USER_NOT_FOUND"),
            ("-1", "ERR_USER_INVALID"),
            ("4294967295", "ERR_USER_INVALID"),
            ("4294967296", "ERR_USER_INVALID"),
            ("99999999999999999999999", "ERR_USER_INVALID"),
            ("0:4294967295", "ERR_USER_INVALID"),
            ("1e30", "ERR_USER_INVALID"),
            ("0x0", "ERR_USER_INVALID"),
            ("１", "ERR_USER_INVALID"),
            ("+0", "ERR_USER_INVALID"),
        ] {
            let mut request = sandbox.shell("true");
            request["user"] = json!(user);
            let done = sandbox.run(request);
            assert_eq!(done.error(), code, "{who:?} {user}");
            assert_eq!(done.last["kind"], "user");
        }
    }
}

#[test]
fn run_needs_no_passwd_file_for_numbers() {
    let Some(sandbox) = Sandbox::root() else { return };
    fs::remove_file(sandbox.image().join("etc/passwd")).unwrap();
    fs::remove_file(sandbox.image().join("etc/group")).unwrap();
    for user in ["", "5", "5:6"] {
        let mut request = sandbox.shell("echo $HOME");
        request["user"] = json!(user);
        assert_eq!(sandbox.run(request).ok(), "/\n", "{user}");
    }
}

#[test]
fn run_refuses_passwd_files_that_are_no_files() {
    for (who, sandbox) in every().filter(|(who, _)| *who != As::SingleId) {
        let passwd = sandbox.image().join("etc/passwd");
        let mut request = sandbox.shell("true");
        request["user"] = json!("app");

        fs::write(&passwd, vec![b'\n'; (10 << 20) + 1]).unwrap();
        assert_eq!(sandbox.run(request.clone()).error(), "ERR_USER_INVALID");

        fs::remove_file(&passwd).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(sandbox.run(request.clone()).error(), "ERR_USER_INVALID");

        fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &passwd).unwrap();
        assert_eq!(sandbox.run(request.clone()).error(), "ERR_USER_INVALID");

        // Inside the image the link leads to the image's own file, never to the host's.
        fs::remove_file(&passwd).unwrap();
        fs::write(sandbox.image().join("passwd"), "app:x:77:78::/:/bin/sh\n").unwrap();
        std::os::unix::fs::symlink("/../../passwd", &passwd).unwrap();
        request["argv"] = json!(["/bin/id", "-u"]);
        assert_eq!(sandbox.run(request).ok(), "77\n", "{who:?}");
    }
}

#[test]
fn run_refuses_more_groups_than_the_kernel_takes() {
    for (who, sandbox) in every() {
        let groups: String = (1..=65_537).map(|id| format!("g{id}:x:{id}:root\n")).collect();
        fs::write(sandbox.image().join("etc/group"), groups).unwrap();
        assert_eq!(sandbox.sh("true").error(), "ERR_USER_INVALID", "{who:?}");
    }
}
