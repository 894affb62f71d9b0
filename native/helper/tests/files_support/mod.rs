//! A snapshot, a context and a host canary around the built helper.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands outside of every root and must never be read or changed.
const CANARY: &str = "host canary";

pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["context", "lower", "upper", "work", "host"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("host/canary"), CANARY).unwrap();
        std::fs::write(dir.path().join("canary"), CANARY).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Fills the context.
    pub fn context(self, entries: &[&str]) -> Self {
        plant(&self.path("context"), entries);
        self
    }

    /// Fills the layer below the snapshot.
    pub fn lower(self, entries: &[&str]) -> Self {
        plant(&self.path("lower"), entries);
        self
    }

    pub fn directory(&self, ignore: &[&str]) -> Value {
        json!({"kind": "directory", "path": self.path("context"), "ignore": ignore,
               "fingerprints": self.path("fingerprints"), "checkoutUmask": null})
    }

    pub fn root(&self) -> Value {
        json!({"lower": [self.path("lower")], "upper": self.path("upper"), "work": self.path("work")})
    }

    /// The snapshot of the context directory taken as a layer.
    pub fn stage(&self) -> Value {
        json!({"kind": "snapshot", "root": {"lower": [self.path("context")], "upper": null, "work": null}})
    }

    pub fn scan(&self, tree: Value, selection: &Value) -> Value {
        let request = json!({"op": "scan", "tree": tree, "selections": [selection], "manifest": false});
        expect_result(call(&request))
    }

    /// The manifest of one selection.
    pub fn manifest(&self, tree: Value, selection: &Value) -> String {
        let request = json!({"op": "scan", "tree": tree, "selections": [selection], "manifest": true});
        let out = self.path("manifest");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg("exec \"$1\" 3>\"$2\"").arg("sh").arg(helper()).arg(&out);
        expect_result(run(shell, &request, &Value::Null));
        let text = std::fs::read_to_string(out).unwrap();
        let (head, body) = text.split_once('\n').unwrap();
        assert!(head.starts_with("# sha256:") && head.ends_with(&format!(" {}", body.len())), "{head}");
        body.to_owned()
    }

    pub fn copy(&self, actions: &[Value]) -> Value {
        // overlayfs never mounts a work directory again that a volatile mount has used.
        let _ = std::fs::remove_dir_all(self.path("work"));
        std::fs::create_dir(self.path("work")).unwrap();
        call(&self.copy_request(actions))
    }

    /// The copy request for this snapshot.
    pub fn copy_request(&self, actions: &[Value]) -> Value {
        json!({"op": "copy", "root": self.root(), "owners": null, "actions": actions, "finish": null})
    }

    /// The merged snapshot after all copies.
    pub fn merged(&self) -> Vec<String> {
        let out = self.path("merged");
        let root = json!({"lower": [self.path("upper"), self.path("lower")], "upper": null, "work": null});
        let request = json!({"op": "export", "root": root, "dest": {"kind": "directory", "path": out}});
        expect_result(call(&request));
        listing(&out)
    }

    /// The host is as it was.
    pub fn check_host(&self) {
        for name in ["canary", "host/canary"] {
            let path = self.path(name);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), CANARY, "{path:?}");
        }
        assert_eq!(std::fs::read_dir(self.path("host")).unwrap().count(), 1);
        let copied = listing(&self.path("upper"));
        assert!(!copied.iter().any(|line| line.contains(CANARY)), "{copied:?}");
    }
}

pub fn selection(sources: &[&str]) -> Value {
    json!({"sources": sources, "exclude": [], "parents": false, "uncounted": []})
}

pub fn copy_action(from: Value, sources: &[&str], dest: &str) -> Value {
    json!({"kind": "copy", "from": from, "selection": selection(sources), "dest": dest, "chown": null,
           "chmod": null, "expect": null, "unpack": false})
}

pub fn mkdir_action(path: &str, mode: u32, owner: Option<&str>) -> Value {
    json!({"kind": "mkdir", "path": path, "mode": mode, "owner": owner, "mtime": null})
}

/// A small file of these bytes, named `name`.
pub fn mkfile_action(name: &str, dest: &str, data: &[u8]) -> Value {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    json!({"kind": "mkfile", "name": name, "dest": dest, "data": data, "owner": null, "chmod": null, "mtime": null})
}

/// Replaces one field of an object.
pub fn with(mut value: Value, key: &str, field: Value) -> Value {
    value[key] = field;
    value
}

