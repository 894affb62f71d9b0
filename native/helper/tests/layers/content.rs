//! Content digests of layers: equal exactly where steps above see the same, times left out.

use crate::fixture::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn contents(place: &Place, trees: &[&str], prefix: &[&str]) -> Vec<Value> {
    std::fs::write(place.path("bulk"), "").unwrap();
    let trees: Vec<String> = trees.iter().map(|tree| place.text(tree)).collect();
    let said = helper(&json!({"op": "content", "trees": trees}), &place.path("bulk"), prefix);
    said.result()["digests"].as_array().unwrap().clone()
}

fn content(place: &Place, tree: &str) -> Value {
    contents(place, &[tree], &[]).remove(0)
}

/// Makes the tree `name` with Python, anew.
fn make(place: &Place, name: &str, script: &str) {
    shell(&place.path(""), &format!("rm -rf {name}; mkdir {name}"));
    python(&format!("import os, sys, stat, struct, random\nos.chdir(sys.argv[1])\n{script}"), &[&place.text(name)]);
}

/// One of everything.
const TREE: &str = r#"
def file(name, text, mode=0o644):
    open(name, 'w').write(text); os.chmod(name, mode)
os.mkdir('etc', 0o755); os.mkdir('etc/sub', 0o700); os.mkdir('opaque', 0o755)
file('etc/a b%', 'hello\n'); file('etc/zero', ''); file('run', '#!', 0o4755)
file('one', 'linked'); os.link('one', 'etc/two'); os.link('one', 'z'); file('alone', 'linked')
os.symlink('../a b', 'etc/link'); os.mkfifo('pipe', 0o600)
os.setxattr('one', 'user.note', b'\x00n'); os.setxattr('opaque', 'user.dir', b'1')
os.setxattr('opaque', 'trusted.overlay.opaque', b'y'); os.setxattr('etc', 'trusted.overlay.origin', b'x')
os.setxattr('alone', 'trusted.other', b'x'); os.setxattr('alone', 'user.a=b', b'x')
os.mknod('gone', stat.S_IFCHR, 0); os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.chmod('null', 0o666); os.chown('run', 1000, 1001); os.chmod('run', 0o4755)
"#;

/// The encoding, by hand. When it changes, its first line must.
const MANIFEST: &str = "tsbuild-layer-v1
f 0644 0:0 6 {linked} x=user.a=b=78 /alone
d 0755 0:0 /etc
f 0644 0:0 6 {hello} /etc/a%20b%25
l 0777 0:0 ../a%20b /etc/link
d 0700 0:0 /etc/sub
f 0644 0:0 6 {linked} x=user.note=006e /etc/two
f 0644 0:0 0 {nothing} /etc/zero
w /gone
c 0666 0:0 1:3 /null
f 0644 0:0 6 {linked} x=user.note=006e =/etc/two /one
d 0755 0:0 x=user.dir=31 /opaque
o /opaque
p 0600 0:0 /pipe
f 4755 1000:1001 2 {run} /run
f 0644 0:0 6 {linked} x=user.note=006e =/etc/two /z
";

#[test]
fn content_is_the_digest_of_the_documented_manifest() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    make(&place, "upper", TREE);
    let mut manifest = MANIFEST.to_owned();
    for (name, text) in [("linked", "linked"), ("hello", "hello\n"), ("nothing", ""), ("run", "#!")] {
        let hex = digest(text.as_bytes());
        manifest = manifest.replace(&format!("{{{name}}}"), hex.strip_prefix("sha256:").unwrap());
    }
    assert_eq!(content(&place, "upper"), digest(manifest.as_bytes()), "{manifest}");
}

#[test]
fn content_is_that_of_the_layer_when_it_was_unpacked_again() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    for seed in 0..16 {
        make(&place, "lower", "");
        make(&place, "upper", &RANDOM.replace("SEED", &seed.to_string()));
        place.diff("upper", "layer", "none", 0).result();
        let blob = std::fs::read(place.path("layer")).unwrap();
        shell(&place.path(""), "rm -rf target; mkdir target");
        let said = finished(&place, &blob, &["lower"], &[]);
        let [made, again] = contents(&place, &["upper", "target"], &[]).try_into().unwrap();
        assert!(made.is_string());
        assert_eq!(made, again, "seed {seed}");
        assert_eq!(made, said, "seed {seed}");
    }
}

