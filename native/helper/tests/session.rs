//! `session`: its cgroups and limits, the runs in it, and that nothing of it outlives its caller.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::sandbox::session::{Session, request};
use crate::sandbox::{As, Sandbox};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PASTA: &str = r#"{"tool": "pasta", "ports": []}"#;

fn pasta() -> Value {
    serde_json::from_str(PASTA).unwrap()
}

/// Whether this machine gives root the controllers that the tests look at, in version 1.
fn has_v1() -> bool {
    let found =
        ["memory", "pids", "cpuset", "devices"].iter().all(|name| Path::new("/sys/fs/cgroup").join(name).exists());
    if !found {
        crate::sandbox::skip_part("this machine has no cgroup v1 controllers");
    }
    found
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")).trim().to_owned()
}

/// Every process below one, by the kernel's own list.
fn descendants(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    children.iter().flat_map(|&child| std::iter::once(child).chain(descendants(child))).collect()
}

fn watch(pids: &[i32]) -> Vec<OwnedFd> {
    let open = |&pid: &i32| rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok();
    pids.iter().filter_map(open).collect()
}

/// Waits until everything is true; fails after five seconds, which a machine with other work may need for what else is done at once.
fn assert_soon(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_all_end(watched: &[OwnedFd]) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let ended = |fd: &OwnedFd| {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)).unwrap() == 1
    };
    assert_soon("a process is still alive", || watched.iter().all(ended));
}

fn each(test: impl Fn(&Sandbox)) {
    for sandbox in [Sandbox::root(), Sandbox::rootless(As::Rootless)].into_iter().flatten() {
        test(&sandbox);
    }
}

#[test]
fn session_makes_cgroups_with_its_limits_and_removes_them() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let limits = json!({"memoryBytes": 64 << 20, "memorySwapBytes": 64 << 20, "cpuShares": 512, "cpuPeriodMicros": 50_000,
        "cpuQuotaMicros": 25_000, "cpusetCpus": "0", "cpusetMems": "0", "pids": 300, "ioWeight": 500});
    let session = Session::start(&sandbox, &request("limits", &limits, &Value::Null));
    assert_eq!(session.parts["unlimited"], json!([]));
    let file = |controller: &str, name: &str| read(session.cgroup(controller).unwrap().join(name));
    assert_eq!(file("memory", "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(file("memory", "memory.memsw.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(file("cpu", "cpu.shares"), "512");
    assert_eq!([file("cpu", "cpu.cfs_period_us"), file("cpu", "cpu.cfs_quota_us")], ["50000", "25000"]);
    assert_eq!([file("cpuset", "cpuset.cpus"), file("cpuset", "cpuset.mems")], ["0", "0"]);
    assert_eq!(file("pids", "pids.max"), "300");
    assert_eq!(file("blkio", "blkio.bfq.weight"), "500");
    let all = session.cgroups();
    assert_eq!(session.end(), json!({"event": "result", "result": {"op": "session"}}));
    assert!(all.len() >= 4 && all.iter().all(|path| !path.exists()), "{all:?}");
}

#[test]
fn session_tells_which_limits_cannot_be_had() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    let session =
        Session::start(&sandbox, &request("none", &json!({"memoryBytes": 1 << 30, "pids": 10}), &Value::Null));
    if session.cgroup("memory").is_some() {
        return crate::sandbox::skip_part("this user has a cgroup of its own");
    }
    let told: Vec<&Value> = session.parts["unlimited"].as_array().unwrap().iter().map(|one| &one["limit"]).collect();
    assert_eq!(told, ["memoryBytes", "pids"]);
    assert!(session.parts["unlimited"][0]["reason"].as_str().unwrap().contains("memory controller"));
    session.end();
}

#[test]
fn session_removes_what_a_killed_one_left_and_nothing_of_a_living_one() {
    let Some(sandbox) = Sandbox::root() else { return };
    // Below a parent of their own: a session of another test would remove what the dead one left just as well.
    let below = |id: &str| {
        let mut asked = request(id, &json!({}), &Value::Null);
        asked["cgroupParent"] = json!(format!("/tsbuild-test-{}-removes", std::process::id()));
        asked
    };
    let living = Session::start(&sandbox, &below("living"));
    let mut dead = Session::start(&sandbox, &below("dead"));
    let (alive, left) = (living.cgroups(), dead.cgroups());
    fs::create_dir(left[0].join("run")).unwrap();
    dead.child.kill().unwrap();
    dead.child.wait().unwrap();
    assert!(!left.is_empty() && left.iter().all(|path| path.exists()), "{left:?}");
    let next = Session::start(&sandbox, &below("next"));
    assert!(left.iter().all(|path| !path.exists()), "{left:?}");
    assert!(alive.iter().all(|path| path.exists()), "{alive:?}");
    next.end();
    living.end();
}

