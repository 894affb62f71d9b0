//! `merge`: a merged run of trees means the same as the run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::sandbox::{As, Sandbox, every};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// SplitMix64: the same stacks in every run of the tests.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    /// One of few paths, so that changes meet.
    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        (0..depth).fold("/w".to_owned(), |path, _| format!("{path}/{}", self.of(&["a", "b", "c"])))
    }

    fn change(&mut self, who: As) -> String {
        let (path, other) = (self.path(), self.path());
        let owner = if who == As::SingleId { "0:0" } else { self.of(&["0:0", "7:9", "1000:1001"]) };
        match self.below(15) {
            0 | 1 => format!("mkdir -p {path}; echo {} > {path}/{}", self.below(99), self.of(&["x", "y", "z"])),
            // A FIFO would wait for a reader.
            2 => format!("[ -p {path} ] || echo {} > {path}", self.below(99)),
            3 | 4 => format!("rm -rf {path}"),
            5 => format!("rm -rf {path}; mkdir -p {path}; echo new > {path}/x"),
            6 => format!("mv -T {path} {other}"),
            7 => format!("ln -f {path} {other}"),
            8 => format!("ln -sfn {other} {path}"),
            9 => format!("rm -f {path}; mkfifo {path}"),
            10 => format!("chmod {} {path}", self.of(&["0700", "4755", "1777", "0000", "2750"])),
            11 | 12 => format!("rm -f {path}/x {path}/y"),
            13 => format!("chown -h {owner} {path}"),
            _ => format!("touch -hd @{} {path}", 1_000_000_000 + self.below(1000)),
        }
    }
}

/// Makes a stack of trees, lowest first: each is what a step changed that ran on those below.
fn stack(sandbox: &Sandbox, who: As, seed: u64, height: usize) -> Vec<PathBuf> {
    let mut random = Random(seed);
    let mut layers: Vec<PathBuf> = Vec::new();
    for at in 0..height {
        sandbox.fresh();
        let changes: Vec<String> = (0..6).map(|_| random.change(who)).collect();
        // Something to be removed everywhere.
        let first = "for d in /w /w/a /w/a/b /w/b /w/b/c /w/c; do mkdir -p $d; touch $d/x $d/y $d/z; done";
        let changes = if at == 0 { first.to_owned() } else { changes.join("; ") };
        let script = format!("mkdir -p /w; {{ {changes}; }} 2>/dev/null; exit 0");
        let mut request = sandbox.shell(&script);
        let lower: Vec<PathBuf> = layers.iter().rev().cloned().chain([sandbox.image()]).collect();
        request["root"]["lower"] = json!(lower);
        sandbox.call(request).ok();
        let layer = sandbox.path(&format!("layer-{seed}-{}", layers.len()));
        fs::rename(sandbox.upper(), &layer).unwrap();
        layers.push(layer);
    }
    layers
}

/// An empty directory of the user who runs the helper.
fn empty(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    fs::create_dir(&path).unwrap();
    sandbox.give_one(&path);
    path
}

/// Merges trees, topmost first, into a new directory.
fn merge(sandbox: &Sandbox, lower: &[PathBuf], name: &str) -> (PathBuf, Value) {
    let target = empty(sandbox, name);
    let done = sandbox.call(json!({"op": "merge", "lower": lower, "target": target}));
    assert_eq!(done.last["event"], "result", "{done:?}");
    (target, done.last["result"].clone())
}

/// The whole file system of a stack (topmost first), as the kernel shows it: names, kinds, owners, modes, times,
/// attributes, hard links, content.
fn shown(sandbox: &Sandbox, lower: &[PathBuf]) -> String {
    let root = json!({"lower": lower, "upper": null, "work": null});
    let done = sandbox.call(json!({"op": "export", "root": root, "dest": {"kind": "tar"}}));
    assert_eq!(done.last["event"], "result", "{done:?}");
    done.stdout
}

#[test]
fn merge_means_the_same_as_its_run_wherever_it_lies() {
    const HEIGHT: usize = 8;
    for (who, sandbox) in every() {
        // Two directories at least make an overlay of every stack.
        let ground = [empty(&sandbox, "ground-1"), empty(&sandbox, "ground-2")];
        let (mut opaque, mut whiteouts) = (0, 0);
        for seed in 1..=5 {
            let layers = stack(&sandbox, who, seed, HEIGHT);
            for (from, to) in [(0, HEIGHT), (3, 6), (2, HEIGHT - 1), (6, 7)] {
                let run: Vec<PathBuf> = layers[from..to].iter().rev().cloned().collect();
                let (merged, _) = merge(&sandbox, &run, &format!("merged-{seed}-{from}-{to}"));
                let above = || layers[to..].iter().rev().cloned();
                let below = || layers[..from].iter().rev().cloned();
                let ground = || ground.iter().cloned();
                let stacks = |middle: &[PathBuf]| {
                    let middle = || middle.iter().cloned();
                    let whole: Vec<PathBuf> = above().chain(middle()).chain(below()).chain(ground()).collect();
                    let alone: Vec<PathBuf> = middle().chain(ground()).collect();
                    let on_another: Vec<PathBuf> =
                        middle().chain(layers[to..].iter().cloned()).chain(ground()).collect();
                    [whole, alone, on_another].map(|lower| shown(&sandbox, &lower))
                };
                assert!(
                    stacks(&run) == stacks(std::slice::from_ref(&merged)),
                    "{who:?}: seed {seed}, layers {from} to {to}"
                );
                opaque += count(&merged, &|path| has_mark(path, "opaque"));
                whiteouts += count(&merged, &is_whiteout);
            }
        }
        // Else the stacks above would have shown nothing.
        assert!(opaque > 5 && whiteouts > 5, "{who:?}: {opaque} opaque directories, {whiteouts} whiteouts");
    }
}

