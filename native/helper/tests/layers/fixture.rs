//! The helper as a process, and a place that must not change.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use crate::tar_support::*;

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The last line that the helper printed, and the lines before it.
#[derive(Debug)]
pub struct Said {
    pub last: Value,
    pub before: Vec<Value>,
}

impl Said {
    /// The result; fails the test on an error.
    pub fn result(&self) -> &Value {
        assert_eq!(self.last["event"], "result", "{}", self.last);
        &self.last["result"]
    }

    /// `ok`, or the code of the error. Errors about layers must be the user's.
    pub fn code(&self) -> &str {
        if self.last["event"] == "result" {
            return "ok";
        }
        let code = self.last["code"].as_str().unwrap();
        assert!(!code.starts_with("ERR_LAYER") || self.last["kind"] == "user", "{}", self.last);
        code
    }
}

/// Runs the helper with one request. `bulk` is opened as fd 3 by a shell, so that no test needs unsafe code.
pub fn helper(request: &Value, bulk: &Path, prefix: &[&str]) -> Said {
    envelope(&json!({"protocol": 1, "idMap": null, "joinUserNamespace": false, "request": request}), bulk, prefix)
}

pub fn envelope(envelope: &Value, bulk: &Path, prefix: &[&str]) -> Said {
    let mut child = Command::new("sh")
        .args(["-c", "bulk=$1; shift; exec \"$@\" 3<>\"$bulk\"", "sh"])
        .arg(bulk)
        .args(prefix)
        .arg(env!("CARGO_BIN_EXE_tsbuild-helper"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(envelope.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("the helper said nothing: {:?}", output.status));
    assert_eq!(output.status.success(), last["event"] == "result" || last["event"] == "durable");
    Said { last, before: lines }
}

/// A store, and a host file and directory beside it.
pub struct Place {
    tmp: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { tmp: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(place.path("canary")).unwrap();
        std::fs::write(place.path("canary/file"), "host").unwrap();
        std::fs::create_dir(place.path("target")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The apply request for a correct blob of this content.
    pub fn request(&self, blob: &[u8], compression: &str, lower: &[&str]) -> Value {
        let lower: Vec<String> = lower.iter().map(|name| self.text(name)).collect();
        json!({
            "op": "apply", "target": self.text("target"), "lower": lower, "compression": compression,
            "digest": digest(blob), "sizeBytes": blob.len(), "diffId": null,
            "limits": {"maxBytes": 1_u64 << 36, "maxEntries": 1_000_000, "maxRatio": 1000}, "finish": null,
        })
    }

    pub fn send(&self, blob: &[u8], request: &Value) -> Said {
        std::fs::write(self.path("blob"), blob).unwrap();
        helper(request, &self.path("blob"), &[])
    }

    /// Unpacks an archive into `target`.
    pub fn apply(&self, archive: &[u8], lower: &[&str]) -> Said {
        self.send(archive, &self.request(archive, "none", lower))
    }

    /// Writes the layer of `upper` to `out`.
    pub fn diff(&self, upper: &str, out: &str, format: &str, level: u32) -> Said {
        self.diff_with(upper, out, &json!({"format": format, "level": level}), None, &[])
    }

    pub fn diff_with(&self, upper: &str, out: &str, how: &Value, clamp: Option<i64>, prefix: &[&str]) -> Said {
        std::fs::write(self.path(out), "").unwrap();
        let request =
            json!({"op": "diff", "upper": self.text(upper), "form": {"compression": how, "clampMtime": clamp}});
        helper(&request, &self.path(out), prefix)
    }

    /// Paths, kinds and content of the merged file system, as overlayfs shows it.
    pub fn merged(&self, lower: &[&str]) -> Vec<String> {
        let lower: Vec<String> = lower.iter().map(|name| self.text(name)).collect();
        std::fs::write(self.path("export.tar"), "").unwrap();
        let request = json!({
            "op": "export", "root": {"lower": lower, "upper": null, "work": null}, "dest": {"kind": "tar"},
        });
        helper(&request, &self.path("export.tar"), &[]).result();
        python(LIST, &[&self.text("export.tar")]).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Everything about the host that an archive could have changed.
    pub fn host(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        for name in ["", "canary", "canary/file"] {
            let path = self.path(name);
            let stat = std::fs::symlink_metadata(&path).unwrap();
            let names: Vec<_> =
                std::fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
            let mut names: Vec<_> = names.into_iter().filter(|name| name != "blob").collect();
            names.sort();
            let times = if name.is_empty() { (0, 0) } else { (stat.mtime_nsec(), stat.ctime_nsec()) };
            let content = std::fs::read_to_string(&path).unwrap_or_default();
            let (mode, uid, links) = (stat.mode(), stat.uid(), stat.nlink());
            seen.insert(path, format!("{mode:o} {uid} {links} {times:?} {names:?} {content}"));
        }
        seen
    }
}

/// Lists a tar with Python's reader: one line for each entry.
const LIST: &str = "
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    kind = {b'0': 'file', b'1': 'hard', b'2': 'link', b'3': 'char', b'4': 'block', b'5': 'dir', b'6': 'fifo'}[m.type]
    text = m.linkname if kind in ('hard', 'link') else ''
    if kind == 'file': text = tarfile.open(sys.argv[1]).extractfile(m.name).read(64).decode('latin1')
    print(kind, m.name, text)
";

/// Runs Python, which every machine of ours has; without it the test cannot say anything.
pub fn python(script: &str, args: &[&str]) -> String {
    let output = Command::new("python3").arg("-c").arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a shell script in a directory.
pub fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Says that a test cannot run here; in CI that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must run in CI: {why}");
    println!("SKIPPED: {why}");
}

/// Whether this process may make devices and mounts.
pub fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        skip("needs root: run the tests as root");
    }
    root
}