/// Each that begins removes what looks dead, and for a moment each that is being made does.
#[test]
fn sessions_that_begin_at_once_leave_each_other_their_cgroups() {
    let Some(sandbox) = Sandbox::root() else { return };
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for round in 0..10 {
                    let id = format!("crowd-{thread}-{round}");
                    let session = Session::start(sandbox, &request(&id, &json!({}), &Value::Null));
                    let all = session.cgroups();
                    assert!(!all.is_empty() && all.iter().all(|path| path.exists()), "{id}: {all:?}");
                    session.end();
                    assert!(all.iter().all(|path| !path.exists()), "{id}: {all:?}");
                }
            });
        }
    });
}

#[test]
fn session_makes_its_cgroups_below_a_parent() {
    let Some(sandbox) = Sandbox::root() else { return };
    let parent = format!("tsbuild-test-{}", std::process::id());
    let mut asked = request("parent", &json!({}), &Value::Null);
    asked["cgroupParent"] = json!(format!("/{parent}/jobs"));
    let session = Session::start(&sandbox, &asked);
    let all = session.cgroups();
    assert!(!all.is_empty() && all.iter().all(|path| path.parent().unwrap().ends_with(format!("{parent}/jobs"))));
    session.end();
    assert!(all.iter().all(|path| !path.parent().unwrap().parent().unwrap().exists()), "{all:?}");
    for bad in ["../escape", "a//b", "."] {
        asked["cgroupParent"] = json!(bad);
        assert_eq!(sandbox.call(asked.clone()).error(), "ERR_CGROUP", "{bad}");
    }
    asked["id"] = json!("../x");
    assert_eq!(sandbox.call(asked).error(), "ERR_HELPER_INTERNAL");
}

#[test]
fn run_has_limits_of_its_own_below_those_of_its_session() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let session =
        Session::start(&sandbox, &request("run", &json!({"memoryBytes": 96 << 20, "pids": 200}), &Value::Null));
    let exhaust = "a=x; while :; do a=$a$a; done";
    let mut mine = session.shell("mine", exhaust);
    mine["limits"]["memoryBytes"] = json!(32 << 20);
    let done = session.run(&mine);
    assert_eq!(done.last["result"]["exceeded"], json!({"resource": "memory", "owner": "run"}), "{done:?}");
    assert_eq!(done.code(), 137);
    let done = session.run(&session.shell("ours", exhaust));
    assert_eq!(done.last["result"]["exceeded"], json!({"resource": "memory", "owner": "session"}), "{done:?}");
    let mut forks = session.shell("forks", "for i in $(seq 100); do sleep 100 & done; false");
    forks["limits"]["pids"] = json!(20);
    let done = session.run(&forks);
    assert_eq!(done.last["result"]["exceeded"], json!({"resource": "pids", "owner": "run"}), "{done:?}");
    let done = session.run(&session.shell("forks", "for i in $(seq 300); do sleep 100 & done; false"));
    assert_eq!(done.last["result"]["exceeded"], json!({"resource": "pids", "owner": "session"}), "{done:?}");
    // What was met but did no harm is not reported.
    let mut harmless = session.shell("harmless", "(for i in $(seq 30); do sleep 100 & done) 2>/dev/null; exit 0");
    harmless["limits"]["pids"] = json!(20);
    let done = session.run(&harmless);
    assert_eq!((done.code(), &done.last["result"]["exceeded"]), (0, &Value::Null), "{done:?}");
    assert!(
        session.cgroups().iter().all(|path| fs::read_dir(path).unwrap().flatten().all(|entry| entry.path().is_file()))
    );
    session.end();
}

#[test]
fn run_does_not_begin_without_a_limit_that_was_asked_for() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let session = Session::start(&sandbox, &request("unheld", &json!({}), &Value::Null));
    let mut step = session.shell("unheld", "echo on");
    step["limits"]["cpusetCpus"] = json!("1000000");
    let done = session.run(&step);
    assert_eq!(done.error(), "ERR_CGROUP", "{done:?}");
    assert!(done.stdout.is_empty(), "{done:?}");
    let left = |path: &PathBuf| path.join("unheld").exists();
    assert!(!session.cgroups().iter().any(left), "{:?}", session.cgroups());
    session.end();
}