/// Makes entries: `d path [mode]`, `f path content [mode]`, `l path target`, `h path existing`, `p path`, `s path`.
pub fn plant(root: &Path, entries: &[&str]) {
    for entry in entries {
        let fields: Vec<&str> = entry.split(' ').collect();
        let path = root.join(fields[1]);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = |text: &&str| std::fs::Permissions::from_mode(u32::from_str_radix(text, 8).unwrap());
        match fields[0] {
            "d" => {
                std::fs::create_dir_all(&path).unwrap();
                std::fs::set_permissions(&path, fields.get(2).map_or(PermissionsExt::from_mode(0o755), mode)).unwrap();
            }
            "f" => {
                std::fs::write(&path, fields[2]).unwrap();
                std::fs::set_permissions(&path, fields.get(3).map_or(PermissionsExt::from_mode(0o644), mode)).unwrap();
            }
            "l" => symlink(fields[2], &path).unwrap(),
            "h" => std::fs::hard_link(root.join(fields[2]), &path).unwrap(),
            "p" => {
                let made = rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::from_raw_mode(0o644),
                    0,
                );
                made.unwrap();
            }
            "s" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            other => panic!("unknown kind {other}"),
        }
    }
}

/// One line for each entry, sorted: `f path content mode uid:gid` and so on.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list_into(root, root, &mut lines);
    lines.sort();
    lines
}

fn list_into(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let rest = format!("{:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        let kind = meta.file_type();
        if kind.is_dir() {
            lines.push(format!("d {name} {rest}"));
            list_into(root, &path, lines);
        } else if kind.is_symlink() {
            let owner = format!("{}:{}", meta.uid(), meta.gid());
            lines.push(format!("l {name} {} {owner}", std::fs::read_link(&path).unwrap().display()));
        } else if kind.is_fifo() {
            lines.push(format!("p {name} {rest}"));
        } else if kind.is_char_device() || kind.is_block_device() {
            lines.push(format!("c {name} {rest}"));
        } else {
            lines.push(format!("f {name} {} {rest}", String::from_utf8_lossy(&std::fs::read(&path).unwrap())));
        }
    }
}

/// Scans until every file is old enough to be trusted.
pub fn settled(bench: &Bench, selection: &Value) -> Value {
    for _ in 0..2_000 {
        let reply = bench.scan(bench.directory(&[]), selection);
        if reply["hashedBytes"] == 0 {
            return reply;
        }
    }
    panic!("unchanged files are hashed again and again");
}

pub fn helper() -> &'static str {
    crate::program::HELPER
}

/// Sends a request and gives the last line of the answer.
pub fn call(request: &Value) -> Value {
    run(Command::new(helper()), request, &Value::Null)
}

/// As [`call`], with the lines before the last one.
pub fn call_lines(request: &Value) -> (Vec<Value>, Value) {
    let mut lines = lines(Command::new(helper()), request, &Value::Null);
    let last = lines.pop().unwrap();
    (lines, last)
}

/// As [`call_lines`], started by a shell script, to which it is `$0`.
pub fn call_in_shell(script: &str, request: &Value) -> (Vec<Value>, Value) {
    let mut command = Command::new("sh");
    command.args(["-c", script, helper()]);
    let mut lines = lines(command, request, &Value::Null);
    let last = lines.pop().unwrap();
    (lines, last)
}

/// As [`call`], in a user namespace of one id.
pub fn call_rootless(request: &Value) -> Value {
    let map = |id: u32| json!([{"inside": 0, "outside": id, "length": 1}]);
    let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    run(Command::new(helper()), request, &json!({"uids": map(ids.0), "gids": map(ids.1)}))
}

fn run(command: Command, request: &Value, id_map: &Value) -> Value {
    lines(command, request, id_map).pop().unwrap()
}

fn lines(mut command: Command, request: &Value, id_map: &Value) -> Vec<Value> {
    let envelope = json!({"protocol": 1, "idMap": id_map, "joinUserNamespace": false, "request": request});
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(envelope.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "no answer to {request}, {}", output.status);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn expect_result(reply: Value) -> Value {
    assert_eq!(reply["event"], "result", "{reply}");
    reply["result"].clone()
}

pub fn expect_error(reply: &Value, code: &str) {
    assert_eq!(reply["event"], "error", "{reply}");
    assert_eq!(reply["code"], code, "{reply}");
}

/// Whether snapshots can be mounted here. Where not, the test is skipped, and fails in CI.
pub fn can_mount() -> bool {
    let bench = Bench::new();
    allowed(&bench.copy(&[]), "mount overlayfs: run the tests as root")
}

/// Whether snapshots can be mounted in a user namespace of one id.
pub fn can_mount_rootless() -> bool {
    let bench = Bench::new();
    allowed(&call_rootless(&bench.copy_request(&[])), "mount overlayfs in a user namespace: allow user namespaces")
}

fn allowed(reply: &Value, what: &str) -> bool {
    if reply["event"] == "result" {
        return true;
    }
    let why = format!("the helper cannot {what}: {}", reply["message"]);
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("SKIPPED: {why}");
    false
}

/// Sends a request to a copy of the helper that runs as the user nobody.
pub fn call_as_nobody(program: &Path, request: &Value) -> Value {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.uid(65_534).gid(65_534);
    run(command, request, &Value::Null)
}
