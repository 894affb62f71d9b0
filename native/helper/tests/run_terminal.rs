//! `run` with a terminal, driven from a second terminal as a user's would be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::sandbox::{As, Done, Sandbox, tree};
use rustix::fd::OwnedFd;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

/// The user's terminal, and the helper that has it as descriptors 3 and 5.
struct User<'s> {
    sandbox: &'s Sandbox,
    keyboard: File,
    slave: OwnedFd,
    helper: Child,
    seen: Vec<u8>,
}

const SIZE: Winsize = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };

fn start(sandbox: &Sandbox, mut request: Value) -> User<'_> {
    sandbox.fresh();
    request["terminal"] = json!(true);
    request["stdin"] = json!(true);
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Kept open: reading a master gives an error while no slave is open.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    rustix::termios::tcsetwinsize(&master, SIZE).unwrap();
    sandbox.give(name.as_ref());
    let mut command = sandbox.command("exec \"$0\" 3>\"$1\" 4>/dev/null 5<\"$1\"");
    command.args([sandbox.helper(), name.as_ref()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut helper = command.spawn().unwrap();
    sandbox.send(&mut helper, &request);
    User { sandbox, keyboard: File::from(master), slave, helper, seen: Vec::new() }
}

impl User<'_> {
    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the screen ends with this text; the test hangs where it never does.
    fn waits_for(&mut self, text: &str) {
        while !self.seen.ends_with(text.as_bytes()) {
            let mut buffer = [0_u8; 4096];
            let length = self.keyboard.read(&mut buffer).unwrap();
            self.seen.extend_from_slice(&buffer[..length]);
        }
    }

    fn resizes(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ..SIZE };
        rustix::termios::tcsetwinsize(&self.keyboard, size).unwrap();
        let helper = rustix::process::Pid::from_child(&self.helper);
        rustix::process::kill_process(helper, rustix::process::Signal::WINCH).unwrap();
    }

    /// Waits for the end; the screen is the output.
    fn leaves(self) -> Done {
        let Self { sandbox, mut keyboard, slave, helper, mut seen } = self;
        for name in ["stdout", "stderr"] {
            fs::write(sandbox.path(name), "").unwrap();
        }
        let reader = std::thread::spawn(move || {
            // It ends with an error, when no slave is open any more.
            let _ = keyboard.read_to_end(&mut seen);
            String::from_utf8_lossy(&seen).into_owned()
        });
        let done = sandbox.finish(helper);
        drop(slave);
        Done { stdout: reader.join().unwrap(), ..done }
    }
}

fn sandboxes() -> Vec<Sandbox> {
    [Sandbox::root(), Sandbox::rootless(As::Rootless), Sandbox::rootless(As::SingleId)].into_iter().flatten().collect()
}

#[test]
fn root_rootless_run_gives_a_terminal_of_the_step_s_own() {
    for sandbox in sandboxes() {
        let script = "tty; tty <&1; tty <&2; tty </dev/tty; [ /dev/console -ef /dev/pts/0 ] && echo console; ls -1 /dev/pts; \
             stat -c '%a %u' /dev/pts/0; echo to the console >/dev/console; cut -d' ' -f5-8 /proc/$$/stat; exit 3";
        let done = start(&sandbox, sandbox.shell(script)).leaves();
        let pid = "2";
        let expected = ["/dev/pts/0", "/dev/pts/0", "/dev/pts/0", "/dev/tty", "console", "0", "ptmx", "620 0"];
        let mut lines: Vec<&str> = done.stdout.lines().collect();
        let ids = lines.pop().unwrap();
        assert_eq!(lines.pop(), Some("to the console"));
        assert_eq!(lines, expected, "{done:?}");
        // Process group, session, terminal, foreground group: the step leads its session and is in the foreground.
        let ids: Vec<&str> = ids.split(' ').collect();
        assert_eq!((ids[0], ids[1], ids[3]), (pid, pid, pid), "{ids:?}");
        assert_ne!(ids[2], "0");
        assert_eq!(done.code(), 3);
    }
}

