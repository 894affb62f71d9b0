//! `run`: what a step gets and what it gives back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, every};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

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
    write("bin/dangling", "#!/no/such/interpreter -x\n", 0o755);
    write("bin/indirect", "#! /bin/dangling\n", 0o755);
    write("bin/empty", "", 0o755);
    fs::write(sandbox.image().join("bin/dynamic"), elf(62)).unwrap();
    fs::write(sandbox.image().join("bin/damaged"), &elf(62)[..60]).unwrap();
    for name in ["bin/dynamic", "bin/damaged"] {
        fs::set_permissions(sandbox.image().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (program, code, text) in [
        ("nothing", 127, "executable file not found in PATH"),
        ("/bin/nothing", 127, "no such file or directory"),
        ("dangling", 127, "\"/bin/dangling\" names the interpreter \"/no/such/interpreter\", which does not exist"),
        ("indirect", 127, "\"/bin/dangling\" names the interpreter \"/no/such/interpreter\", which does not exist"),
        ("dynamic", 127, "\"/bin/dynamic\" needs the loader \"/lib64/ld-linux-x86-64.so.2\", which does not exist"),
        ("locked", 126, "permission denied"),
        ("/etc", 126, "permission denied"),
        ("plain", 126, "exec format error: \"/bin/plain\" is no program, and no script"),
        ("empty", 126, "exec format error: \"/bin/empty\" is empty"),
        ("damaged", 126, "exec format error: \"/bin/damaged\" is damaged"),
    ] {
        let done = sandbox.run(sandbox.request(&[program]));
        assert_eq!(done.code(), code, "{program}: {done:?}");
        assert!(done.stderr.contains(text), "{program}: {done:?}");
    }
}

/// The start of a 64-bit little-endian program for a machine, which names a loader.
fn elf(machine: u16) -> Vec<u8> {
    let loader = b"/lib64/ld-linux-x86-64.so.2\0";
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [2, machine] {
        file.extend(u16::to_le_bytes(half));
    }
    file.extend(1_u32.to_le_bytes());
    for word in [0x40_0000_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend([3_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat());
    let length = loader.len() as u64;
    for word in [120, 0, 0, length, length, 1] {
        file.extend(word.to_le_bytes());
    }
    file.extend(loader);
    file
}

#[test]
fn run_says_that_a_program_is_for_another_machine() {
    for (who, sandbox) in every() {
        let bin = sandbox.image().join("bin");
        for (name, bytes) in [("foreign", elf(183)), ("script", b"#!/bin/foreign -x\n".to_vec()), ("exotic", elf(9999))]
        {
            fs::write(bin.join(name), bytes).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (program, wanted) in [
            (
                "foreign",
                "the program \"/bin/foreign\" is for arm64; this machine has no interpreter for it registered with binfmt_misc",
            ),
            ("script", "the program \"/bin/foreign\" is for arm64;"),
            ("exotic", "the program \"/bin/exotic\" is for a machine of ELF number 9999;"),
        ] {
            let done = sandbox.run(sandbox.request(&[program]));
            assert_eq!(
                (done.error(), &done.last["kind"]),
                ("ERR_STEP_PLATFORM", &json!("environment")),
                "{who:?} {done:?}"
            );
            assert!(done.last["message"].as_str().unwrap().starts_with(wanted), "{done:?}");
        }
        // Only the first program counts: what a shell cannot start is the step's own matter.
        let done = sandbox.sh("/bin/foreign");
        assert!(matches!(done.code(), 126 | 127 | 2), "{who:?} {done:?}");
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
    assert_eq!(crate::sandbox::tree(&sandbox.upper()), Vec::<String>::new());
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

#[test]
fn run_says_that_the_disk_is_full_where_overlayfs_would_be_read_only() {
    let Some(sandbox) = Sandbox::root() else { return };
    let disk = sandbox.path("small");
    fs::create_dir(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "nr_inodes=8", "tmpfs"]).arg(&disk).status().unwrap();
    assert!(mounted.success());
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    for path in [&upper, &work] {
        fs::create_dir(path).unwrap();
    }
    while fs::write(disk.join(format!("file{}", fs::read_dir(&disk).unwrap().count())), "").is_ok() {}
    let mut request = sandbox.shell("echo text > /file");
    request["root"]["upper"] = json!(upper);
    request["root"]["work"] = json!(work);
    let done = sandbox.call(request);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert_eq!(done.last["errno"], "ENOSPC", "{done:?}");
    assert_eq!(done.error(), "ERR_STORE_NO_SPACE", "{done:?}");
}