/// Unpacks a layer; the content digest that follows the result.
fn finished(place: &Place, blob: &[u8], lower: &[&str], prefix: &[&str]) -> Value {
    let mut request = place.request(blob, "none", lower);
    request["finish"] = json!({"content": true, "layer": null, "sync": true});
    std::fs::write(place.path("blob"), blob).unwrap();
    let said = helper(&request, &place.path("blob"), prefix);
    let lines: Vec<_> = said.before.iter().chain([&said.last]).filter(|line| line["event"] != "progress").collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["result", "content", "durable"], "{lines:?}");
    lines.get(1).unwrap()["digest"].clone()
}

#[test]
fn apply_digests_what_stands_in_the_end_of_files_that_were_replaced_linked_and_copied_up() {
    let place = Place::new();
    make(&place, "lower", "open('below', 'w').write('from below')");
    let large = "x".repeat(300_000);
    let archive = tar(&[
        file("once", "one"),
        file("once", "three"),
        file("gone", "same length"),
        dir("gone"),
        file("linked", &large),
        hardlink("other", "linked"),
        file("linked", "small"),
        hardlink("up", "below"),
        file("zeros", &"\0".repeat(1 << 20)),
    ]);
    let said = finished(&place, &archive, &["lower"], &[]);
    assert_eq!(said, content(&place, "target"));
}

#[test]
fn apply_opens_no_file_again_for_the_content_digest() {
    let place = Place::new();
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: apt install strace");
    }
    let trace = place.text("trace");
    let archive = tar(&[dir("d"), file("d/small", "x"), file("d/large", &"x".repeat(300_000))]);
    finished(&place, &archive, &[], &["strace", "-f", "-o", &trace, "-e", "trace=openat"]);
    let calls = std::fs::read_to_string(&trace).unwrap();
    for name in ["\"small\"", "\"large\""] {
        assert_eq!(calls.lines().filter(|line| line.contains(name)).count(), 1, "{calls}");
    }
}

/// A tree of everything that a layer holds, by chance.
const RANDOM: &str = r#"
r = random.Random(SEED)
dirs, files = ['.'], []
# What marks hide: a layer's marks that hide nothing are not unpacked.
def below(n): os.makedirs('../lower/' + os.path.dirname(n), exist_ok=True); return '../lower/' + n
for i in range(r.randrange(1, 600)):
    d = r.choice(dirs); n = d + '/' + ''.join(r.choice('ab .%\u00e9\n\x01-_') for _ in range(r.randrange(1, 12))) + str(i)
    kind = r.choice('ddfffffffFllpcwh')
    if kind == 'd': os.mkdir(n); dirs.append(n)
    elif kind == 'f': open(n, 'wb').write(r.randbytes(r.choice([0, 1, 100, 5000]))); files.append(n)
    elif kind == 'F': open(n, 'wb').write(r.randbytes(300000)); files.append(n)
    elif kind == 'l': os.symlink(''.join(r.choice('./ab%') for _ in range(1, 9)), n); files.append(n)
    elif kind == 'p': os.mkfifo(n); files.append(n)
    elif kind == 'c': os.mknod(n, r.choice([stat.S_IFCHR, stat.S_IFBLK]), os.makedev(r.randrange(1, 99), r.randrange(99))); files.append(n)
    elif kind == 'w': os.mknod(n, stat.S_IFCHR, 0); open(below(n), 'w')
    elif kind == 'h' and files: os.link(r.choice(files), n, follow_symlinks=False)
for n in files + dirs[1:]:
    if r.random() < .3: os.chown(n, r.randrange(70000), r.randrange(70000), follow_symlinks=False)
    if not os.path.islink(n) and r.random() < .5: os.chmod(n, r.randrange(0o10000))
    if os.path.isfile(n) and not os.path.islink(n) or os.path.isdir(n) and not os.path.islink(n):
        if r.random() < .3: os.setxattr(n, 'user.' + r.choice('abc'), r.randbytes(r.randrange(50)))
        if r.random() < .1: os.setxattr(n, 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << r.randrange(9), 0, 0, 0)) if os.path.isfile(n) else None
for n in dirs[1:]:
    if r.random() < .3 and all(os.path.islink(n + '/' + e) or os.path.isfile(n + '/' + e) for e in os.listdir(n)):
        os.setxattr(n, 'trusted.overlay.opaque', b'y'); open(below(n + '/hidden'), 'w')
