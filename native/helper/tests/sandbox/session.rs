//! Sessions, and runs in them, for the tests.
#![allow(dead_code)]

use super::{Done, Sandbox, no_limits};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

/// A session that holds.
pub struct Session<'s> {
    sandbox: &'s Sandbox,
    pub child: Child,
    out: BufReader<ChildStdout>,
    /// What it said first.
    pub parts: Value,
}

/// A request; `id` is unique on the machine.
pub fn request(id: &str, limits: &Value, network: &Value) -> Value {
    let mut all = no_limits();
    for (name, value) in limits.as_object().unwrap() {
        all[name] = value.clone();
    }
    let id = format!("test-{}-{id}", std::process::id());
    json!({"op": "session", "id": id, "cgroupParent": null, "limits": all, "network": network})
}

impl<'s> Session<'s> {
    /// Starts one and waits until it is there.
    pub fn start(sandbox: &'s Sandbox, request: &Value) -> Self {
        Self::start_below(sandbox, request, "exec \"$0\"")
    }

    /// The same with the helper as `$0` of a shell.
    pub fn start_below(sandbox: &'s Sandbox, request: &Value, script: &str) -> Self {
        // Machines give it to everyone; where this one does not, the test brings its own.
        let script = format!("test -w /dev/net/tun || exit 9; {script}");
        let mut command = sandbox.with_tun(&script);
        command.arg(sandbox.helper()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        sandbox.send(&mut child, request);
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut session = Self { sandbox, child, out, parts: Value::Null };
        session.parts = session.next();
        session
    }

    /// Its next line; null at its end.
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.parts["pid"].as_i64().unwrap_or_else(|| panic!("{}", self.parts))).unwrap()
    }

    /// The directory that has this controller.
    pub fn cgroup(&self, controller: &str) -> Option<PathBuf> {
        let all = self.parts["cgroups"].as_array().unwrap();
        let has = |one: &&Value| one["controllers"].as_array().unwrap().contains(&json!(controller));
        all.iter().find(has).map(|one| PathBuf::from(one["path"].as_str().unwrap()))
    }

    /// All directories.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let all = self.parts["cgroups"].as_array().unwrap();
        all.iter().map(|one| PathBuf::from(one["path"].as_str().unwrap())).collect()
    }

    /// Sends a signal to the helper.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as its caller does, and gives its last line.
    pub fn end(mut self) -> Value {
        self.signal(rustix::process::Signal::TERM);
        let last = self.next();
        self.child.wait().unwrap();
        last
    }

    /// A request that runs a script in it.
    pub fn shell(&self, id: &str, script: &str) -> Value {
        let mut request = self.sandbox.shell(script);
        request["cgroups"] = self.parts["cgroups"].clone();
        request["id"] = json!(id);
        request
    }

    /// Starts a run in its namespaces.
    pub fn start_run(&self, request: &Value) -> Child {
        let joins = request["network"] == "session";
        let user = self.sandbox.is_rootless();
        for name in ["stdout", "stderr"] {
            fs::write(self.sandbox.path(name), "").unwrap();
            self.sandbox.give(&self.sandbox.path(name));
        }
        let mut script = "exec \"$0\" 3>\"$1\" 4>\"$2\"".to_owned();
        if joins {
            script += " 7<\"/proc/$3/ns/net\"";
        }
        if user {
            script += " 8<\"/proc/$3/ns/user\"";
        }
        let mut command = self.sandbox.command(&script);
        command.arg(self.sandbox.helper()).args([self.sandbox.path("stdout"), self.sandbox.path("stderr")]);
        command.arg(self.pid().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let envelope = json!({"protocol": 1, "idMap": null, "joinUserNamespace": user, "request": request});
        child.stdin.take().unwrap().write_all(envelope.to_string().as_bytes()).unwrap();
        child
    }

    /// Runs a request in it.
    pub fn run(&self, request: &Value) -> Done {
        self.sandbox.fresh();
        let child = self.start_run(request);
        self.sandbox.finish(child)
    }
}