#[test]
fn run_gives_the_terminal_to_the_user_of_the_step() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("stat -c '%a %u %g' /dev/pts/0; echo reopened >/dev/stdout");
    request["user"] = json!("app");
    let done = start(&sandbox, request).leaves();
    assert_eq!(done.ok(), "620 1000 5\r\nreopened\r\n");
}

#[test]
fn root_rootless_run_follows_the_size_of_the_terminal() {
    for sandbox in sandboxes() {
        let script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
        let mut user = start(&sandbox, sandbox.shell(script));
        user.waits_for("33 101\r\nready\r\n");
        user.resizes(50, 132);
        assert_eq!(user.leaves().ok(), "33 101\r\nready\r\n50 132\r\n");
    }
}

#[test]
fn root_rootless_run_lets_the_keyboard_interrupt_the_foreground_group() {
    for sandbox in sandboxes() {
        let script = "trap 'echo parent' INT; \
             sh -c 'trap \"echo child; exit 5\" INT; echo ready; while :; do sleep 0.05; done'; echo \"ended $?\"; exit 7";
        let mut user = start(&sandbox, sandbox.shell(script));
        user.waits_for("ready\r\n");
        user.types("\x03");
        let done = user.leaves();
        assert_eq!(done.stdout, "ready\r\n^Cchild\r\nparent\r\nended 5\r\n");
        assert_eq!(done.code(), 7);
    }
}

#[test]
fn run_is_not_stopped_by_the_keyboard_where_nobody_could_continue_it() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut user = start(&sandbox, sandbox.shell("stty -echo; echo ready; cat; echo end"));
    user.waits_for("ready\r\n");
    user.types("\x1aone\n");
    user.waits_for("one\r\n");
    user.types("\x04");
    assert_eq!(user.leaves().ok(), "ready\r\none\r\nend\r\n");
}

#[test]
fn run_makes_the_user_s_terminal_raw() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut user = start(&sandbox, sandbox.shell("echo ready; read line; printf 'a\\nb'; stty -opost; printf 'c\\nd'"));
    user.waits_for("ready\r\n");
    let modes = rustix::termios::tcgetattr(&user.slave).unwrap();
    assert!(!modes.local_modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{modes:?}");
    user.types("x\r");
    // One echo, that of the step's terminal; and line ends are as the step's terminal makes them.
    assert_eq!(user.leaves().ok(), "ready\r\nx\r\na\r\nbc\nd");
}

#[test]
fn root_rootless_run_drains_the_screen_before_it_reports_the_end() {
    for sandbox in sandboxes() {
        for _ in 0..2 {
            let mut request = sandbox.shell("seq 1 30000");
            request["terminal"] = json!(true);
            let done = sandbox.run(request);
            let expected: String = (1..=30_000).map(|number| format!("{number}\r\n")).collect();
            assert_eq!(done.ok().len(), expected.len());
            assert_eq!(done.stdout, expected);
        }
    }
}

#[test]
fn run_without_a_keyboard_has_a_terminal_of_the_usual_size() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("tty; stty size");
    request["terminal"] = json!(true);
    assert_eq!(sandbox.run(request).ok(), "/dev/pts/0\r\n24 80\r\n");
}

#[test]
fn run_types_the_end_of_what_is_typed() {
    let Some(sandbox) = Sandbox::root() else { return };
    for (typed, shown) in [("", ""), ("line\n", "line\r\n"), ("no line end", "no line end")] {
        let mut request = sandbox.shell("cat >/tmp/got; echo end; cat /tmp/got");
        request["terminal"] = json!(true);
        request["stdin"] = json!(true);
        sandbox.fresh();
        fs::write(sandbox.path("input"), typed).unwrap();
        let mut command = sandbox.command("exec \"$0\" 3>\"$1\" 4>\"$2\" 5<\"$3\"");
        command.args([sandbox.helper(), &sandbox.path("stdout"), &sandbox.path("stderr"), &sandbox.path("input")]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        sandbox.send(&mut child, &request);
        assert_eq!(sandbox.finish(child).ok(), format!("{shown}end\r\n{shown}"));
    }
}

#[test]
fn run_says_on_the_terminal_that_a_program_is_missing() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = start(&sandbox, sandbox.request(&["/bin/missing"])).leaves();
    assert_eq!(done.code(), 127);
    assert_eq!(done.stdout, "tsbuild: cannot run \"/bin/missing\": no such file or directory\r\n");
}