"#;

/// Each changes one thing; no two of them make the same tree.
const CHANGES: &[(&str, &str)] = &[
    ("a byte", "open('etc/a b%', 'w').write('hellO\\n')"),
    ("a byte more", "open('etc/a b%', 'a').write('\\0')"),
    ("mode", "os.chmod('etc/a b%', 0o640)"),
    ("setuid", "os.chmod('run', 0o755)"),
    ("mode of a directory", "os.chmod('etc', 0o1755)"),
    ("mode of a fifo", "os.chmod('pipe', 0o644)"),
    ("user", "os.chown('etc/zero', 7, 0)"),
    ("group", "os.chown('etc/zero', 0, 7)"),
    ("owner of a directory", "os.chown('etc/sub', 7, 0)"),
    ("owner of a symlink", "os.chown('etc/link', 7, 0, follow_symlinks=False)"),
    ("owner of a device", "os.chown('null', 7, 0)"),
    ("name", "os.rename('etc/zero', 'etc/nero')"),
    ("place", "os.rename('etc/zero', 'zero')"),
    ("name of a directory", "os.rename('etc', 'ETC')"),
    ("a file gone", "os.unlink('etc/zero')"),
    ("a file more", "open('more', 'w')"),
    ("an empty directory gone", "os.rmdir('etc/sub')"),
    ("a directory for a file", "os.unlink('etc/zero'); os.mkdir('etc/zero', 0o644)"),
    ("a fifo for a file", "os.unlink('etc/zero'); os.mkfifo('etc/zero', 0o644)"),
    ("a symlink for a file", "os.unlink('etc/zero'); os.symlink('x', 'etc/zero')"),
    ("target", "os.unlink('etc/link'); os.symlink('../a c', 'etc/link')"),
    ("attribute", "os.setxattr('one', 'user.note', b'\\0m')"),
    ("attribute gone", "os.removexattr('one', 'user.note')"),
    ("attribute more", "os.setxattr('one', 'user.nota', b'')"),
    ("an attribute that no layer can hold", "os.setxattr('one', 'user.a=b', b'x')"),
    ("a socket", "import socket; socket.socket(socket.AF_UNIX).bind('socket')"),
    ("a socket for a file", "import socket; os.unlink('etc/zero'); socket.socket(socket.AF_UNIX).bind('etc/zero')"),
    ("mode of the root", "os.chmod('.', 0o700)"),
    ("owner of the root", "os.chown('.', 0, 7)"),
    ("attribute of the root", "os.setxattr('.', 'user.x', b'1')"),
    ("name of an attribute", "os.removexattr('one', 'user.note'); os.setxattr('one', 'user.nose', b'\\0n')"),
    ("attribute of a directory", "os.setxattr('opaque', 'user.dir', b'2')"),
    ("capability", "os.setxattr('run', 'security.capability', struct.pack('<IIIII', 0x02000001, 1, 0, 0, 0))"),
    (
        "acl",
        "os.setxattr('etc', 'system.posix_acl_default', struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in [(1, 7, 2**32 - 1), (4, 5, 2**32 - 1), (32, 5, 2**32 - 1)]))",
    ),
    ("whiteout gone", "os.unlink('gone')"),
    ("another whiteout", "os.rename('gone', 'gone2')"),
    ("a file for a whiteout", "os.unlink('gone'); open('gone', 'w')"),
    ("a device for a whiteout", "os.unlink('gone'); os.mknod('gone', stat.S_IFCHR, os.makedev(0, 1))"),
    ("opaque gone", "os.removexattr('opaque', 'trusted.overlay.opaque')"),
    ("opaque elsewhere", "os.setxattr('etc/sub', 'trusted.overlay.opaque', b'y')"),
    ("device number", "os.unlink('null'); os.mknod('null', stat.S_IFCHR, os.makedev(1, 5)); os.chmod('null', 0o666)"),
    ("block device", "os.unlink('null'); os.mknod('null', stat.S_IFBLK, os.makedev(1, 3)); os.chmod('null', 0o666)"),
    (
        "a link less",
        "os.unlink('z'); open('z', 'w').write('linked'); os.chmod('z', 0o644); os.setxattr('z', 'user.note', b'\\0n')",
    ),
    ("a link more", "os.removexattr('one', 'user.note'); os.unlink('alone'); os.link('one', 'alone')"),
    (
        "other pairs of links",
        "os.unlink('alone'); os.unlink('z'); os.link('one', 'alone'); open('z', 'w').write('linked'); os.chmod('z', 0o644); os.setxattr('z', 'user.note', b'\\0n')",
    ),
];

