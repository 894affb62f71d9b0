//! A small image of static busybox, and the built helper run on it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod session;

use crate::program::{copy_program, place_helper};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const USER: &str = "tsbuild-test";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      broken:x:notanumber:5::/:/bin/sh\n\
                      app:x:1000:1001:App:/home/app:/bin/sh\n\
                      nohome:x:1002:1002:::/bin/sh\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root\napp:x:1001:\nextra:x:2000:app,other\nmore:x:2001:other,app\n";

/// Who runs the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Real root.
    Root,
    /// An ordinary user with a range of subordinate ids.
    Rootless,
    /// An ordinary user with nothing but its own id.
    SingleId,
}

/// A snapshot of its own.
pub struct Sandbox {
    dir: TempDir,
    who: As,
    helper: PathBuf,
    owner: (u32, u32),
    map: Value,
}

/// How a helper ended.
#[derive(Debug)]
pub struct Done {
    /// Its last line.
    pub last: Value,
    /// All its lines.
    pub lines: Vec<Value>,
    /// The step's output.
    pub stdout: String,
    /// The step's error output.
    pub stderr: String,
}

impl Done {
    /// The exit code; panics with everything that is known if there is none.
    pub fn code(&self) -> u64 {
        self.last["result"]["exitCode"].as_u64().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The output of a step that must have succeeded.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code(), 0, "{self:?}");
        &self.stdout
    }

    /// The code of an error.
    pub fn error(&self) -> &str {
        self.last["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

/// Says why a test did not run. On a build server that is a failure: everything must be installed there.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "this machine must run every test, but {why}");
    println!("SKIPPED: {why}");
}

/// Says which part of a test this kernel cannot show. No failure on a build server: nothing can be installed for it.
pub fn skip_part(why: &str) {
    println!("SKIPPED: {why}");
}

/// Builds a program of one C file, without shared libraries. `false` after a line that says what is missing.
pub fn compile(source: &str, program: &Path) -> bool {
    let compiler = Command::new("cc")
        .args(["-static", "-w", "-x", "c", "-o"])
        .args([program, Path::new("-")])
        .stdin(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            child.stdin.take().unwrap().write_all(source.as_bytes())?;
            child.wait()
        });
    let made = compiler.is_ok_and(|status| status.success());
    if !made {
        skip("there is no C compiler with a static libc; run \"apt-get install gcc libc6-dev\"");
    }
    made
}

