//! `run`: output, signals, and that nothing outlives the step or the builder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::Sandbox;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The pid that the helper says the run has.
fn started(child: &mut Child) -> Pid {
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.as_mut().unwrap());
    reader.read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(started["event"], "started", "{line}");
    Pid::from_raw(i32::try_from(started["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

/// Every process below one, by the kernel's own list.
fn descendants(pid: Pid) -> Vec<Pid> {
    let raw = pid.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")).unwrap_or_default();
    let children: Vec<Pid> = text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    children.iter().flat_map(|&child| std::iter::once(child).chain(descendants(child))).collect()
}

fn watch(pids: &[Pid]) -> Vec<OwnedFd> {
    pids.iter().filter_map(|&pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
}

/// Waits until all are gone; fails after five seconds, which a machine with other work may need for what else is done at once.
fn assert_all_end(watched: &[OwnedFd]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for fd in watched {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec::try_from(left).unwrap();
        let mut polled = [PollFd::new(fd, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut polled, Some(&timeout)).unwrap(), 1, "a process is still alive");
    }
}

/// Starts a step with children of several kinds and waits until it says that they exist.
fn busy(sandbox: &Sandbox, trap: &str) -> (Child, Vec<Pid>) {
    let ready = sandbox.path("ready");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &ready, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let mut request = sandbox.shell(&format!(
        "{trap} setsid sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 & (sleep 1000 & sleep 1000) & \
         (trap '' TERM HUP INT; echo ready > /ready; while :; do sleep 1000; done) & wait; wait"
    ));
    request["mounts"] = json!([{"kind": "bind", "source": ready, "inside": "", "target": "/ready", "readonly": false}]);
    request["stopGraceMs"] = json!(60_000);
    sandbox.fresh();
    let mut child = sandbox.start(request);
    let pid = started(&mut child);
    assert_eq!(fs::read_to_string(&ready).unwrap(), "ready\n");
    let mut all = vec![pid];
    all.extend(descendants(pid));
    assert!(all.len() >= 5, "{all:?}");
    (child, all)
}

fn mounts_of_host() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn run_leaves_no_process_when_the_helper_is_killed() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mounts = mounts_of_host();
    let (mut child, all) = busy(&sandbox, "");
    let watched = watch(&all);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_all_end(&watched);
    assert_eq!(mounts_of_host(), mounts);
    // With no mount left the directories can be removed.
    fs::remove_dir_all(sandbox.upper()).unwrap();
}

#[test]
fn run_leaves_no_process_when_the_parent_of_the_helper_is_killed() {
    let Some(sandbox) = Sandbox::root() else { return };
    sandbox.fresh();
    let mut command = sandbox.command("\"$0\" 3>/dev/null 4>/dev/null; true");
    let mut child = command.arg(sandbox.helper()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.send(&mut child, &sandbox.shell("sleep 1000 & setsid sleep 1000 & wait"));
    let pid = started(&mut child);
    let mut all = vec![pid];
    all.extend(descendants(Pid::from_child(&child)));
    let watched = watch(&all);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_all_end(&watched);
}

#[test]
fn run_ends_what_the_step_left_in_the_background() {
    let Some(sandbox) = Sandbox::root() else { return };
    let begin = Instant::now();
    let done = sandbox.sh("sleep 1000 & setsid nohup sleep 1000 >/dev/null 2>&1 & (sleep 1000 &) ; echo done; exit 4");
    assert_eq!((done.code(), done.stdout.as_str()), (4, "done\n"), "{done:?}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn run_reaps_orphans_while_the_step_goes_on() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox
        .sh("for i in 1 2 3 4 5; do (sh -c 'true' &) ; done; sleep 0.2; grep -l '^State:.Z' /proc/[0-9]*/status; true");
    assert_eq!(done.ok(), "");
}

#[test]
fn run_passes_sigterm_on() {
    let Some(sandbox) = Sandbox::root() else { return };
    let (mut child, all) = busy(&sandbox, "trap 'exit 42' TERM;");
    let watched = watch(&all);
    let helper = Pid::from_child(&child);
    rustix::process::kill_process(helper, Signal::TERM).unwrap();
    let mut rest = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"exitCode\":42"), "{rest}");
    assert!(child.wait().unwrap().success());
    assert_all_end(&watched);
}

#[test]
fn run_carries_all_output_in_order() {
    let Some(sandbox) = Sandbox::root() else { return };
    // 5 MB of numbered lines on each stream.
    let done = sandbox
        .sh("count() { awk 'BEGIN { for (i = 1; i <= 330000; i++) printf \"%015d\\n\", i }'; }; count; count >&2");
    assert_eq!(done.code(), 0);
    for stream in [&done.stdout, &done.stderr] {
        assert_eq!(stream.len(), 330_000 * 16);
        assert!(stream.lines().enumerate().all(|(index, line)| line.parse() == Ok(index + 1)));
    }
}

#[test]
fn run_carries_output_to_a_socket_that_is_read_late() {
    let Some(sandbox) = Sandbox::root() else { return };
    sandbox.fresh();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = sandbox.command("exec \"$0\" 3>&2 4>&2");
    command.arg(sandbox.helper()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(OwnedFd::from(theirs));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut request = sandbox.shell("seq 1 200000; echo again > /dev/stdout; echo error > /dev/stderr");
    request["user"] = json!("app");
    sandbox.send(&mut child, &request);
    started(&mut child);
    let mut text = String::new();
    (&ours).read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let mut lines = text.lines().filter(|line| *line != "error");
    assert!(lines.by_ref().take(200_000).enumerate().all(|(index, line)| line.parse() == Ok(index + 1)));
    assert_eq!(lines.collect::<Vec<_>>(), ["again"]);
    assert!(text.contains("error\n"));
}

#[test]
fn run_goes_on_when_nobody_reads_its_output() {
    let Some(sandbox) = Sandbox::root() else { return };
    sandbox.fresh();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let mut command = sandbox.command("exec \"$0\" 3>&2 4>&2");
    command.arg(sandbox.helper()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(OwnedFd::from(theirs));
    let mut child = command.spawn().unwrap();
    drop(command);
    sandbox.send(&mut child, &sandbox.shell("seq 1 200000; exit 9"));
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"exitCode\":9"), "{output:?}");
}

#[test]
fn run_lets_any_user_reopen_its_output() {
    let Some(sandbox) = Sandbox::root() else { return };
    for user in ["", "app", "4711:4711"] {
        let mut request = sandbox.shell("echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /proc/self/fd/1");
        request["user"] = json!(user);
        let done = sandbox.run(request);
        assert_eq!((done.ok(), done.stderr.as_str()), ("out\nfd\n", "err\n"), "{user}");
    }
}

#[test]
fn run_is_ended_by_sigterm_while_it_writes_the_layer() {
    let Some(sandbox) = Sandbox::root() else { return };
    sandbox.fresh();
    // Nearly as many zeros as a layer may have: it would take minutes.
    let mut request = sandbox.shell("truncate -s 60G /zeros");
    request["finish"] = json!({"content": false, "layer": {"compression": {"format": "gzip", "level": 1}, "clampMtime": null}, "sync": false});
    let mut command = sandbox.command("exec \"$0\" 6>/dev/null");
    let mut child = command.arg(sandbox.helper()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.send(&mut child, &request);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"exitCode\":0") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no result");
    }
    let pid = Pid::from_child(&child);
    let watched = watch(&[pid]);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_all_end(&watched);
    child.wait().unwrap();
}