#[test]
fn run_reports_an_error_that_came_before_the_terminal() {
    let Some(sandbox) = Sandbox::root() else { return };
    symlink("tmp", sandbox.image().join("dev")).unwrap();
    assert_eq!(start(&sandbox, sandbox.shell("true")).leaves().error(), "ERR_ROOTFS_INVALID");
}

/// RUN-04
#[test]
fn root_rootless_run_opens_its_terminal_whatever_dev_of_the_image_holds() {
    for sandbox in sandboxes() {
        let canary = sandbox.path("canary");
        fs::create_dir(&canary).unwrap();
        fs::write(canary.join("file"), "untouched").unwrap();
        let dev = sandbox.image().join("dev");
        let file = canary.join("file");
        for (name, target) in [
            ("pts", canary.as_path()),
            ("console", &file),
            ("ptmx", &file),
            ("tty", &file),
            ("console", "/proc/1/mem".as_ref()),
        ] {
            fs::create_dir_all(&dev).unwrap();
            symlink(target, dev.join(name)).unwrap();
            sandbox.give(&dev);
            let done = start(&sandbox, sandbox.shell("tty; echo written >/dev/console; [ -c /dev/console ]")).leaves();
            assert_eq!(done.ok(), "/dev/pts/0\r\nwritten\r\n", "{name}");
            assert_eq!(tree(&sandbox.upper()), Vec::<String>::new(), "{name}");
            fs::remove_dir_all(&dev).unwrap();
        }
        assert_eq!(tree(&canary), ["file"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "untouched");
    }
}

/// RUN-12
#[test]
fn root_rootless_run_never_hands_the_caller_s_descriptors_to_the_step() {
    for sandbox in sandboxes() {
        let probe = "readlink /proc/self/fd/0 | cut -d: -f1; cd /proc/self/fd/0 2>/dev/null || echo no directory; \
             (echo overwritten >/proc/self/fd/0) 2>/dev/null; echo end";
        fs::write(sandbox.path("victim"), "untouched").unwrap();
        sandbox.give(&sandbox.path("victim"));
        for passed in ["5<>\"$3\"", "5<\"${3%/*}\"", "5</dev/null"] {
            let mut request = sandbox.shell(probe);
            request["stdin"] = json!(true);
            sandbox.fresh();
            for name in ["stdout", "stderr"] {
                fs::write(sandbox.path(name), "").unwrap();
                sandbox.give(&sandbox.path(name));
            }
            let mut command = sandbox.command(&format!("exec \"$0\" 3>\"$1\" 4>\"$2\" {passed}"));
            command.args([sandbox.helper(), &sandbox.path("stdout"), &sandbox.path("stderr"), &sandbox.path("victim")]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            sandbox.send(&mut child, &request);
            assert_eq!(sandbox.finish(child).ok(), "pipe\nno directory\nend\n", "{passed}");
        }
        assert_eq!(fs::read_to_string(sandbox.path("victim")).unwrap(), "untouched");
        // With a terminal: the step's own, and no terminal of the host can be named from inside.
        let script =
            "readlink /proc/self/fd/0; ls -1 /dev/pts; for fd in /proc/self/fd/*; do readlink $fd; done | sort -u";
        let done = start(&sandbox, sandbox.shell(script)).leaves();
        assert!(done.ok().starts_with("/dev/pts/0\r\n0\r\nptmx\r\n"), "{done:?}");
    }
}