#[test]
fn run_is_killed_when_it_goes_on_failing_to_fork() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let session = Session::start(&sandbox, &request("bomb", &json!({}), &Value::Null));
    let mut bomb = session.shell("bomb", "awk 'BEGIN { while (1) system(\"sleep 1000 &\") }' 2>/dev/null");
    bomb["limits"]["pids"] = json!(64);
    let begin = Instant::now();
    let done = session.run(&bomb);
    assert_eq!(done.last["result"]["exceeded"], json!({"resource": "pids", "owner": "run"}), "{done:?}");
    assert_eq!(done.code(), 137);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    session.end();
}

#[test]
fn run_counts_what_it_used_in_its_cgroups() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let session = Session::start(&sandbox, &request("usage", &json!({}), &Value::Null));
    // Two processes at a time hold 32 MiB each: no single one is as large as the run.
    let hold = "(dd if=/dev/zero of=/dev/shm/$i bs=1M count=32 2>/dev/null)";
    let done =
        session.run(&session.shell(
            "usage",
            &format!("for i in 1 2; do {hold}; done; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"),
        ));
    let used = |name: &str| done.last["result"][name].as_u64().unwrap();
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(used("peakMemoryBytes") >= 48 << 20, "{done:?}");
    assert!(used("userMicros") > 1000 && used("systemMicros") > 0, "{done:?}");
    session.end();
}

#[test]
fn run_may_open_the_devices_of_docker_only() {
    let Some(sandbox) = Sandbox::root() else { return };
    if !has_v1() {
        return;
    }
    let session = Session::start(&sandbox, &request("devices", &json!({}), &Value::Null));
    let list = session.cgroup("devices").unwrap().join("run/devices.list");
    for (security, lines) in [("sandbox", 11), ("insecure", 1)] {
        let mut sleeping = session.shell("run", "echo on; sleep 100");
        sleeping["security"] = json!(security);
        sandbox.fresh();
        let mut child = session.start_run(&sleeping);
        assert_soon("no step", || fs::read(sandbox.path("stdout")).is_ok_and(|text| text == b"on\n"));
        let text = read(list.clone());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(text.lines().count(), lines, "{security}: {text}");
        assert_soon("a process is left", || fs::remove_dir(list.parent().unwrap()).is_ok());
        for path in session.cgroups() {
            let _ = fs::remove_dir(path.join("run"));
        }
    }
    session.end();
}

#[test]
fn run_is_given_its_time_after_sigterm_and_not_more() {
    each(|sandbox| {
        for (grace, trap, code) in
            [(60_000, "trap 'exit 42' TERM", 42), (100, "trap '' TERM", 137), (0, "trap 'exit 42' TERM", 137)]
        {
            sandbox.fresh();
            let mut stubborn = sandbox.shell(&format!("{trap}; echo on; while :; do sleep 0.05; done"));
            stubborn["stopGraceMs"] = json!(grace);
            let child = sandbox.start(stubborn);
            assert_soon("no step", || fs::read(sandbox.path("stdout")).is_ok_and(|text| text == b"on\n"));
            rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let done = sandbox.finish(child);
            assert_eq!(done.code(), code, "{grace} {done:?}");
        }
    });
}

#[test]
fn session_and_its_tool_end_with_their_caller() {
    each(|sandbox| {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // The shell is the caller.
        let asked = request("caller", &json!({}), &pasta());
        let mut session = Session::start_below(sandbox, &asked, "exec 9<&0; \"$0\" <&9 & exec 9<&- <&-; wait");
        assert_eq!(session.next()["event"], "connected");
        let all = [vec![session.pid()], descendants(session.pid())].concat();
        assert!(all.len() >= 3, "{all:?}");
        let (watched, cgroups) = (watch(&all), session.cgroups());
        session.child.kill().unwrap();
        session.child.wait().unwrap();
        assert_all_end(&watched);
        assert_soon("a cgroup is left", || cgroups.iter().all(|path| !path.exists()));
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    });
}

#[test]
fn session_takes_its_tool_along_when_it_is_killed() {
    each(|sandbox| {
        let mut session = Session::start(sandbox, &request("killed", &json!({}), &pasta()));
        assert_eq!(session.next()["event"], "connected");
        let watched = watch(&[vec![session.pid()], descendants(session.pid())].concat());
        assert!(watched.len() >= 3);
        session.signal(Signal::KILL);
        session.child.wait().unwrap();
        assert_all_end(&watched);
    });
    // What the killed one left.
    let Some(sandbox) = Sandbox::root() else { return };
    Session::start(&sandbox, &request("after", &json!({}), &Value::Null)).end();
}