fn count(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> usize {
    crate::sandbox::tree(dir).iter().filter(|path| wanted(&dir.join(path))).count()
}

fn is_whiteout(path: &Path) -> bool {
    let stat = fs::symlink_metadata(path).unwrap();
    stat.file_type().is_char_device() && stat.rdev() == 0
}

fn has_mark(path: &Path, name: &str) -> bool {
    let mut value = [0; 16];
    ["trusted", "user"]
        .iter()
        .any(|space| rustix::fs::lgetxattr(path, format!("{space}.overlay.{name}"), &mut value[..]).is_ok())
}

#[test]
fn merge_links_files_and_keeps_the_topmost_metadata() {
    for (who, sandbox) in every() {
        let (top, low) = (empty(&sandbox, "top"), empty(&sandbox, "low"));
        for dir in [top.join("d"), low.join("d"), low.join("d/only"), low.join("was")] {
            fs::create_dir(dir).unwrap();
        }
        for (path, text) in [("top/d/f", "top"), ("low/d/f", "low"), ("low/d/g", "low"), ("top/was", "a file now")] {
            fs::write(sandbox.path(path), text).unwrap();
        }
        fs::set_permissions(top.join("d"), PermissionsExt::from_mode(0o2750)).unwrap();
        rustix::fs::setxattr(top.join("d"), "user.of", b"top", rustix::fs::XattrFlags::empty()).unwrap();
        rustix::fs::setxattr(low.join("d"), "user.low", b"low", rustix::fs::XattrFlags::empty()).unwrap();
        symlink("f", low.join("d/link")).unwrap();
        sandbox.give(&top);
        sandbox.give(&low);
        // `chown` took the bit away.
        fs::set_permissions(top.join("d"), PermissionsExt::from_mode(0o2750)).unwrap();
        let (merged, result) = merge(&sandbox, &[top.clone(), low.clone()], "merged");
        assert_eq!(result, json!({"op": "merge", "linked": 4, "copiedBytes": 0, "directories": 3}), "{who:?}");
        let inode = |path: PathBuf| fs::symlink_metadata(path).unwrap().ino();
        for (source, name) in [(&top, "d/f"), (&low, "d/g"), (&low, "d/link"), (&top, "was")] {
            assert_eq!(inode(merged.join(name)), inode(source.join(name)), "{who:?}: {name}");
        }
        let described = |path: &Path| {
            let stat = fs::metadata(path).unwrap();
            (stat.mode(), stat.uid(), stat.gid(), stat.mtime(), stat.mtime_nsec())
        };
        assert_eq!(described(&merged.join("d")), described(&top.join("d")), "{who:?}");
        assert_eq!(described(&merged), described(&top), "{who:?}");
        let mut value = [0; 8];
        assert_eq!(rustix::fs::getxattr(merged.join("d"), "user.of", &mut value[..]), Ok(3), "{who:?}");
        assert!(rustix::fs::getxattr(merged.join("d"), "user.low", &mut value[..]).is_err(), "{who:?}");
        // A directory that only one layer has is not closed to those below the run.
        assert_eq!(count(&merged, &|path| has_mark(path, "opaque")), 0, "{who:?}");
    }
}

#[test]
fn merge_copies_what_it_cannot_link() {
    let Some(sandbox) = Sandbox::root() else { return };
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let low = elsewhere.path().join("low");
    fs::create_dir_all(low.join("d")).unwrap();
    assert_ne!(fs::metadata(&low).unwrap().dev(), fs::metadata(sandbox.path("")).unwrap().dev(), "one file system");
    fs::write(low.join("d/file"), "text").unwrap();
    fs::hard_link(low.join("d/file"), low.join("d/same")).unwrap();
    fs::write(low.join("tool"), "program").unwrap();
    let sparse = fs::File::create(low.join("sparse")).unwrap();
    sparse.set_len(1 << 24).unwrap();
    symlink("nowhere", low.join("link")).unwrap();
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, low.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    node("null", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node("gone", rustix::fs::FileType::CharacterDevice, 0);
    node("fifo", rustix::fs::FileType::Fifo, 0);
    for name in ["tool", "link", "null", "fifo"] {
        std::os::unix::fs::lchown(low.join(name), Some(1000), Some(1001)).unwrap();
    }
    fs::set_permissions(low.join("tool"), PermissionsExt::from_mode(0o4711)).unwrap();
    // cap_net_raw=ep, version 2.
    let capability = [1_u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(low.join("tool"), "security.capability", &capability, flags).unwrap();
    let (merged, result) = merge(&sandbox, std::slice::from_ref(&low), "merged");
    assert_eq!((&result["linked"], &result["copiedBytes"]), (&json!(1), &json!(4 + 7 + (1 << 24))), "{result}");
    let described = |path: PathBuf| {
        let stat = fs::symlink_metadata(path).unwrap();
        (stat.mode(), stat.uid(), stat.gid(), stat.rdev(), stat.mtime(), stat.mtime_nsec(), stat.nlink(), stat.size())
    };
    for name in ["d/file", "d/same", "tool", "sparse", "link", "null", "fifo"] {
        assert_eq!(described(merged.join(name)), described(low.join(name)), "{name}");
    }
    assert!(is_whiteout(&merged.join("gone")));
    assert_eq!(fs::read_to_string(merged.join("d/same")).unwrap(), "text");
    assert_eq!(fs::metadata(merged.join("d/file")).unwrap().ino(), fs::metadata(merged.join("d/same")).unwrap().ino());
    assert!(fs::metadata(merged.join("sparse")).unwrap().blocks() < 1024);
    let mut value = [0; 32];
    assert_eq!(rustix::fs::getxattr(merged.join("tool"), "security.capability", &mut value[..]), Ok(20));
}

/// Each directory holds two: after the deep one comes another, so that every directory on the way is needed again.
#[test]
fn merge_goes_through_very_deep_trees() {
    const DEPTH: usize = 1500;
    let Some(sandbox) = Sandbox::root() else { return };
    let trees = ["top", "low"].map(|name| empty(&sandbox, name));
    for tree in &trees {
        let open = |dir: &rustix::fd::OwnedFd, name: &str| {
            rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
        };
        let mut dir = rustix::fs::open(tree, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            for name in ["aside", "deep"] {
                rustix::fs::mkdirat(&dir, name, Mode::RWXU).unwrap();
            }
            let file = if *tree == trees[0] { "top" } else { "low" };
            let flags = OFlags::CREATE | OFlags::WRONLY;
            rustix::fs::openat(open(&dir, "aside"), file, flags, Mode::RUSR).unwrap();
            dir = open(&dir, "deep");
        }
    }
    let (merged, result) = merge(&sandbox, &trees, "merged");
    let expected = json!({"op": "merge", "linked": 2 * DEPTH, "copiedBytes": 0, "directories": 2 * DEPTH + 1});
    assert_eq!(result, expected);
    let done = sandbox.call(json!({"op": "remove", "paths": [merged, trees[0], trees[1]]}));
    assert_eq!(done.last["event"], "result", "{done:?}");
}

#[test]
fn merge_says_which_call_failed() {
    let Some(sandbox) = Sandbox::root() else { return };
    let low = empty(&sandbox, "low");
    fs::create_dir(low.join("d")).unwrap();
    let full = empty(&sandbox, "full");
    fs::write(full.join("d"), "").unwrap();
    let done = sandbox.call(json!({"op": "merge", "lower": [low], "target": full}));
    assert_eq!((&done.last["code"], &done.last["errno"]), (&json!("ERR_HELPER_SYSCALL"), &json!("EEXIST")), "{done:?}");
    assert!(done.last["message"].as_str().unwrap().starts_with("mkdirat(\"d\") = -1 EEXIST"), "{done:?}");
    let done = sandbox.call(json!({"op": "merge", "lower": [], "target": full}));
    assert_eq!(done.error(), "ERR_HELPER_INTERNAL");
}

/// The limit is what makes merging necessary; the kernel says it on the descriptor of the file system context.
#[test]
fn a_stack_that_the_kernel_refuses_fails_with_its_own_words() {
    for (who, sandbox) in every() {
        let lower: Vec<PathBuf> = (0..501).map(|at| empty(&sandbox, &format!("lower-{at}"))).collect();
        assert!(!shown(&sandbox, &lower[..500]).is_empty(), "{who:?}");
        let root = json!({"lower": lower, "upper": null, "work": null});
        let done = sandbox.call(json!({"op": "export", "root": root, "dest": {"kind": "tar"}}));
        assert_eq!(done.error(), "ERR_OVERLAY_MOUNT", "{who:?}: {done:?}");
        let message = done.last["message"].as_str().unwrap();
        assert!(message.contains("too many lower directories, limit is 500"), "{who:?}: {message}");
    }
}
