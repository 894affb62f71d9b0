//! `run`: what a step gets and what it gives back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod sandbox;
use sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn run_reports_exit_codes() {
    let Some(sandbox) = Sandbox::root() else { return };
    for (script, code) in [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        let done = sandbox.sh(script);
        assert_eq!(done.code(), code, "{script}: {done:?}");
        let signal = done.last["result"]["signal"].as_u64();
        assert_eq!(signal, code.checked_sub(128).filter(|_| code < 200), "{script}");
        assert_eq!(done.lines[0]["event"], "started");
    }
}

#[test]
fn run_gives_127_or_126_when_the_program_cannot_run() {
    let Some(sandbox) = Sandbox::root() else { return };
    let write = |name: &str, text: &str, mode: u32| {
        let path = sandbox.image().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("bin/plain", "echo no interpreter line\n", 0o755);
    write("bin/locked", "#!/bin/sh\n", 0o644);
    write("bin/dangling", "#!/no/such/interpreter\n", 0o755);
    for (program, code, text) in [
        ("nothing", 127, "executable file not found in PATH"),
        ("/bin/nothing", 127, "no such file or directory"),
        ("/bin/dangling", 127, "interpreter or loader"),
        ("locked", 126, "permission denied"),
        ("/etc", 126, "permission denied"),
        ("plain", 126, "exec format error"),
    ] {
        let done = sandbox.run(sandbox.request(&[program]));
        assert_eq!(done.code(), code, "{program}: {done:?}");
        assert!(done.stderr.contains(text), "{program}: {done:?}");
    }
}

#[test]
fn run_looks_programs_up_in_the_path_of_the_step() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.request(&["tool"]);
    request["env"] = json!(["PATH=/nothing:/opt/a:/opt/b"]);
    for (dir, mode) in [("opt/a", 0o644), ("opt/b", 0o755)] {
        fs::create_dir_all(sandbox.image().join(dir)).unwrap();
        let path = sandbox.image().join(dir).join("tool");
        fs::write(&path, format!("#!/bin/sh\necho {dir}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(sandbox.run(request).ok(), "opt/b\n");
}

#[test]
fn run_gives_the_step_its_environment_and_nothing_else() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.request(&["/bin/cat", "/proc/self/environ"]);
    request["env"] = json!(["PATH=/bin", "A=1 2", "EMPTY="]);
    assert_eq!(sandbox.run(request).ok(), "PATH=/bin\0A=1 2\0EMPTY=\0HOME=/root\0");
}

#[test]
fn run_takes_home_from_the_passwd_file_unless_given() {
    let Some(sandbox) = Sandbox::root() else { return };
    for (user, env, home) in [
        ("", json!(["PATH=/bin"]), "/root"),
        ("app", json!(["PATH=/bin"]), "/home/app"),
        ("1000:1", json!(["PATH=/bin"]), "/home/app"),
        ("nohome", json!(["PATH=/bin"]), "/"),
        ("4711", json!(["PATH=/bin"]), "/"),
        ("app", json!(["PATH=/bin", "HOME=/given"]), "/given"),
    ] {
        let mut request = sandbox.shell("echo $HOME");
        request["user"] = json!(user);
        request["env"] = env;
        assert_eq!(sandbox.run(request).ok().trim(), home, "{user}");
    }
}

#[test]
fn run_makes_the_working_directory_for_the_user() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("pwd; stat -c '%u:%g %a' . ..");
    request["cwd"] = json!("/srv/app");
    request["user"] = json!("app");
    assert_eq!(sandbox.run(request).ok(), "/srv/app\n1000:1001 755\n1000:1001 755\n");
    assert_eq!(fs::metadata(sandbox.upper().join("srv/app")).unwrap().uid(), 1000);
}

#[test]
fn run_leaves_an_existing_working_directory_alone() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request = sandbox.shell("pwd; stat -c '%u:%g %a' .");
    request["cwd"] = json!("/tmp");
    request["user"] = json!("app");
    assert_eq!(sandbox.run(request).ok(), "/tmp\n0:0 1777\n");
    assert_eq!(sandbox::tree(&sandbox.upper()), Vec::<String>::new());
}

#[test]
fn run_sets_umask_limits_session_and_hostname() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("umask; ulimit -n; ulimit -Hn; ulimit -c; hostname; cat /proc/self/oom_score_adj; \
         [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader");
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX).min(524_288);
    assert_eq!(done.ok(), format!("0022\n1024\n{hard}\n0\nbuildsandbox\n500\nleader\n"));
}

#[test]
fn run_gives_an_empty_input_unless_one_is_passed() {
    let Some(sandbox) = Sandbox::root() else { return };
    assert_eq!(sandbox.sh("wc -c").ok().trim(), "0");
    let mut request = sandbox.shell("cat; echo to-error >&2");
    request["stdin"] = json!(true);
    sandbox.fresh();
    fs::write(sandbox.path("input"), "from fd 5").unwrap();
    let mut command = sandbox.command("exec \"$0\" 3>\"$1\" 4>\"$2\" 5<\"$3\"");
    command.args([sandbox.helper(), &sandbox.path("stdout"), &sandbox.path("stderr"), &sandbox.path("input")]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    sandbox.send(&mut child, &request);
    let done = sandbox.finish(child);
    assert_eq!((done.ok(), done.stderr.as_str()), ("from fd 5", "to-error\n"));
}

#[test]
fn run_reports_what_the_step_used() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.sh("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done");
    let used = |name: &str| done.last["result"][name].as_u64().unwrap();
    assert!(used("userMicros") + used("systemMicros") > 1000, "{done:?}");
    assert!(used("peakMemoryBytes") > 100_000, "{done:?}");
}

#[test]
fn run_resets_signals() {
    let Some(sandbox) = Sandbox::root() else { return };
    let done = sandbox.run(sandbox.request(&["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    assert_eq!(done.ok(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}