#[test]
fn session_is_over_when_its_tool_is_killed() {
    each(|sandbox| {
        let mut session = Session::start(sandbox, &request("tool", &json!({}), &pasta()));
        assert_eq!(session.next()["event"], "connected");
        let init = descendants(session.pid())[0];
        let tool = descendants(init)[0];
        rustix::process::kill_process(Pid::from_raw(tool).unwrap(), Signal::KILL).unwrap();
        let last = session.next();
        assert_eq!((&last["event"], &last["code"]), (&json!("error"), &json!("ERR_NETWORK")), "{last}");
        session.child.wait().unwrap();
    });
}

#[test]
fn run_and_its_cgroups_end_with_their_caller() {
    let Some(sandbox) = Sandbox::root() else { return };
    let session = Session::start(&sandbox, &request("orphan", &json!({}), &Value::Null));
    sandbox.fresh();
    let mut busy = session.shell("busy", "trap '' TERM HUP; setsid sleep 1000 & echo on; while :; do sleep 1000; done");
    busy["stopGraceMs"] = json!(60_000);
    let mut command = sandbox.command("exec 9<&0; \"$0\" <&9 3>\"$1\" & exec 9<&- <&-; wait");
    command.arg(sandbox.helper()).arg(sandbox.path("stdout"));
    fs::write(sandbox.path("stdout"), "").unwrap();
    let mut caller = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    sandbox.send(&mut caller, &busy);
    assert_soon("no step", || fs::read(sandbox.path("stdout")).is_ok_and(|text| text == b"on\n"));
    let all = descendants(i32::try_from(caller.id()).unwrap());
    assert!(all.len() >= 4, "{all:?}");
    let watched = watch(&all);
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert_all_end(&watched);
    let left = || session.cgroups().iter().any(|path| path.join("busy").exists());
    assert_soon("a cgroup is left", || !left());
    session.end();
}

#[test]
fn session_ends_what_is_left_in_its_cgroups() {
    let Some(sandbox) = Sandbox::root() else { return };
    let session = Session::start(&sandbox, &request("left", &json!({}), &Value::Null));
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    for path in session.cgroups() {
        let below = path.join("below");
        fs::create_dir(&below).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let _ = fs::read_to_string(path.join(file)).map(|text| fs::write(below.join(file), text));
        }
        fs::write(below.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    let all = session.cgroups();
    session.end();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    assert!(all.iter().all(|path| !path.exists()), "{all:?}");
}

#[test]
fn run_refuses_a_namespace_of_another_kind() {
    let Some(sandbox) = Sandbox::root() else { return };
    let send = |script: &str, joins: bool, map: &Value, network: &str| {
        let mut run = sandbox.shell("echo ran");
        run["network"] = json!(network);
        let mut command = sandbox.command(script);
        command.arg(sandbox.helper()).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let envelope = json!({"protocol": 1, "idMap": map, "joinUserNamespace": joins, "request": run});
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), envelope.to_string().as_bytes()).unwrap();
        for name in ["stdout", "stderr"] {
            fs::write(sandbox.path(name), "").unwrap();
        }
        sandbox.finish(child)
    };
    let null = Value::Null;
    let error =
        |done: crate::sandbox::Done| (done.error().to_owned(), done.last["message"].as_str().unwrap().to_owned());
    let (code, message) = error(send("exec \"$0\" 7</proc/self/ns/uts", false, &null, "session"));
    assert!(code == "ERR_NAMESPACE_DENIED" && message.contains("setns") && message.contains("EINVAL"), "{message}");
    let (code, message) = error(send("exec \"$0\" 7</dev/null", false, &null, "session"));
    assert!(code == "ERR_NAMESPACE_DENIED" && message.contains("EINVAL"), "{message}");
    let (code, message) = error(send("exec \"$0\"", false, &null, "session"));
    assert!(code == "ERR_HELPER_INTERNAL" && message.contains("fd 7"), "{message}");
    let (code, _) = error(send("exec \"$0\" 8</proc/self/ns/net", true, &null, "none"));
    assert_eq!(code, "ERR_NAMESPACE_DENIED");
    let (code, message) = error(send("exec \"$0\"", true, &null, "none"));
    assert!(code == "ERR_HELPER_INTERNAL" && message.contains("fd 8"), "{message}");
    let map = json!({"uids": [], "gids": []});
    let (code, message) = error(send("exec \"$0\"", true, &map, "none"));
    assert!(code == "ERR_HELPER_INTERNAL" && message.contains("exclude"), "{message}");
}
