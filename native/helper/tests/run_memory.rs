//! `run`: what the helper itself costs while a step runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::every;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};

/// For the supervisor, and for the first process of the step's namespace.
const MOST_KIB: u64 = 8 * 1024;

/// The most memory that a process ever had resident.
fn peak_kib(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn supervisor_and_init_stay_below_8_mib_while_a_step_runs() {
    for (who, sandbox) in every() {
        let ready = sandbox.path("ready");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &ready, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        sandbox.give(&ready);
        let mut request = sandbox.shell("head -c 4000000 /dev/zero; cat /ready");
        let secret = "c2VjcmV0".repeat(1000);
        request["mounts"] = json!([
            {"kind": "bind", "source": ready, "inside": "", "target": "/ready", "readonly": false},
            {"kind": "secret", "target": "/s", "data": secret, "mode": 256, "uid": 0, "gid": 0},
            {"kind": "snapshot", "root": {"lower": [sandbox.image()], "upper": null, "work": null}, "inside": "bin", "target": "/tools"},
        ]);
        sandbox.fresh();
        let mut child = sandbox.start(request);
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        let init = serde_json::from_str::<Value>(&line).unwrap()["pid"].as_u64().unwrap();
        // Opening a pipe for writing waits until the step reads it, which it does once its output was carried.
        let writer = fs::OpenOptions::new().write(true).open(&ready).unwrap();
        let (supervisor, init) = (peak_kib(u64::from(child.id())), peak_kib(init));
        println!("{who:?}: supervisor {supervisor} KiB, init {init} KiB");
        assert!(supervisor <= MOST_KIB && init <= MOST_KIB, "{who:?}: supervisor {supervisor} KiB, init {init} KiB");
        drop(writer);
        assert!(child.wait().unwrap().success(), "{who:?}");
    }
}