#[test]
fn content_changes_with_each_thing_that_a_layer_holds() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    make(&place, "upper", TREE);
    let mut seen = BTreeMap::from([(content(&place, "upper").to_string(), "nothing")]);
    for (what, change) in CHANGES {
        make(&place, "changed", &format!("os.umask(0o022)\n{TREE}\n{change}"));
        let digest = content(&place, "changed").to_string();
        if let Some(other) = seen.insert(digest, what) {
            panic!("{what} and {other} make the same digest");
        }
    }
}

#[test]
fn content_is_the_same_whatever_does_not_count() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    make(&place, "upper", TREE);
    let wanted = content(&place, "upper");
    for (what, change) in [
        (
            "times",
            "for p in ['etc/zero', 'etc', 'etc/link', 'pipe', 'gone']: os.utime(p, (1, 2), follow_symlinks=False)",
        ),
        (
            "another inode",
            "os.rename('etc/zero', 'x'); open('etc/zero', 'w'); os.chmod('etc/zero', 0o644); os.unlink('x')",
        ),
        (
            "attributes of the machine",
            "os.setxattr('one', 'trusted.more', b'1'); os.setxattr('opaque', 'trusted.overlay.impure', b'y')",
        ),
        ("a mark that does not say y", "os.setxattr('etc', 'trusted.overlay.opaque', b'n')"),
        ("a link outside of the tree", "os.link('etc/zero', '../outside')"),
        ("the mode of a whiteout", "os.chmod('gone', 0o777); os.chown('gone', 5, 5)"),
        (
            "the order of listing",
            "[os.rename(n, n + '~') for n in os.listdir('.')]; [os.rename(n, n[:-1]) for n in sorted(os.listdir('.'), reverse=True)]",
        ),
    ] {
        make(&place, "other", &format!("{TREE}\n{change}"));
        assert_eq!(content(&place, "other"), wanted, "{what}");
    }
}

#[test]
fn content_is_the_same_on_one_processor_and_for_holes_and_zeros() {
    let place = Place::new();
    let many = "
for d in range(40):
    os.mkdir('d%d' % d)
    for f in range(25): open('d%d/f%d' % (d, f), 'w').write('x' * f)
for f in range(6): open('large%d' % f, 'wb').write(bytes([f]) * 700000)
os.link('large0', 'again'); os.link('large0', 'd0/again')
hole = open('hole', 'wb'); hole.write(b'a'); hole.seek(3 << 20); hole.write(b'b'); hole.truncate(5 << 20)
";
    make(&place, "upper", many);
    let zeros = "hole = open('hole', 'wb'); hole.write(b'a' + bytes((3 << 20) - 1) + b'b' + bytes((2 << 20) - 1))";
    make(&place, "zeros", &format!("{many}\nhole.close(); os.unlink('hole')\n{zeros}"));
    let all = contents(&place, &["upper", "zeros"], &[]);
    assert_eq!(all[0], all[1]);
    assert_eq!(contents(&place, &["upper", "zeros"], &["taskset", "-c", "0"]), all);
}

#[test]
fn content_is_none_of_what_no_layer_can_hold() {
    let place = Place::new();
    make(&place, "name", "os.mkdir('d'); open('d/.wh.x', 'w')");
    make(&place, "deep", "for i in range(3000): os.mkdir('d'); os.chdir('d')");
    make(&place, "huge", "open('a', 'wb').truncate(63 << 30); open('b', 'wb').truncate(2 << 30)");
    make(&place, "fine", "open('a', 'wb').truncate(1 << 20); os.link('a', 'b')");
    let all = contents(&place, &["name", "deep", "huge", "fine"], &[]);
    assert_eq!(all[..3], [Value::Null, Value::Null, Value::Null]);
    assert!(all[3].is_string());
}

#[test]
fn content_refuses_a_tree_that_is_not_there() {
    let place = Place::new();
    std::fs::write(place.path("bulk"), "").unwrap();
    let request = json!({"op": "content", "trees": [place.text("missing")]});
    assert_eq!(helper(&request, &place.path("bulk"), &[]).code(), "ERR_HELPER_SYSCALL");
}