/// A sandbox for each kind of user that this machine has.
pub fn every() -> impl Iterator<Item = (As, Sandbox)> {
    [As::Root, As::Rootless, As::SingleId].into_iter().filter_map(|who| {
        let sandbox = if who == As::Root { Sandbox::root() } else { Sandbox::rootless(who) };
        Some((who, sandbox?))
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn subordinate(file: &str, user: &str) -> Option<(u32, u32)> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Sandbox {
    /// As real root; `None` after a line that says what is missing.
    pub fn root() -> Option<Self> {
        if !is_root() {
            skip("it does not run as root; run \"sudo -E cargo test\"");
            return None;
        }
        Self::build(As::Root, (0, 0), Value::Null)
    }

    /// As an ordinary user: the caller, or `tsbuild-test` when root runs the tests.
    pub fn rootless(who: As) -> Option<Self> {
        let user = if is_root() { USER.to_owned() } else { output("id", &["-un"])? };
        let id = |option: &str| output("id", &[option, &user]).and_then(|text| text.parse::<u32>().ok());
        let (Some(uid), Some(gid)) = (id("-u"), id("-g")) else {
            skip("the user tsbuild-test is missing; run \"useradd tsbuild-test\"");
            return None;
        };
        let own = |id: u32| vec![json!({"inside": 0, "outside": id, "length": 1})];
        let (mut uids, mut gids) = (own(uid), own(gid));
        if who == As::Rootless {
            let ranges = (subordinate("/etc/subuid", &user), subordinate("/etc/subgid", &user));
            let (Some(subuid), Some(subgid)) = ranges else {
                skip("the user has no line in /etc/subuid and /etc/subgid");
                return None;
            };
            uids.push(json!({"inside": 1, "outside": subuid.0, "length": subuid.1}));
            gids.push(json!({"inside": 1, "outside": subgid.0, "length": subgid.1}));
        }
        Self::build(who, (uid, gid), json!({"uids": uids, "gids": gids}))
    }

    fn build(who: As, owner: (u32, u32), map: Value) -> Option<Self> {
        let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists())
        else {
            skip("static busybox is missing; run \"apt-get install busybox-static\"");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let helper = dir.path().join("tsbuild-helper");
        place_helper(&helper);
        let sandbox = Self { dir, who, helper, owner, map };
        sandbox.give_one(sandbox.dir.path());
        sandbox.make_image(busybox);
        sandbox.fresh();
        Some(sandbox)
    }

    fn make_image(&self, busybox: &str) {
        let image = self.image();
        for name in ["bin", "etc", "root", "home/app", "tmp"] {
            fs::create_dir_all(image.join(name)).unwrap();
        }
        copy_program(busybox, &image.join("bin/busybox"));
        for applet in output(busybox, &["--list"]).unwrap().lines() {
            symlink("busybox", image.join("bin").join(applet)).or_else(ignore_existing).unwrap();
        }
        fs::write(image.join("etc/passwd"), PASSWD).unwrap();
        fs::write(image.join("etc/group"), GROUP).unwrap();
        fs::set_permissions(image.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
        self.give(&image);
        if is_root() && self.who == As::Root {
            chown(image.join("home/app"), Some(1000), Some(1001)).unwrap();
        }
    }

    /// Gives a tree to the user who runs the helper.
    pub fn give(&self, path: &Path) {
        if is_root() && self.who != As::Root {
            let owner = format!("{}:{}", self.owner.0, self.owner.1);
            assert!(Command::new("chown").args(["-hR", &owner]).arg(path).status().unwrap().success());
        }
    }

    /// Gives one directory to the user who runs the helper.
    pub fn give_one(&self, path: &Path) {
        if is_root() {
            chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
        }
    }

    /// The image's only layer.
    pub fn image(&self) -> PathBuf {
        self.path("image")
    }

    /// What the last step changed.
    pub fn upper(&self) -> PathBuf {
        self.path("upper")
    }

    /// A path outside of the image.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Empties the upper layer.
    pub fn fresh(&self) {
        for name in ["upper", "work"] {
            let _ = fs::remove_dir_all(self.path(name));
            fs::create_dir(self.path(name)).unwrap();
            self.give(&self.path(name));
        }
    }

    /// A request that runs `script` in busybox's shell.
    pub fn shell(&self, script: &str) -> Value {
        self.request(&["/bin/sh", "-c", script])
    }

    /// A request that runs a program.
    pub fn request(&self, argv: &[&str]) -> Value {
        json!({
            "op": "run",
            "root": {"lower": [self.image()], "upper": self.upper(), "work": self.path("work")},
            "argv": argv,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": "",
            "hostname": "buildsandbox",
            "network": "host",
            "hosts": "127.0.0.1\tlocalhost buildsandbox\n",
            "resolvConf": "nameserver 192.0.2.53\n",
            "mounts": [],
            "trustCa": null,
            "stdin": false,
            "cgroups": [],
            "readonly": false,
            "shmSizeBytes": null,
            "ulimits": [],
            "security": "sandbox",
            "noNewPrivileges": false,
            "userNamespace": null,
            "terminal": false,
            "stopGraceMs": 0,
            "limits": no_limits(),
            "id": "test",
            "finish": null,
        })
    }

    /// Runs a script on a fresh upper layer.
    pub fn sh(&self, script: &str) -> Done {
        self.run(self.shell(script))
    }

    /// Runs a request on a fresh upper layer.
    pub fn run(&self, request: Value) -> Done {
        self.fresh();
        self.call(request)
    }

    /// Sends any request and waits.
    pub fn call(&self, request: Value) -> Done {
        let child = self.start(request);
        self.finish(child)
    }

    /// Sends a request with other id maps than the sandbox's own.
    pub fn call_with_map(&self, request: Value, map: &Value) -> Done {
        let mut command = self.command("exec \"$0\"");
        let mut child = command.arg(&self.helper).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let envelope = json!({"protocol": 1, "idMap": map, "joinUserNamespace": false, "request": request});
        child.stdin.take().unwrap().write_all(envelope.to_string().as_bytes()).unwrap();
        for name in ["stdout", "stderr"] {
            fs::write(self.path(name), "").unwrap();
        }
        self.finish(child)
    }

    /// Starts the helper: the step's output goes to files.
    pub fn start(&self, request: Value) -> Child {
        let redirect = "exec \"$0\" 3>\"$1\" 4>\"$2\"";
        for name in ["stdout", "stderr"] {
            fs::write(self.path(name), "").unwrap();
            self.give(&self.path(name));
        }
        let arguments = [self.helper.clone(), self.path("stdout"), self.path("stderr")];
        let mut command = self.command(redirect);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        self.send(&mut child, &request);
        child
    }

    /// `sh -c script`, as the user of this sandbox.
    pub fn command(&self, script: &str) -> Command {
        let mut command = if is_root() && self.who != As::Root {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={}", self.owner.0), format!("--regid={}", self.owner.1)]);
            command.args(["--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", script]).env("CANARY", "of-the-host");
        command
    }

    /// As [`Sandbox::command`], with a `/dev/net/tun` that everyone may open, as distributions have it.
    pub fn with_tun(&self, script: &str) -> Command {
        if !self.is_rootless() || !is_root() {
            return self.command(script);
        }
        let tun = self.path("tun");
        if !tun.exists() {
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            let device = rustix::fs::makedev(10, 200);
            rustix::fs::mknodat(rustix::fs::CWD, &tun, rustix::fs::FileType::CharacterDevice, mode, device).unwrap();
            fs::set_permissions(&tun, Permissions::from_mode(0o666)).unwrap();
        }
        let mut command = Command::new("unshare");
        let user =
            format!("exec setpriv --reuid={} --regid={} --clear-groups sh -c \"$@\"", self.owner.0, self.owner.1);
        command.args(["-m", "sh", "-c", &format!("mount --bind \"$0\" /dev/net/tun && {user}")]).arg(tun).arg(script);
        command
    }

    /// Whether the helper needs a user namespace.
    pub fn is_rootless(&self) -> bool {
        self.who != As::Root
    }

    /// The helper's own path.
    pub fn helper(&self) -> &Path {
        &self.helper
    }

    /// Writes the request and ends it.
    pub fn send(&self, child: &mut Child, request: &Value) {
        let envelope = json!({"protocol": 1, "idMap": self.map, "joinUserNamespace": false, "request": request});
        child.stdin.take().unwrap().write_all(envelope.to_string().as_bytes()).unwrap();
    }

    /// Waits for a started helper.
    pub fn finish(&self, child: Child) -> Done {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let read = |name: &str| String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned();
        let last = lines.last().cloned().unwrap_or(Value::Null);
        Done { last, lines, stdout: read("stdout"), stderr: read("stderr") }
    }
}

fn ignore_existing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Every path below a directory, relative and sorted.
pub fn tree(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, base: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(base).unwrap().to_string_lossy().into_owned());
            if path.is_dir() && !path.is_symlink() {
                walk(&path, base, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// No limit of any kind.
pub(crate) fn no_limits() -> Value {
    json!({"memoryBytes": null, "memorySwapBytes": null, "cpuShares": null, "cpuPeriodMicros": null,
        "cpuQuotaMicros": null, "cpusetCpus": null, "cpusetMems": null, "pids": null, "ioWeight": null})
}
